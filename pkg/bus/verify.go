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

// ErrTopology means that a stream or consumer is missing, or lacks what correctness needs.
var ErrTopology = errors.New("the streams are not as this program needs them: run `rollcall migrate`")

// Verify checks only what correctness depends on, so that an operator may tune the rest: the streams exist with their
// subjects, retention and discard policy, and the consumers have explicit acks, no BackOff and an ack wait equal to
// the claim timeout.
func Verify(ctx context.Context, js jetstream.JetStream, ackWait time.Duration) error {
	for difference := range differences(ctx, js, ackWait) {
		return difference
	}
	return nil
}

// Differences returns all errors that Verify could return, each an ErrTopology. It stops at the first error that is
// not, because the server could not be asked.
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
	case have.Sealed:
		return "is sealed, so that it takes no message; that cannot be undone: delete it (nats stream rm " + want.Name + ") and make it anew"
	case have.DenyDelete && keepsEverything(want):
		return "denies deletions, so that no token in it can be erased and no letter taken away; that cannot be undone: delete it (nats stream rm " +
			want.Name + ") and make it anew"
	case have.Discard != want.Discard:
		return "has another discard policy"
	case keepsEverything(want) && have.MaxAge > 0:
		return "drops messages by their age, whether they were worked or not"
	case keepsEverything(want) && want.MaxMsgsPerSubject < 0 && have.MaxMsgsPerSubject > 0:
		return "drops older messages of a subject, whether they were worked or not"
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
	for _, kind := range missing {
		if errors.Is(err, kind) {
			return fmt.Errorf("it does not exist: %w", ErrTopology)
		}
	}
	return err
}
