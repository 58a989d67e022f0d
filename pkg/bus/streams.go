package bus

import (
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

const (
	maxWorkMessage = 256 << 10
	// How long a stream recognises a repeated message id. The outbox republishes within seconds; after the window,
	// letters and requests are idempotent in Postgres.
	dedupWindow = 2 * time.Minute
	eventsAge   = 7 * 24 * time.Hour
	alertsAge   = 30 * 24 * time.Hour
	// Deliveries are unlimited: an outage, or a lane that is held for long, uses up any number of them. Attempts that
	// count are stored in Postgres.
	maxDeliver = -1
	// Messages delivered and not yet acked, over all replicas: high enough never to be the bottleneck.
	maxAckPending = 4096
)

// Subjects on which the server publishes metrics and advisories about messages.
const (
	ackSamples    = "$JS.EVENT.METRIC.CONSUMER.ACK."
	maxDeliveries = "$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES."
)

// StreamNames returns the names of all streams, in the order in which work moves through them.
func StreamNames() []string {
	configs := StreamConfigs(1)
	names := make([]string, 0, len(configs))
	for _, config := range configs {
		names = append(names, config.Name)
	}
	return names
}

// StreamConfigs returns all streams, including those of services that do not exist yet (docs/guides.md), so that no
// publisher fails because a stream is missing.
func StreamConfigs(replicas int) []jetstream.StreamConfig {
	work := func(name string, subjects ...string) jetstream.StreamConfig {
		return jetstream.StreamConfig{
			Name: name, Subjects: subjects, Retention: jetstream.WorkQueuePolicy, Storage: jetstream.FileStorage,
			// DiscardOld would silently drop the oldest unprocessed job; with DiscardNew the outbox retries what the
			// stream rejects.
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
	letters := kept(StreamDLQ, 0, letterRetries, letterReviews, OldLetterRetries, OldLetterReviews)
	letters.Discard = jetstream.DiscardNew // if the stream is full, new letters wait in Postgres and published letters stay
	letters.MaxMsgsPerSubject = 1          // publishing a letter replaces its message
	streams := []jetstream.StreamConfig{
		work(StreamOnboarding, "rollcall.onboarding.request.*", "rollcall.onboarding.offboard.*"),
		onePerSubject(StreamBackfill, "rollcall.backfill.request.*"),
		onePerSubject(StreamPoll, "rollcall.poll.request.*"),
		onePerSubject(StreamReconcile, "rollcall.reconcile.*.*"),
		letters,
		kept(StreamEvents, eventsAge, "rollcall.events.*.*.*"),
		kept(StreamAlerts, alertsAge, "rollcall.alerts.*.*.*"),
		work(StreamDonations, donationSubmit+"*", donationContact+"*", givingApplied+"*"),
		work(StreamWebhooks, webhooksVirtuous+"*"),
		work(StreamWriteback, writebackUser+"*"),
	}
	// One subject per stream: a wildcard replaces a whole token, so ROLLCALL_* would match nothing.
	advisories := []string{ackSamples + StreamDLQ + "." + DurableDLQReview}
	for _, stream := range streams {
		advisories = append(advisories, maxDeliveries+stream.Name+".*")
	}
	return append(streams, kept(StreamAdvisories, eventsAge, advisories...))
}

// ConsumerOf is a durable consumer with the stream that it belongs to.
type ConsumerOf struct {
	Stream string
	Config jetstream.ConsumerConfig
}

// IsOwnDurable reports whether a consumer is one of rollcall's. Partners have their own consumers on ROLLCALL_EVENTS,
// under any name.
func IsOwnDurable(stream, name string) bool {
	if stream == StreamEvents && name == DurableEndpointRecords {
		return true
	}
	for _, consumer := range ConsumerConfigs(0) {
		if consumer.Stream == stream && consumer.Config.Durable == name {
			return true
		}
	}
	return false
}

// ConsumerConfigs returns the durables of the services that exist. ackWait is the claim timeout: how long a worker
// may be silent before its message goes to another worker.
func ConsumerConfigs(ackWait time.Duration) []ConsumerOf {
	durable := func(stream, name string) ConsumerOf {
		return ConsumerOf{Stream: stream, Config: jetstream.ConsumerConfig{
			Durable: name, AckPolicy: jetstream.AckExplicitPolicy, DeliverPolicy: jetstream.DeliverAllPolicy,
			AckWait: ackWait, MaxDeliver: maxDeliver, MaxAckPending: maxAckPending, MaxWaiting: 2048,
			// No BackOff: its first step would replace AckWait, and running work would be delivered again too early.
		}}
	}
	filtered := func(consumer ConsumerOf, subjects ...string) ConsumerOf {
		consumer.Config.FilterSubjects = subjects
		return consumer
	}
	// What was published before the consumer existed is of no endpoint.
	endpoints := func(stream string, subjects ...string) ConsumerOf {
		consumer := filtered(durable(stream, DurableEndpoints), subjects...)
		consumer.Config.DeliverPolicy = jetstream.DeliverNewPolicy
		return consumer
	}
	lifecycle := make([]string, 0, len(LifecycleEvents()))
	for _, name := range LifecycleEvents() {
		lifecycle = append(lifecycle, SubjectEvent(name, "*"))
	}
	review := filtered(durable(StreamDLQ, DurableDLQReview), dlqReview+">")
	review.Config.SampleFrequency = "100" // an operator's ack settles a letter, so the server must report every ack
	return []ConsumerOf{
		durable(StreamOnboarding, DurableOnboarding),
		durable(StreamBackfill, DurableBackfill),
		durable(StreamPoll, DurablePoller),
		durable(StreamReconcile, DurableReconciler),
		filtered(durable(StreamDLQ, DurableDLQRetry), Retries),
		review,
		// If the mail server is down, notifications wait here for as long as the stream keeps them.
		durable(StreamAlerts, DurableNotifier),
		filtered(durable(StreamEvents, DurableNotifier), events+"onboarding.completed.*", events+"backfill.completed.*", events+"report.stored.*"),
		endpoints(StreamAlerts),
		endpoints(StreamEvents, lifecycle...),
		durable(StreamWriteback, DurableWriteback),
		durable(StreamDonations, DurableDonations),
		durable(StreamWebhooks, DurableWebhooks),
		durable(StreamAdvisories, DurableAdvisories),
	}
}
