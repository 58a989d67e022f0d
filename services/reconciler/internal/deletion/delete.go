package deletion

import (
	"context"
	"strconv"
	"time"

	"go.uber.org/zap"
	"google.golang.org/protobuf/types/known/timestamppb"

	"rollcall.dev/pkg/event"
	"rollcall.dev/pkg/mirror"
	"rollcall.dev/pkg/store"
	rollcallv1 "rollcall.dev/proto/rollcall/v1"
)

// deletePage is how many users are deleted in one transaction: as many as a page of VOMO has.
const deletePage = 15

// fewDeletions is a page that is too short to look like an outage of the destination.
const fewDeletions = 3

// proofLasts is how long VOMO's 404 is believed: a run may be put off for days between question and deletion, because its customer is
// paused or a destination is down.
const proofLasts = 24 * time.Hour

// delete deletes a page of confirmed candidates. A deletion that the destination does not make gets a letter, and the others go on.
func (x *execution) delete(ctx context.Context) error {
	// After many parks, and if the destination accepts records, its failures are about these deletions: they get letters, a few at a
	// time.
	var err error
	if x.onlyDeletionsFail, err = x.DeletionsFail(ctx, x.sides, x.onlyDeletionsFail); err != nil {
		return err
	}
	page := int32(deletePage)
	if x.onlyDeletionsFail {
		page = fewDeletions
	}
	candidates, err := x.Store.CandidatesToDelete(ctx, x.run.ID, page)
	if err != nil {
		return err
	}
	if len(candidates) == 0 {
		return x.end(ctx)
	}
	now, err := x.Store.Now(ctx)
	if err != nil {
		return err
	}
	if old := askedLongAgo(candidates, now); len(old) > 0 {
		return x.askPage(ctx, old, func(string) store.Cursor { return x.Run.Cursor })
	}
	deletions := make([]mirror.Deletion, 0, len(candidates))
	for _, candidate := range candidates {
		deletions = append(deletions, mirror.Deletion{VomoID: candidate.VomoID, AskedAt: candidate.AskedAt})
	}
	options := x.sides.Options
	if x.onlyDeletionsFail {
		options.Probe, options.PresumeOutage = false, false
	}
	var next store.Run
	_, err = x.sides.Lane.Delete(ctx, x.run.ID, deletions, options, func(ctx context.Context, tx *store.Tx, outcome mirror.DeletionOutcome) error {
		results := make([]store.CandidateResult, 0, len(deletions))
		for _, id := range outcome.Deleted {
			results = append(results, store.CandidateResult{VomoID: id, State: store.CandidateDeleted})
		}
		for _, id := range outcome.Kept {
			results = append(results, store.CandidateResult{VomoID: id, State: store.CandidateFound})
		}
		for _, failed := range outcome.Failed {
			results = append(results, store.CandidateResult{VomoID: failed.VomoID, State: store.CandidateFailed, Code: failed.Code})
		}
		if err := tx.NoteDeletions(ctx, x.run.ID, results); err != nil {
			return err
		}
		if err := x.sides.ClearParks(ctx, tx, len(outcome.Deleted) > 0); err != nil {
			return err
		}
		var err error
		next, err = x.advance(ctx, tx, x.Run.Cursor, len(outcome.Deleted), len(outcome.Failed))
		return err
	})
	if err != nil {
		return err
	}
	x.committed(next, false)
	return nil
}

// askedLongAgo returns some of the candidates for which VOMO has to be asked again before they are deleted.
func askedLongAgo(candidates []store.CandidateToDelete, now time.Time) []store.CandidateToAsk {
	var old []store.CandidateToAsk
	for _, candidate := range candidates {
		if len(old) < askAtOnce && now.Sub(candidate.AskedAt) > proofLasts {
			old = append(old, store.CandidateToAsk{VomoID: candidate.VomoID})
		}
	}
	return old
}

// end ends the run after its last deletion.
func (x *execution) end(ctx context.Context) error {
	run, err := x.Store.DeletionRun(ctx, x.run.ID)
	if err != nil {
		return err
	}
	err = x.Store.InLane(ctx, x.Lease, func(ctx context.Context, tx *store.Tx) error {
		return x.finish(ctx, tx, x.Run, run)
	})
	if err != nil {
		return err
	}
	x.ended = true
	x.Ended()
	return nil
}

// finish ends a run that found nothing to delete, or deleted what it found.
func (x *execution) finish(ctx context.Context, tx *store.Tx, next store.Run, run store.DeletionRun) error {
	if err := tx.ChangeDeletionRun(ctx, run.ID, store.DeletionChange{State: store.DeletionDone, Confirmed: &run.Confirmed}); err != nil {
		return err
	}
	if err := tx.SetLastScanUsers(ctx, x.Customer.ID, run.Scanned); err != nil {
		return err
	}
	if err := tx.FinishRun(ctx, next, x.Lease.Epoch, store.RunCompleted, ""); err != nil {
		return err
	}
	x.Log.Info("deletion scan completed", zap.Int64("scanned", run.Scanned), zap.Int64("missing", run.Missing),
		zap.Int64("confirmed", run.Confirmed), zap.Int64("deleted", run.Deleted), zap.Int64("failed", run.Failed))
	return x.publishCompleted(ctx, tx, run, true)
}

func (x *execution) publishCompleted(ctx context.Context, tx *store.Tx, run store.DeletionRun, verified bool) error {
	now, err := tx.Now(ctx)
	if err != nil {
		return err
	}
	message, err := event.Fact{
		Name: event.DeletionsCompleted, Customer: run.Customer, At: now, TraceID: x.Run.TraceID,
		ID: event.DeletionsCompleted + "-" + strconv.FormatInt(run.ID, 10),
		Data: &rollcallv1.DeletionsCompleted{
			CustomerId: run.Customer, RunId: run.ID, ScannedCount: event.Count(run.Scanned), PossiblyDeleted: event.Count(run.Missing),
			ConfirmedDeletions: event.Count(run.Confirmed), DeletedCount: event.Count(run.Deleted), Verified: verified,
			CompletedAt: timestamppb.New(now),
		},
	}.Message()
	if err != nil {
		return err
	}
	return tx.Publish(ctx, message)
}
