package bus_test

import (
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/testkit"
)

// shape is the part of a stream's configuration that the tests compare.
type shape struct {
	subjects      []string
	retention     jetstream.RetentionPolicy
	discard       jetstream.DiscardPolicy
	onePerSubject bool
	age           time.Duration
	perSubject    int64 // messages that the stream keeps of a subject
	maxMessage    int32
}

func workStream(subjects ...string) shape {
	return shape{subjects: subjects, retention: jetstream.WorkQueuePolicy, discard: jetstream.DiscardNew, perSubject: -1, maxMessage: 256 << 10}
}

func onePerSubject(subjects ...string) shape {
	one := workStream(subjects...)
	one.onePerSubject, one.perSubject = true, 1
	return one
}

func kept(age time.Duration, subjects ...string) shape {
	return shape{subjects: subjects, retention: jetstream.LimitsPolicy, discard: jetstream.DiscardOld, age: age, perSubject: -1, maxMessage: -1}
}

const day = 24 * time.Hour

func expectedStreams() map[string]shape {
	exhausted := func(stream string) string { return "$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES." + stream + ".*" }
	letters := kept(0, "rollcall.dlq.retry.*.*.*", "rollcall.dlq.review.*.*.*", "rollcall.dlq.retry.*.*", "rollcall.dlq.review.*.*")
	letters.perSubject = 1
	letters.discard = jetstream.DiscardNew
	return map[string]shape{
		"ROLLCALL_ONBOARDING": workStream("rollcall.onboarding.request.*", "rollcall.onboarding.offboard.*"),
		"ROLLCALL_BACKFILL":   onePerSubject("rollcall.backfill.request.*"),
		"ROLLCALL_POLL":       onePerSubject("rollcall.poll.request.*"),
		"ROLLCALL_RECONCILE":  onePerSubject("rollcall.reconcile.*.*"),
		"ROLLCALL_DLQ":        letters,
		"ROLLCALL_EVENTS":     kept(7*day, "rollcall.events.*.*.*"),
		"ROLLCALL_ALERTS":     kept(30*day, "rollcall.alerts.*.*.*"),
		"ROLLCALL_DONATIONS":  workStream("rollcall.donations.submit.*", "rollcall.donations.contact.*", "rollcall.giving.applied.*"),
		"ROLLCALL_WEBHOOKS":   workStream("rollcall.webhooks.virtuous.*"),
		"ROLLCALL_WRITEBACK":  workStream("rollcall.writeback.user.*"),
		"ROLLCALL_ADVISORIES": kept(7*day,
			"$JS.EVENT.METRIC.CONSUMER.ACK.ROLLCALL_DLQ.dlq-review",
			exhausted("ROLLCALL_ONBOARDING"), exhausted("ROLLCALL_BACKFILL"), exhausted("ROLLCALL_POLL"),
			exhausted("ROLLCALL_RECONCILE"), exhausted("ROLLCALL_DLQ"), exhausted("ROLLCALL_EVENTS"),
			exhausted("ROLLCALL_ALERTS"), exhausted("ROLLCALL_DONATIONS"), exhausted("ROLLCALL_WEBHOOKS"),
			exhausted("ROLLCALL_WRITEBACK")),
	}
}

func TestEnsureCreatesEveryStreamAsSpecified(t *testing.T) {
	t.Parallel()
	_, js := ensured(t)
	names := js.StreamNames(bounded(t))
	var made []string
	for name := range names.Name() {
		made = append(made, name)
	}
	require.NoError(t, names.Err())
	require.Len(t, made, len(expectedStreams()))
	for name, want := range expectedStreams() {
		config := streamConfig(t, js, name)
		require.ElementsMatch(t, want.subjects, config.Subjects, name)
		want.subjects = nil
		require.Equal(t, want, shape{
			retention: config.Retention, discard: config.Discard, age: config.MaxAge, maxMessage: config.MaxMsgSize,
			onePerSubject: config.DiscardNewPerSubject, perSubject: config.MaxMsgsPerSubject,
		}, name)
		require.Equal(t, jetstream.FileStorage, config.Storage, name)
		require.Equal(t, []int64{-1, -1}, []int64{config.MaxMsgs, config.MaxBytes}, name)
	}
}

func TestEnsureAddsSubjectsToAStreamOfAnEarlierVersion(t *testing.T) {
	t.Parallel()
	_, js := ensured(t)
	before := streamConfig(t, js, bus.StreamDonations)
	before.Subjects, before.MaxBytes = []string{"rollcall.donations.submit.*", "partner.donations.>"}, 1<<20
	_, err := js.UpdateStream(bounded(t), before)
	require.NoError(t, err)
	_, err = js.Publish(bounded(t), bus.SubjectDonation("acme"), []byte("{}"))
	require.NoError(t, err)
	require.ErrorContains(t, bus.Verify(bounded(t), js, ackWait), "does not listen on rollcall.donations.contact.*")

	require.NoError(t, bus.Ensure(bounded(t), js, 1, ackWait))

	require.NoError(t, bus.Verify(bounded(t), js, ackWait))
	after := streamConfig(t, js, bus.StreamDonations)
	require.Equal(t, []string{"rollcall.donations.submit.*", "partner.donations.>", "rollcall.donations.contact.*", "rollcall.giving.applied.*"}, after.Subjects)
	require.EqualValues(t, 1<<20, after.MaxBytes, "what an operator tuned stays")
	for _, added := range []string{bus.SubjectContact("acme"), bus.SubjectApplied("acme")} {
		_, err = js.Publish(bounded(t), added, []byte("{}"))
		require.NoError(t, err)
	}
	stream, err := js.Stream(bounded(t), bus.StreamDonations)
	require.NoError(t, err)
	require.EqualValues(t, 3, stream.CachedInfo().State.Msgs)
}

func TestConsumersAckExplicitlyAndHaveNoBackOff(t *testing.T) {
	t.Parallel()
	_, js := ensured(t)
	for _, of := range [][2]string{
		{"ROLLCALL_ONBOARDING", "onboarding"}, {"ROLLCALL_BACKFILL", "backfill"}, {"ROLLCALL_POLL", "poller"}, {"ROLLCALL_RECONCILE", "reconciler"},
		{"ROLLCALL_DLQ", "dlq-retry"}, {"ROLLCALL_DLQ", "dlq-review"}, {"ROLLCALL_ALERTS", "notifier"}, {"ROLLCALL_EVENTS", "notifier"},
		{"ROLLCALL_ADVISORIES", "advisories"}, {"ROLLCALL_WRITEBACK", "writeback"},
		{"ROLLCALL_DONATIONS", "donations"}, {"ROLLCALL_WEBHOOKS", "webhooks"},
	} {
		consumer, err := js.Consumer(bounded(t), of[0], of[1])
		require.NoError(t, err)
		config := consumer.CachedInfo().Config
		require.Equal(t, jetstream.AckExplicitPolicy, config.AckPolicy)
		require.Equal(t, ackWait, config.AckWait)
		require.Empty(t, config.BackOff)
		require.Zero(t, config.InactiveThreshold, "a worker's consumer must outlive its workers")
		require.Empty(t, config.DeliverSubject, "it must be a pull consumer")
	}
}

func TestRetryAndReviewLettersHaveSeparateConsumers(t *testing.T) {
	t.Parallel()
	_, js := ensured(t)
	for durable, want := range map[string][2]string{"dlq-retry": {"rollcall.dlq.retry.>", ""}, "dlq-review": {"rollcall.dlq.review.>", "100"}} {
		consumer, err := js.Consumer(bounded(t), bus.StreamDLQ, durable)
		require.NoError(t, err)
		config := consumer.CachedInfo().Config
		require.Equal(t, want[0], config.FilterSubject+strings.Join(config.FilterSubjects, " "))
		require.Equal(t, want[1], config.SampleFrequency, "the server must report every ack of an operator")
		require.Equal(t, -1, config.MaxDeliver, "a letter's message never becomes a letter")
	}
}

func TestEnsureAgainKeepsMessages(t *testing.T) {
	t.Parallel()
	_, js := ensured(t)
	_, err := js.Publish(bounded(t), bus.SubjectOnboard("acme"), []byte("{}"))
	require.NoError(t, err)
	require.NoError(t, bus.Ensure(bounded(t), js, 1, ackWait))
	require.NoError(t, bus.Verify(bounded(t), js, ackWait))
	stream, err := js.Stream(bounded(t), bus.StreamOnboarding)
	require.NoError(t, err)
	require.Equal(t, uint64(1), stream.CachedInfo().State.Msgs)
}

func TestEnsureAppliesChangedClaimTimeout(t *testing.T) {
	t.Parallel()
	_, js := ensured(t)
	require.NoError(t, bus.Ensure(bounded(t), js, 1, 2*ackWait))
	require.ErrorIs(t, bus.Verify(bounded(t), js, ackWait), bus.ErrTopology)
	require.NoError(t, bus.Verify(bounded(t), js, 2*ackWait))
}

func TestEnsureUpgradesOlderStream(t *testing.T) {
	t.Parallel()
	server := testkit.NATS(t)
	server.Stream(t, jetstream.StreamConfig{Name: bus.StreamBackfill, Subjects: []string{"rollcall.old.>"}, Retention: jetstream.WorkQueuePolicy})
	js := server.JetStream(t)
	require.NoError(t, bus.Ensure(bounded(t), js, 1, ackWait))
	require.NoError(t, bus.Verify(bounded(t), js, ackWait))
}

func TestMaxDeliveriesAdvisoryIsStored(t *testing.T) {
	t.Parallel()
	_, js := ensured(t)
	ctx := bounded(t)
	consumer, err := js.UpdateConsumer(ctx, bus.StreamBackfill, jetstream.ConsumerConfig{
		Durable: bus.DurableBackfill, AckPolicy: jetstream.AckExplicitPolicy, AckWait: ackWait, MaxDeliver: 1, MaxAckPending: 4096, MaxWaiting: 2048,
	})
	require.NoError(t, err)
	_, err = js.Publish(ctx, bus.SubjectBackfill("acme"), []byte("{}"))
	require.NoError(t, err)
	msg, err := consumer.Next()
	require.NoError(t, err)
	require.NoError(t, msg.NakWithDelay(10*time.Millisecond))
	stream, err := js.Stream(ctx, bus.StreamAdvisories)
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		_, err := stream.GetLastMsgForSubject(ctx, "$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.ROLLCALL_BACKFILL.backfill")
		return err == nil
	}, soon, 10*time.Millisecond)
}

// Deleting the only stream makes the server remove the account's folder a moment later, in which no stream can be
// created.
func TestEnsureOnANewServerDeletesNoOnlyStream(t *testing.T) {
	t.Parallel()
	server := testkit.NATS(t)
	requests, err := server.Conn(t).SubscribeSync("$JS.API.STREAM.*.*")
	require.NoError(t, err)
	js := server.JetStream(t)
	require.NoError(t, requests.SetPendingLimits(-1, -1))

	_, err = bus.Layout{Replicas: 1, AckWait: time.Minute, MaxBytes: map[string]int64{bus.StreamEvents: 1 << 20}}.Ensure(t.Context(), js)
	require.NoError(t, err)

	var creates []string
	for !strings.HasSuffix(strings.Join(creates, " "), bus.StreamEvents) {
		request, err := requests.NextMsgWithContext(t.Context())
		require.NoError(t, err)
		if name, create := strings.CutPrefix(request.Subject, "$JS.API.STREAM.CREATE."); create {
			creates = append(creates, name)
		}
	}
	require.Contains(t, creates, "ROLLCALL_ROOM")
	require.NotEqual(t, "ROLLCALL_ROOM", creates[0])
}
