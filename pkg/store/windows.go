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
