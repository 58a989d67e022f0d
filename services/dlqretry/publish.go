package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go/jetstream"

	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/deadletter"
	"rollcall.dev/pkg/store"
)

// publish shows letters, all under way at once, and says where each stands that the stream took. The error says why it did
// not take the rest: a full stream refuses some.
func (f *follower) publish(ctx context.Context, letters []store.UnshownLetter) (shown []store.ShownLetter, refused error) {
	batch := make([]bus.Outgoing, 0, len(letters))
	for _, letter := range letters {
		message, err := shownOf(letter).Message()
		if err != nil {
			return nil, fmt.Errorf("show letter %s: %w", letter.ID, err)
		}
		batch = append(batch, message)
	}
	var again []int // what the stream calls a duplicate of a message that it has no more
	for i, ack := range f.publisher.PublishAcked(ctx, batch) {
		switch {
		case ack.Err != nil:
			refused = fmt.Errorf("show letter %s: %w", letters[i].ID, ack.Err)
			continue
		case ack.Duplicate:
			stands, err := f.stands(ctx, ack.Sequence, batch[i])
			if err != nil {
				refused = err
				continue
			}
			if !stands {
				again = append(again, i)
				continue
			}
		}
		shown = append(shown, store.ShownLetter{ID: letters[i].ID, Sequence: ack.Sequence})
	}
	if len(again) == 0 {
		return shown, refused
	}
	fresh := make([]bus.Outgoing, 0, len(again))
	for _, i := range again {
		message := batch[i]
		message.ID += "-" + uuid.NewString()
		fresh = append(fresh, message)
	}
	for i, ack := range f.publisher.PublishAcked(ctx, fresh) {
		if ack.Err != nil {
			refused = fmt.Errorf("show letter %s: %w", letters[again[i]].ID, ack.Err)
			continue
		}
		shown = append(shown, store.ShownLetter{ID: letters[again[i]].ID, Sequence: ack.Sequence})
	}
	return shown, refused
}

// stands says whether the message that the stream took before is there yet: it may have been deleted since, and its
// id is known for the stream's window all the same.
func (f *follower) stands(ctx context.Context, sequence uint64, message bus.Outgoing) (bool, error) {
	stored, err := f.stream.GetMsg(ctx, sequence)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look for message %d: %w", sequence, err)
	}
	return stored.Subject == message.Subject && stored.Header.Get(bus.HeaderLetterID) == message.Headers[bus.HeaderLetterID], nil
}

func shownOf(letter store.UnshownLetter) deadletter.Published {
	return deadletter.Published{
		ID: letter.ID, Revision: letter.Revision, Customer: letter.Customer, Kind: letter.Kind, Waiting: letter.State == stateWaiting,
		RecordID: letter.RecordID, UpdatedAt: letter.UpdatedAt, ErrorCode: letter.ErrorCode, ErrorClass: letter.ErrorClass,
		Attempts: letter.Attempts, FirstFailedAt: letter.FirstFailedAt, Job: letter.Job, TraceID: letter.TraceID,
		OriginalSubject: letter.OriginalSubject,
	}
}

// States of open letters.
const (
	stateWaiting = "waiting"
	stateReview  = "review"
)
