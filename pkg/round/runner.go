package round

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"rollcall.dev/pkg/connector"
	"rollcall.dev/pkg/job"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/telemetry"
)

const (
	lookEvery = time.Second
	// lookAgainAfter is the least time between two looks for which a wake asks: a stream that is full wakes the runner for each of its
	// messages, and a look costs as much as one of them.
	lookAgainAfter = 25 * time.Millisecond
	// drainTime is how long rounds may go on after the service was asked to stop.
	drainTime = 14 * time.Second
)

var errStopping = errors.New("the service stops and the time for draining is over")

// Kind says what distinguishes the rounds of one kind from those of others.
type Kind struct {
	// Job is the name of a round in job_log; requests are counted under it, too.
	Job string
	// Lane is the lane in which the customer's rounds are; "" is that of the mirror. A customer whose mirror is switched off has rounds in
	// the other one.
	Lane store.Lane
	// TakesNoLane means that rounds do not claim the lane, beside whose jobs they work: each row is claimed by itself. Their Lease is nil.
	TakesNoLane bool
	// Look returns the customers with something due. With an error, it may return those that it has found.
	Look func(ctx context.Context) ([]Customer, error)
	// Work works what is due for an active customer, until Round.MustEnd says that it must stop. more reports that other rows
	// are due. Its error stopped the round, and concerns the customer and not one row alone.
	Work func(ctx context.Context, r *Round) (more bool, err error)
	// StoreHold stores why and for how long a customer is held, in the transaction that raises the alert of it; nil: nothing is stored.
	StoreHold func(ctx context.Context, tx *store.Tx, customer string, park job.Park, detail string) error
	// DeleteHold deletes what StoreHold has stored, after a round that came to its end.
	DeleteHold func(ctx context.Context, customer string) error
	// LookSkipsHeld means that Look leaves out the customers with a stored hold, so that the process need not remember it.
	LookSkipsHeld bool
	// Ended is called after each round; nil: nothing is.
	Ended func(customer string, end End)
}

// Config is what a Runner needs.
type Config struct {
	Store    *store.Store
	Connect  *connector.Connector
	Logger   *zap.Logger
	Holder   string        // of leases
	LeaseFor time.Duration // how long a lease lasts without renewal
	Slots    int           // customers who have a round at once
	Kind     Kind
	Tracing  *telemetry.Tracing // nil: nothing is traced
}

// Runner gives customers their rounds. A row that waits holds neither a message nor a slot.
type Runner struct {
	Config

	queue     *queue
	lookEvery time.Duration
	woken     chan struct{}
	wakes     atomic.Int64
}

// New returns a runner; Run starts it.
func New(config Config) *Runner {
	return &Runner{Config: config, queue: newQueue(config.Slots, time.Now), lookEvery: lookEvery, woken: make(chan struct{}, 1)}
}

// Wake lets the runner look at once, because something became due. It ends the holds of these customers, because an operator
// asked for them.
func (r *Runner) Wake(customers ...string) {
	r.queue.endHolds(customers)
	r.wakes.Add(1)
	signal(r.woken)
}

func signal(to chan struct{}) {
	select {
	case to <- struct{}{}:
	default: // the loop is awake already
	}
}

// Run works until ctx ends, and then lets the rounds that it began come to their end.
func (r *Runner) Run(ctx context.Context) {
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
	slots, freed := make(chan struct{}, r.Slots), make(chan struct{}, 1)
	look := time.NewTimer(0)
	defer look.Stop()
	var lookedAt time.Time
	wanted := false // by a wake that came too soon after a look
	for {
		due := false
		select {
		case <-ctx.Done():
			return
		case <-look.C:
			due = true
		case <-r.woken:
			due = time.Since(lookedAt) >= lookAgainAfter
			wanted = !due
		case <-freed:
		}
		if due {
			lookedAt, wanted = time.Now(), false
			r.look(ctx)
		}
		for r.start(ctx, slots, func(next Next) {
			running.Go(func() {
				wakes := r.wakes.Load()
				r.runNext(ctx, work, next)
				<-slots
				if r.wakes.Load() != wakes { // rows of this customer may have become due that the round has not seen
					signal(r.woken)
				}
				signal(freed)
			})
		}) {
			continue // until no slot is free
		}
		every := r.lookEvery
		if wanted {
			every = min(every, lookAgainAfter)
		}
		look.Reset(r.queue.nextLook(max(every-time.Since(lookedAt), 0)))
	}
}

func (r *Runner) look(ctx context.Context) {
	customers, err := r.Kind.Look(ctx)
	if err != nil && ctx.Err() == nil {
		r.Logger.Warn("due customers not looked for", zap.String("job", r.Kind.Job), zap.Error(err))
	}
	r.queue.offer(customers)
}

// start begins the round of the next customer if a slot is free.
func (r *Runner) start(ctx context.Context, slots chan struct{}, begin func(Next)) bool {
	if ctx.Err() != nil {
		return false
	}
	select {
	case slots <- struct{}{}:
	default:
		return false
	}
	next, ok := r.queue.take()
	if !ok {
		<-slots
		return false
	}
	begin(next)
	return true
}

func (r *Runner) runNext(ctx, work context.Context, next Next) {
	end := r.runGuarded(work, next, ctx.Done())
	r.queue.done(next.Customer, end)
	if r.Kind.Ended != nil {
		r.Kind.Ended(next.Customer, end)
	}
}

// runGuarded turns a panic into a hold: one customer's rows must not end the others' rounds.
func (r *Runner) runGuarded(work context.Context, next Next, draining <-chan struct{}) End {
	end := ownFault(next)
	log := r.Logger.With(zap.String("job", r.Kind.Job), zap.String("customer", next.Customer))
	_ = Guarded(log, func() error { // the panic is logged
		end = r.Work(work, next, draining)
		return nil
	})
	return end
}
