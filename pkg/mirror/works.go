package mirror

import (
	"context"
	"errors"
	"fmt"

	"rollcall.dev/pkg/destination"
	"rollcall.dev/pkg/fault"
	"rollcall.dev/pkg/vomo"
)

// Works brings a user to the destination once more who stands there in this very version, to tell a destination that
// takes nothing from records that nobody takes. usable is false where the user is no such one, and nothing was sent.
// Nothing is remembered: it changes nothing. ErrDestinationDown and ErrDestinationAuth say that it does not work.
func (l *Lane) Works(ctx context.Context, user vomo.User) (usable bool, err error) {
	record := RecordOf(user)
	version, err := VersionOf(l.HashKey, record)
	if err != nil {
		return false, err
	}
	known, err := l.Store.MappedVersions(ctx, l.Customer, []string{user.ID})
	if err != nil {
		return false, err
	}
	if mapped, isMapped := known[user.ID]; !isMapped || compare(version, mapped) != same {
		return false, nil
	}
	_, err = l.Destination.Upsert(ctx, record)
	var refusal *destination.Refusal
	switch {
	case err == nil, errors.As(err, &refusal):
		return true, nil
	case errors.Is(err, destination.ErrAuth):
		return true, fmt.Errorf("write a known record: %w: %w", ErrDestinationAuth, err)
	case errors.Is(err, destination.ErrNotPublic), errors.Is(err, destination.ErrOpen),
		fault.KindOf(err) == fault.KindThrottled, destination.Retryable(err):
		return true, fmt.Errorf("write a known record: %w: %w", ErrDestinationDown, err)
	}
	return true, fmt.Errorf("write a known record: %w", err)
}
