package bus

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"
)

// ErrNotErasable means that the stream denies deletions: an operator has set deny-delete or sealed the stream.
var ErrNotErasable = errors.New("the stream denies deletions: the message cannot be erased")

// Erase overwrites a message in the stream's files and deletes it, even while a worker processes it; the consumer's
// pending slot is free a moment later. It succeeds if the message is already gone, because another worker may have
// erased it first. Call it before the ack: the bytes of an acked message can no longer be overwritten.
func Erase(ctx context.Context, stream jetstream.Stream, sequence uint64) error {
	err := stream.SecureDeleteMsg(ctx, sequence)
	if err == nil {
		return nil
	}
	// The server's error does not say whether the message was there.
	if _, lookup := stream.GetMsg(ctx, sequence); errors.Is(lookup, jetstream.ErrMsgNotFound) {
		return nil
	}
	if info, lookup := stream.Info(ctx); lookup == nil && (info.Config.DenyDelete || info.Config.Sealed) {
		err = errors.Join(ErrNotErasable, err)
	}
	return fmt.Errorf("erase message %d: %w", sequence, err)
}
