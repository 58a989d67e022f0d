package round

import (
	"cmp"
	"context"
	"errors"
	"time"

	"go.uber.org/zap"

	"rollcall.dev/pkg/connector"
	"rollcall.dev/pkg/job"
	"rollcall.dev/pkg/mirror"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/telemetry"
)

// renewEvery is how often a round looks whether another job wants the lane.
const renewEvery = time.Second

// Round is one round of a customer, from the claim of the lane to the end.
type Round struct {
	*Runner
	Next // what earlier rounds left; the customer's next round gets Memo as it is at the end

	Customer store.Customer
	Lease    *store.Lease // nil if the kind takes no lane
	Log      *zap.Logger
	TraceID  string
	JobID    int64             // 0 until StartJob
	Source   *connector.Source // VOMO; nil until Open, as Lane
	Lane     *mirror.Lane
	// RewriteOwed is the rewrite that was begun and not completed, as of Open; nil if there is none.
	RewriteOwed *store.Rewrite

	Worked int // rows, for job_log
	Failed int // of these

	draining  <-chan struct{}
	renewedAt time.Time
}

// Work gives a customer a round. The round ends early when draining is closed.
func (r *Runner) Work(ctx context.Context, next Next, draining <-chan struct{}) End {
	log := r.Logger.With(zap.String("customer", next.Customer), zap.String("job", r.Kind.Job))
	round := &Round{Runner: r, Next: next, Log: log, draining: draining, renewedAt: time.Now()}
	if !r.Kind.TakesNoLane {
		lease, err := r.Store.TakeLeaseIn(ctx, cmp.Or(r.Kind.Lane, store.LaneMirror), next.Customer, r.Holder, r.LeaseFor)
		if errors.Is(err, store.ErrLaneTaken) {
			return End{Hold: job.LaneTakenPause, Reason: HeldLaneTaken, Memo: next.Memo}
		}
		if err != nil {
			if ctx.Err() == nil {
				log.Warn("no round: lane not claimed", zap.Error(err))
			}
			return ownFault(next)
		}
		held, letGo := job.Hold(ctx, lease, r.Logger)
		defer letGo()
		ctx, round.Lease = held, lease
	}
	ctx, span := r.Tracing.Begin(ctx, telemetry.SpanRound(r.Kind.Job), next.Customer)
	round.TraceID, round.Log = telemetry.TraceParent(ctx), log.With(telemetry.LogFields(ctx)...)
	more, err := round.work(ctx)
	span.Set(telemetry.Records(round.Worked), telemetry.Failed(round.Failed))
	span.End(err)
	end := round.end(ctx, more, err)
	end.Memo = round.Memo
	return end
}

// work reads the customer only now, when no other job can change it.
func (r *Round) work(ctx context.Context) (more bool, err error) {
	if r.Customer, err = r.Store.Customer(ctx, r.Next.Customer); err != nil || !r.mayWork() {
		return false, err
	}
	return r.Kind.Work(ctx, r)
}

// mayWork says whether an operator has neither stopped the customer nor, for the mirror, VOMO's answers have.
func (r *Round) mayWork() bool {
	if r.Kind.Lane == store.LaneGiving {
		return r.Customer.PausedAt == nil && r.Customer.OffboardedAt == nil
	}
	return r.Customer.Active()
}

// StartJob begins the round's line in job_log. A round without one leaves no trace, and its stored hold stays.
func (r *Round) StartJob(ctx context.Context) error {
	var err error
	r.JobID, err = r.Store.StartJob(ctx, r.Customer.ID, r.Kind.Job, r.TraceID)
	return err
}

// Open opens VOMO and the destination.
func (r *Round) Open(ctx context.Context) error {
	sides, err := r.Store.MirrorSides(ctx, r.Customer.ID)
	if err != nil {
		return err
	}
	r.RewriteOwed = sides.RewriteOwed
	opening := r.Connect.Opening(r.Customer, r.Lease, sides, nil)
	if r.Source, err = opening.Source(ctx, r.Kind.Job); err != nil {
		return err
	}
	r.Lane, err = opening.Lane(ctx, connector.Job{
		Name: r.Kind.Job, ID: r.JobID, TraceID: r.TraceID, Events: r.Customer.BackfillCompletedAt != nil,
	})
	return err
}

// OthersWait returns whether customers wait for a slot.
func (r *Round) OthersWait() bool { return r.queue.hasQueued() }

// MustEnd returns whether the round must end after the row in hand: the service stops, or another job wants the lane. It asks the
// database once a second; if that fails, the lane may be lost.
func (r *Round) MustEnd(ctx context.Context) bool {
	select {
	case <-r.draining:
		return true
	default:
	}
	if r.Lease == nil {
		return false
	}
	if time.Since(r.renewedAt) >= renewEvery {
		r.renewedAt = time.Now()
		if err := r.Lease.Renew(ctx); err != nil {
			return true
		}
	}
	return r.Lease.Wanted()
}
