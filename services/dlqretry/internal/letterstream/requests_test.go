package letterstream

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/bus"
)

const testPause = 20 * time.Millisecond

func TestAnyMessageOnItsRetrySubjectRetriesLetterWhichIsPublishedAgain(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	empty, body, waiting, untouched := f.letter(t, "1", false), f.letter(t, "2", false), f.letter(t, "3", true), f.letter(t, "4", true)
	start(t, f.publisher.Run)
	f.requirePublished(t, empty, body, waiting, untouched)
	f.work(t, bus.StreamDLQ, bus.DurableDLQRetry, f.requests.Handle)

	f.publish(t, retrySubject(empty), nil, "")
	f.publish(t, retrySubject(body), nil, `{"letterId":"`+untouched.String()+`"}`) // the subject names the letter
	f.publish(t, retrySubject(waiting), map[string]string{bus.HeaderLetterID: untouched.String()}, "anything")
	f.publish(t, "rollcall.dlq.retry.user.acme", nil, `names no letter`)
	f.publish(t, retrySubject(uuid.New()), nil, "")

	require.Eventually(t, func() bool { return value[int](t, f, `SELECT count(asked_at) FROM dead_letters`) == 3 }, within, testPause)
	f.requirePublished(t, empty, body, waiting, untouched)
	require.Zero(t, value[int](t, f, `SELECT count(asked_at) FROM dead_letters WHERE id = $1`, untouched), "rollcall's own message asks for nothing")
	require.Equal(t, 4, value[int](t, f, `SELECT count(*) FROM dead_letters`), "no letter is opened for a letter's message")

	f.settle(t, empty)
	f.publisher.Wake()
	f.requirePublished(t, body, waiting, untouched)
	f.publish(t, retrySubject(empty), nil, "")
	f.requirePublished(t, body, waiting, untouched)
	require.Equal(t, "retried", f.state(t, empty))
}

func TestRequestOnAnotherCustomersSubjectIsIgnored(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	record, message := f.letter(t, "1", false), f.messageLetter(t, "rollcall.poll.request.acme", `{}`, 7)
	start(t, f.publisher.Run)
	f.requirePublished(t, record, message)
	f.work(t, bus.StreamDLQ, bus.DurableDLQRetry, f.requests.Handle)

	for _, kind := range []string{"user", "message"} {
		for _, id := range []uuid.UUID{record, message} {
			f.publish(t, "rollcall.dlq.retry."+kind+".globex."+id.String(), nil, "")
			f.publish(t, "rollcall.dlq.retry."+kind+".globex", map[string]string{bus.HeaderLetterID: id.String()}, "")
			f.publish(t, "rollcall.dlq.retry."+kind+".globex."+id.String(), map[string]string{bus.HeaderLetterID: id.String()}, "")
		}
	}

	f.requirePublished(t, record, message)
	require.Zero(t, value[int](t, f, `SELECT count(asked_at) FROM dead_letters`))
	require.Equal(t, 2, value[int](t, f, `SELECT count(*) FROM dead_letters WHERE state = 'review'`))
}

func TestRequestForMessageLetterPublishesItsMessageAgain(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	id := f.messageLetter(t, "rollcall.poll.request.acme", `{"customerId":"acme"}`, 1)
	f.work(t, bus.StreamDLQ, bus.DurableDLQRetry, f.requests.Handle)
	start(t, f.publisher.Run)
	f.requirePublished(t, id)

	f.publish(t, "rollcall.dlq.retry.message.acme."+id.String(), nil, "")

	require.Eventually(t, func() bool { return f.state(t, id) == "redriven" }, within, testPause)
	require.JSONEq(t, `{"customerId":"acme"}`, string(f.pollMessage(t).Data))
	f.requirePublished(t)
}

func TestRequestThatCannotBeDoneKeepsLetterPublished(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	id := f.messageLetter(t, "rollcall.poll.request.acme", `{}`, 1)
	f.publish(t, "rollcall.poll.request.acme", nil, `{}`) // the subject is busy
	f.work(t, bus.StreamDLQ, bus.DurableDLQRetry, f.requests.Handle)
	start(t, f.publisher.Run)
	f.requirePublished(t, id)

	request := f.publish(t, "rollcall.dlq.retry.message.acme."+id.String(), nil, "")

	require.Eventually(t, func() bool {
		handled, err := f.newHandled(t)
		return err == nil && handled >= request
	}, within, testPause)
	f.requirePublished(t, id)
	require.Equal(t, "review", f.state(t, id))
}

// newHandled asks beside the publisher that runs.
func (f *fixture) newHandled(t *testing.T) (uint64, error) {
	t.Helper()
	beside := f.newPublisher()
	if err := beside.lookUpStream(t.Context()); err != nil {
		return 0, err
	}
	consumer, err := beside.stream.Consumer(t.Context(), bus.DurableDLQRetry)
	if err != nil {
		return 0, err
	}
	return consumer.CachedInfo().AckFloor.Stream, nil
}

func (f *fixture) pollMessage(t *testing.T) *jetstream.RawStreamMsg {
	t.Helper()
	return f.message(t, bus.StreamPoll, "rollcall.poll.request.acme")
}

func (f *fixture) message(t *testing.T, name, subject string) *jetstream.RawStreamMsg {
	t.Helper()
	stream, err := f.js.Stream(t.Context(), name)
	require.NoError(t, err)
	message, err := stream.GetLastMsgForSubject(t.Context(), subject)
	require.NoError(t, err)
	return message
}

func TestRequestsAndAcksByHandAreAudited(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	record, settled := f.letter(t, "1", false), f.letter(t, "2", false)
	start(t, f.publisher.Run)
	f.requirePublished(t, record, settled)
	f.work(t, bus.StreamDLQ, bus.DurableDLQRetry, f.requests.Handle)
	unknown := uuid.New()
	f.publish(t, retrySubject(record), map[string]string{bus.HeaderOperator: "ana@ops-1"}, "")
	f.publish(t, retrySubject(unknown), nil, "")
	audited := func() int { return value[int](t, f, `SELECT count(*) FROM operator_audit`) }
	require.Eventually(t, func() bool { return audited() == 2 }, within, testPause)
	later := time.Now().Add(time.Hour)
	stream, err := f.js.Stream(t.Context(), bus.StreamDLQ)
	require.NoError(t, err)
	message, err := stream.GetLastMsgForSubject(t.Context(), reviewSubject(settled))
	require.NoError(t, err)
	f.ack(t, message.Sequence, later)
	f.acks-- // the report is delivered again
	f.ack(t, message.Sequence, later)
	require.Equal(t, []string{
		"ana@ops-1 message letters.retry acme done - " + record.String(),
		"- message letters.retry acme rejected no_open_letter " + unknown.String(),
		"- ack letters.settle acme done - " + settled.String(),
	}, value[[]string](t, f, `SELECT array_agg(concat_ws(' ', coalesce(operator, '-'), via, verb, customer_id, outcome, coalesce(code, '-'),
		filter->'ids'->>0) ORDER BY via DESC, outcome) FROM operator_audit`))
}
