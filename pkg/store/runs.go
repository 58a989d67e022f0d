package store

import (
	"context"
	"time"

	"rollcall.dev/pkg/store/internal/db"
)

// RunState is where a backfill stands.
type RunState string

// The states of a backfill run; completed, failed and cancelled are final.
const (
	RunQueued    RunState = "queued"
	RunRunning   RunState = "running"
	RunParked    RunState = "parked"
	RunPaused    RunState = "paused" // by an operator, and until an operator resumes it
	RunCompleted RunState = "completed"
	RunFailed    RunState = "failed"
	RunCancelled RunState = "cancelled"
)

// Open says whether the run still has work to do.
func (s RunState) Open() bool {
	return s == RunQueued || s == RunRunning || s == RunParked || s == RunPaused
}

// Run is a full read of a customer's users. Its cursor, with ScanStartedAt and HighestSeen, moves in each
// page's transaction.
type Run struct {
	ID       int64
	Customer string
	JobID    int64 // also the name of its scan
	TraceID  string
	State    RunState
	Cursor
	ScanStartedAt *time.Time // by VOMO's own clock
	HighestSeen   *time.Time
	Pages         int64
	Processed     int64 // users read, each once
	Written       int64
	Skipped       int64
	Failures      int64
	Recovered     int64 // users that the first reading had missed
	Verified      *bool // completed runs: whether what was read agrees with VOMO's counts
	Attempts      int   // claims since the last committed page
	Parks         int   // parks in a row since the last committed page
	ParkReason    string
	ParkDetail    string     // what stopped the last attempt, in words of our own
	ParkSince     *time.Time // since when it has not got on
	Refusals      int        // attempts in a row that VOMO refused with a status without a meaning of its own
	Failure       string     // failed runs: why, in words of our own; "" of those before it was kept
	DueAt         time.Time
	ActiveSeconds float64
	CreatedAt     time.Time
	StartedAt     *time.Time
	UpdatedAt     time.Time
	CompletedAt   *time.Time
	Rewrite       *Rewrite // nil: what is known is skipped
}

// Advance is what one committed page changes in its run.
type Advance struct {
	Cursor
	ScanStartedAt time.Time // kept from the first page on
	HighestSeen   *time.Time
	Processed     int64
	Written       int64
	Skipped       int64
	Failures      int64
	Recovered     int64
	Active        time.Duration
}

// StartRun queues a backfill with its line in the job log; started is false where one is open already. It takes
// LockCustomer's lock: of two at once the second sees the first one's run. A rewrite that is still owed goes on in
// the new run.
func (t *Tx) StartRun(ctx context.Context, customer, job, traceID string) (id int64, started bool, err error) {
	if err := t.LockCustomer(ctx, customer); err != nil {
		return 0, false, err
	}
	if _, err := t.OpenRun(ctx, customer); err == nil {
		return 0, false, nil
	} else if !isNotFound(err) {
		return 0, false, err
	}
	jobID, err := t.queries.JobStart(ctx, t.dbtx, &db.JobStartParams{CustomerID: customer, Job: job, TraceID: &traceID})
	if err != nil {
		return 0, false, wrap("log job start", err)
	}
	owed, err := t.RewriteOwed(ctx, customer)
	if err != nil {
		return 0, false, err
	}
	id, err = t.queries.RunInsertIfNoneOpen(ctx, t.dbtx, &db.RunInsertIfNoneOpenParams{CustomerID: customer, JobID: jobID, TraceID: traceID})
	if err == nil && owed != nil {
		return id, true, t.setRewrite(ctx, id, *owed)
	}
	return id, err == nil, wrap("queue backfill", err)
}

// OpenRun reads the customer's unfinished run; ErrNotFound where there is none.
func (c Conn) OpenRun(ctx context.Context, customer string) (Run, error) {
	return oneRun(c.queries.RunOpenForCustomer(ctx, c.dbtx, customer))
}

// Run reads a run by its id.
func (c Conn) Run(ctx context.Context, id int64) (Run, error) {
	return oneRun(c.queries.RunGet(ctx, c.dbtx, id))
}

// LatestRun reads the customer's newest run, open or not.
func (c Conn) LatestRun(ctx context.Context, customer string) (Run, error) {
	return oneRun(c.queries.RunLatestForCustomer(ctx, c.dbtx, customer))
}

// Runs reads up to limit runs with an id below before, newest first.
func (c Conn) Runs(ctx context.Context, before int64, limit int32) ([]Run, error) {
	rows, err := c.queries.RunPage(ctx, c.dbtx, &db.RunPageParams{Before: before, PageSize: limit})
	if err != nil {
		return nil, wrap("list backfills", err)
	}
	runs := make([]Run, 0, len(rows))
	for _, row := range rows {
		runs = append(runs, runFrom(row))
	}
	return runs, nil
}

// RunDueIn is how long the run is parked for yet; zero or less when it is due.
func (c Conn) RunDueIn(ctx context.Context, id int64) (time.Duration, error) {
	seconds, err := c.queries.RunDueWaitSeconds(ctx, c.dbtx, id)
	return time.Duration(seconds * float64(time.Second)), wrap("read when the run is due", err)
}

// ClaimRun notes that the holder of the lease works the run, and counts the attempt; ErrNotFound where it is
// finished, or where the holder of a later lease has claimed it.
func (c Conn) ClaimRun(ctx context.Context, id, epoch int64) (Run, error) {
	return oneRun(c.queries.RunClaimIfOpen(ctx, c.dbtx, &db.RunClaimIfOpenParams{ID: id, Epoch: &epoch}))
}

// AdvanceRun moves the cursor past a page. ErrLaneLost where the run is no longer this lease's; in a lane this may
// come with a later statement, or with the commit, which it is sent with.
func (t *Tx) AdvanceRun(ctx context.Context, id, epoch int64, advance Advance) error {
	params := &db.RunAdvanceOrFailParams{
		ID: id, Epoch: &epoch, ScanStartedAt: &advance.ScanStartedAt, HighestSeen: advance.HighestSeen,
		Processed: advance.Processed, Written: advance.Written, Skipped: advance.Skipped, Failures: advance.Failures,
		Recovered: advance.Recovered, ActiveSeconds: advance.Active.Seconds(),
	}
	advance.into(params)
	return t.later("advance run", func(on db.DBTX) error { return t.queries.RunAdvanceOrFail(ctx, on, params) })
}

// ParkRun puts the run off for delay, with the reason and, where it is known, what stopped it in words of our own; it
// spends no attempt.
func (t *Tx) ParkRun(ctx context.Context, id, epoch int64, reason, detail string, delay time.Duration) error {
	changed, err := t.queries.RunParkIfRunning(ctx, t.dbtx, &db.RunParkIfRunningParams{
		ID: id, Epoch: &epoch, ParkReason: &reason, ParkDetail: detail, Delay: delay,
	})
	return stillMine(changed, err, "park run")
}

// CountRefusals notes how many attempts in a row VOMO has refused, in the transaction that parks the run for the last one.
// A committed page forgets them.
func (t *Tx) CountRefusals(ctx context.Context, id int64, refusals int) error {
	return wrap("count refusals", t.queries.RunSetRefusals(ctx, t.dbtx, &db.RunSetRefusalsParams{ID: id, Refusals: column(refusals)}))
}

// RequeueRun hands the run back with its cursor; it spends no attempt.
func (t *Tx) RequeueRun(ctx context.Context, id, epoch int64) error {
	changed, err := t.queries.RunRequeueIfRunning(ctx, t.dbtx, &db.RunRequeueIfRunningParams{ID: id, Epoch: &epoch})
	return stillMine(changed, err, "hand run back")
}

// UncountClaim takes back that the claim of this epoch counts against the run, if it has not been claimed since.
func (c Conn) UncountClaim(ctx context.Context, id, epoch int64) error {
	return wrap("take the claim back", c.queries.RunUncountClaim(ctx, c.dbtx, &db.RunUncountClaimParams{ID: id, Epoch: &epoch}))
}

// FinishRun ends the run and its line in the job log.
func (t *Tx) FinishRun(ctx context.Context, run Run, epoch int64, state RunState, errorCode string) error {
	changed, err := t.queries.RunFinishIfRunning(ctx, t.dbtx, &db.RunFinishIfRunningParams{
		ID: run.ID, Epoch: &epoch, State: string(state), Verified: run.Verified, Failure: given(run.Failure),
	})
	if err := stillMine(changed, err, "finish run"); err != nil {
		return err
	}
	outcome, code := "success", &errorCode
	if state != RunCompleted {
		outcome = "failed"
	}
	if errorCode == "" {
		code = nil
	}
	_, err = t.queries.JobFinishIfOpen(ctx, t.dbtx, &db.JobFinishIfOpenParams{
		ID: run.JobID, Outcome: &outcome, ProcessedCount: run.Processed, FailureCount: run.Failures, ErrorCode: code,
	})
	return wrap("log job end", err)
}

// CancelOpenRun ends the customer's unfinished run, if there is one, whoever works it.
func (t *Tx) CancelOpenRun(ctx context.Context, customer, errorCode string) error {
	row, err := t.queries.RunCancelOpen(ctx, t.dbtx, customer)
	if noRows(err) {
		return nil
	}
	if err != nil {
		return wrap("cancel run", err)
	}
	outcome := "failed"
	_, err = t.queries.JobFinishIfOpen(ctx, t.dbtx, &db.JobFinishIfOpenParams{
		ID: row.JobID, Outcome: &outcome, ProcessedCount: row.Processed, FailureCount: row.Failures, ErrorCode: &errorCode,
	})
	return wrap("log job end", err)
}

// UnparkRun makes the customer's parked run due at once; unparked is false where none is parked.
func (t *Tx) UnparkRun(ctx context.Context, customer string) (id int64, unparked bool, err error) {
	id, err = t.queries.RunUnparkIfParked(ctx, t.dbtx, customer)
	if noRows(err) {
		return 0, false, nil
	}
	return id, err == nil, wrap("unpark run", err)
}

// RunRef names a run and its customer.
type RunRef struct {
	ID       int64
	Customer string
}

// WakeParkedRuns turns up to 100 parked runs whose time has come back into queued ones; each is returned to
// one caller only, who owes the bus a request for it in the same transaction.
func (t *Tx) WakeParkedRuns(ctx context.Context) ([]RunRef, error) {
	rows, err := t.queries.RunsWakeDueParked(ctx, t.dbtx)
	if err != nil {
		return nil, wrap("wake parked runs", err)
	}
	refs := make([]RunRef, 0, len(rows))
	for _, row := range rows {
		refs = append(refs, RunRef{ID: row.ID, Customer: row.CustomerID})
	}
	return refs, nil
}

// UnattendedRuns are unfinished runs that are due and hold no live lease, by id, after the given one.
func (c Conn) UnattendedRuns(ctx context.Context, after int64, limit int32) ([]RunRef, error) {
	rows, err := c.queries.RunsUnattended(ctx, c.dbtx, &db.RunsUnattendedParams{After: after, PageSize: limit})
	if err != nil {
		return nil, wrap("list unattended runs", err)
	}
	refs := make([]RunRef, 0, len(rows))
	for _, row := range rows {
		refs = append(refs, RunRef{ID: row.ID, Customer: row.CustomerID})
	}
	return refs, nil
}

func stillMine(changed int64, err error, operation string) error {
	if err == nil && changed == 0 {
		err = ErrLaneLost
	}
	return wrap(operation, err)
}

func oneRun(row *db.BackfillRun, err error) (Run, error) {
	if err != nil {
		return Run{}, wrap("read run", err)
	}
	return runFrom(row), nil
}

func runFrom(row *db.BackfillRun) Run {
	run := Run{
		ID: row.ID, Customer: row.CustomerID, JobID: row.JobID, TraceID: row.TraceID, State: RunState(row.State),
		Cursor: cursorFrom(row), ScanStartedAt: row.ScanStartedAt, HighestSeen: row.HighestSeen,
		Pages: row.Pages, Processed: row.Processed, Written: row.Written, Skipped: row.Skipped, Failures: row.Failures,
		Recovered: row.Recovered, Verified: row.Verified, Attempts: int(row.Attempts), Parks: int(row.Parks), Refusals: int(row.Refusals),
		DueAt: row.DueAt, ActiveSeconds: row.ActiveSeconds, CreatedAt: row.CreatedAt, StartedAt: row.StartedAt,
		UpdatedAt: row.UpdatedAt, CompletedAt: row.CompletedAt,
	}
	if row.RewriteBefore != nil {
		run.Rewrite = &Rewrite{Before: *row.RewriteBefore, NewSystem: row.NewSystem}
	}
	if row.ParkReason != nil {
		run.ParkReason = *row.ParkReason
	}
	if row.ParkDetail != nil {
		run.ParkDetail = *row.ParkDetail
	}
	run.ParkSince = row.ParkSince
	if row.Failure != nil {
		run.Failure = *row.Failure
	}
	return run
}
