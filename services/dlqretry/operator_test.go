package main

import (
	"context"
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/config"
	"rollcall.dev/pkg/deadletter"
	"rollcall.dev/pkg/fault"
	"rollcall.dev/pkg/service"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/testkit"
	"rollcall.dev/pkg/worker"
)

var errTest = fault.Permanent("request_invalid", nil)

// messageLetter opens a letter for a message that a stream once had.
func (d *desk) messageLetter(t testing.TB, subject, body string, sequence uint64) uuid.UUID {
	t.Helper()
	letters := *d.told.letters
	letters.Job = "test"
	created, err := bus.StreamCreated(t.Context(), d.js, bus.StreamPoll)
	require.NoError(t, err)
	require.NoError(t, letters.OpenStored(t.Context(), deadletter.Stored{
		Stream: bus.StreamPoll, Created: created, Sequence: sequence, Subject: subject, Data: []byte(body), Deliveries: 3,
	}, errTest))
	return value[uuid.UUID](t, d, `SELECT id FROM dead_letters WHERE origin LIKE '%/' || $1::text`, strconv.FormatUint(sequence, 10))
}

func (d *desk) message(t testing.TB, stream, subject string) *jetstream.RawStreamMsg {
	t.Helper()
	handle, err := d.js.Stream(t.Context(), stream)
	require.NoError(t, err)
	message, err := handle.GetLastMsgForSubject(t.Context(), subject)
	require.NoError(t, err)
	return message
}

func TestWhatAnOperatorRepublishesIsRetriedAtOnce(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	byHeader, byBody := d.letter(t, "acme", "1", false), d.letter(t, "acme", "2", false)
	later := d.letter(t, "acme", "3", true)
	d.exec(t, `UPDATE dead_letters SET next_attempt_at = next_attempt_at + interval '1 hour' WHERE id = $1`, later)
	start(t, d.retry.run)
	start(t, d.follow.run)
	d.requireShown(t, byHeader, byBody, later)
	d.read(t, bus.StreamDLQ, bus.DurableDLQRetry, d.review.handle)

	d.publish(t, "rollcall.dlq.retry.user.acme", "", map[string]string{bus.HeaderLetterID: byHeader.String()}, "")
	d.publish(t, "rollcall.dlq.retry.user.acme", "", nil, `{"letterId":"`+byBody.String()+`","customerId":"acme"}`)
	d.publish(t, "rollcall.dlq.retry.user.acme", "", nil, `nothing that names a letter`)
	d.publish(t, "rollcall.dlq.retry.user.acme", "", map[string]string{bus.HeaderLetterID: uuid.NewString()}, "")

	require.Eventually(t, func() bool { return d.state(t, byHeader) == "retried" && d.state(t, byBody) == "retried" }, within, 10*time.Millisecond)
	d.requireShown(t, later)
	require.Equal(t, "waiting", d.state(t, later), "what the service shows asks for nothing")
	require.Zero(t, value[int](t, d, `SELECT count(asked_at) FROM dead_letters`))
	require.Equal(t, 3, value[int](t, d, `SELECT count(*) FROM dead_letters`), "no letter is made of a letter")

	d.publish(t, "rollcall.dlq.retry.user.acme", "", map[string]string{bus.HeaderLetterID: byHeader.String()}, "")
	d.requireShown(t, later)
}

func TestALetterIsNotRetriedByWhatIsPublishedForAnotherCustomer(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.onboard(t, "globex")
	record, message := d.letter(t, "acme", "1", false), d.messageLetter(t, "rollcall.poll.request.acme", `{}`, 7)
	start(t, d.follow.run)
	d.requireShown(t, record, message)
	d.read(t, bus.StreamDLQ, bus.DurableDLQRetry, d.review.handle)

	for _, kind := range []string{"user", "message"} {
		for _, id := range []uuid.UUID{record, message} {
			d.publish(t, "rollcall.dlq.retry."+kind+".globex", "", map[string]string{bus.HeaderLetterID: id.String()}, "")
		}
	}

	d.requireShown(t, record, message)
	require.Zero(t, value[int](t, d, `SELECT count(asked_at) FROM dead_letters`))
	require.Equal(t, 2, value[int](t, d, `SELECT count(*) FROM dead_letters WHERE state = 'review'`))
}

func TestAnAckThroughDlqReviewSettlesTheLetter(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	record := d.letter(t, "acme", "1", false)
	message := d.messageLetter(t, "rollcall.poll.request.acme", `{}`, 7)
	d.read(t, bus.StreamAdvisories, bus.DurableAdvisories, d.told.handle)
	start(t, d.follow.run)
	d.requireShown(t, record, message)
	reviewing, err := d.js.Consumer(t.Context(), bus.StreamDLQ, bus.DurableDLQReview)
	require.NoError(t, err)
	for range 2 {
		msg, err := reviewing.Next(jetstream.FetchMaxWait(within))
		require.NoError(t, err)
		require.NoError(t, msg.DoubleAck(t.Context()))
	}

	require.Eventually(t, func() bool { return d.state(t, record) == "by_hand" && d.state(t, message) == "by_hand" }, within, 10*time.Millisecond)
	d.requireShown(t)
	require.Equal(t, "message "+message.String()+" user 1", value[string](t, d, `SELECT string_agg(resource_type || ' ' || record_id, ' ' ORDER BY resource_type)
		FROM sync_audit WHERE operation = 'dlq_settled_by_hand' AND customer_id = 'acme' AND succeeded`))
}

func TestAnAckOfAnOlderShowingSettlesNothing(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	id := d.letter(t, "acme", "1", false)
	d.followed(t)
	sample := func(sequence uint64) {
		require.NoError(t, d.told.acked(t.Context(), advisory{Stream: bus.StreamDLQ, Sequence: sequence}, time.Now().Add(time.Hour), zap.NewNop()))
	}
	d.exec(t, `UPDATE dead_letters SET revision = revision + 1`) // it failed once more, and the stream is behind
	sample(1)
	require.Equal(t, "review", d.state(t, id))
	d.followed(t)
	sample(1)
	sample(99)
	require.Equal(t, "review", d.state(t, id))
	require.NoError(t, d.told.acked(t.Context(), advisory{Stream: bus.StreamDLQ, Sequence: 2}, time.Now().Add(-time.Hour), zap.NewNop()))
	require.Equal(t, "review", d.state(t, id), "the sequence is another stream's: the message is younger than its ack")
	sample(2)
	require.Equal(t, "by_hand", d.state(t, id))
}

func TestAMessageThatRanOutOfDeliveriesBecomesALetterAndIsRedriven(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	const subject, body = "rollcall.poll.request.acme", `{"customerId":"acme","runId":"17"}`
	consumer, err := d.js.Consumer(t.Context(), bus.StreamPoll, bus.DurablePoller)
	require.NoError(t, err)
	short := consumer.CachedInfo().Config
	short.MaxDeliver = 1
	_, err = d.js.UpdateConsumer(t.Context(), bus.StreamPoll, short)
	require.NoError(t, err)
	d.read(t, bus.StreamAdvisories, bus.DurableAdvisories, d.told.handle)
	d.publish(t, subject, "poll-1", nil, body)
	msg, err := consumer.Next(jetstream.FetchMaxWait(within))
	require.NoError(t, err)
	require.NoError(t, msg.Nak())
	_, err = consumer.Next(jetstream.FetchMaxWait(200 * time.Millisecond)) // whoever asks next finds out
	require.ErrorIs(t, err, nats.ErrTimeout)

	require.Eventually(t, func() bool { return value[int](t, d, `SELECT count(*) FROM dead_letters`) == 1 }, within, 10*time.Millisecond)
	stream, err := d.js.Stream(t.Context(), bus.StreamPoll)
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		info, err := stream.Info(t.Context())
		return err == nil && info.State.Msgs == 0
	}, within, 10*time.Millisecond, "the subject is free again")
	require.Equal(t, "message review too_many_deliveries poller "+subject, value[string](t, d,
		`SELECT kind || ' ' || state || ' ' || error_code || ' ' || job || ' ' || original_subject FROM dead_letters`))

	id := value[uuid.UUID](t, d, `SELECT id FROM dead_letters`)
	require.NoError(t, d.redrive.redriveMessage(t.Context(), id))
	again := d.message(t, bus.StreamPoll, subject)
	require.JSONEq(t, body, string(again.Data))
	require.Equal(t, "redrive-"+id.String()+"-1", again.Header.Get(bus.HeaderMsgID))
	require.Equal(t, id.String(), again.Header.Get(bus.HeaderLetterID))
	require.Equal(t, "redriven", d.state(t, id))
	require.Equal(t, "message dlq_redriven "+id.String(), value[string](t, d,
		`SELECT resource_type || ' ' || operation || ' ' || record_id FROM sync_audit`))
}

func TestAMessageThatFailsAgainIsTheSameTroubleAndNotANewOne(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	const subject = "rollcall.poll.request.acme"
	first := d.messageLetter(t, subject, `{}`, 100)
	require.NoError(t, d.redrive.redriveMessage(t.Context(), first))
	again := d.message(t, bus.StreamPoll, subject)

	require.NoError(t, d.told.handle(t.Context(), &worker.Delivery{
		Subject: "$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES." + bus.StreamPoll + "." + bus.DurablePoller, Published: time.Now(),
		Data: fmt.Appendf(nil, `{"stream":%q,"consumer":%q,"stream_seq":%d,"deliveries":2}`, bus.StreamPoll, bus.DurablePoller, again.Sequence),
	}))

	require.Equal(t, "5 t "+first.String(), value[string](t, d,
		`SELECT concat_ws(' ', n.attempts, n.first_failed_at = o.first_failed_at, n.history->0->>'letterId')
		FROM dead_letters n, dead_letters o WHERE n.state = 'review' AND o.state = 'settled'`))
}

func TestAMessageOfAnOldStreamIsNotTakenForAnotherOne(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	before := time.Now()
	sequence := d.publish(t, "rollcall.poll.request.acme", "", nil, `{}`)
	told := advisory{Stream: bus.StreamPoll, Consumer: "poller", Sequence: sequence, Deliveries: 1000}
	require.NoError(t, d.told.exhausted(t.Context(), told, before.Add(-time.Hour), zap.NewNop()))
	told.Sequence = 99
	require.NoError(t, d.told.exhausted(t.Context(), told, time.Now().Add(time.Hour), zap.NewNop()))
	require.Zero(t, value[int](t, d, `SELECT count(*) FROM dead_letters`))
	d.message(t, bus.StreamPoll, "rollcall.poll.request.acme")
}

func TestAnExhaustedOnboardingIsErasedAndOneOfManyReadersKeepsItsMessage(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	for stream, subject := range map[string]string{
		bus.StreamOnboarding: bus.SubjectOnboard("acme"), bus.StreamAlerts: "rollcall.alerts.warning.dlq_age.acme",
	} {
		sequence := d.publish(t, subject, "", nil, `{"vomoToken":"t0p-s3cret"}`)
		for range 2 { // it is told twice, and becomes one letter
			told := advisory{Stream: stream, Consumer: "reader", Sequence: sequence, Deliveries: 1000}
			require.NoError(t, d.told.exhausted(t.Context(), told, time.Now().Add(time.Hour), zap.NewNop()))
		}
	}
	require.Equal(t, 2, value[int](t, d, `SELECT count(*) FROM dead_letters`))
	stream, err := d.js.Stream(t.Context(), bus.StreamOnboarding)
	require.NoError(t, err)
	require.Zero(t, stream.CachedInfo().State.Msgs)
	d.message(t, bus.StreamAlerts, "rollcall.alerts.warning.dlq_age.acme")
}

func TestARedriveIsNotTakenForTheOneBefore(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	const subject = "rollcall.poll.request.acme"
	stream, err := d.js.Stream(t.Context(), bus.StreamPoll)
	require.NoError(t, err)
	for sequence := range uint64(3) { // redriven, and failed again, within seconds
		id := d.messageLetter(t, subject, `{}`, 100+sequence)
		require.NoError(t, d.redrive.redriveMessage(t.Context(), id))
		require.Equal(t, "redriven", d.state(t, id))
		require.NoError(t, stream.DeleteMsg(t.Context(), d.message(t, bus.StreamPoll, subject).Sequence))
	}
}

func TestARedriveThatCannotBeDoneSaysWhyAndKeepsTheLetter(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	var conflict *service.ConflictError
	busy := d.messageLetter(t, "rollcall.poll.request.acme", `{}`, 1)
	d.publish(t, "rollcall.poll.request.acme", "", nil, `{}`)
	require.ErrorAs(t, d.redrive.redriveMessage(t.Context(), busy), &conflict)
	require.Contains(t, conflict.Text, "stands there already")
	require.Equal(t, "review", d.state(t, busy))

	unknown := d.messageLetter(t, "rollcall.onboarding.request.Who Knows", `{}`, 2)
	require.ErrorAs(t, d.redrive.redriveMessage(t.Context(), unknown), &conflict)
	require.Contains(t, conflict.Text, "named no customer")
	require.Equal(t, "review", d.state(t, unknown))

	record := d.letter(t, "acme", "1", false)
	require.ErrorAs(t, d.redrive.redriveMessage(t.Context(), record), &conflict)
	require.ErrorIs(t, d.redrive.redriveMessage(t.Context(), uuid.New()), store.ErrNotFound)
	d.exec(t, `UPDATE dead_letters SET state = 'settled' WHERE id = $1`, busy)
	require.ErrorAs(t, d.redrive.redriveMessage(t.Context(), busy), &conflict)

	gone := d.messageLetter(t, "rollcall.poll.request.globex", `{}`, 3)
	d.exec(t, `DELETE FROM customer_keys WHERE customer_id = 'globex'`)
	require.ErrorAs(t, d.redrive.redriveMessage(t.Context(), gone), &conflict)
	require.Contains(t, conflict.Text, "key is gone")
	require.Equal(t, "review", d.state(t, gone))
}

func TestAMessageLetterThatIsRepublishedIsRedriven(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	id := d.messageLetter(t, "rollcall.poll.request.acme", `{"customerId":"acme"}`, 1)
	d.read(t, bus.StreamDLQ, bus.DurableDLQRetry, d.review.handle)
	start(t, d.follow.run)
	d.requireShown(t, id)

	d.publish(t, "rollcall.dlq.retry.message.acme", "", map[string]string{bus.HeaderLetterID: id.String()}, "")

	require.Eventually(t, func() bool { return d.state(t, id) == "redriven" }, within, 10*time.Millisecond)
	require.JSONEq(t, `{"customerId":"acme"}`, string(d.message(t, bus.StreamPoll, "rollcall.poll.request.acme").Data))
	d.requireShown(t)
}

func TestTheServiceRunsAndDrains(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	settings, err := config.Load([]string{
		"DATABASE_URL=" + d.pool.Config().ConnString(), "NATS_URL=" + d.server.URL, "SECRETS_URL=" + d.secrets,
		"HTTP_ADDR=127.0.0.1:0", "VOMO_BASE_URL=" + d.url + "/v1", "ALLOW_PRIVATE_DESTINATIONS=true", "VOMO_REQUESTS_PER_MINUTE=0",
	})
	require.NoError(t, err)
	retried, review := d.letter(t, "acme", "1", true), d.letter(t, "acme", "2", false)
	ctx, stop := context.WithCancel(t.Context())
	ended := testkit.NewSignal[error]()
	go func() { ended.Send(service.Serve(ctx, "dlqretry", settings, zap.NewNop(), run)) }()
	require.Eventually(t, func() bool { return d.state(t, retried) == "retried" }, within, 20*time.Millisecond)
	d.requireShown(t, review)
	stop()
	require.NoError(t, ended.Wait(t, within))
}
