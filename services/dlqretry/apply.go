package main

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"go.uber.org/zap"

	"rollcall.dev/pkg/deadletter"
	"rollcall.dev/pkg/job"
	"rollcall.dev/pkg/mirror"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/vomo"
)

const (
	// carefully is how many users a page has where the destination is known to work and some are refused: too few to
	// open the circuit breaker.
	carefully = 3
	// controls is how many users are looked at for one by whom the destination can be tried.
	controls = 3
	// lenientHolds is for how many holds in a row a short page without a success is the destination's fault, where
	// no record is known by which it can be tried.
	lenientHolds = 5
)

// apply brings what was read to the destination.
//
// Letters are by their nature records that the destination did not take, and a page of nothing else looks like a
// destination that is down. So where a page fails as a whole, the destination is asked to take a record once more
// that it has: where it does, its fault it is not, and the page's records are tried a few at a time, each counting
// its attempt. Where it does not, no attempt was made, however long that takes.
func (t *turn) apply(ctx context.Context, read readUsers) error {
	owed, err := t.store.RewriteOwed(ctx, t.customer.ID)
	if err != nil {
		return err
	}
	options := mirror.ApplyOptions{Redrive: true, PresumeOutage: true, NewSystem: owed != nil && owed.NewSystem}
	switch {
	case t.proven:
	case t.suspect: // and there is nothing to ask by: after a while, a few records count their attempts
		options.PresumeOutage = t.holds < lenientHolds
		options.Probe, options.ShortProbe = options.PresumeOutage, true
		return t.page(ctx, read.page, read.again, options, true)
	default:
		err := t.page(ctx, read.page, read.again, options, true)
		if !errors.Is(err, mirror.ErrDestinationDown) {
			return err
		}
		t.log.Debug("no letter's record was taken; is it the destination?", zap.Error(err))
		trial, asking := t.works(ctx)
		if asking != nil || trial == mirror.ProbeInconclusive {
			return cmp.Or(asking, err)
		}
		t.proven, t.taken = true, trial == mirror.ProbeAccepted
	}
	return t.carefully(ctx, read, options)
}

// carefully brings records to a destination that is known to work, a few at a time.
func (t *turn) carefully(ctx context.Context, read readUsers, options mirror.ApplyOptions) error {
	options.PresumeOutage = false
	options.ForbiddenRejectsRecord = t.taken && t.holds >= job.ForbiddenParks
	parts := slices.Collect(slices.Chunk(read.page.Users, carefully))
	for i, users := range parts {
		// It may have gone down meanwhile, and the breaker has to hear of a success now and then.
		if i > 0 {
			trial, err := t.works(ctx)
			if err != nil {
				return err
			}
			if trial == mirror.ProbeInconclusive {
				break // whoever it was asked by is gone: the rest waits for the next turn
			}
		}
		part := vomo.Page{Number: read.page.Number, Total: -1, Users: users}
		if err := t.page(ctx, part, nil, options, false); err != nil {
			return err
		}
	}
	read.page.Users = nil
	return t.page(ctx, read.page, read.again, options, true)
}

// page commits a page: what was written, what failed once more, and on the last one the end of the job's line.
func (t *turn) page(ctx context.Context, page vomo.Page, again []deadletter.Again, options mirror.ApplyOptions, last bool) error {
	after := t.work
	_, err := t.lane.Apply(ctx, page, options, func(ctx context.Context, tx *store.Tx, applied mirror.Outcome) error {
		after = t.work
		after.retried += applied.Written + applied.Skipped
		after.failed += applied.Failed + len(again)
		if err := t.failAgain(ctx, tx, again); err != nil {
			return err
		}
		if t.told && (applied.Written > 0 || t.taken) {
			if err := job.ClearParks(ctx, tx, t.customer.ID, true); err != nil {
				return err
			}
		}
		if !last {
			return nil
		}
		return tx.FinishJob(ctx, t.jobID, int64(after.retried+after.failed), int64(after.failed), "")
	})
	if err != nil {
		return err
	}
	t.metrics.retried(after.retried-t.work.retried, after.failed-t.work.failed)
	t.work = after
	t.changed()
	return nil
}

// works asks the destination to take a record that it has; Untried without an error means that there is none to ask
// by. One that it refuses is not yet proof that it takes another.
func (t *turn) works(ctx context.Context) (mirror.ProbeResult, error) {
	candidates := []string{t.control}
	if t.control == "" {
		var err error
		if candidates, err = t.candidates(ctx); err != nil {
			return mirror.ProbeInconclusive, err
		}
	}
	best := mirror.ProbeInconclusive
	for _, id := range candidates {
		t.asked = id // also where the answer ends the turn
		detail, err := t.source.Client.Detail(ctx, id)
		if errors.Is(err, vomo.ErrNotFound) || err == nil && detail.User == nil {
			continue
		}
		if err != nil {
			if _, stopped := t.ofOneUser(ctx, err); stopped != nil {
				return mirror.ProbeInconclusive, stopped
			}
			continue // it is this user alone whom VOMO does not give
		}
		trial, err := t.lane.ProbeDestination(ctx, *detail.User)
		if err != nil {
			return mirror.ProbeInconclusive, err
		}
		if trial > best {
			best, t.control = trial, id
		}
		if best == mirror.ProbeAccepted {
			return best, nil
		}
	}
	return best, nil
}

// candidates are the next few users by whom the destination can be tried. Always the same ones, and a record that nobody
// can write any more, or users who are gone, would hold all letters for good.
func (t *turn) candidates(ctx context.Context) ([]string, error) {
	candidates, err := t.store.UndisputedUsers(ctx, t.customer.ID, t.asked, controls)
	if err != nil || t.asked == "" || len(candidates) == controls {
		return candidates, err
	}
	more, err := t.store.UndisputedUsers(ctx, t.customer.ID, "", controls-int32(len(candidates))) //nolint:gosec // at most controls
	return append(candidates, more...), err
}
