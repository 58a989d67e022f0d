package bus

import (
	"context"
	"errors"
	"fmt"
	"maps"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Acked is the stream's reply to one published message.
type Acked struct {
	Sequence  uint64
	Duplicate bool  // the stream accepted a message with this id before, as Sequence; it may have been deleted since
	Err       error // as Publish returns it; nil if the stream has the message
}

// PublishAcked is Publish for callers that need the sequence of each message in its stream.
func (p *Publisher) PublishAcked(ctx context.Context, batch []Outgoing) []Acked {
	acks := make([]Acked, len(batch))
	streams := map[string]jetstream.Stream{}
	futures := make([]jetstream.PubAckFuture, len(batch))
	for i, message := range batch {
		futures[i], acks[i].Err = p.send(message)
	}
	for i, future := range futures {
		if acks[i].Err != nil {
			continue
		}
		select {
		case ack := <-future.Ok():
			acks[i] = Acked{Sequence: ack.Sequence, Duplicate: ack.Duplicate}
		case err := <-future.Err():
			acks[i].Err = p.publishError(ctx, streams, batch[i].Subject, err)
		case <-ctx.Done():
			acks[i].Err = context.Cause(ctx)
		}
	}
	return acks
}

// send starts publishing a message and returns its acknowledgement to come.
func (p *Publisher) send(message Outgoing) (jetstream.PubAckFuture, error) {
	outgoing := nats.NewMsg(message.Subject)
	outgoing.Data = message.Payload
	maps.Copy(outgoing.Header, message.Original)
	for name, value := range message.Headers {
		outgoing.Header.Set(name, value)
	}
	options := []jetstream.PublishOpt{jetstream.WithRetryAttempts(0)}
	if message.ID != "" {
		options = append(options, jetstream.WithMsgID(message.ID))
	}
	if message.ExpectLast != nil {
		options = append(options, jetstream.WithExpectLastSequencePerSubject(*message.ExpectLast))
	}
	return p.JetStream.PublishMsgAsync(outgoing, options...)
}

// PurgeSubject deletes the messages of a subject, or of all subjects that a pattern matches.
func PurgeSubject(ctx context.Context, stream jetstream.Stream, subject string) error {
	if err := stream.Purge(ctx, jetstream.WithPurgeSubject(subject)); err != nil {
		return fmt.Errorf("purge %s: %w", subject, err)
	}
	return nil
}

// Delete deletes a message from its stream. It succeeds if the message is already gone.
func Delete(ctx context.Context, stream jetstream.Stream, sequence uint64) error {
	err := stream.DeleteMsg(ctx, sequence)
	if err == nil {
		return nil
	}
	// The server's error does not say whether the message was there.
	if _, lookup := stream.GetMsg(ctx, sequence); errors.Is(lookup, jetstream.ErrMsgNotFound) {
		return nil
	}
	return fmt.Errorf("delete message %d: %w", sequence, err)
}
