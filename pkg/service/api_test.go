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
	"rollcall.dev/pkg/testkit"
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
	case "unknown":
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
		"not found":          {data: `{"customer":"unknown"}`, code: CodeNotFound, text: "not found"},
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

func TestFieldErrorsAndConflictsAreSentToCaller(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	s, service := serveIdle(t, "onboarding", f.settings)
	require.NoError(t, Answer(service, "greeting", "set", func(_ context.Context, asked question) (reply, error) {
		switch asked.Customer {
		case "fields":
			return reply{}, &FieldsError{Errors: map[string][]string{"customer": {"is no name"}}}
		case "conflict":
			return reply{}, &ConflictError{Text: "is greeted already"}
		}
		return reply{}, &BusyError{Text: "ask again"}
	}))
	conn := f.nats.Conn(t)
	for customer, want := range map[string]struct{ code, text, body string }{
		"fields":   {CodeBadRequest, "some fields are not right", `{"errors":{"customer":["is no name"]}}`},
		"conflict": {CodeConflict, "is greeted already", ""},
		"busy":     {CodeBusy, "ask again", ""},
	} {
		answer, err := conn.Request(APISubject("greeting", "set"), []byte(`{"customer":"`+customer+`"}`), soon)
		require.NoError(t, err)
		require.Equal(t, want.code, answer.Header.Get(micro.ErrorCodeHeader), customer)
		require.Equal(t, want.text, answer.Header.Get(micro.ErrorHeader), customer)
		require.Equal(t, want.body, string(answer.Data), customer)
	}
	require.Zero(t, s.logs.FilterMessage("question not answered").Len(), "errors of callers must not be logged")
}

func TestSlowAnswersRunConcurrentlyAndFinishAfterStop(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	arrived, release := testkit.NewSignal[string](), make(chan struct{})
	ready := make(chan struct{})
	s := serve(t, "backfill", f.settings, func(ctx context.Context, service *Service) error {
		drained, err := AnswerSlowly(ctx, service, "greeting", "get", Slow{Within: soon, Slots: 2}, func(ctx context.Context, asked question) (reply, error) {
			arrived.Send(asked.Customer)
			select {
			case <-release:
				return reply{Greeting: "hello " + asked.Customer}, service.Store.Ping(ctx)
			case <-ctx.Done():
				return reply{}, ctx.Err()
			}
		})
		if err != nil {
			return err
		}
		close(ready)
		<-ctx.Done()
		drained()
		return nil
	})
	defer func() {
		select {
		case <-release:
		default:
			close(release)
		}
	}()
	select {
	case <-ready:
	case <-s.ended:
		require.FailNow(t, "the service has ended", "%v", s.err)
	}
	conn := f.nats.Conn(t)
	inbox, err := conn.SubscribeSync(nats.NewInbox())
	require.NoError(t, err)
	ask := func(customer string) {
		require.NoError(t, conn.PublishRequest(APISubject("greeting", "get"), inbox.Subject, []byte(`{"customer":"`+customer+`"}`)))
	}
	ask("acme")
	ask("globex")
	arrived.Wait(t, soon)
	arrived.Wait(t, soon)

	ask("initech")
	refused, err := inbox.NextMsg(soon)
	require.NoError(t, err)
	require.Equal(t, CodeBusy, refused.Header.Get(micro.ErrorCodeHeader), "both slots are in use")

	s.stop()
	close(release)
	for range 2 {
		answer, err := inbox.NextMsg(soon)
		require.NoError(t, err)
		require.Empty(t, answer.Header.Get(micro.ErrorCodeHeader))
		require.Contains(t, string(answer.Data), "hello")
	}
	require.NoError(t, s.result())
}
