package bus

import (
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

const (
	maxWorkMessage = 256 << 10
	// How long a stream recognises a message that was published twice. The outbox publishes again within
	// seconds; letters and requests are idempotent in Postgres beyond that.
	dedupWindow = 2 * time.Minute
	eventsAge   = 7 * 24 * time.Hour
	alertsAge   = 30 * 24 * time.Hour
	// Deliveries without end: an outage of ours, or a lane that is taken for long, spends any number of them. Attempts that
	// count are noted in Postgres.
	maxDeliver = -1
	// Messages handed out and not yet settled, over all replicas: never the narrow place.
	maxAckPending = 4096
)

// Subjects on which the server itself tells what became of messages.
const (
	ackSamples    = "$JS.EVENT.METRIC.CONSUMER.ACK."
	maxDeliveries = "$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES."
)

// StreamConfigs returns all streams, also those of services that are not built yet (docs/guides.md), so that no
// publisher is refused for want of a stream.
func StreamConfigs(replicas int) []jetstream.StreamConfig {
	work := func(name string, subjects ...string) jetstream.StreamConfig {
		return jetstream.StreamConfig{
			Name: name, Subjects: subjects, Retention: jetstream.WorkQueuePolicy, Storage: jetstream.FileStorage,
			// Discarding old would drop the oldest unworked job in silence; the outbox retries what is refused.
			Discard: jetstream.DiscardNew, MaxMsgSize: maxWorkMessage, Replicas: replicas, Duplicates: dedupWindow,
			MaxMsgs: -1, MaxBytes: -1, MaxMsgsPerSubject: -1, AllowDirect: true,
		}
	}
	onePerSubject := func(name string, subjects ...string) jetstream.StreamConfig {
		config := work(name, subjects...)
		config.MaxMsgsPerSubject = 1
		config.DiscardNewPerSubject = true
		return config
	}
	kept := func(name string, age time.Duration, subjects ...string) jetstream.StreamConfig {
		return jetstream.StreamConfig{
			Name: name, Subjects: subjects, Retention: jetstream.LimitsPolicy, Storage: jetstream.FileStorage,
			Discard: jetstream.DiscardOld, MaxAge: age, Replicas: replicas, Duplicates: dedupWindow,
			MaxMsgs: -1, MaxBytes: -1, MaxMsgsPerSubject: -1, MaxMsgSize: -1, AllowDirect: true,
		}
	}
	letters := kept(StreamDLQ, 0, "rollcall.dlq.retry.*.*", "rollcall.dlq.review.*.*")
	letters.Discard = jetstream.DiscardNew // a full stream refuses: letters wait in Postgres, and none that is shown goes
	streams := []jetstream.StreamConfig{
		work(StreamOnboarding, "rollcall.onboarding.request.*", "rollcall.onboarding.offboard.*"),
		onePerSubject(StreamBackfill, "rollcall.backfill.request.*"),
		onePerSubject(StreamPoll, "rollcall.poll.request.*"),
		onePerSubject(StreamReconcile, "rollcall.reconcile.*.*"),
		letters,
		kept(StreamEvents, eventsAge, "rollcall.events.*.*.*"),
		kept(StreamAlerts, alertsAge, "rollcall.alerts.*.*.*"),
		work(StreamDonations, "rollcall.donations.submit.*"),
		work(StreamWebhooks, "rollcall.webhooks.virtuous.*"),
		work(StreamWriteback, "rollcall.writeback.user.*"),
	}
	// One subject a stream: a wildcard stands for a whole token, so ROLLCALL_* would match nothing.
	advisories := []string{ackSamples + StreamDLQ + "." + DurableDLQReview}
	for _, stream := range streams {
		advisories = append(advisories, maxDeliveries+stream.Name+".*")
	}
	return append(streams, kept(StreamAdvisories, eventsAge, advisories...))
}

// ConsumerOf is a durable with the stream that it belongs to.
type ConsumerOf struct {
	Stream string
	Config jetstream.ConsumerConfig
}

// IsOwnDurable says whether a consumer is one of rollcall's: partners have consumers of their own on ROLLCALL_EVENTS, under
// any name.
func IsOwnDurable(stream, name string) bool {
	for _, consumer := range ConsumerConfigs(0) {
		if consumer.Stream == stream && consumer.Config.Durable == name {
			return true
		}
	}
	return false
}

// ConsumerConfigs are the durables of the services that exist. ackWait is the claim timeout: how long a worker
// may be silent before its message goes to another.
func ConsumerConfigs(ackWait time.Duration) []ConsumerOf {
	durable := func(stream, name string) ConsumerOf {
		return ConsumerOf{Stream: stream, Config: jetstream.ConsumerConfig{
			Durable: name, AckPolicy: jetstream.AckExplicitPolicy, DeliverPolicy: jetstream.DeliverAllPolicy,
			AckWait: ackWait, MaxDeliver: maxDeliver, MaxAckPending: maxAckPending, MaxWaiting: 2048,
			// No BackOff: its first step would replace AckWait and cut running work in half.
		}}
	}
	filtered := func(consumer ConsumerOf, subjects ...string) ConsumerOf {
		consumer.Config.FilterSubjects = subjects
		return consumer
	}
	review := filtered(durable(StreamDLQ, DurableDLQReview), dlqReview+">")
	review.Config.SampleFrequency = "100" // an operator's ack settles a letter: each is told of
	return []ConsumerOf{
		durable(StreamOnboarding, DurableOnboarding),
		durable(StreamBackfill, DurableBackfill),
		durable(StreamPoll, DurablePoller),
		durable(StreamReconcile, DurableReconciler),
		filtered(durable(StreamDLQ, DurableDLQRetry), Retries),
		review,
		// What cannot be told waits for as long as its stream keeps it, however long the mail server is down.
		durable(StreamAlerts, DurableNotifier),
		filtered(durable(StreamEvents, DurableNotifier), events+"onboarding.completed.*", events+"backfill.completed.*"),
		durable(StreamAdvisories, DurableAdvisories),
	}
}
