package main

import (
	"context"
	"errors"
	"time"

	"go.uber.org/zap"

	"rollcall.dev/pkg/connector"
	"rollcall.dev/pkg/deadletter"
	"rollcall.dev/pkg/event"
	"rollcall.dev/pkg/job"
	"rollcall.dev/pkg/mirror"
	"rollcall.dev/pkg/store"
)

const (
	jobRetry = "dlq_retry"
	// atOnce is how many letters a turn takes: as many users as a page has.
	atOnce         = 15
	releaseTimeout = 5 * time.Second
	settleTimeout  = 5 * time.Second
	laneLostPause  = time.Second
)

// turn is one customer's turn: up to atOnce of its due letters.
type turn struct {
	*retrier

	customer store.Customer
	lease    *store.Lease
	holds    int
	suspect  bool // the destination did not work when it was last tried
	standing bool // people were told of that
	told     bool // people were told of something that may be over now
	proven   bool // the destination answered for a record that it had: what it refuses, it refuses for the record's sake
	taken    bool // and took it: it works
	draining <-chan struct{}
	log      *zap.Logger

	jobID   int64
	traceID string
	source  *connector.Source
	lane    *mirror.Lane
	control string // the user by whom the destination is tried; "" until one was found
	asked   string // the one by whom it was tried last, in this turn or the one before
	work    outcome
}

// outcome counts what became of a turn's letters.
type outcome struct {
	retried    int // written, or settled as known
	failed     int // one more attempt
	unreadable int // of those: for good, they cannot be read by an id
	gone       int // of those: VOMO has no such user
}

// turn takes the customer's lane and retries what is due.
func (r *retrier) turn(ctx context.Context, next turnFor, draining <-chan struct{}) ended {
	log := r.logger.With(zap.String("customer", next.customer))
	lease, err := r.store.TakeLease(ctx, next.customer, r.holder, r.leaseFor)
	if errors.Is(err, store.ErrLaneTaken) {
		return ended{hold: job.LaneTakenPause, reason: heldLaneTaken}
	}
	if err != nil {
		if ctx.Err() == nil {
			log.Warn("letters not retried", zap.Error(err))
		}
		return ownFault(next.holds)
	}
	held, done := lease.Hold(ctx)
	defer func() {
		releasing, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseTimeout)
		defer cancel()
		if err := done(releasing); err != nil {
			log.Warn("lease not released; it runs out by itself", zap.Error(err))
		}
	}()
	t := &turn{
		retrier: r, lease: lease, holds: next.holds, suspect: job.IsDestination(next.reason), asked: next.asked, draining: draining, log: log,
	}
	due, err := t.begin(held, next.customer)
	switch {
	case err != nil:
	case len(due) > 0:
		err = t.retry(held, due)
	case t.standing:
		err = t.ask(held)
	}
	result := t.settle(held, len(due) == atOnce, err)
	result.asked = t.asked
	return result
}

// begin reads, now that nobody else can change them, the customer and what is due.
func (t *turn) begin(ctx context.Context, customer string) ([]store.DueLetter, error) {
	var err error
	if t.customer, err = t.store.Customer(ctx, customer); err != nil || !t.customer.Active() {
		return nil, err
	}
	due, err := t.store.DueLetters(ctx, customer, atOnce)
	if err != nil {
		return nil, err
	}
	alerts, err := t.store.StandingAlerts(ctx, customer)
	if err != nil {
		return nil, err
	}
	for _, alert := range alerts {
		t.standing = t.standing || job.IsDestination(alert.Type)
		t.told = t.told || t.standing || alert.Type == event.AlertVomoForbidden
	}
	if !t.told {
		if t.told, err = job.KeeperAlertStands(ctx, t.store.Conn); err != nil {
			return nil, err
		}
	}
	t.suspect = t.suspect || t.standing
	t.traceID = event.NewTraceID()
	if len(due) == 0 {
		return nil, nil
	}
	t.jobID, err = t.store.StartJob(ctx, customer, jobRetry, t.traceID)
	return due, err
}

// retry reads the newest state of each letter's user and brings all to the destination as one page. Where the
// destination did not work before, that is found out first: its outage must not cost the customer's budget a page's
// worth of requests each time.
func (t *turn) retry(ctx context.Context, due []store.DueLetter) error {
	err := t.open(ctx)
	if err != nil {
		return err
	}
	if t.suspect {
		trial, err := t.works(ctx)
		if err != nil {
			return err
		}
		t.proven, t.taken = trial != mirror.ProbeInconclusive, trial == mirror.ProbeAccepted
		if !t.proven {
			due = due[:min(carefully, len(due))]
		}
	}
	read, stopped := t.read(ctx, due)
	if read.none() {
		return stopped
	}
	if err := t.apply(ctx, read); err != nil {
		return err
	}
	return stopped
}

// ask finds out whether a destination works again for which nothing waits, and tells it: of letters that were given up
// while it was down, or of a poll that found nobody changed in the end, nothing else would.
func (t *turn) ask(ctx context.Context) error {
	if err := t.open(ctx); err != nil {
		return err
	}
	trial, err := t.works(ctx)
	if err != nil {
		return err
	}
	if trial != mirror.ProbeAccepted {
		return errNotTold
	}
	return t.store.InLane(ctx, t.lease, func(ctx context.Context, tx *store.Tx) error {
		return job.ClearParks(ctx, tx, t.customer.ID, true)
	})
}

// errNotTold says that it is not known whether a destination works again.
var errNotTold = errors.New("the destination took none of the records that it was asked to take once more")

// open opens both sides.
func (t *turn) open(ctx context.Context) error {
	var err error
	if t.source, err = t.connect.Source(ctx, t.customer, t.lease, jobRetry); err != nil {
		return err
	}
	t.lane, err = t.connect.Lane(ctx, t.customer, t.lease, connector.Job{
		Name: jobRetry, ID: t.jobID, TraceID: t.traceID, Events: t.customer.BackfillCompletedAt != nil,
	})
	return err
}

// failAgain counts one more attempt at letters whose users could not be read, in a lane's transaction.
func (t *turn) failAgain(ctx context.Context, tx *store.Tx, again []deadletter.Again) error {
	return deadletter.FailAgain(ctx, tx, jobRetry, t.connect.RetryCaps, again)
}
