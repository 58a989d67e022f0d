package bus

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// ErrTopology says that a stream or consumer is missing, or is not as correctness needs it.
var ErrTopology = errors.New("the streams are not as this program needs them: run `rollcall migrate`")

// Ensure makes every stream and consumer, or brings those that exist to this version's configuration. It may
// be run again at any time and never deletes a message.
func Ensure(ctx context.Context, js jetstream.JetStream, replicas int, ackWait time.Duration) error {
	for _, config := range StreamConfigs(replicas) {
		if _, err := js.CreateOrUpdateStream(ctx, config); err != nil {
			return fmt.Errorf("make stream %s: %w", config.Name, err)
		}
	}
	for _, consumer := range ConsumerConfigs(ackWait) {
		if _, err := js.CreateOrUpdateConsumer(ctx, consumer.Stream, consumer.Config); err != nil {
			return fmt.Errorf("make consumer %s: %w", consumer.Config.Durable, err)
		}
	}
	return nil
}

// Verify checks what correctness depends on and nothing else, so that an operator may tune the rest: that the
// streams exist with their subjects, retention and discard policy, and the consumers with explicit acks, no
// BackOff and an ack wait that the claim timeout can live with.
func Verify(ctx context.Context, js jetstream.JetStream, ackWait time.Duration) error {
	for difference := range differences(ctx, js, ackWait) {
		return difference
	}
	return nil
}

// Differences is every difference that Verify would stop at: ErrTopology each, or the one error for which no more
// could be asked.
func Differences(ctx context.Context, js jetstream.JetStream, ackWait time.Duration) []error {
	var all []error
	for difference := range differences(ctx, js, ackWait) {
		all = append(all, difference)
		if !errors.Is(difference, ErrTopology) {
			break
		}
	}
	return all
}

func differences(ctx context.Context, js jetstream.JetStream, ackWait time.Duration) iter.Seq[error] {
	return func(yield func(error) bool) {
		for _, want := range StreamConfigs(1) {
			if err := streamDiffers(ctx, js, want); err != nil && !yield(err) {
				return
			}
		}
		for _, want := range ConsumerConfigs(ackWait) {
			if err := consumerDiffers(ctx, js, want, ackWait); err != nil && !yield(err) {
				return
			}
		}
	}
}

func streamDiffers(ctx context.Context, js jetstream.JetStream, want jetstream.StreamConfig) error {
	stream, err := js.Stream(ctx, want.Name)
	if err != nil {
		return fmt.Errorf("look up stream %s: %w", want.Name, asTopology(err, jetstream.ErrStreamNotFound))
	}
	if problem := streamProblem(want, stream.CachedInfo().Config); problem != "" {
		return fmt.Errorf("stream %s: %s: %w", want.Name, problem, ErrTopology)
	}
	return nil
}

func consumerDiffers(ctx context.Context, js jetstream.JetStream, want ConsumerOf, ackWait time.Duration) error {
	name := want.Config.Durable
	consumer, err := js.Consumer(ctx, want.Stream, name)
	if err != nil {
		return fmt.Errorf("look up consumer %s: %w", name, asTopology(err, jetstream.ErrConsumerNotFound, jetstream.ErrStreamNotFound))
	}
	have := consumer.CachedInfo().Config
	switch {
	case have.AckPolicy != jetstream.AckExplicitPolicy:
		return fmt.Errorf("consumer %s does not ack explicitly: %w", name, ErrTopology)
	case len(have.BackOff) > 0:
		return fmt.Errorf("consumer %s has a BackOff, which replaces its ack wait: %w", name, ErrTopology)
	case have.AckWait != ackWait:
		return fmt.Errorf("consumer %s waits %s for an ack and CLAIM_TIMEOUT is %s: %w", name, have.AckWait, ackWait, ErrTopology)
	}
	return nil
}

func streamProblem(want, have jetstream.StreamConfig) string {
	switch {
	case have.Retention != want.Retention:
		return "has another retention policy"
	case have.Discard != want.Discard:
		return "has another discard policy"
	case want.DiscardNewPerSubject && (have.MaxMsgsPerSubject != want.MaxMsgsPerSubject || !have.DiscardNewPerSubject):
		return "takes more than one message a subject"
	}
	for _, subject := range want.Subjects {
		if !slices.Contains(have.Subjects, subject) {
			return "does not listen on " + subject
		}
	}
	return ""
}

func asTopology(err error, missing ...error) error {
	for _, sort := range missing {
		if errors.Is(err, sort) {
			return fmt.Errorf("it does not exist: %w", ErrTopology)
		}
	}
	return err
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
