package mirror

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"rollcall.dev/pkg/destination"
	"rollcall.dev/pkg/fault"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/vomo"
)

// ProbeResult is the result of a probe that the destination answered. A greater one says more about the destination.
type ProbeResult int

// The results of ProbeDestination.
const (
	ProbeInconclusive ProbeResult = iota // nothing was sent: the destination does not have this version of the user
	ProbeRejected                        // the destination rejected the record: it answers, but may accept no record at all
	ProbeAccepted
)

// ProbeDestination rewrites one unchanged user to tell an outage of the destination from bad records. It stores nothing.
// ErrDestinationDown, ErrDestinationThrottled and ErrDestinationAuth mean that the destination does not work.
func (l *Lane) ProbeDestination(ctx context.Context, user vomo.User) (ProbeResult, error) {
	record := RecordOf(user)
	version, err := VersionOf(l.HashKey, record)
	if err != nil {
		return ProbeInconclusive, err
	}
	known, err := l.Store.StoredVersions(ctx, store.VersionsAsked{Customer: l.Customer, IDs: []string{user.ID}})
	if err != nil {
		return ProbeInconclusive, err
	}
	mapping, isMapped := known.Mappings[user.ID]
	probed := candidate{version: version, undated: user.Undated}
	if !isMapped || !bytes.Equal(version.Hash, mapping.Version.Hash) && !probed.isVersionOf(mapping) {
		return ProbeInconclusive, nil
	}
	record.Without = l.Owned
	if mapping.SentAt.After(record.SourceUpdatedAt) {
		record.SourceUpdatedAt = mapping.SentAt.UTC()
	}
	participations, err := l.readParticipations(ctx, []string{user.ID}, nil)
	if err != nil {
		return ProbeInconclusive, err
	}
	record.CustomFields.Participations = participations[user.ID].fields
	_, err = l.Destination.Upsert(destination.AsProbe(ctx), record)
	var rejection *destination.Rejection
	switch {
	case err == nil:
		return ProbeAccepted, nil
	case errors.As(err, &rejection):
		return ProbeRejected, nil
	case errors.Is(err, destination.ErrAuth):
		return ProbeInconclusive, fmt.Errorf("rewrite an unchanged record: %w: %w", ErrDestinationAuth, err)
	case fault.KindOf(err) == fault.KindThrottled:
		return ProbeInconclusive, fmt.Errorf("rewrite an unchanged record: %w: %w", ErrDestinationThrottled, err)
	case errors.Is(err, destination.ErrNotPublic), errors.Is(err, destination.ErrOpen), destination.Retryable(err):
		return ProbeInconclusive, fmt.Errorf("rewrite an unchanged record: %w: %w", ErrDestinationDown, err)
	}
	return ProbeInconclusive, fmt.Errorf("rewrite an unchanged record: %w", err)
}
