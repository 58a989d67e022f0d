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

// Layout is what Ensure makes of the streams and consumers.
type Layout struct {
	Replicas int
	AckWait  time.Duration // of the consumers
	// MaxBytes limits streams, by name. A stream without an entry gets no limit.
	MaxBytes map[string]int64
	// LowerReplicas lets a stream with more than Replicas lose some.
	LowerReplicas bool
}

// Ensure is Layout.Ensure without limits.
func Ensure(ctx context.Context, js jetstream.JetStream, replicas int, ackWait time.Duration) error {
	_, err := Layout{Replicas: replicas, AckWait: ackWait}.Ensure(ctx, js)
	return err
}

// Ensure makes the streams and consumers that are missing. In those that exist it changes what correctness needs and keeps
// what an operator tuned. It may be run again at any time and never deletes a message. The notes say, for people, what it
// did that they may not expect.
func (l Layout) Ensure(ctx context.Context, js jetstream.JetStream) (notes []string, err error) {
	wanted := StreamConfigs(l.Replicas)
	have := map[string]*jetstream.StreamInfo{}
	for _, want := range wanted {
		stream, err := js.Stream(ctx, want.Name)
		switch {
		case err == nil:
			have[want.Name] = stream.CachedInfo()
		case !errors.Is(err, jetstream.ErrStreamNotFound):
			return nil, fmt.Errorf("look up stream %s: %w", want.Name, err)
		}
	}
	limits, notes, err := l.limits(ctx, js, have)
	if err != nil {
		return nil, err
	}
	for _, want := range wanted {
		if limit, limited := limits[want.Name]; limited {
			want.MaxBytes = limit
			want.Metadata = map[string]string{metadataMaxBytes: strconv.FormatInt(limit, 10)}
		}
		note, err := l.ensureStream(ctx, js, want, have[want.Name])
		if err != nil {
			return nil, fmt.Errorf("make stream %s: %w", want.Name, err)
		}
		if note != "" {
			notes = append(notes, note)
		}
	}
	for _, want := range ConsumerConfigs(l.AckWait) {
		if err := ensureConsumer(ctx, js, want); err != nil {
			return nil, fmt.Errorf("make consumer %s: %w", want.Config.Durable, err)
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

// mergedStream returns have with what correctness needs, and whatever else an operator tuned. docs/decisions/0033 says for
// each field why.
func mergedStream(have, want jetstream.StreamConfig, lowerReplicas bool) jetstream.StreamConfig {
	merged := have
	merged.Subjects = slices.Clone(have.Subjects)
	for _, subject := range want.Subjects {
		if !slices.Contains(merged.Subjects, subject) {
			merged.Subjects = append(merged.Subjects, subject)
		}
	}
	merged.Retention, merged.Storage = want.Retention, want.Storage // the server says what cannot be changed
	merged.Discard, merged.DiscardNewPerSubject = want.Discard, want.DiscardNewPerSubject
	merged.NoAck = false
	if keepsEverything(want) {
		merged.MaxAge, merged.MaxMsgsPerSubject = want.MaxAge, want.MaxMsgsPerSubject
	}
	if want.Replicas > have.Replicas || lowerReplicas {
		merged.Replicas = want.Replicas
	}
	if mark, limited := want.Metadata[metadataMaxBytes]; limited {
		merged.MaxBytes = want.MaxBytes
		merged.Metadata = maps.Clone(have.Metadata)
		if merged.Metadata == nil {
			merged.Metadata = map[string]string{}
		}
		merged.Metadata[metadataMaxBytes] = mark
	}
	return merged
}

// keepsEverything says whether the stream's messages are work or open letters: none may go before it is settled.
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

// filtersOf returns a consumer's filters, whichever field the server shows them in.
func filtersOf(config jetstream.ConsumerConfig) []string {
	if config.FilterSubject != "" {
		return []string{config.FilterSubject}
	}
	return slices.Sorted(slices.Values(config.FilterSubjects))
}

// StreamCreated is when a stream was made, to the microsecond that Postgres keeps. With a sequence it names a
// message for ever: sequences begin again in a stream that was lost and made anew.
func StreamCreated(ctx context.Context, js jetstream.JetStream, stream string) (time.Time, error) {
	handle, err := js.Stream(ctx, stream)
	if err != nil {
		return time.Time{}, fmt.Errorf("look up stream %s: %w", stream, err)
	}
	return CreatedOf(handle), nil
}

// CreatedOf is StreamCreated of a stream that was looked up.
func CreatedOf(stream jetstream.Stream) time.Time {
	return stream.CachedInfo().Created.UTC().Truncate(time.Microsecond)
}
