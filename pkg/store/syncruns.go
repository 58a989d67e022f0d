package store

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgtype"

	"rollcall.dev/pkg/store/internal/db"
)

// Kinds of scheduled runs.
const (
	KindPoll      = "poll"
	KindUserDaily = "user_daily"
)

// Jobs of scheduled runs, as job_log names them (docs/guides.md#names); requests to VOMO are booked by them, too.
const (
	JobPoll      = "user_sync_poll"
	JobUserDaily = "user_daily"
)

// SyncRun is an unfinished poll or daily reconciliation: users who changed since UpdatedAfter are read, page by page.
// Its cursor moves in each page's transaction.
type SyncRun struct {
	ID       int64
	Customer string
	Kind     string
	JobID    int64 // also the name of its scan
	TraceID  string
	State    RunState // queued, running or parked
	Cursor
	UpdatedAfter  time.Time
	CoveredUntil  time.Time  // the checkpoint when the run began: what polls had answered for
	Day           time.Time  // daily runs: the day that it is the reconciliation of
	ScanStartedAt *time.Time // by VOMO's own clock
	HighestSeen   *time.Time
	Pages         int64
	Processed     int64 // users read, each once
	Written       int64
	Failures      int64
	Attempts      int // claims since the last committed page
	Parks         int // parks in a row since the last committed page
	ParkReason    string
	ParkDetail    string     // what stopped the last attempt, in words of our own
	ParkSince     *time.Time // since when it has not got on
	Refusals      int        // attempts in a row that VOMO refused with a status without a meaning of its own
	DueAt         time.Time
	CreatedAt     time.Time
}

// SyncStart says what runs are started for these customers. Those who have an unfinished run of the kind, or no
// checkpoint, are left out.
type SyncStart struct {
	Kind         string
	Job          string // the job log's word
	Customers    []string
	TraceIDs     []string  // one for each
	UpdatedAfter time.Time // zero: from each customer's checkpoint
	Day          time.Time // daily runs
}

// DuePolls moves up to atMost customers whose poll is due, and as many who have no time for it yet, on to their next slot, and returns them: each is returned
// to one caller, who owes them a run in the same transaction.
func (t *Tx) DuePolls(ctx context.Context, atMost int32) ([]string, error) {
	customers, err := t.queries.SyncRunsStartDuePolls(ctx, t.dbtx, atMost)
	return customers, wrap("schedule polls", err)
}

// StartSyncRuns queues runs; the caller owes the bus a request for each that is returned, in the same transaction.
func (t *Tx) StartSyncRuns(ctx context.Context, start SyncStart) ([]RunRef, error) {
	if len(start.Customers) == 0 {
		return nil, nil
	}
	params := &db.SyncRunsStartParams{Kind: start.Kind, Job: start.Job, CustomerIds: start.Customers, TraceIds: start.TraceIDs}
	if !start.UpdatedAfter.IsZero() {
		params.UpdatedAfter = &start.UpdatedAfter
	}
	params.Day = dateOf(start.Day)
	rows, err := t.queries.SyncRunsStart(ctx, t.dbtx, params)
	if err != nil {
		return nil, wrap("start runs", err)
	}
	refs := make([]RunRef, 0, len(rows))
	for _, row := range rows {
		refs = append(refs, RunRef{ID: row.ID, Customer: row.CustomerID})
	}
	return refs, nil
}

// OpenSyncRun reads the customer's unfinished run of a kind; ErrNotFound where there is none.
func (c Conn) OpenSyncRun(ctx context.Context, customer, kind string) (SyncRun, error) {
	return oneSyncRun(c.queries.SyncRunOpen(ctx, c.dbtx, &db.SyncRunOpenParams{CustomerID: customer, Kind: kind}))
}

// ClaimSyncRun notes that the holder of the lease works the run, and counts the attempt; ErrNotFound where it has
// ended, or where the holder of a later lease has claimed it.
func (c Conn) ClaimSyncRun(ctx context.Context, id, epoch int64) (SyncRun, error) {
	return oneSyncRun(c.queries.SyncRunClaimIfOpen(ctx, c.dbtx, &db.SyncRunClaimIfOpenParams{ID: id, Epoch: &epoch}))
}

// AdvanceSyncRun moves the cursor past a page. ErrLaneLost where the run is no longer this lease's, perhaps only with
// the commit that it is sent with.
func (t *Tx) AdvanceSyncRun(ctx context.Context, id, epoch int64, advance Advance) error {
	cursor, err := json.Marshal(advance.Cursor)
	if err != nil {
		return fmt.Errorf("encode cursor: %w", err)
	}
	params := &db.SyncRunAdvanceOrFailParams{
		ID: id, Epoch: &epoch, Cursor: cursor, ScanStartedAt: &advance.ScanStartedAt, HighestSeen: advance.HighestSeen,
		Processed: advance.Processed, Written: advance.Written, Failures: advance.Failures,
	}
	return t.later("advance run", func(on db.DBTX) error { return t.queries.SyncRunAdvanceOrFail(ctx, on, params) })
}

// CountSyncRefusals notes how many attempts in a row VOMO has refused, as CountRefusals does.
func (t *Tx) CountSyncRefusals(ctx context.Context, id int64, refusals int) error {
	return wrap("count refusals", t.queries.SyncRunSetRefusals(ctx, t.dbtx, &db.SyncRunSetRefusalsParams{ID: id, Refusals: column(refusals)}))
}

// ParkSyncRun puts the run off for delay, as ParkRun does.
func (t *Tx) ParkSyncRun(ctx context.Context, id, epoch int64, reason, detail string, delay time.Duration) error {
	changed, err := t.queries.SyncRunParkIfRunning(ctx, t.dbtx, &db.SyncRunParkIfRunningParams{
		ID: id, Epoch: &epoch, ParkReason: &reason, ParkDetail: detail, Delay: delay,
	})
	return stillMine(changed, err, "park run")
}

// HandBackSyncRun hands the run back with its cursor, due again after delay; it spends no attempt and is no park.
func (t *Tx) HandBackSyncRun(ctx context.Context, id, epoch int64, delay time.Duration) error {
	changed, err := t.queries.SyncRunHandBackIfRunning(ctx, t.dbtx, &db.SyncRunHandBackIfRunningParams{ID: id, Epoch: &epoch, Delay: delay})
	return stillMine(changed, err, "hand run back")
}

// SyncRunComeAgain has a run that waits for a slot come again after delay; done is false where a worker has it, or it has
// ended. It was not tried: the reason for which it is parked stays.
func (c Conn) SyncRunComeAgain(ctx context.Context, id int64, delay time.Duration) (done bool, err error) {
	changed, err := c.queries.SyncRunComeAgain(ctx, c.dbtx, &db.SyncRunComeAgainParams{ID: id, Delay: delay})
	return changed > 0, wrap("put run off", err)
}

// SyncRunWaitsBeside says whether a run of the kind waits for a worker that is not parked for this reason.
func (c Conn) SyncRunWaitsBeside(ctx context.Context, kind, reason string) (bool, error) {
	waits, err := c.queries.SyncRunWaitsBeside(ctx, c.dbtx, &db.SyncRunWaitsBesideParams{Kind: kind, ParkReason: &reason})
	return waits, wrap("look for waiting runs", err)
}

// UncountSyncClaim is UncountClaim.
func (c Conn) UncountSyncClaim(ctx context.Context, id, epoch int64) error {
	return wrap("take the claim back", c.queries.SyncRunUncountClaim(ctx, c.dbtx, &db.SyncRunUncountClaimParams{ID: id, Epoch: &epoch}))
}

// EndSyncRun ends the run and its line in the job log, as failed where errorCode is not "".
func (t *Tx) EndSyncRun(ctx context.Context, run SyncRun, epoch int64, errorCode string) error {
	changed, err := t.queries.SyncRunEndIfRunning(ctx, t.dbtx, &db.SyncRunEndIfRunningParams{ID: run.ID, Epoch: &epoch})
	if err := stillMine(changed, err, "end run"); err != nil {
		return err
	}
	return t.FinishJob(ctx, run.JobID, run.Processed, run.Failures, errorCode)
}

// DropSyncRuns ends all of the customer's unfinished runs, whoever works them.
func (t *Tx) DropSyncRuns(ctx context.Context, customer, errorCode string) error {
	rows, err := t.queries.SyncRunsDrop(ctx, t.dbtx, customer)
	if err != nil {
		return wrap("drop runs", err)
	}
	for _, row := range rows {
		if err := t.FinishJob(ctx, row.JobID, row.Processed, row.Failures, errorCode); err != nil {
			return err
		}
	}
	return nil
}

// WakeParkedSyncRuns turns up to 100 parked runs of a kind whose time has come back into queued ones; each is
// returned to one caller only, who owes the bus a request for it in the same transaction.
func (t *Tx) WakeParkedSyncRuns(ctx context.Context, kind string) ([]RunRef, error) {
	rows, err := t.queries.SyncRunsWakeDueParked(ctx, t.dbtx, kind)
	if err != nil {
		return nil, wrap("wake parked runs", err)
	}
	refs := make([]RunRef, 0, len(rows))
	for _, row := range rows {
		refs = append(refs, RunRef{ID: row.ID, Customer: row.CustomerID})
	}
	return refs, nil
}

// UnattendedSyncRuns are unfinished runs of a kind that are due and hold no live lease, by id, after the given one.
func (c Conn) UnattendedSyncRuns(ctx context.Context, kind string, after int64, limit int32) ([]RunRef, error) {
	rows, err := c.queries.SyncRunsUnattended(ctx, c.dbtx, &db.SyncRunsUnattendedParams{Kind: kind, After: after, PageSize: limit})
	if err != nil {
		return nil, wrap("list unattended runs", err)
	}
	refs := make([]RunRef, 0, len(rows))
	for _, row := range rows {
		refs = append(refs, RunRef{ID: row.ID, Customer: row.CustomerID})
	}
	return refs, nil
}

// Unparked is a run that is due again.
type Unparked struct {
	ID   int64
	Kind string
}

// UnparkSyncRuns makes the customer's parked runs due at once; the caller owes the bus a request for each.
func (t *Tx) UnparkSyncRuns(ctx context.Context, customer string) ([]Unparked, error) {
	rows, err := t.queries.SyncRunsUnpark(ctx, t.dbtx, customer)
	if err != nil {
		return nil, wrap("unpark runs", err)
	}
	unparked := make([]Unparked, 0, len(rows))
	for _, row := range rows {
		unparked = append(unparked, Unparked{ID: row.ID, Kind: row.Kind})
	}
	return unparked, nil
}

func oneSyncRun(row *db.SyncRun, err error) (SyncRun, error) {
	if err != nil {
		return SyncRun{}, wrap("read run", err)
	}
	run := SyncRun{
		ID: row.ID, Customer: row.CustomerID, Kind: row.Kind, JobID: row.JobID, TraceID: row.TraceID, State: RunState(row.State),
		UpdatedAfter: row.UpdatedAfter, CoveredUntil: row.CoveredUntil, Day: row.Day.Time, ScanStartedAt: row.ScanStartedAt,
		HighestSeen: row.HighestSeen, Pages: row.Pages, Processed: row.Processed, Written: row.Written, Failures: row.Failures,
		Attempts: int(row.Attempts), Parks: int(row.Parks), Refusals: int(row.Refusals), DueAt: row.DueAt, CreatedAt: row.CreatedAt,
	}
	if row.ParkReason != nil {
		run.ParkReason = *row.ParkReason
	}
	if row.ParkDetail != nil {
		run.ParkDetail = *row.ParkDetail
	}
	run.ParkSince = row.ParkSince
	if err := json.Unmarshal(row.Cursor, &run.Cursor); err != nil {
		return SyncRun{}, fmt.Errorf("decode cursor of run %d: %w", row.ID, err)
	}
	if run.NextPage == 0 {
		run.NextPage = 1
	}
	return run, nil
}

// dateOf is a column's date; null for a zero time.
func dateOf(day time.Time) pgtype.Date {
	return pgtype.Date{Time: day, Valid: !day.IsZero()}
}
