package retry

import (
	"context"
	"errors"

	"rollcall.dev/pkg/job"
	"rollcall.dev/pkg/mirror"
	"rollcall.dev/pkg/vomo"
)

// destinationState is what a round knows of its customer's destination. A page of letters looks like an outage by its
// nature, because its records failed before: the state says whether a failure is the destination's fault or the records'.
type destinationState int

const (
	// destinationUnknown: nothing failed lately. If a page fails as a whole, a probe decides whose fault it is.
	destinationUnknown destinationState = iota
	// destinationSuspect: it failed when it was last tried. A probe comes before the letters.
	destinationSuspect
	// destinationAnswers: it answered for a record that it has, so it rejects other records for their own sake. It may still
	// accept nothing, like a proxy without its backend.
	destinationAnswers
	// destinationAccepts: it accepted a record that it has.
	destinationAccepts
)

// destinationAtStart returns the state at the start of a round: by the reason that ended the customer's last round, and
// by whether an alert of its destination is active.
func destinationAtStart(lastReason string, hasActiveAlert bool) destinationState {
	if hasActiveAlert || job.IsDestination(lastReason) {
		return destinationSuspect
	}
	return destinationUnknown
}

// afterFailedPage returns the state after a page of which the destination accepted nothing. What a probe showed in the same
// round stays: the page failed for its records' sake.
func (s destinationState) afterFailedPage() destinationState { return max(s, destinationSuspect) }

// afterProbe returns the state after a probe. An inconclusive one changes nothing, and a rejection takes nothing back.
func (s destinationState) afterProbe(result mirror.ProbeResult) destinationState {
	switch result {
	case mirror.ProbeAccepted:
		return destinationAccepts
	case mirror.ProbeRejected:
		return max(s, destinationAnswers)
	case mirror.ProbeInconclusive:
	}
	return s
}

// blamesRecords reports whether a rejection is the record's fault.
func (s destinationState) blamesRecords() bool { return s >= destinationAnswers }

// probeUsers is how many users a probe tries at most.
const probeUsers = 3

// probe writes an unchanged user to the destination and notes what that says of it. It tries further users if the
// destination rejects one, because a rejection is no proof that it accepts another. The result is inconclusive if there is
// no user to probe with.
func (b *batch) probe(ctx context.Context) (mirror.ProbeResult, error) {
	candidates := []string{b.probeUser}
	if b.probeUser == "" {
		var err error
		if candidates, err = b.probeCandidates(ctx); err != nil {
			return mirror.ProbeInconclusive, err
		}
	}
	best := mirror.ProbeInconclusive
	for _, id := range candidates {
		b.Memo = id // also if the answer ends the round
		result, err := b.probeWith(ctx, id)
		if err != nil {
			return mirror.ProbeInconclusive, err
		}
		if result > best {
			best, b.probeUser = result, id
		}
		if best == mirror.ProbeAccepted {
			break
		}
	}
	b.destination = b.destination.afterProbe(best)
	return best, nil
}

// probeWith is inconclusive if VOMO does not return this user.
func (b *batch) probeWith(ctx context.Context, id string) (mirror.ProbeResult, error) {
	detail, err := b.Source.Client.Detail(ctx, id)
	if errors.Is(err, vomo.ErrNotFound) || err == nil && detail.User == nil {
		return mirror.ProbeInconclusive, nil
	}
	if err != nil {
		_, err = b.users.CodeForOne(ctx, err) // nil: VOMO returns others
		return mirror.ProbeInconclusive, err
	}
	return b.Lane.ProbeDestination(ctx, *detail.User)
}

// probeCandidates returns the next few users to probe with. If it were always the same ones, a record that cannot be
// written any more, or users who are gone, would hold all letters for ever.
func (b *batch) probeCandidates(ctx context.Context) ([]string, error) {
	candidates, err := b.Store.UndisputedUsers(ctx, b.Customer.ID, b.Memo, probeUsers)
	if err != nil || b.Memo == "" || len(candidates) == probeUsers {
		return candidates, err
	}
	more, err := b.Store.UndisputedUsers(ctx, b.Customer.ID, "", probeUsers-int32(len(candidates))) //nolint:gosec // at most probeUsers
	return append(candidates, more...), err
}
