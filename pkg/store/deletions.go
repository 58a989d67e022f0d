package store

import (
	"context"
	"time"

	"rollcall.dev/pkg/store/internal/db"
)

// Entities of a search for deleted records.
const (
	EntityUser = "user" // of VOMO
	EntityGift = "gift" // of Virtuous
)

// DeletionState is the state of a deletion run.
type DeletionState string

// The states of a deletion run; from done on they are final.
const (
	DeletionScanning   DeletionState = "scanning" // the users are read, and compared with those at the destination
	DeletionAsking     DeletionState = "asking"   // VOMO is asked for each missing user
	DeletionHeld       DeletionState = "held"     // it waits for an operator
	DeletionApproved   DeletionState = "approved" // VOMO is asked once more
	DeletionDeleting   DeletionState = "deleting"
	DeletionDone       DeletionState = "done"
	DeletionUnverified DeletionState = "unverified" // what was read does not agree with VOMO's counts: nothing is deleted
	DeletionRejected   DeletionState = "rejected"   // by an operator
	DeletionExpired    DeletionState = "expired"    // no operator decided in time
	DeletionFailed     DeletionState = "failed"     // it was given up, or cancelled
)

// Why a deletion run is held.
const (
	HeldShare       = "share"             // it confirmed more deletions than the guard allows
	HeldAll         = "all"               // it confirmed the deletion of every user
	HeldEmptySource = "empty_source"      // VOMO shows no user at all
	HeldHalf        = "half_of_last_scan" // VOMO shows fewer than half of the users that the last scan read
)

// DeletionRun is a search for users that VOMO deleted, or for gifts that Virtuous deleted.
type DeletionRun struct {
	ID        int64
	Customer  string
	Entity    string
	JobID     int64
	TraceID   string
	State     DeletionState
	HeldFor   string // one of the Held… values; "" if it was never held
	Mapped    int64  // users at the destination when it began; gifts that were compared
	Scanned   int64
	Missing   int64
	Confirmed int64
	Deleted   int64
	Failed    int64
	StartedAt time.Time
	HeldAt    *time.Time
	DecidedAt *time.Time
	EndedAt   *time.Time
}

func deletionRunFrom(row *db.DeletionRun, err error) (DeletionRun, error) {
	if err != nil {
		return DeletionRun{}, err
	}
	return DeletionRun{
		ID: row.ID, Customer: row.CustomerID, Entity: row.Entity, JobID: row.JobID, TraceID: row.TraceID, State: DeletionState(row.State),
		HeldFor: textOf(row.HeldFor), Mapped: row.Mapped, Scanned: row.Scanned, Missing: row.Missing, Confirmed: row.Confirmed,
		Deleted: row.Deleted, Failed: row.Failed, StartedAt: row.StartedAt, HeldAt: row.HeldAt, DecidedAt: row.DecidedAt, EndedAt: row.EndedAt,
	}, nil
}

// StartDeletionRun starts the customer's deletion run with this job. The customer has no other one that is not ended.
func (t *Tx) StartDeletionRun(ctx context.Context, customer, entity string, jobID int64, traceID string) (DeletionRun, error) {
	return deletionRunFrom(t.queries.DeletionRunStart(ctx, t.dbtx, &db.DeletionRunStartParams{
		CustomerID: customer, Entity: entity, JobID: jobID, TraceID: traceID,
	}))
}

// OpenDeletionRun returns the customer's deletion run that is not ended; ErrNotFound if there is none.
func (c Conn) OpenDeletionRun(ctx context.Context, customer, entity string) (DeletionRun, error) {
	return deletionRunFrom(c.queries.DeletionRunOpen(ctx, c.dbtx, &db.DeletionRunOpenParams{CustomerID: customer, Entity: entity}))
}

// LockOpenDeletionRun is OpenDeletionRun, and locks the run until the transaction ends.
func (t *Tx) LockOpenDeletionRun(ctx context.Context, customer, entity string) (DeletionRun, error) {
	return deletionRunFrom(t.queries.DeletionRunLockOpen(ctx, t.dbtx, &db.DeletionRunLockOpenParams{CustomerID: customer, Entity: entity}))
}

// DeletionRun returns a deletion run by its id.
func (c Conn) DeletionRun(ctx context.Context, id int64) (DeletionRun, error) {
	return deletionRunFrom(c.queries.DeletionRunGet(ctx, c.dbtx, id))
}

// DeletionRuns returns up to limit deletion runs with an id below before, newest first: of one customer, or of all for ""; and of one entity, or
// of both for "".
func (c Conn) DeletionRuns(ctx context.Context, customer, entity string, before int64, limit int32) ([]DeletionRun, error) {
	var rows []*db.DeletionRun
	var err error
	if customer == "" {
		rows, err = c.queries.DeletionRunsPage(ctx, c.dbtx, &db.DeletionRunsPageParams{Before: before, Entity: given(entity), PageSize: limit})
	} else {
		rows, err = c.queries.DeletionRunsOf(ctx, c.dbtx, &db.DeletionRunsOfParams{CustomerID: customer, Before: before, Entity: given(entity), PageSize: limit})
	}
	runs := make([]DeletionRun, 0, len(rows))
	for _, row := range rows {
		run, _ := deletionRunFrom(row, nil)
		runs = append(runs, run)
	}
	return runs, err
}

// DeletionChange is what a transaction changes in a deletion run. What is not given stays as it is.
type DeletionChange struct {
	State     DeletionState
	HeldFor   string
	Scanned   *int64
	Confirmed *int64
}

// ChangeDeletionRun moves a deletion run to its next state.
func (t *Tx) ChangeDeletionRun(ctx context.Context, id int64, to DeletionChange) error {
	return t.queries.DeletionRunSetState(ctx, t.dbtx, &db.DeletionRunSetStateParams{
		ID: id, State: string(to.State), HeldFor: given(to.HeldFor), Scanned: to.Scanned, Confirmed: to.Confirmed,
	})
}

// DecideDeletionRun notes an operator's decision about a held run, which the transaction has locked: approved, with the job that
// deletes, or rejected, with 0.
func (t *Tx) DecideDeletionRun(ctx context.Context, id int64, state DeletionState, jobID int64) error {
	params := &db.DeletionRunDecideParams{ID: id, State: string(state)}
	if jobID != 0 {
		params.JobID = &jobID
	}
	return t.queries.DeletionRunDecide(ctx, t.dbtx, params)
}

// ExpireDeletionRuns ends a batch of held runs that no operator decided about within that time, and returns them.
func (t *Tx) ExpireDeletionRuns(ctx context.Context, after time.Duration) ([]DeletionRun, error) {
	rows, err := t.queries.DeletionRunsExpire(ctx, t.dbtx, after)
	expired := make([]DeletionRun, 0, len(rows))
	for _, row := range rows {
		expired = append(expired, DeletionRun{ID: row.ID, Customer: row.CustomerID, Entity: row.Entity, State: DeletionExpired})
	}
	return expired, err
}

// deletionsAtOnce keeps one deletion of old rows short.
const deletionsAtOnce = 1000

// ForgetDeletions deletes up to a batch of candidates that were noted, approved or deleted longer ago than age, and of runs that have
// none left. Those that are held stay. more reports that there may be others.
func (c Conn) ForgetDeletions(ctx context.Context, age time.Duration) (more bool, err error) {
	candidates, err := c.queries.DeletionCandidatesForget(ctx, c.dbtx, &db.DeletionCandidatesForgetParams{OlderThan: age, AtMost: deletionsAtOnce})
	if err != nil {
		return false, err
	}
	gifts, err := c.queries.DeletionGiftsForget(ctx, c.dbtx, &db.DeletionGiftsForgetParams{OlderThan: age, AtMost: deletionsAtOnce})
	if err != nil {
		return false, err
	}
	runs, err := c.queries.DeletionRunsForget(ctx, c.dbtx, &db.DeletionRunsForgetParams{OlderThan: age, AtMost: deletionsAtOnce})
	return candidates == deletionsAtOnce || gifts == deletionsAtOnce || runs == deletionsAtOnce, err
}

// LastScanUsers returns how many users the last complete scan read that was no ground for a hold: a deletion scan's, or the
// backfill's; 0 if that is not known.
func (c Conn) LastScanUsers(ctx context.Context, customer string) (int64, error) {
	return c.queries.SyncConfigLastScan(ctx, c.dbtx, customer)
}

// SetLastScanUsers notes how many users a complete scan read.
func (t *Tx) SetLastScanUsers(ctx context.Context, customer string, users int64) error {
	return t.queries.SyncConfigSetLastScan(ctx, t.dbtx, &db.SyncConfigSetLastScanParams{CustomerID: customer, Users: users})
}

// DeletionScanDue is a customer whose deletion scan is due, or who has no time for it yet.
type DeletionScanDue struct {
	Customer   string
	QuietHours []byte     // JSON as pkg/window writes it; nil: none
	DueAt      *time.Time // nil: it has to be given one
	Held       bool       // a run waits for an operator
}

// LockDeletionScanDue locks customers as LockReconcileDue does.
func (t *Tx) LockDeletionScanDue(ctx context.Context, atMost int32) ([]DeletionScanDue, error) {
	rows, err := t.queries.SyncConfigsLockDeletionScanDue(ctx, t.dbtx, atMost)
	due := make([]DeletionScanDue, 0, len(rows))
	for _, row := range rows {
		due = append(due, DeletionScanDue{Customer: row.CustomerID, QuietHours: row.QuietHours, DueAt: row.NextDeletionScanAt, Held: row.Held})
	}
	return due, err
}

// SetNextDeletionScan says when the customer's next deletion scan is due.
func (t *Tx) SetNextDeletionScan(ctx context.Context, customer string, at time.Time) error {
	return t.queries.SyncConfigSetNextDeletionScan(ctx, t.dbtx, &db.SyncConfigSetNextDeletionScanParams{
		CustomerID: customer, NextDeletionScanAt: &at,
	})
}
