package event_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"rollcall.dev/pkg/event"
	rollcallv1 "rollcall.dev/proto/rollcall/v1"
)

func completed() event.Fact {
	return event.Fact{
		Name: event.BackfillCompleted, Customer: "acme", ID: "backfill.completed-9", At: now, TraceID: "00-trace-01",
		Data: &rollcallv1.BackfillCompleted{CustomerId: "acme", RunId: 9, ProcessedCount: 1000},
	}
}

func TestFactHasCloudEventsAttributes(t *testing.T) {
	t.Parallel()

	message, err := completed().Message()

	require.NoError(t, err)
	require.Equal(t, "rollcall.events.backfill.completed.acme", message.Subject)
	require.Equal(t, map[string]string{
		"Content-Type": "application/json", "ce-specversion": "1.0", "ce-id": "backfill.completed-9", "ce-source": "/rollcall/customers/acme",
		"ce-type": "rollcall.backfill.completed.v1", "ce-subject": "acme", "ce-time": "2026-03-02T08:30:00.0000005Z",
		"ce-datacontenttype": "application/json", "traceparent": "00-trace-01",
	}, message.Headers)
	require.Equal(t, map[string]any{"customerId": "acme", "runId": "9", "processedCount": float64(1000)}, body(t, message))
}

func TestFactMessageIsTheSameEachTime(t *testing.T) {
	t.Parallel()
	first, err := completed().Message()
	require.NoError(t, err)
	require.Equal(t, "backfill.completed-9", first.ID)

	for range 20 { // protojson puts spaces in at random
		again, err := completed().Message()
		require.NoError(t, err)
		require.Equal(t, first, again)
	}

	other := completed()
	other.ID = "backfill.completed-10"
	message, err := other.Message()
	require.NoError(t, err)
	require.NotEqual(t, first.ID, message.ID)
	require.Equal(t, message.ID, message.Headers["ce-id"])
}

func TestFactOutsideTraceHasNoTraceparent(t *testing.T) {
	t.Parallel()
	fact := completed()
	fact.TraceID = ""

	message, err := fact.Message()

	require.NoError(t, err)
	require.NotContains(t, message.Headers, "traceparent")
}

func TestEventsStreamHasSubjectOfEveryEvent(t *testing.T) {
	t.Parallel()
	for name, data := range map[string]proto.Message{
		event.OnboardingCompleted: &rollcallv1.OnboardingCompleted{}, event.OnboardingRejected: &rollcallv1.OnboardingRejected{},
		event.OnboardingDelayed: &rollcallv1.OnboardingDelayed{}, event.BackfillStarted: &rollcallv1.BackfillStarted{},
		event.BackfillCompleted: &rollcallv1.BackfillCompleted{}, event.BackfillFailed: &rollcallv1.BackfillFailed{},
	} {
		message, err := event.Fact{Name: name, Customer: "acme", ID: "1", At: now, Data: data}.Message()
		require.NoError(t, err)
		require.Len(t, strings.Split(message.Subject, "."), 5, "rollcall.events.<entity>.<verb>.<c>: %s", message.Subject)
	}
}

func TestFactThatCannotBeEncodedIsAnError(t *testing.T) {
	t.Parallel()
	fact := completed()
	fact.Data = &rollcallv1.BackfillCompleted{CustomerId: "\xff"}

	_, err := fact.Message()

	require.Error(t, err)
}
