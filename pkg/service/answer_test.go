package service

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"
	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/store"
)

type question struct {
	Customer string `json:"customer"`
}

type reply struct {
	Greeting string `json:"greeting"`
}

// greeter answers according to the name in the question.
func greeter(ctx context.Context, question question) (reply, error) {
	switch question.Customer {
	case "":
		return reply{}, &BadRequestError{Text: "customer is missing"}
	case "nobody":
		return reply{}, fmt.Errorf("look up customer: %w", store.ErrNotFound)
	case "broken":
		return reply{}, errors.New("password of the database")
	}
	if _, limited := ctx.Deadline(); !limited {
		return reply{}, errors.New("an answer must not take for ever")
	}
	return reply{Greeting: "hello " + question.Customer}, nil
}

func TestQuestionsAreAnswered(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	s, service := serveIdle(t, "onboarding", f.settings)
	require.NoError(t, Answer(service, "greeting", "get", greeter))
	conn := f.nats.Conn(t)
	require.NoError(t, service.Conn.Flush())
	for name, one := range map[string]struct{ data, code, text, body string }{
		"an answer": {data: `{"customer":"acme"}`, body: `{"greeting":"hello acme"}`},
		"no data":   {data: "", code: CodeBadRequest, text: "customer is missing"},
		"not JSON": {data: "{”customer”:1}", code: CodeBadRequest, text: "the question is not the JSON that this verb takes: it is not JSON: " +
			"a typographic quotation mark at byte 2 (line 1, column 2); JSON takes plain double quotation marks only"},
		"a byte order mark":  {data: "\ufeff" + `{"customer":"acme"}`, body: `{"greeting":"hello acme"}`},
		"JSON of other type": {data: `{"customer":7}`, code: CodeBadRequest, text: "the question is not the JSON that this verb takes: customer has the wrong type"},
		"no object":          {data: `[]`, code: CodeBadRequest, text: "the question is not the JSON that this verb takes"},
		"bad request":        {data: `{}`, code: CodeBadRequest, text: "customer is missing"},
		"not found":          {data: `{"customer":"nobody"}`, code: CodeNotFound, text: "not found"},
		"internal":           {data: `{"customer":"broken"}`, code: CodeInternal, text: "internal error; the service's log says more"},
	} {
		answer, err := conn.Request(APISubject("greeting", "get"), []byte(one.data), soon)
		require.NoError(t, err, name)
		require.Equal(t, one.code, answer.Header.Get(micro.ErrorCodeHeader), name)
		require.Equal(t, one.text, answer.Header.Get(micro.ErrorHeader), name)
		require.Equal(t, one.body, string(answer.Data), name)
	}
	entries := s.logs.FilterMessage("question not answered").All()
	require.Len(t, entries, 1, "only internal errors may be logged")
	require.Equal(t, "password of the database", entries[0].ContextMap()["error"])
}

func TestPanicInAnswerIsInternalError(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	s, service := serveIdle(t, "onboarding", f.settings)
	require.NoError(t, Answer(service, "greeting", "get", func(context.Context, question) (reply, error) {
		panic("a defect")
	}))
	require.NoError(t, service.Conn.Flush())
	answer, err := f.nats.Conn(t).Request(APISubject("greeting", "get"), nil, soon)
	require.NoError(t, err)
	require.Equal(t, CodeInternal, answer.Header.Get(micro.ErrorCodeHeader))
	require.Equal(t, 1, s.logs.FilterMessage("answer panicked").Len())
	require.NoError(t, service.Store.Ping(t.Context()), "the service must continue")
}

func TestEndpointsAreListed(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	_, service := serveIdle(t, "onboarding", f.settings)
	require.NoError(t, Answer(service, "greeting", "get", greeter))
	answer, err := f.nats.Conn(t).Request("$SRV.INFO.rollcall-onboarding", nil, soon)
	require.NoError(t, err)
	var info micro.Info
	require.NoError(t, json.Unmarshal(answer.Data, &info))
	require.Len(t, info.Endpoints, 1)
	require.Equal(t, "rollcall.api.greeting.get", info.Endpoints[0].Subject)
}

func TestEndedServiceDoesNotAnswer(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	s, service := serveIdle(t, "onboarding", f.settings)
	require.NoError(t, Answer(service, "greeting", "get", greeter))
	s.stop()
	require.NoError(t, s.result())
	_, err := f.nats.Conn(t).Request(APISubject("greeting", "get"), []byte(`{"customer":"acme"}`), soon)
	require.ErrorIs(t, err, nats.ErrNoResponders)
}
