package job

import (
	"cmp"
	"context"
	"errors"
	"time"

	"go.uber.org/zap"

	"rollcall.dev/pkg/backoff"
	"rollcall.dev/pkg/fault"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/window"
)

// Why work stops before its last page, with its cursor committed.
var (
	errTurnOver = errors.New("the turn is over")
	errWanted   = errors.New("another job wants the lane")
	errDraining = errors.New("the service stops")
)

// notNowError means that the customer's window is closed, or that the work paces itself. It is no failure.
type notNowError struct{ wait window.Wait }

// Error names what the run waits for.
func (e *notNowError) Error() string {
	return "waits for " + e.wait.Reason + " until " + e.wait.Until.Format(time.RFC3339)
}

// outcomeWord is the word in a span for how the work of an execution ended.
func outcomeWord(outcome error) string {
	var notNow *notNowError
	switch {
	case outcome == nil:
		return "finished"
	case errors.As(outcome, &notNow):
		return notNow.wait.Reason
	case errors.Is(outcome, errTurnOver):
		return "turn_over"
	case errors.Is(outcome, errWanted):
		return ParkLaneWanted
	case errors.Is(outcome, errDraining):
		return "draining"
	case errors.Is(outcome, store.ErrLaneLost):
		return "lane_lost"
	}
	return fault.CodeOf(outcome)
}

// WaitUntil returns the outcome of work that goes on at a later time with its cursor, because it wants to and not because
// something failed: the run is parked until then for the reason, and neither parks nor attempts grow.
func WaitUntil(reason string, until time.Time) error {
	return &notNowError{window.Wait{Reason: reason, Until: until}}
}

// Execution is one worker's execution of one run, from the claim to the outcome.
type Execution struct {
	*Runner

	Customer store.Customer
	Run      store.Run // as of the last committed page
	Lease    *store.Lease
	Log      *zap.Logger

	sides     store.MirrorSides   // as of the claim
	grant     *store.ClaimedGrant // for the first request to VOMO; nil: none was taken with the claim
	window    window.Window
	endTurn   context.CancelCauseFunc // has the work stop after the page in hand, and says why
	turnEnded func() error            // why it was ended; nil until then
	afterTurn func(func()) (unhook func() bool)
	release   func() // gives back the slot of a probe
}

// work does the kind's work for a turn.
func (e *Execution) work(ctx context.Context, draining <-chan struct{}) error {
	length, err := e.openFor(ctx)
	if err != nil {
		return err
	}
	turn, end := context.WithCancelCause(ctx)
	defer end(nil)
	e.endTurn, e.turnEnded = end, func() error { return context.Cause(turn) }
	e.afterTurn = func(stop func()) (unhook func() bool) { return context.AfterFunc(turn, stop) }
	timer := time.AfterFunc(length, func() { end(errTurnOver) })
	defer timer.Stop()
	go func() {
		select {
		case <-draining:
			end(errDraining)
		case <-turn.Done():
		}
	}()
	return e.Kind.Work(ctx, e)
}

// openFor returns how long the turn may last: its length, or until the quiet hours begin if that is sooner. It returns a
// *notNowError if the window is closed.
func (e *Execution) openFor(ctx context.Context) (time.Duration, error) {
	length := cmp.Or(e.Kind.Turn, defaultTurn)
	open, err := e.Kind.window(e.Customer)
	if err != nil {
		return 0, fault.Permanent("quiet_hours_unreadable", err)
	}
	e.window = open
	if open.Always() {
		return length, nil
	}
	now, err := e.Store.Now(ctx)
	if err != nil {
		return 0, err
	}
	if wait := open.WaitAt(now); wait.Needed() {
		return 0, &notNowError{wait}
	}
	if quiet, known := open.QuietAfter(now); known {
		return min(length, quiet.Sub(now)), nil
	}
	return length, nil
}

// TurnOver returns why the work must stop after the page in hand: the turn is over, the service stops, or another job wants the
// lane. It returns nil while the work may go on. The work calls it after each page.
func (e *Execution) TurnOver(ctx context.Context) error {
	switch {
	case e.Lease.Wanted():
		e.endTurn(errWanted)
	case e.closed(ctx):
		e.endTurn(errTurnOver)
	}
	return e.turnEnded()
}

// AfterTurn has stop called once when the turn is over, until unhook is called.
func (e *Execution) AfterTurn(stop func()) (unhook func() bool) { return e.afterTurn(stop) }

// PageCommitted tells that the work committed a page: a probe has had its answer.
func (e *Execution) PageCommitted() { e.release() }

// Advance moves the run's cursor in a page's transaction, and returns the run as it is after the commit, for Committed.
func (e *Execution) Advance(ctx context.Context, tx *store.Tx, advance store.Advance) (store.Run, error) {
	if err := tx.AdvanceRun(ctx, e.Run.ID, e.Lease.Epoch, advance); err != nil {
		return store.Run{}, err
	}
	next := e.Run
	apply(&next, advance)
	return next, nil
}

// Committed tells that the transaction was committed that moved the run's cursor.
func (e *Execution) Committed(next store.Run) {
	e.Run = next
	e.PageCommitted()
}

// Ended tells that the transaction was committed that ended the run.
func (e *Execution) Ended() { e.Metrics.ended(e.Customer.ID, e.Kind.Name, "success") }

// closed reports whether the window has closed since the turn began. A clock that cannot be read is no reason to stop: the
// next page's transaction says what is wrong.
func (e *Execution) closed(ctx context.Context) bool {
	if e.window.Quiet.None() {
		return false
	}
	wait, err := e.waitFor(ctx, e.window)
	return err == nil && wait.Needed()
}

const (
	releaseTimeout = 5 * time.Second
	settleTimeout  = 5 * time.Second
	settleAgain    = time.Second
)

// Hold renews the lease of a job until letGo is called, which gives the lane back. The context that it returns ends when the
// lane is lost, with store.ErrLaneLost as its cause.
func Hold(ctx context.Context, lease *store.Lease, log *zap.Logger) (held context.Context, letGo func()) {
	held, done := lease.Hold(ctx)
	return held, func() {
		releasing, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseTimeout)
		defer cancel()
		if err := done(releasing); err != nil {
			log.Warn("lane not released; its lease ends by itself", zap.String("customer", lease.Customer), zap.Error(err))
		}
	}
}

// NotSettledError means that the end of an execution could not be written.
type NotSettledError struct {
	Verb string
	Err  error
}

// Error says what could not be written, and why.
func (e *NotSettledError) Error() string { return e.Verb + ": " + e.Err.Error() }

// Unwrap returns the cause.
func (e *NotSettledError) Unwrap() error { return e.Err }

// Settled writes the end of an execution. While Postgres is not available it tries again, until the message's own context ends:
// the service stops, or another worker may have the message. A claim that was left behind would count as a crash. settle is
// called at least once, with a context of its own.
func Settled(message context.Context, settle func(ctx context.Context) error) error {
	for {
		err := settleOnce(message, settle)
		if not, ok := errors.AsType[*NotSettledError](err); !ok || !errors.Is(not, store.ErrUnavailable) {
			return err
		}
		if backoff.Sleep(message, settleAgain) != nil {
			return err
		}
	}
}

func settleOnce(message context.Context, settle func(ctx context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(message), settleTimeout)
	defer cancel()
	return settle(ctx)
}
