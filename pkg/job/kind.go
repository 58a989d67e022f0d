package job

import (
	"context"

	"rollcall.dev/pkg/mirror"
	"rollcall.dev/pkg/scan"
	"rollcall.dev/pkg/store"
)

// Kind is what polls and reconciliations do differently.
type Kind struct {
	Name string // sync_runs.kind
	Job  string // job_log's word, by which requests are booked, too
	// Start queues a run that somebody asked for by hand; ref is the zero value where one stands already.
	Start func(ctx context.Context, tx *store.Tx, customer store.Customer) (ref store.RunRef, err error)
	// Message wakes a worker for a run.
	Message func(run store.RunRef) (store.Message, error)
	// OnPage adds to a page's transaction; nil: nothing.
	OnPage func(ctx context.Context, tx *store.Tx, run store.SyncRun, step scan.Step, outcome mirror.Outcome) error
	// OnDone adds to the last page's transaction, after the run has ended.
	OnDone func(ctx context.Context, tx *store.Tx, run store.SyncRun, step scan.Step) error
}
