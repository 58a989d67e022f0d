package letterstream

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/worker"
)

// ack handles the report that an operator acked the message of this sequence, at that time.
func (f *fixture) ack(t *testing.T, sequence uint64, at time.Time) {
	t.Helper()
	f.acks++
	report := &worker.Delivery{Stream: bus.StreamAdvisories, Sequence: f.acks, Published: at}
	require.NoError(t, f.advisories.acked(t.Context(), advisory{Stream: bus.StreamDLQ, Sequence: sequence}, report, zap.NewNop()))
}

func TestAckSettlesOnlyCurrentRevisionOfItsLetter(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	id := f.letter(t, "1", false)
	f.update(t)
	later := time.Now().Add(time.Hour)
	f.exec(t, `UPDATE dead_letters SET revision = revision + 1`) // it failed again, and is not published yet
	f.ack(t, 1, later)
	require.Equal(t, "review", f.state(t, id), "the operator has not seen the failure")
	f.update(t)
	f.ack(t, 1, later)
	f.ack(t, 99, later)
	require.Equal(t, "review", f.state(t, id), "the message is gone")
	f.ack(t, 2, time.Now().Add(-time.Hour))
	require.Equal(t, "review", f.state(t, id), "the message is younger than the ack, so the ack is of another stream")
	f.ack(t, 2, later)
	require.Equal(t, "by_hand", f.state(t, id))
	f.ack(t, 2, later)
	f.update(t)
	require.True(t, f.published(t))
	f.ack(t, 2, later)
}

func TestAckOfForeignMessageOnReviewSubjectRestoresTheLetter(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	id := f.letter(t, "1", false)
	f.update(t)
	sequence := f.publish(t, reviewSubject(id), nil, "published by mistake")
	f.ack(t, sequence, time.Now().Add(time.Hour))
	require.Equal(t, "review", f.state(t, id))
	f.update(t)
	require.True(t, f.published(t, id))
}

func TestAckThroughDlqReviewSettlesLetter(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	record := f.letter(t, "1", false)
	message := f.messageLetter(t, "rollcall.poll.request.acme", `{}`, 7)
	f.work(t, bus.StreamAdvisories, bus.DurableAdvisories, f.advisories.Handle)
	start(t, f.publisher.Run)
	f.requirePublished(t, record, message)
	reviewing, err := f.js.Consumer(t.Context(), bus.StreamDLQ, bus.DurableDLQReview)
	require.NoError(t, err)
	for range 2 {
		msg, err := reviewing.Next(jetstream.FetchMaxWait(within))
		require.NoError(t, err)
		require.NoError(t, msg.DoubleAck(t.Context()))
	}

	require.Eventually(t, func() bool { return f.state(t, record) == "by_hand" && f.state(t, message) == "by_hand" }, within, testPause)
	f.requirePublished(t)
	require.Equal(t, "message "+message.String()+" user 1", value[string](t, f, `SELECT string_agg(resource_type || ' ' || record_id, ' ' ORDER BY resource_type)
		FROM sync_audit WHERE operation = 'dlq_settled_by_hand' AND customer_id = 'acme' AND succeeded`))
}

func TestMessageThatRanOutOfDeliveriesBecomesLetterAndIsRedriven(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	const subject, body = "rollcall.poll.request.acme", `{"customerId":"acme","runId":"17"}`
	consumer, err := f.js.Consumer(t.Context(), bus.StreamPoll, bus.DurablePoller)
	require.NoError(t, err)
	short := consumer.CachedInfo().Config
	short.MaxDeliver = 1
	_, err = f.js.UpdateConsumer(t.Context(), bus.StreamPoll, short)
	require.NoError(t, err)
	f.work(t, bus.StreamAdvisories, bus.DurableAdvisories, f.advisories.Handle)
	f.publish(t, subject, nil, body)
	msg, err := consumer.Next(jetstream.FetchMaxWait(within))
	require.NoError(t, err)
	require.NoError(t, msg.Nak())
	_, err = consumer.Next(jetstream.FetchMaxWait(200 * time.Millisecond)) // the server notices at the next request
	require.ErrorIs(t, err, nats.ErrTimeout)

	require.Eventually(t, func() bool { return value[int](t, f, `SELECT count(*) FROM dead_letters`) == 1 }, within, testPause)
	stream, err := f.js.Stream(t.Context(), bus.StreamPoll)
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		info, err := stream.Info(t.Context())
		return err == nil && info.State.Msgs == 0
	}, within, testPause, "the subject is free again")
	require.Equal(t, "message review too_many_deliveries poller "+subject, value[string](t, f,
		`SELECT kind || ' ' || state || ' ' || error_code || ' ' || job || ' ' || original_subject FROM dead_letters`))

	id := value[uuid.UUID](t, f, `SELECT id FROM dead_letters`)
	require.NoError(t, f.requests.Messages.Redrive(t.Context(), id))
	again := f.pollMessage(t)
	require.JSONEq(t, body, string(again.Data))
	require.Equal(t, "redrive-"+id.String()+"-1", again.Header.Get(bus.HeaderMsgID))
	require.Equal(t, id.String(), again.Header.Get(bus.HeaderLetterID))
	require.Equal(t, "redriven", f.state(t, id))
	require.Equal(t, "message dlq_redriven "+id.String(), value[string](t, f,
		`SELECT resource_type || ' ' || operation || ' ' || record_id FROM sync_audit`))
}

func TestRedrivenMessageThatFailsAgainContinuesItsLettersAttempts(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	const subject = "rollcall.poll.request.acme"
	first := f.messageLetter(t, subject, `{}`, 100)
	require.NoError(t, f.requests.Messages.Redrive(t.Context(), first))
	again := f.pollMessage(t)

	require.NoError(t, f.advisories.Handle(t.Context(), &worker.Delivery{
		Subject: "$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES." + bus.StreamPoll + "." + bus.DurablePoller, Published: time.Now(),
		Data: fmt.Appendf(nil, `{"stream":%q,"consumer":%q,"stream_seq":%d,"deliveries":2}`, bus.StreamPoll, bus.DurablePoller, again.Sequence),
	}))

	require.Equal(t, "5 t "+first.String(), value[string](t, f,
		`SELECT concat_ws(' ', n.attempts, n.first_failed_at = o.first_failed_at, n.history->0->>'letterId')
		FROM dead_letters n, dead_letters o WHERE n.state = 'review' AND o.state = 'settled'`))
}

func TestReportOfStreamBeforeIsNotAppliedToAnotherMessage(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	before := time.Now()
	sequence := f.publish(t, "rollcall.poll.request.acme", nil, `{}`)
	report := advisory{Stream: bus.StreamPoll, Consumer: "poller", Sequence: sequence, Deliveries: 1000}
	require.NoError(t, f.advisories.exhausted(t.Context(), report, before.Add(-time.Hour), zap.NewNop()))
	report.Sequence = 99
	require.NoError(t, f.advisories.exhausted(t.Context(), report, time.Now().Add(time.Hour), zap.NewNop()))
	require.Zero(t, value[int](t, f, `SELECT count(*) FROM dead_letters`))
	f.pollMessage(t)
}

func TestExhaustedOnboardingMessageIsErasedAndSharedMessageStays(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	for stream, subject := range map[string]string{
		bus.StreamOnboarding: bus.SubjectOnboard("acme"), bus.StreamAlerts: "rollcall.alerts.warning.dlq_age.acme",
	} {
		sequence := f.publish(t, subject, nil, `{"vomoToken":"t0p-s3cret"}`)
		for range 2 { // the report comes twice
			report := advisory{Stream: stream, Consumer: "reader", Sequence: sequence, Deliveries: 1000}
			require.NoError(t, f.advisories.exhausted(t.Context(), report, time.Now().Add(time.Hour), zap.NewNop()))
		}
	}
	require.Equal(t, 2, value[int](t, f, `SELECT count(*) FROM dead_letters`))
	stream, err := f.js.Stream(t.Context(), bus.StreamOnboarding)
	require.NoError(t, err)
	require.Zero(t, stream.CachedInfo().State.Msgs)
	f.message(t, bus.StreamAlerts, "rollcall.alerts.warning.dlq_age.acme")
}

// runOut publishes a message and delivers it once to a consumer that gives up after one delivery.
func (f *fixture) runOut(t *testing.T, consumer jetstream.Consumer, message *nats.Msg) {
	t.Helper()
	_, err := f.js.PublishMsg(t.Context(), message)
	require.NoError(t, err)
	msg, err := consumer.Next(jetstream.FetchMaxWait(within))
	require.NoError(t, err)
	require.NoError(t, msg.NakWithDelay(time.Millisecond))                 // one delivery is all there is
	_, err = consumer.Next(jetstream.FetchMaxWait(200 * time.Millisecond)) // the server notices at the next request
	require.ErrorIs(t, err, nats.ErrTimeout)
}

// headers returns what a message of the poll stream was published with: a direct get adds where the message is stored.
func (f *fixture) headers(t *testing.T) map[string][]string {
	t.Helper()
	header := f.pollMessage(t).Header
	for _, added := range []string{"Nats-Sequence", "Nats-Stream", "Nats-Subject", "Nats-Time-Stamp"} {
		delete(header, added)
	}
	return header
}

// limitToOneDelivery lets a durable give up after one delivery.
func (f *fixture) limitToOneDelivery(t *testing.T, stream, durable string) jetstream.Consumer {
	t.Helper()
	consumer, err := f.js.Consumer(t.Context(), stream, durable)
	require.NoError(t, err)
	config := consumer.CachedInfo().Config
	config.MaxDeliver = 1
	consumer, err = f.js.UpdateConsumer(t.Context(), stream, config)
	require.NoError(t, err)
	return consumer
}

func TestRedrivenMessageHasHeadersOfOriginal(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	const subject = "rollcall.poll.request.acme"
	consumer := f.limitToOneDelivery(t, bus.StreamPoll, bus.DurablePoller)
	f.work(t, bus.StreamAdvisories, bus.DurableAdvisories, f.advisories.Handle)
	original := nats.NewMsg(subject)
	original.Data = []byte(`{"customerId":"acme"}`)
	original.Header = nats.Header{
		"traceparent": {"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}, "ce-id": {"7"}, "X-Partner": {"one", "two"},
		bus.HeaderMsgID: {"poll-1"}, "Nats-Expected-Stream": {bus.StreamPoll}, "Nats-Expected-Last-Sequence": {"0"},
		bus.HeaderLetterID: {uuid.NewString()}, "X-Secret": {"t0p-s3cret"},
	}
	f.runOut(t, consumer, original)
	require.Eventually(t, func() bool { return value[int](t, f, `SELECT count(*) FROM dead_letters`) == 1 }, within, testPause)
	stream, err := f.js.Stream(t.Context(), bus.StreamPoll)
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		info, err := stream.Info(t.Context())
		return err == nil && info.State.Msgs == 0
	}, within, testPause)
	require.NotContains(t, value[string](t, f, `SELECT to_jsonb(l)::text FROM dead_letters l`), "t0p-s3cret", "headers are sealed as the payload is")

	id := value[uuid.UUID](t, f, `SELECT id FROM dead_letters`)
	require.NoError(t, f.requests.Messages.Redrive(t.Context(), id))

	require.Equal(t, map[string][]string{
		"traceparent": {"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}, "ce-id": {"7"}, "X-Partner": {"one", "two"},
		"X-Secret": {"t0p-s3cret"}, bus.HeaderMsgID: {"redrive-" + id.String() + "-1"}, bus.HeaderLetterID: {id.String()},
	}, f.headers(t))
}

func TestPartnersConsumerThatGivesUpOpensNoLetter(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	partners := func(stream, name string) jetstream.Consumer {
		consumer, err := f.js.CreateConsumer(t.Context(), stream, jetstream.ConsumerConfig{
			Durable: name, AckPolicy: jetstream.AckExplicitPolicy, DeliverPolicy: jetstream.DeliverNewPolicy, MaxDeliver: 1, AckWait: time.Minute,
		})
		require.NoError(t, err)
		return consumer
	}
	event := nats.NewMsg(bus.SubjectEvent("user.created", "acme"))
	// A partner may name its durable as one of rollcall's on another stream.
	for _, name := range []string{"crm", bus.DurablePoller} {
		f.runOut(t, partners(bus.StreamEvents, name), event)
	}
	f.work(t, bus.StreamAdvisories, bus.DurableAdvisories, f.advisories.Handle)
	ours := f.limitToOneDelivery(t, bus.StreamPoll, bus.DurablePoller)
	f.runOut(t, ours, nats.NewMsg("rollcall.poll.request.acme"))

	// The advisories are worked in order, two at once: rollcall's own came last.
	require.Eventually(t, func() bool { return value[int](t, f, `SELECT count(*) FROM dead_letters WHERE job = 'poller'`) >= 1 }, within, testPause)
	consumer, err := f.js.Consumer(t.Context(), bus.StreamAdvisories, bus.DurableAdvisories)
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		info, err := consumer.Info(t.Context())
		return err == nil && info.NumPending+uint64(info.NumAckPending) == 0
	}, within, testPause)
	require.Equal(t, "rollcall.poll.request.acme", value[string](t, f, `SELECT string_agg(original_subject, ' ') FROM dead_letters`))
}

// onboardingAlerts are the standing and the cleared alerts of acme's onboarding letters.
const onboardingAlerts = `SELECT count(*) FILTER (WHERE cleared_at IS NULL) || ' standing, ' || count(*) FILTER (WHERE cleared_at IS NOT NULL) || ' cleared'
	FROM alerts WHERE type = 'onboarding_letter' AND customer_id = 'acme'`

func TestAlertOfOnboardingLettersIsClearedWithTheLastOne(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.messageLetter(t, bus.SubjectPoll("acme"), `{}`, 7)
	require.Equal(t, "0 standing, 0 cleared", value[string](t, f, onboardingAlerts), "a poll's letter raises none")
	redriven := f.messageLetter(t, bus.SubjectOnboard("acme"), `{}`, 8)
	acked := f.messageLetter(t, bus.SubjectOffboard("acme"), `{}`, 9)
	require.Equal(t, "1 standing, 0 cleared", value[string](t, f, onboardingAlerts))

	require.NoError(t, f.requests.Messages.Redrive(t.Context(), redriven))

	require.Equal(t, "1 standing, 0 cleared", value[string](t, f, onboardingAlerts))
	f.work(t, bus.StreamAdvisories, bus.DurableAdvisories, f.advisories.Handle)
	start(t, f.publisher.Run)
	reviewing, err := f.js.Consumer(t.Context(), bus.StreamDLQ, bus.DurableDLQReview)
	require.NoError(t, err)
	for range 2 {
		msg, err := reviewing.Next(jetstream.FetchMaxWait(within))
		require.NoError(t, err)
		if msg.Headers().Get(bus.HeaderLetterID) == acked.String() {
			require.NoError(t, msg.DoubleAck(t.Context()))
		}
	}
	require.Eventually(t, func() bool { return f.state(t, acked) == "by_hand" }, within, testPause)
	require.Equal(t, "0 standing, 1 cleared", value[string](t, f, onboardingAlerts))

	last := f.messageLetter(t, bus.SubjectOffboard("acme"), `{}`, 10)
	require.Equal(t, "1 standing, 1 cleared", value[string](t, f, onboardingAlerts))
	require.NoError(t, f.requests.Messages.Redrive(t.Context(), last))
	require.Equal(t, "0 standing, 2 cleared", value[string](t, f, onboardingAlerts))
}
