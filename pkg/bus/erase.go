package bus

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"
)

// ErrNotErasable says that the stream refuses deletions: an operator has denied it, or sealed the stream.
var ErrNotErasable = errors.New("the stream denies deletions: the message cannot be erased")

// Erase overwrites a message in the stream's files and deletes it, also while a worker has it in hand: its place
// among those in flight is free in a moment. A message that is gone already is erased: a second worker may have been
// first. It must be called before the ack: the bytes of an acked message can no longer be reached.
func Erase(ctx context.Context, stream jetstream.Stream, sequence uint64) error {
	err := stream.SecureDeleteMsg(ctx, sequence)
	if err == nil {
		return nil
	}
	// The server's refusal does not say whether the message was there.
	if _, lookup := stream.GetMsg(ctx, sequence); errors.Is(lookup, jetstream.ErrMsgNotFound) {
		return nil
	}
	if info, lookup := stream.Info(ctx); lookup == nil && (info.Config.DenyDelete || info.Config.Sealed) {
		err = errors.Join(ErrNotErasable, err)
	}
	return fmt.Errorf("erase message %d: %w", sequence, err)
}
