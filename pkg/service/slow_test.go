package service

import (
	"context"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"
	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/testkit"
)

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
