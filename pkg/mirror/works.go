package mirror

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"rollcall.dev/pkg/deadletter"
	"rollcall.dev/pkg/destination"
	"rollcall.dev/pkg/fault"
	"rollcall.dev/pkg/vomo"
)

// Trial is what a destination made of a record that it has.
type Trial int

// The outcomes of Works.
const (
	Untried Trial = iota // the user is no such one, and nothing was sent
	Refused              // this record: it answers, and whether it takes any is not known
	Taken
)

// Works brings a user to the destination once more who stands there in this very version, to tell a destination that
// takes nothing from records that nobody takes. Nothing is remembered: it changes nothing. ErrDestinationDown,
// ErrDestinationThrottled and ErrDestinationAuth say that it does not work.
func (l *Lane) Works(ctx context.Context, user vomo.User) (Trial, error) {
	record := RecordOf(user)
	version, err := VersionOf(l.HashKey, record)
	if err != nil {
		return Untried, err
	}
	known, err := l.Store.Known(ctx, l.Customer, deadletter.KindUser, []string{user.ID}, nil)
	if err != nil {
		return Untried, err
	}
	mapped, isMapped := known.Mapped[user.ID]
	if !isMapped || !bytes.Equal(version.Hash, mapped.Version.Hash) {
		return Untried, nil
	}
	if mapped.SentAt.After(record.SourceUpdatedAt) {
		record.SourceUpdatedAt = mapped.SentAt.UTC()
	}
	_, err = l.Destination.Upsert(destination.AsProbe(ctx), record)
	var refusal *destination.Refusal
	switch {
	case err == nil:
		return Taken, nil
	case errors.As(err, &refusal):
		return Refused, nil
	case errors.Is(err, destination.ErrAuth):
		return Untried, fmt.Errorf("write a known record: %w: %w", ErrDestinationAuth, err)
	case fault.KindOf(err) == fault.KindThrottled:
		return Untried, fmt.Errorf("write a known record: %w: %w", ErrDestinationThrottled, err)
	case errors.Is(err, destination.ErrNotPublic), errors.Is(err, destination.ErrOpen), destination.Retryable(err):
		return Untried, fmt.Errorf("write a known record: %w: %w", ErrDestinationDown, err)
	}
	return Untried, fmt.Errorf("write a known record: %w", err)
}
