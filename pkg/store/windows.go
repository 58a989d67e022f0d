package store

import (
	"context"
	"time"

	"rollcall.dev/pkg/store/internal/db"
)

// PutOffRun parks a run that nobody works until its time has come; done is false where somebody works it, or it
// has ended. It counts as no failure.
func (c Conn) PutOffRun(ctx context.Context, id int64, reason string, until time.Time) (done bool, err error) {
	changed, err := c.queries.RunPutOffIfWaiting(ctx, c.dbtx, &db.RunPutOffIfWaitingParams{ID: id, ParkReason: &reason, DueAt: until})
	return changed > 0, wrap("put run off", err)
}

// PutOffClaimedRun parks the run that the holder of the lease works until its time has come. It spends no attempt
// and counts as no failure. ErrLaneLost where the run is no longer this lease's.
func (t *Tx) PutOffClaimedRun(ctx context.Context, id, epoch int64, reason string, until time.Time) error {
	changed, err := t.queries.RunPutOffIfRunning(ctx, t.dbtx, &db.RunPutOffIfRunningParams{
		ID: id, Epoch: &epoch, ParkReason: &reason, DueAt: until,
	})
	return stillMine(changed, err, "put run off")
}

// RunComeAgain has a run that waits for a slot come again after delay; done is false where a worker has it, or it has
// ended. It was not tried: the reason for which it is parked stays.
func (c Conn) RunComeAgain(ctx context.Context, id int64, delay time.Duration) (done bool, err error) {
	changed, err := c.queries.RunComeAgain(ctx, c.dbtx, &db.RunComeAgainParams{ID: id, Delay: delay})
	return changed > 0, wrap("put run off", err)
}

// RunWaitsBeside says whether a backfill waits for a worker that is not parked for this reason.
func (c Conn) RunWaitsBeside(ctx context.Context, reason string) (bool, error) {
	waits, err := c.queries.RunWaitsBeside(ctx, c.dbtx, &reason)
	return waits, wrap("look for waiting backfills", err)
}
