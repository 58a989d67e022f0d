package store

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"rollcall.dev/pkg/store/internal/db"
)

// Advance is what one committed page changes in its run.
type Advance struct {
	Cursor
	Pages         int       // that were read; 0: one
	ScanStartedAt time.Time // kept from the first page on
	HighestSeen   *time.Time
	Processed     int64
	Written       int64
	Skipped       int64
	Failures      int64
	Recovered     int64
	Active        time.Duration
}

// ClaimRun notes that the holder of the lease works the customer's run of a kind, and counts the attempt; ErrNotFound if the
// run has ended or is paused, or if the holder of a later lease has claimed it. A run that is still in a table of the version
// before is moved first.
func (t *Tx) ClaimRun(ctx context.Context, customer, kind string, epoch int64) (Run, error) {
	params := &db.RunClaimIfOpenParams{CustomerID: customer, Kind: kind, Epoch: &epoch}
	run, err := oneRun(t.queries.RunClaimIfOpen(ctx, t.dbtx, params))
	if !isNotFound(err) {
		return run, err
	}
	if err := t.moveRuns(ctx, []string{customer}, kind); err != nil {
		return Run{}, err
	}
	return oneRun(t.queries.RunClaimIfOpen(ctx, t.dbtx, params))
}

// AdvanceRun moves the cursor past a page, or several. ErrLaneLost if the run is no longer this lease's; in a lane this may come with a
// later statement, or with the commit, which it is sent with.
func (t *Tx) AdvanceRun(ctx context.Context, id, epoch int64, advance Advance) error {
	cursor, err := json.Marshal(advance.Cursor)
	if err != nil {
		return fmt.Errorf("encode cursor: %w", err)
	}
	params := &db.RunAdvanceOrFailParams{
		ID: id, Epoch: &epoch, Cursor: cursor, ScanStartedAt: &advance.ScanStartedAt, HighestSeen: advance.HighestSeen,
		Pages: int64(max(advance.Pages, 1)), Processed: advance.Processed, Written: advance.Written, Skipped: advance.Skipped, Failures: advance.Failures,
		Recovered: advance.Recovered, ActiveSeconds: advance.Active.Seconds(),
	}
	return t.deferred(func(on db.DBTX) error { return t.queries.RunAdvanceOrFail(ctx, on, params) })
}

// ParkRun puts the run off for delay, with the reason and, if it is known, what stopped it; it spends no attempt.
func (t *Tx) ParkRun(ctx context.Context, id, epoch int64, reason, detail string, delay time.Duration) error {
	changed, err := t.queries.RunParkIfRunning(ctx, t.dbtx, &db.RunParkIfRunningParams{
		ID: id, Epoch: &epoch, ParkReason: &reason, ParkDetail: detail, Delay: delay,
	})
	return stillMine(changed, err, "park run")
}

// CountRefusals notes how many attempts in a row VOMO has refused, in the transaction that parks the run for the last one.
// A committed page forgets them.
func (t *Tx) CountRefusals(ctx context.Context, id int64, refusals int) error {
	return t.queries.RunSetRefusals(ctx, t.dbtx, &db.RunSetRefusalsParams{ID: id, Refusals: column(refusals)})
}

// HandBackRun hands the run back with its cursor, due again after delay; it spends no attempt and is no park.
func (t *Tx) HandBackRun(ctx context.Context, id, epoch int64, delay time.Duration) error {
	changed, err := t.queries.RunHandBackIfRunning(ctx, t.dbtx, &db.RunHandBackIfRunningParams{ID: id, Epoch: &epoch, Delay: delay})
	return stillMine(changed, err, "hand run back")
}

// UncountClaim takes back that the claim of this epoch counts against the run, if it has not been claimed since.
func (c Conn) UncountClaim(ctx context.Context, customer, kind string, epoch int64) error {
	return c.queries.RunUncountClaim(ctx, c.dbtx, &db.RunUncountClaimParams{
		CustomerID: customer, Kind: kind, Epoch: &epoch,
	})
}

// PutOffRun parks a run that no worker has until its time has come; done is false if a worker has it, or if it has ended.
// It counts as no failure.
func (c Conn) PutOffRun(ctx context.Context, customer, kind, reason string, until time.Time) (done bool, err error) {
	changed, err := c.queries.RunPutOffIfWaiting(ctx, c.dbtx, &db.RunPutOffIfWaitingParams{
		CustomerID: customer, Kind: kind, ParkReason: &reason, DueAt: until,
	})
	if err == nil && changed == 0 && kind == KindBackfill {
		changed, err = c.queries.BackfillPutOffIfWaiting(ctx, c.dbtx, &db.BackfillPutOffIfWaitingParams{
			CustomerID: customer, ParkReason: &reason, DueAt: until,
		})
	}
	return changed > 0, err
}

// PutOffClaimedRun parks the run that the holder of the lease works until its time has come. It spends no attempt
// and counts as no failure. ErrLaneLost if the run is no longer this lease's.
func (t *Tx) PutOffClaimedRun(ctx context.Context, id, epoch int64, reason string, until time.Time) error {
	changed, err := t.queries.RunPutOffIfRunning(ctx, t.dbtx, &db.RunPutOffIfRunningParams{
		ID: id, Epoch: &epoch, ParkReason: &reason, DueAt: until,
	})
	return stillMine(changed, err, "put run off")
}

// DelayRun makes a run that waits for a slot due again after delay; done is false if a worker has it, or if it has ended.
// It was not tried: the reason for which it is parked stays.
func (c Conn) DelayRun(ctx context.Context, customer, kind string, delay time.Duration) (done bool, err error) {
	changed, err := c.queries.RunDelayIfWaiting(ctx, c.dbtx, &db.RunDelayIfWaitingParams{CustomerID: customer, Kind: kind, Delay: delay})
	return changed > 0, err
}

// RunsWaitBeside reports whether a run of the kind waits for a worker that was not parked for this reason.
func (c Conn) RunsWaitBeside(ctx context.Context, kind, reason string) (bool, error) {
	waits, err := c.queries.RunsWaitBeside(ctx, c.dbtx, &db.RunsWaitBesideParams{Kind: kind, ParkReason: &reason})
	return waits, err
}

// FinishRun ends the run and its line in the job log. The row of a backfill is kept, in the table of the version before; those
// of polls and reconciliations, which come by the million, are deleted. ErrLaneLost as AdvanceRun returns it.
func (t *Tx) FinishRun(ctx context.Context, run Run, epoch int64, state RunState, errorCode string) error {
	if run.Kind != KindBackfill {
		params := &db.RunEndOrFailParams{
			ID: run.ID, Epoch: &epoch, Outcome: new(outcomeOf(errorCode)), ProcessedCount: run.Processed, FailureCount: run.Failures,
			ErrorCode: given(errorCode),
		}
		return t.deferred(func(on db.DBTX) error { return t.queries.RunEndOrFail(ctx, on, params) })
	}
	ended, err := t.queries.BackfillEnd(ctx, t.dbtx, &db.BackfillEndParams{
		CustomerID: run.Customer, Epoch: &epoch, State: string(state), Verified: run.Verified, Failure: given(run.Failure),
	})
	if err := stillMine(int64(len(ended)), err, "finish run"); err != nil {
		return err
	}
	return t.FinishJob(ctx, run.JobID, run.Processed, run.Failures, errorCode)
}

// WakeParkedRuns turns up to 100 parked runs of a kind whose time has come back into queued ones; each is returned to one
// caller only, which owes the bus a request for it in the same transaction.
func (t *Tx) WakeParkedRuns(ctx context.Context, kind string) ([]RunRef, error) {
	rows, err := t.queries.RunsWakeDueParked(ctx, t.dbtx, kind)
	if err != nil {
		return nil, err
	}
	refs := make([]RunRef, 0, len(rows))
	for _, row := range rows {
		refs = append(refs, RunRef{ID: row.ID, Customer: row.CustomerID, Kind: row.Kind, Trace: row.TraceID})
	}
	return refs, nil
}

// UnattendedRuns returns unfinished runs of a kind that are due and that no live lease holds, by id, after the given one.
func (c Conn) UnattendedRuns(ctx context.Context, kind string, after int64, limit int32) ([]RunRef, error) {
	rows, err := c.queries.RunsUnattended(ctx, c.dbtx, &db.RunsUnattendedParams{Kind: kind, After: after, PageSize: limit})
	if err != nil {
		return nil, err
	}
	refs := make([]RunRef, 0, len(rows))
	for _, row := range rows {
		refs = append(refs, RunRef{ID: row.ID, Customer: row.CustomerID, Kind: row.Kind, Trace: row.TraceID})
	}
	return refs, nil
}

// stillMine returns ErrLaneLost if the statement found no run of this lease.
func stillMine(changed int64, err error, operation string) error {
	if err == nil && changed == 0 {
		err = ErrLaneLost
	}
	return mapError(operation, err)
}
