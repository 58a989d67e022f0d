package bus

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// Layout says how Ensure configures the streams and consumers.
type Layout struct {
	Replicas int
	AckWait  time.Duration // of the consumers
	// MaxBytes limits streams, by name. A stream without an entry gets no limit.
	MaxBytes map[string]int64
	// MaxAge says how long streams keep messages, by name, where that is not the age of StreamConfigs.
	MaxAge map[string]time.Duration
	// LowerReplicas allows Ensure to reduce the replicas of a stream that has more than Replicas.
	LowerReplicas bool
}

// Ensure is Layout.Ensure without size limits.
func Ensure(ctx context.Context, js jetstream.JetStream, replicas int, ackWait time.Duration) error {
	_, err := Layout{Replicas: replicas, AckWait: ackWait}.Ensure(ctx, js)
	return err
}

// Ensure creates the missing streams and consumers. In existing ones it changes what correctness needs and keeps what
// an operator tuned. It may run again at any time and never deletes a message. The notes are for people: they name
// changes that the operator may not expect.
func (l Layout) Ensure(ctx context.Context, js jetstream.JetStream) (notes []string, err error) {
	have := map[string]*jetstream.StreamInfo{}
	for _, want := range StreamConfigs(l.Replicas) {
		stream, err := js.Stream(ctx, want.Name)
		switch {
		case err == nil:
			have[want.Name] = stream.CachedInfo()
		case !errors.Is(err, jetstream.ErrStreamNotFound):
			return nil, fmt.Errorf("look up stream %s: %w", want.Name, err)
		}
	}
	// Streams without a limit come first, because limits creates and deletes a stream. When an account's last stream is
	// deleted, the server removes the account's folder a moment later, and a stream created in that moment fails.
	if notes, err = l.ensureStreams(ctx, js, have, nil, func(name string) bool { return !l.limited(name) }); err != nil {
		return nil, err
	}
	limits, lowered, err := l.limits(ctx, js, have)
	if err != nil {
		return nil, err
	}
	more, err := l.ensureStreams(ctx, js, have, limits, l.limited)
	if err != nil {
		return nil, err
	}
	notes = slices.Concat(lowered, notes, more)
	for _, want := range ConsumerConfigs(l.AckWait) {
		if err := ensureConsumer(ctx, js, want); err != nil {
			return nil, fmt.Errorf("make consumer %s: %w", want.Config.Durable, err)
		}
	}
	return notes, nil
}

func (l Layout) limited(stream string) bool {
	_, limited := l.MaxBytes[stream]
	return limited
}

// ensureStreams creates or changes the streams that chosen accepts.
func (l Layout) ensureStreams(
	ctx context.Context, js jetstream.JetStream, have map[string]*jetstream.StreamInfo, limits map[string]int64, chosen func(name string) bool,
) (notes []string, err error) {
	for _, want := range StreamConfigs(l.Replicas) {
		if !chosen(want.Name) {
			continue
		}
		if limit, set := limits[want.Name]; set {
			want.MaxBytes = limit
			want.Metadata = map[string]string{metadataMaxBytes: strconv.FormatInt(limit, 10)}
		}
		if age, set := l.MaxAge[want.Name]; set {
			want = withAge(want, age)
		}
		note, err := l.ensureStream(ctx, js, want, have[want.Name])
		if err != nil {
			return nil, fmt.Errorf("make stream %s: %w", want.Name, err)
		}
		if note != "" {
			notes = append(notes, note)
		}
	}
	return notes, nil
}

func (l Layout) ensureStream(ctx context.Context, js jetstream.JetStream, want jetstream.StreamConfig, have *jetstream.StreamInfo) (note string, err error) {
	if have == nil {
		_, err := js.CreateStream(ctx, want)
		return "", err
	}
	config := mergedStream(have.Config, want, l.LowerReplicas)
	if config.Replicas > want.Replicas {
		note = fmt.Sprintf("stream %s keeps its %d replicas, though NATS_REPLICAS is %d: --lower-replicas lowers them", want.Name, config.Replicas, want.Replicas)
	}
	if !reflect.DeepEqual(config, have.Config) {
		_, err = js.UpdateStream(ctx, config)
	}
	return note, err
}

// metadataMaxAge holds the age that Ensure last set, as metadataMaxBytes does for max_bytes.
const metadataMaxAge = "rollcall-max-age"

// withAge returns a stream that keeps messages for another time.
func withAge(want jetstream.StreamConfig, age time.Duration) jetstream.StreamConfig {
	want.MaxAge = age
	want.Metadata = maps.Clone(want.Metadata)
	if want.Metadata == nil {
		want.Metadata = map[string]string{}
	}
	want.Metadata[metadataMaxAge] = age.String()
	return want
}

// agedByUs reports whether a stream has the age that Ensure gave it: the noted one, or the one of StreamConfigs.
func agedByUs(have jetstream.StreamConfig) bool {
	if noted, found := have.Metadata[metadataMaxAge]; found {
		return noted == have.MaxAge.String()
	}
	for _, first := range StreamConfigs(1) {
		if first.Name == have.Name {
			return first.MaxAge == have.MaxAge
		}
	}
	return false
}

// mergedStream returns have, changed where correctness needs it; everything else stays as the operator tuned it.
// docs/decisions/0033 gives the reason for each field.
func mergedStream(have, want jetstream.StreamConfig, lowerReplicas bool) jetstream.StreamConfig {
	merged := have
	merged.Subjects = slices.Clone(have.Subjects)
	for _, subject := range want.Subjects {
		if !slices.Contains(merged.Subjects, subject) {
			merged.Subjects = append(merged.Subjects, subject)
		}
	}
	merged.Retention, merged.Storage = want.Retention, want.Storage // the server rejects changes that it does not allow
	merged.Discard, merged.DiscardNewPerSubject = want.Discard, want.DiscardNewPerSubject
	merged.NoAck = false
	if keepsEverything(want) {
		merged.MaxAge = want.MaxAge
		if want.Name != StreamDLQ { // dlqretry sets it, when no service of the version before runs: see LimitLetters
			merged.MaxMsgsPerSubject = want.MaxMsgsPerSubject
		}
	}
	if want.Replicas > have.Replicas || lowerReplicas {
		merged.Replicas = want.Replicas
	}
	if mark, limited := want.Metadata[metadataMaxBytes]; limited {
		merged.MaxBytes = want.MaxBytes
		merged.Metadata = marked(merged.Metadata, metadataMaxBytes, mark)
	}
	if mark, aged := want.Metadata[metadataMaxAge]; aged && agedByUs(have) {
		merged.MaxAge = want.MaxAge
		merged.Metadata = marked(merged.Metadata, metadataMaxAge, mark)
	}
	return merged
}

// marked returns the metadata with one more entry.
func marked(metadata map[string]string, name, value string) map[string]string {
	metadata = maps.Clone(metadata)
	if metadata == nil {
		metadata = map[string]string{}
	}
	metadata[name] = value
	return metadata
}

// keepsEverything reports whether the stream holds work or open letters, which must stay until they are settled.
func keepsEverything(want jetstream.StreamConfig) bool {
	return want.Retention == jetstream.WorkQueuePolicy || want.Name == StreamDLQ
}

func ensureConsumer(ctx context.Context, js jetstream.JetStream, want ConsumerOf) error {
	consumer, err := js.Consumer(ctx, want.Stream, want.Config.Durable)
	if errors.Is(err, jetstream.ErrConsumerNotFound) {
		_, err = js.CreateConsumer(ctx, want.Stream, want.Config)
		return err
	}
	if err != nil {
		return err
	}
	have := consumer.CachedInfo().Config
	if merged := mergedConsumer(have, want.Config); !reflect.DeepEqual(merged, have) {
		_, err = js.UpdateConsumer(ctx, want.Stream, merged)
	}
	return err
}

// mergedConsumer is mergedStream for a consumer.
func mergedConsumer(have, want jetstream.ConsumerConfig) jetstream.ConsumerConfig {
	merged := have
	merged.AckPolicy, merged.AckWait, merged.BackOff = want.AckPolicy, want.AckWait, nil
	merged.InactiveThreshold, merged.HeadersOnly, merged.MaxDeliver = 0, false, want.MaxDeliver
	if !slices.Equal(filtersOf(have), filtersOf(want)) {
		merged.FilterSubject, merged.FilterSubjects = want.FilterSubject, want.FilterSubjects
	}
	if want.SampleFrequency != "" {
		merged.SampleFrequency = want.SampleFrequency
	}
	return merged
}

// filtersOf returns a consumer's filters; the server may return them in either field.
func filtersOf(config jetstream.ConsumerConfig) []string {
	if config.FilterSubject != "" {
		return []string{config.FilterSubject}
	}
	return slices.Sorted(slices.Values(config.FilterSubjects))
}

// StreamCreated returns when a stream was created, in the microseconds that Postgres keeps. Creation time and
// sequence together identify a message for ever: if a stream is lost and created again, its sequences start again.
func StreamCreated(ctx context.Context, js jetstream.JetStream, stream string) (time.Time, error) {
	handle, err := js.Stream(ctx, stream)
	if err != nil {
		return time.Time{}, fmt.Errorf("look up stream %s: %w", stream, err)
	}
	return CreatedOf(handle), nil
}

// Creation is when a stream was created, and when the server said so.
type Creation struct{ At, AsOf time.Time }

// Covers reports whether a message that was published then is of that stream, and not of one that was lost and created again since.
func (c Creation) Covers(published time.Time) bool { return published.Before(c.AsOf) }

// Creations returns a function that returns what StreamCreated returns, with the server's time.
func Creations(js jetstream.JetStream) func(ctx context.Context, stream string) (Creation, error) {
	return func(ctx context.Context, stream string) (Creation, error) {
		handle, err := js.Stream(ctx, stream)
		if err != nil {
			return Creation{}, fmt.Errorf("look up stream %s: %w", stream, err)
		}
		return Creation{At: CreatedOf(handle), AsOf: handle.CachedInfo().TimeStamp}, nil
	}
}

// CreatedOf is StreamCreated for a stream that was already looked up.
func CreatedOf(stream jetstream.Stream) time.Time {
	return stream.CachedInfo().Created.UTC().Truncate(time.Microsecond)
}
