package retry

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
	// smallPage is how many users a page has while the destination works and rejects some: too few to open the circuit
	// breaker.
	smallPage = 3
	// lenientHolds is for how many holds in a row a short page without a success is the destination's fault, if there is no
	// user to probe with.
	lenientHolds = 5
)

// options returns the options of a page.
func (b *batch) options() mirror.ApplyOptions {
	owed := b.RewriteOwed
	return mirror.ApplyOptions{Redrive: true, PresumeOutage: true, NewSystem: owed != nil && owed.NewSystem, RewriteOwed: owed != nil}
}

// write writes what was read to the destination, as a page of its own.
func (b *batch) write(ctx context.Context, read readUsers) error {
	options := b.options()
	if len(read.deletions) > 0 {
		if err := b.delete(ctx, read.deletions, options); err != nil {
			return err
		}
	}
	switch b.destination {
	case destinationAnswers, destinationAccepts:
	case destinationSuspect: // no user to probe with: after some holds, a few records count their attempts
		options.PresumeOutage = b.Holds < lenientHolds
		options.Probe, options.ShortProbe = options.PresumeOutage, true
		return b.writePage(ctx, read.page, read, options)
	case destinationUnknown:
		err := b.writePage(ctx, read.page, read, options)
		if errors.Is(err, mirror.ErrDestinationDown) {
			return b.probeAfter(ctx, read, options, err)
		}
		return err
	}
	return b.writeSmallPages(ctx, read, options)
}

// probeAfter finds out by a probe whether the destination works, of which a page failed as a whole. If it does, the page's records are
// at fault: they are tried a few at a time, and each counts its attempt. If it does not, no attempt is counted, however long
// that takes.
func (b *batch) probeAfter(ctx context.Context, read readUsers, options mirror.ApplyOptions, failure error) error {
	b.Log.Debug("the destination accepted no record of the page; a probe follows", zap.Error(failure))
	b.destination = b.destination.afterFailedPage()
	if _, err := b.probe(ctx); err != nil || !b.destination.blamesRecords() {
		return cmp.Or(err, failure)
	}
	return b.writeSmallPages(ctx, read, options)
}

// writeSmallPages writes records to a destination that answers, a few at a time.
func (b *batch) writeSmallPages(ctx context.Context, read readUsers, options mirror.ApplyOptions) error {
	options.PresumeOutage = false
	options.ForbiddenRejectsRecord = b.destination == destinationAccepts && b.Holds >= job.ForbiddenParks
	for i, users := range slices.Collect(slices.Chunk(read.page.Users, smallPage)) {
		// The destination may fail meanwhile, and the circuit breaker needs a success now and then.
		if i > 0 {
			result, err := b.probe(ctx)
			if err != nil {
				return err
			}
			if result == mirror.ProbeInconclusive {
				break // the user to probe with is gone: the other letters wait for the next round
			}
		}
		part := vomo.Page{Number: read.page.Number, Total: -1, Users: users}
		if err := b.writePage(ctx, part, readUsers{}, options); err != nil {
			return err
		}
	}
	read.page.Users = nil
	return b.writePage(ctx, read.page, read, options)
}

// writePage writes and commits a page, with what else was read.
func (b *batch) writePage(ctx context.Context, page vomo.Page, with readUsers, options mirror.ApplyOptions) error {
	compared, err := b.Lane.Compare(ctx, []vomo.Page{page}, options)
	if err != nil {
		return err
	}
	written, err := compared.Write(ctx)
	if err != nil {
		return err
	}
	return b.commit(ctx, written, with, nil)
}

// commit commits a written page, with letters whose user VOMO does not return, and letters about deletions of users that VOMO has again. It
// is called for one page after the other, and calls sent, if there is one, when the commit was sent.
func (b *batch) commit(ctx context.Context, written *mirror.WrittenPage, with readUsers, sent func()) error {
	after, cleared := b.counts, false
	_, err := written.Commit(ctx, func(ctx context.Context, tx *store.Tx, applied mirror.Outcome) error {
		tx.WhenCommitSent(sent)
		after = b.counts
		after.settled += applied.Written + applied.Skipped
		after.failed += applied.Failed + len(with.failed)
		if err := deadletter.CountAttempts(ctx, tx, jobRetry, b.Connect.RetryCaps, with.failed); err != nil {
			return err
		}
		if err := tx.SettleLetters(ctx, with.kept, settledSuperseded); err != nil { // also if the destination rejected the user: that is a letter of its own
			return err
		}
		if cleared = b.hasClearableAlert && (applied.Written > 0 || b.destination == destinationAccepts); !cleared {
			return nil
		}
		return job.ClearParks(ctx, tx, b.Customer.ID, true)
	})
	if err != nil {
		return err
	}
	b.hasClearableAlert = b.hasClearableAlert && !cleared
	b.committed(after)
	return nil
}

// settledSuperseded is how a letter about a deletion is settled whose user VOMO has again.
const settledSuperseded = "superseded"

// delete makes deletions at the destination that failed before, and commits what came of them.
func (b *batch) delete(ctx context.Context, deletions []mirror.Deletion, options mirror.ApplyOptions) error {
	options.Probe, options.ShortProbe = b.destination == destinationSuspect, true
	options.PresumeOutage = !b.destination.blamesRecords() && b.Holds < lenientHolds
	after := b.counts
	_, err := b.Lane.Delete(ctx, 0, deletions, options, func(ctx context.Context, tx *store.Tx, outcome mirror.DeletionOutcome) error {
		after = b.counts
		after.settled += len(outcome.Deleted)
		after.failed += len(outcome.Failed)
		return tx.FinishCandidates(ctx, b.Customer.ID, outcome.Deleted)
	})
	if err != nil {
		return err
	}
	b.committed(after)
	return nil
}

// committed counts what a transaction has committed.
func (b *batch) committed(after counts) {
	b.retrier.Metrics.retried(after.settled-b.counts.settled, after.failed-b.counts.failed)
	b.counts, b.Worked, b.Failed = after, after.settled+after.failed, after.failed
	b.retrier.Changed()
}
