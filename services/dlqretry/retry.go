package main

import (
	"context"
	"errors"
	"runtime/debug"
	"sync"
	"time"

	"go.uber.org/zap"

	"rollcall.dev/pkg/backoff"
	"rollcall.dev/pkg/connector"
	"rollcall.dev/pkg/job"
	"rollcall.dev/pkg/store"
)

const (
	lookEvery = time.Second
	// standingEvery is how often it is looked for destinations of which an alert stands and for which nothing waits; how
	// often each is asked is a matter of its holds.
	standingEvery = 2 * time.Second
	// drainTime is how long turns may go on after the service was asked to stop.
	drainTime = 14 * time.Second
	// A turn that panicked, or failed by our own fault, comes again no sooner than this.
	ownFaultPause = 2 * time.Second
	longestFault  = 20 * time.Second // most are outages of ours: work goes on within 30 s of their end
)

var errStopping = errors.New("the service stops and the time for draining is over")

// retrier retries record letters from the table: no letter holds a slot of the broker while it waits, and none of a
// worker. Customers take turns, so that whoever has 10,000 letters holds up nobody who has one.
type retrier struct {
	store    *store.Store
	connect  *connector.Connector
	logger   *zap.Logger
	metrics  *metrics
	holder   string
	leaseFor time.Duration
	slots    int
	queue    *queue
	woken    chan struct{}
	stood    time.Time                          // when standing alerts were last looked at
	changed  func()                             // letters changed: the stream is behind
	turned   func(customer string, ended ended) // for tests: a turn is over; nil outside
}

// wake has the loop look at once, and ends the holds of these customers.
func (r *retrier) wake(customers ...string) {
	r.queue.release(customers)
	select {
	case r.woken <- struct{}{}:
	default: // it has been told already
	}
}

// run retries until ctx ends, and then lets the turns in hand come to their end.
func (r *retrier) run(ctx context.Context) {
	work, stop := context.WithCancelCause(context.WithoutCancel(ctx))
	defer stop(errStopping)
	unhook := context.AfterFunc(ctx, func() {
		drain := time.NewTimer(drainTime)
		defer drain.Stop()
		select {
		case <-work.Done():
		case <-drain.C:
			stop(errStopping)
		}
	})
	defer unhook()
	var running sync.WaitGroup
	defer running.Wait()
	slots := make(chan struct{}, r.slots)
	freed := make(chan struct{}, 1)
	look := time.NewTimer(0)
	defer look.Stop()
	var looked time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case <-look.C:
			looked = time.Now()
			r.look(ctx)
		case <-r.woken:
			looked = time.Now()
			r.look(ctx)
		case <-freed:
		}
		for r.start(ctx, slots, func(turn turnFor) {
			running.Go(func() {
				r.one(ctx, work, turn)
				<-slots
				select {
				case freed <- struct{}{}:
				default: // it has been told already
				}
			})
		}) {
			continue // as many as there is room for
		}
		look.Reset(r.queue.next(max(lookEvery-time.Since(looked), 0)))
	}
}

// look puts those in the queue whose letters are due, and now and then those of whose destination it is not known
// whether it works again.
func (r *retrier) look(ctx context.Context) {
	customers, err := r.store.LetterCustomers(ctx)
	if err != nil {
		if ctx.Err() == nil {
			r.logger.Warn("due letters were not looked for", zap.Error(err))
		}
		return
	}
	r.queue.offer(customers)
	if time.Since(r.stood) < standingEvery {
		return
	}
	r.stood = time.Now()
	if customers, err = r.store.IdleWithAlert(ctx, job.DestinationAlerts()); err != nil {
		if ctx.Err() == nil {
			r.logger.Warn("standing alerts were not looked at", zap.Error(err))
		}
		return
	}
	r.queue.offer(customers)
}

// start gives a turn to whoever is next, where a slot is free.
func (r *retrier) start(ctx context.Context, slots chan struct{}, begin func(turnFor)) bool {
	if ctx.Err() != nil {
		return false
	}
	select {
	case slots <- struct{}{}:
	default:
		return false
	}
	turn, ok := r.queue.take()
	if !ok {
		<-slots
		return false
	}
	begin(turn)
	return true
}

// one gives a customer a turn.
func (r *retrier) one(ctx, work context.Context, turn turnFor) {
	ended := r.guarded(work, turn, ctx.Done())
	if ended.reason != "" {
		r.metrics.held(ended.reason)
	}
	r.queue.done(turn.customer, ended)
	if r.turned != nil {
		r.turned(turn.customer, ended)
	}
}

// guarded turns a panic into a hold: one customer's letters must not end everybody's.
func (r *retrier) guarded(work context.Context, turn turnFor, draining <-chan struct{}) (result ended) {
	defer func() {
		if caught := recover(); caught != nil {
			r.logger.Error("turn panicked", zap.String("customer", turn.customer), zap.Any("panic", caught), zap.ByteString("stack", debug.Stack()))
			result = ownFault(turn.holds)
		}
	}()
	return r.turn(work, turn, draining)
}

// ended is how a turn ended.
type ended struct {
	more   bool          // more letters are due
	hold   time.Duration // how long the customer is left alone
	reason string        // why; "" where the turn came to its end
	counts bool          // the next hold in a row is longer
	asked  string        // the user by whom the destination was tried last
}

// ownFault holds a customer whose turn failed by a fault of ours.
func ownFault(holds int) ended {
	hold := backoff.Delays{First: ownFaultPause, Longest: longestFault}.After(holds + 1)
	return ended{hold: hold, reason: heldInternal, counts: true}
}
