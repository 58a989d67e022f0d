package store

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgtype"

	"rollcall.dev/pkg/store/internal/db"
)

// Kinds of runs.
const (
	KindBackfill  = "backfill"
	KindPoll      = "poll"
	KindUserDaily = "user_daily"

	KindUserDeletions  = "user_deletions"
	KindParticipations = "participations"
)

// ScheduledKinds returns the kinds of runs that the schedule starts.
func ScheduledKinds() []string {
	return []string{KindPoll, KindUserDaily, KindUserDeletions, KindParticipations}
}

// Jobs of scheduled runs, as job_log names them (docs/guides.md#names); requests to VOMO are counted under them, too.
const (
	JobPoll      = "user_sync_poll"
	JobUserDaily = "user_daily"

	JobUserDeletions  = "user_deletions"
	JobParticipations = "participations"
)

// RunState is the state of a run.
type RunState string

// The states of a run; completed, failed and cancelled are final.
const (
	RunQueued    RunState = "queued"
	RunRunning   RunState = "running"
	RunParked    RunState = "parked"
	RunPaused    RunState = "paused" // by an operator, and until an operator resumes it
	RunCompleted RunState = "completed"
	RunFailed    RunState = "failed"
	RunCancelled RunState = "cancelled"
)

// Open reports whether the run still has work to do.
func (s RunState) Open() bool {
	return s == RunQueued || s == RunRunning || s == RunParked || s == RunPaused
}

// Run reads a customer's users: a backfill and a deletion scan all of them, a poll and a daily reconciliation those that changed. Its cursor, with
// ScanStartedAt and HighestSeen, moves in each page's transaction.
type Run struct {
	ID       int64
	Customer string
	Kind     string
	JobID    int64 // also the name of its scan
	TraceID  string
	State    RunState
	Cursor
	UpdatedAfter  time.Time  // users that changed since then are read; zero: all users
	CoveredUntil  time.Time  // polls and reconciliations: the checkpoint when the run began, up to which polls had read
	Day           time.Time  // daily reconciliations: the day that is reconciled
	Rewrite       *Rewrite   // nil: known versions are skipped
	ScanStartedAt *time.Time // by VOMO's clock
	HighestSeen   *time.Time
	Pages         int64
	Processed     int64 // users read, each once
	Written       int64
	Skipped       int64
	Failures      int64
	Recovered     int64 // users that the first reading missed
	Verified      *bool // completed runs: whether what was read agrees with VOMO's counts
	Attempts      int   // claims since the last committed page
	Parks         int   // parks in a row since the last committed page
	ParkReason    string
	ParkDetail    string     // what stopped the last attempt
	ParkSince     *time.Time // since when it makes no progress
	Refusals      int        // attempts in a row that VOMO refused with a status without a meaning of its own
	Failure       string     // failed runs: why
	DueAt         time.Time
	ActiveSeconds float64
	CreatedAt     time.Time
	StartedAt     *time.Time
	UpdatedAt     time.Time
	CompletedAt   *time.Time
}

// RunRef names a run, its customer, its kind and its trace.
type RunRef struct {
	ID       int64
	Customer string
	Kind     string
	Trace    string // its traceparent, for the message about it
}

// RunStart says for which customers a poll or a reconciliation is started. Customers that have an unfinished run of the
// kind, or no checkpoint, are left out.
type RunStart struct {
	Kind         string
	Job          string // the name in job_log
	Customers    []string
	TraceIDs     []string  // one for each customer
	UpdatedAfter time.Time // zero: from each customer's checkpoint
	AllUsers     bool      // all users are read, whenever they changed
	Day          time.Time // daily reconciliations
	Cursor       Cursor    // where the runs begin
}

// StartRuns queues polls, reconciliations or deletion scans; the caller owes the bus a request for each that is returned, in the same
// transaction.
func (t *Tx) StartRuns(ctx context.Context, start RunStart) ([]RunRef, error) {
	if len(start.Customers) == 0 {
		return nil, nil
	}
	params := &db.RunsStartParams{Kind: start.Kind, Job: start.Job, CustomerIds: start.Customers, TraceIds: start.TraceIDs}
	if !start.UpdatedAfter.IsZero() {
		params.UpdatedAfter = &start.UpdatedAfter
	}
	params.Day, params.AllUsers = dateOf(start.Day), start.AllUsers
	var err error
	if params.Cursor, err = json.Marshal(start.Cursor); err != nil {
		return nil, fmt.Errorf("encode cursor: %w", err)
	}
	rows, err := t.queries.RunsStart(ctx, t.dbtx, params)
	if err != nil {
		return nil, err
	}
	refs := make([]RunRef, 0, len(rows))
	for _, row := range rows {
		refs = append(refs, RunRef{ID: row.ID, Customer: row.CustomerID, Kind: row.Kind, Trace: row.TraceID})
	}
	return refs, nil
}

// StartBackfill queues a backfill with its line in the job log; started is false if the customer has an unfinished one. It
// takes LockCustomer's lock: of two that start one at the same time, the second sees the first one's run. A rewrite that
// is still owed goes on in the new run.
func (t *Tx) StartBackfill(ctx context.Context, customer, job, traceID string) (id int64, started bool, err error) {
	if err := t.LockCustomer(ctx, customer); err != nil {
		return 0, false, err
	}
	if _, err := t.OpenRun(ctx, customer, KindBackfill); err == nil {
		return 0, false, nil
	} else if !isNotFound(err) {
		return 0, false, err
	}
	jobID, err := t.StartJob(ctx, customer, job, traceID)
	if err != nil {
		return 0, false, err
	}
	owed, err := t.RewriteOwed(ctx, customer)
	if err != nil {
		return 0, false, err
	}
	id, err = t.queries.RunStartBackfill(ctx, t.dbtx, &db.RunStartBackfillParams{CustomerID: customer, JobID: jobID, TraceID: traceID})
	if err == nil && owed != nil {
		return id, true, t.setRewrite(ctx, id, *owed)
	}
	return id, err == nil, err
}

// OpenRun reads the customer's unfinished run of a kind; ErrNotFound if there is none.
func (c Conn) OpenRun(ctx context.Context, customer, kind string) (Run, error) {
	return oneOfAll(c.queries.RunOpen(ctx, c.dbtx, &db.RunOpenParams{CustomerID: customer, Kind: kind}))
}

// Backfill reads a backfill by its id.
func (c Conn) Backfill(ctx context.Context, id int64) (Run, error) {
	return oneOfAll(c.queries.BackfillGet(ctx, c.dbtx, id))
}

// LatestBackfill reads the customer's newest backfill, finished or not.
func (c Conn) LatestBackfill(ctx context.Context, customer string) (Run, error) {
	return oneOfAll(c.queries.BackfillLatest(ctx, c.dbtx, customer))
}

// Backfills reads up to limit backfills with an id below before, newest first.
func (c Conn) Backfills(ctx context.Context, before int64, limit int32) ([]Run, error) {
	rows, err := c.queries.BackfillsPage(ctx, c.dbtx, &db.BackfillsPageParams{Before: before, PageSize: limit})
	return runsOf(rows, err)
}

// PauseBackfill stops the customer's unfinished backfill at its last committed page, whichever worker has it; ErrNotFound
// if there is none, or if it is paused already.
func (t *Tx) PauseBackfill(ctx context.Context, customer string) (Run, error) {
	if err := t.moveRuns(ctx, []string{customer}, KindBackfill); err != nil {
		return Run{}, err
	}
	return oneRun(t.queries.BackfillPauseIfOpen(ctx, t.dbtx, customer))
}

// ResumeBackfill queues the customer's paused backfill again; ErrNotFound if none is paused.
func (t *Tx) ResumeBackfill(ctx context.Context, customer string) (Run, error) {
	if err := t.moveRuns(ctx, []string{customer}, KindBackfill); err != nil {
		return Run{}, err
	}
	return oneRun(t.queries.BackfillResumeIfPaused(ctx, t.dbtx, customer))
}

// CancelBackfill ends the customer's unfinished backfill, if there is one, whichever worker has it.
func (t *Tx) CancelBackfill(ctx context.Context, customer, errorCode string) error {
	if err := t.moveRuns(ctx, []string{customer}, KindBackfill); err != nil {
		return err
	}
	rows, err := t.queries.BackfillEnd(ctx, t.dbtx, &db.BackfillEndParams{CustomerID: customer, State: string(RunCancelled)})
	if err != nil || len(rows) == 0 {
		return err
	}
	return t.FinishJob(ctx, rows[0].JobID, rows[0].Processed, rows[0].Failures, errorCode)
}

// CancelRuns ends all of the customer's unfinished runs, whichever workers have them, and a deletion scan that is held.
func (t *Tx) CancelRuns(ctx context.Context, customer, errorCode string) error {
	if err := t.CancelBackfill(ctx, customer, errorCode); err != nil {
		return err
	}
	if err := t.moveRuns(ctx, []string{customer}, ScheduledKinds()...); err != nil {
		return err
	}
	rows, err := t.queries.RunsDeleteScheduled(ctx, t.dbtx, customer)
	if err != nil {
		return err
	}
	if err := t.queries.DeletionRunsCancel(ctx, t.dbtx, customer); err != nil {
		return err
	}
	for _, row := range rows {
		if err := t.FinishJob(ctx, row.JobID, row.Processed, row.Failures, errorCode); err != nil {
			return err
		}
	}
	return nil
}

// UnparkRuns makes the customer's parked runs of these kinds due at once; the caller owes the bus a request for each.
func (t *Tx) UnparkRuns(ctx context.Context, customer string, kinds ...string) ([]RunRef, error) {
	if err := t.moveRuns(ctx, []string{customer}, kinds...); err != nil {
		return nil, err
	}
	rows, err := t.queries.RunsUnpark(ctx, t.dbtx, &db.RunsUnparkParams{CustomerID: customer, Kinds: kinds})
	if err != nil {
		return nil, err
	}
	refs := make([]RunRef, 0, len(rows))
	for _, row := range rows {
		refs = append(refs, RunRef{ID: row.ID, Customer: row.CustomerID, Kind: row.Kind, Trace: row.TraceID})
	}
	return refs, nil
}

// RequeueRuns makes the customer's unfinished runs of these kinds due at once, whichever workers had them, except a backfill
// that an operator paused: for a customer whose lane was fenced. The caller owes the bus a request for each.
func (t *Tx) RequeueRuns(ctx context.Context, customer string, kinds ...string) ([]RunRef, error) {
	if err := t.moveRuns(ctx, []string{customer}, kinds...); err != nil {
		return nil, err
	}
	rows, err := t.queries.RunsRequeue(ctx, t.dbtx, &db.RunsRequeueParams{CustomerID: customer, Kinds: kinds})
	if err != nil {
		return nil, err
	}
	refs := make([]RunRef, 0, len(rows))
	for _, row := range rows {
		refs = append(refs, RunRef{ID: row.ID, Customer: row.CustomerID, Kind: row.Kind, Trace: row.TraceID})
	}
	return refs, nil
}

func oneRun(row *db.Run, err error) (Run, error) {
	if err != nil {
		return Run{}, err
	}
	return runFrom(row)
}

func oneOfAll(row *db.AllRun, err error) (Run, error) { return oneRun((*db.Run)(row), err) }

func runsOf(rows []*db.AllRun, err error) ([]Run, error) {
	if err != nil {
		return nil, err
	}
	runs := make([]Run, 0, len(rows))
	for _, row := range rows {
		run, err := runFrom((*db.Run)(row))
		if err != nil {
			return nil, err
		}
		runs = append(runs, run)
	}
	return runs, nil
}

func runFrom(row *db.Run) (Run, error) {
	run := Run{
		ID: row.ID, Customer: row.CustomerID, Kind: row.Kind, JobID: row.JobID, TraceID: row.TraceID, State: RunState(row.State),
		UpdatedAfter: timeOf(row.UpdatedAfter), CoveredUntil: timeOf(row.CoveredUntil), Day: row.Day.Time,
		ScanStartedAt: row.ScanStartedAt, HighestSeen: row.HighestSeen,
		Pages: row.Pages, Processed: row.Processed, Written: row.Written, Skipped: row.Skipped, Failures: row.Failures,
		Recovered: row.Recovered, Verified: row.Verified, Attempts: int(row.Attempts), Parks: int(row.Parks),
		ParkReason: textOf(row.ParkReason), ParkDetail: textOf(row.ParkDetail), ParkSince: row.ParkSince, Refusals: int(row.Refusals),
		Failure: textOf(row.Failure), DueAt: row.DueAt, ActiveSeconds: row.ActiveSeconds, CreatedAt: row.CreatedAt,
		StartedAt: row.StartedAt, UpdatedAt: row.UpdatedAt, CompletedAt: row.CompletedAt,
	}
	if row.RewriteBefore != nil {
		run.Rewrite = &Rewrite{Before: *row.RewriteBefore, NewSystem: row.NewSystem}
	}
	if err := json.Unmarshal(row.Cursor, &run.Cursor); err != nil {
		return Run{}, fmt.Errorf("decode cursor of run %d: %w", row.ID, err)
	}
	if run.NextPage == 0 {
		run.NextPage = 1
	}
	return run, nil
}

func textOf(value *string) string {
	if value == nil {
		return ""
	}
	return *value
}

func timeOf(value *time.Time) time.Time {
	if value == nil {
		return time.Time{}
	}
	return *value
}

// dateOf returns a column's date; null for the zero time.
func dateOf(day time.Time) pgtype.Date {
	return pgtype.Date{Time: day, Valid: !day.IsZero()}
}
