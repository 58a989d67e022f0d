package bus

import (
	"context"
	"errors"
	"fmt"
	"maps"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Acked is a stream's word about one message.
type Acked struct {
	Sequence  uint64
	Duplicate bool  // a message of this id was taken before, as Sequence; it may have been deleted since
	Err       error // as Publish's; nil where the stream has taken it, or took it before
}

// PublishAcked is Publish for those who need to know where in the stream their messages stand.
func (p *Publisher) PublishAcked(ctx context.Context, batch []Outgoing) []Acked {
	acks := make([]Acked, len(batch))
	limited := map[string]jetstream.Stream{}
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
			acks[i].Err = p.refusal(ctx, limited, batch[i].Subject, err)
		case <-ctx.Done():
			acks[i].Err = context.Cause(ctx)
		}
	}
	return acks
}

// send puts a message under way.
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
	return p.JetStream.PublishMsgAsync(outgoing, options...)
}

// Delete deletes a message from its stream. One that is gone already is deleted.
func Delete(ctx context.Context, stream jetstream.Stream, sequence uint64) error {
	err := stream.DeleteMsg(ctx, sequence)
	if err == nil {
		return nil
	}
	// As in Erase.
	if _, lookup := stream.GetMsg(ctx, sequence); errors.Is(lookup, jetstream.ErrMsgNotFound) {
		return nil
	}
	return fmt.Errorf("delete message %d: %w", sequence, err)
}
