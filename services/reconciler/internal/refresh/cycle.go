// Package refresh reads the participations of a customer's users, in a slow rotation.
//
// Participations do not move a user's updated_at, so polls do not find them. A cycle reads each user of the mapping once, by id, in
// the order of the ids: the next user is always the one that was read longest ago. The package owns how many requests a cycle may
// send, and what a new answer changes. It promises that a cycle uses a share of the requests that nothing else needs, lets other
// jobs have the lane after each request, and takes no missing answer for a removal. Users are written by pkg/mirror.
package refresh

import (
	"context"
	"time"

	"go.uber.org/zap"

	"rollcall.dev/pkg/backoff"
	"rollcall.dev/pkg/job"
	"rollcall.dev/pkg/lookup"
	"rollcall.dev/pkg/participation"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/telemetry"
	"rollcall.dev/pkg/window"
)

const (
	// every is how long after the beginning of a cycle the next one begins, if it has ended by then. The cycle of a small customer
	// takes minutes: more often than each hour would spend requests on answers that rarely change.
	every = time.Hour
	// usersAtOnce is how many ids are read ahead.
	usersAtOnce = 100
	// scheduleAtOnce is the largest number of customers that one transaction schedules.
	scheduleAtOnce = 100
	// forgetAtOnce is the largest number of rows that one transaction deletes.
	forgetAtOnce = 1000
)

// Kind returns what distinguishes cycles from other kinds of runs. share is the setting PARTICIPATION_SHARE.
func Kind(share float64) job.Kind {
	return job.Kind{
		Name: store.KindParticipations, Job: job.Always(store.JobParticipations), Serves: store.Customer.Steady, Window: quietHours, Routine: true,
		Start: start, Message: job.ReconcileMessage,
		Work: func(ctx context.Context, execution *job.Execution) error { return work(ctx, execution, share) },
	}
}

// quietHours keeps cycles out of the customer's quiet hours.
func quietHours(customer store.Customer) (window.Window, error) {
	return window.Of(nil, customer.QuietHours)
}

// start starts a cycle that an operator asked for, if the customer's participations are read.
func start(ctx context.Context, tx *store.Tx, customer store.Customer) error {
	if !customer.Participations {
		return nil
	}
	_, err := startCycles(ctx, tx, []string{customer.ID})
	return err
}

// Schedule returns what starts the cycles that are due, and deletes those of customers whose participations are no longer read.
func Schedule(from *store.Store, kind job.Kind) func(ctx context.Context) (more bool, err error) {
	return func(ctx context.Context) (more bool, err error) {
		err = from.InTx(ctx, func(ctx context.Context, tx *store.Tx) error {
			due, err := tx.TakeParticipationsDue(ctx, every, scheduleAtOnce)
			if err != nil {
				return err
			}
			more = len(due) >= scheduleAtOnce
			runs, err := startCycles(ctx, tx, due)
			if err != nil {
				return err
			}
			return kind.Request(ctx, tx, runs)
		})
		if err != nil {
			return false, err
		}
		deleted, err := from.DeleteUnreadParticipations(ctx, forgetAtOnce)
		return (more || deleted) && err == nil, err
	}
}

func startCycles(ctx context.Context, tx *store.Tx, customers []string) ([]store.RunRef, error) {
	traces := make([]string, 0, len(customers))
	for range customers {
		traces = append(traces, telemetry.TraceParent(ctx))
	}
	return tx.StartRuns(ctx, store.RunStart{
		Kind: store.KindParticipations, Job: store.JobParticipations, Customers: customers, TraceIDs: traces, AllUsers: true,
	})
}

// cycle is one worker's execution of a cycle.
type cycle struct {
	*job.Execution

	sides  *job.Sides
	reader *lookup.Reader
	book   *participation.Book
	batch  store.RequestBatch
	// silent means that the customer's first cycle is not complete: what it finds was there before, and is no event.
	silent bool
}

// work reads users from the cursor on until the quota is used up, or all of them were read.
func work(ctx context.Context, e *job.Execution, share float64) error {
	if !e.Customer.Participations {
		return stop(ctx, e)
	}
	batch, err := nextBatch(ctx, e, share)
	if err != nil {
		return err
	}
	c := &cycle{Execution: e, batch: batch, silent: e.Customer.ParticipationsCycle == nil}
	if c.sides, err = e.OpenSides(ctx, "", true); err != nil {
		return err
	}
	if c.book, err = e.Connect.Book(ctx, e.Customer.ID); err != nil {
		return err
	}
	c.reader = &lookup.Reader{
		Connect: e.Connect, Customer: e.Customer, Lease: e.Lease, Job: store.JobParticipations, Source: c.sides.Source,
	}
	for {
		users, err := e.Store.UsersToRefresh(ctx, e.Customer.ID, e.Run.Cursor.After, usersAtOnce)
		if err != nil {
			return err
		}
		if len(users) == 0 {
			return c.end(ctx)
		}
		for _, user := range users {
			if err := c.next(ctx, user); err != nil {
				return err
			}
		}
	}
}

// codeSwitchedOff is the error code of a cycle that ended because an operator had it end.
const codeSwitchedOff = "switched_off"

// stop ends a cycle whose customer's participations are no longer read.
func stop(ctx context.Context, e *job.Execution) error {
	err := e.Store.InLane(ctx, e.Lease, func(ctx context.Context, tx *store.Tx) error {
		if err := tx.StopParticipations(ctx, e.Customer.ID); err != nil {
			return err
		}
		return tx.FinishRun(ctx, e.Run, e.Lease.Epoch, store.RunCancelled, codeSwitchedOff)
	})
	if err == nil {
		e.Log.Info("cycle of participations ended: they are no longer read", zap.Int64("users", e.Run.Processed))
	}
	return err
}

// next reads one user when the quota and the pace allow it, unless another job wants the lane.
func (c *cycle) next(ctx context.Context, user store.UserToRefresh) error {
	spent, err := c.Store.Spent(ctx, c.Customer.ID)
	if err != nil {
		return err
	}
	if own, _ := split(spent); own-c.batch.Own >= c.batch.Quota {
		return job.WaitUntil(job.ParkPaced, c.batch.At.Add(batchEvery))
	}
	if err := c.awaitPace(ctx); err != nil {
		return err
	}
	if err := c.refresh(ctx, user); err != nil {
		return err
	}
	return c.TurnOver(ctx)
}

const (
	// lookEvery is how often a cycle that waits for its next request looks whether another job wants the lane.
	lookEvery = 100 * time.Millisecond
	// longestPace is the longest wait for the next request: a budget that is held for longer parks the run.
	longestPace = 20 * time.Second
)

// awaitPace returns when a request can be sent at once. The wait takes nothing from the budget: a poll that wants the lane
// meanwhile has its first request as soon as the limits allow one, and waits for none of the cycle's.
func (c *cycle) awaitPace(ctx context.Context) error {
	for {
		wait, err := c.Store.BudgetWait(ctx, c.Customer.ID)
		if err != nil || wait <= 0 || wait > longestPace {
			return err
		}
		if err := backoff.Sleep(ctx, min(wait, lookEvery)); err != nil {
			return err
		}
		if err := c.Lease.Renew(ctx); err != nil { // it also tells whether the lane is wanted
			return err
		}
		if over := c.TurnOver(ctx); over != nil {
			return over
		}
	}
}

// end ends the cycle. The rows of users behind the last one that the destination no longer has go with it.
func (c *cycle) end(ctx context.Context) error {
	err := c.Store.InLane(ctx, c.Lease, func(ctx context.Context, tx *store.Tx) error {
		if err := tx.ForgetParticipations(ctx, c.Customer.ID, c.Run.Cursor.After, ""); err != nil {
			return err
		}
		if err := tx.EndParticipationsCycle(ctx, c.Customer.ID, c.Run.CreatedAt, every); err != nil {
			return err
		}
		return tx.FinishRun(ctx, c.Run, c.Lease.Epoch, store.RunCompleted, "")
	})
	if err != nil {
		return err
	}
	c.Ended()
	level := zap.DebugLevel
	if c.Run.Written > 0 || c.Run.Failures > 0 {
		level = zap.InfoLevel
	}
	c.Log.Log(level, "participations refreshed", zap.Int64("users", c.Run.Processed), zap.Int64("written", c.Run.Written),
		zap.Int64("failures", c.Run.Failures))
	return nil
}
