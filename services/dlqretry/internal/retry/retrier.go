package retry

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/google/uuid"
	"go.uber.org/zap"

	"rollcall.dev/pkg/backoff"
	"rollcall.dev/pkg/event"
	"rollcall.dev/pkg/job"
	"rollcall.dev/pkg/lookup"
	"rollcall.dev/pkg/mirror"
	"rollcall.dev/pkg/round"
	"rollcall.dev/pkg/store"
)

const (
	jobRetry = "dlq_retry"
	// idleEvery is how often the retrier looks for destinations with an active alert for which nothing waits. Their holds say
	// how often each is probed.
	idleEvery = 2 * time.Second
	// heldProbeInconclusive is why a customer without due letters is held: its destination could not be probed.
	heldProbeInconclusive = "probe_inconclusive"
	// Delays of such a customer.
	probePause        = 5 * time.Second
	longestProbePause = time.Hour
)

// Retrier retries record letters from the table, and probes idle destinations with an active alert.
type Retrier struct {
	Store   *store.Store
	Metrics *Metrics
	Changed func()        // called after a commit that changed letters
	Turn    time.Duration // for how long a round starts another page; 0: 10 s

	idleAt time.Time // when idle destinations were last looked for

	mu    sync.Mutex
	lists map[string]*listReading // by customer; only while its letters are due
}

// Kind returns the rounds in which letters are retried.
func (r *Retrier) Kind() round.Kind {
	return round.Kind{
		Job: jobRetry, Look: r.look, Work: r.work, StoreHold: storeHold, DeleteHold: r.Store.ReleaseLetters,
		Ended: func(_ string, end round.End) { r.Metrics.held(end.Reason) },
	}
}

// look returns the customers with due letters and, at longer intervals, those with an idle destination of which it is unknown
// whether it works again.
func (r *Retrier) look(ctx context.Context) ([]round.Customer, error) {
	found, err := r.Store.LetterCustomers(ctx)
	if err == nil && time.Since(r.idleAt) >= idleEvery {
		r.idleAt = time.Now()
		var idle []store.LetterCustomer
		idle, err = r.Store.IdleWithAlert(ctx, job.DestinationAlerts())
		found = append(found, idle...)
	}
	customers := make([]round.Customer, 0, len(found))
	for _, one := range found {
		customers = append(customers, round.Customer(one))
	}
	return customers, err
}

// storeHold notes the hold for the status. A customer that is switched off is not tried, so its hold has no end; one without
// due letters needs none.
func storeHold(ctx context.Context, tx *store.Tx, customer string, park job.Park, detail string) error {
	if park.Reason == event.AlertAuthFailed || park.Reason == heldProbeInconclusive {
		return nil
	}
	return tx.HoldLetters(ctx, customer, park.Reason, detail, park.Delay)
}

// batch is what one round retries. Its memo is the user that the last probe wrote.
type batch struct {
	*round.Round

	retrier     *Retrier
	destination destinationState
	// hasDestinationAlert says that an alert of the destination is active; hasClearableAlert, that any alert is active that
	// a success clears.
	hasDestinationAlert bool
	hasClearableAlert   bool

	began      time.Time
	tried      map[uuid.UUID]bool // the letters that this round has tried
	pages      *job.Pipeline
	number     int // of the last page
	readAtOnce int // how many users are read at once
	list       *listReading
	listFailed bool // in this round

	users     *lookup.Reader
	probeUser string // the user that probes write; "" until one was found
	counts    counts
	gone      int // of the letters that failed: VOMO has no such user
}

// counts are the results of a round's letters.
type counts struct {
	settled int // written, or obsolete
	failed  int // one more attempt
}

// work retries the customer's due letters for a turn.
func (r *Retrier) work(ctx context.Context, of *round.Round) (more bool, err error) {
	b := &batch{Round: of, retrier: r, began: time.Now(), readAtOnce: 1, tried: map[uuid.UUID]bool{}, list: r.listOf(of.Customer.ID)}
	due, err := b.begin(ctx)
	switch {
	case err != nil:
	case len(due) > 0:
		more, err = b.retry(ctx, due)
	case b.hasDestinationAlert:
		err = b.probeIdleDestination(ctx)
	}
	if !more && err == nil {
		r.forgetList(of.Customer.ID)
	}
	return more, err
}

// listOf returns how far the customer's list was read in earlier rounds.
func (r *Retrier) listOf(customer string) *listReading {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.lists == nil {
		r.lists = map[string]*listReading{}
	}
	if r.lists[customer] == nil {
		r.lists[customer] = &listReading{}
	}
	return r.lists[customer]
}

func (r *Retrier) forgetList(customer string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.lists, customer)
}

// begin reads the customer's due letters. The lane keeps other jobs from changing them.
func (b *batch) begin(ctx context.Context) ([]store.DueLetter, error) {
	due, err := b.Store.DueLetters(ctx, b.Customer.ID, lettersAhead)
	if err != nil {
		return nil, err
	}
	alerts, err := b.Store.ActiveAlerts(ctx, b.Customer.ID)
	if err != nil {
		return nil, err
	}
	for _, alert := range alerts {
		b.hasDestinationAlert = b.hasDestinationAlert || job.IsDestination(alert.Type)
		b.hasClearableAlert = b.hasClearableAlert || b.hasDestinationAlert || alert.Type == event.AlertVomoForbidden
	}
	if !b.hasClearableAlert {
		if b.hasClearableAlert, err = job.HasKeeperAlert(ctx, b.Store.Conn); err != nil {
			return nil, err
		}
	}
	b.destination = destinationAtStart(b.LastReason, b.hasDestinationAlert)
	if len(due) == 0 {
		return nil, nil
	}
	return due, b.StartJob(ctx)
}

// retry reads the newest state of each letter's user and writes it. A suspect destination is probed first: its outage must
// not cost the customer's budget a page's worth of requests each time. It gets one page in this round.
func (b *batch) retry(ctx context.Context, due []store.DueLetter) (more bool, err error) {
	if err := b.open(ctx); err != nil {
		return false, err
	}
	if b.destination == destinationSuspect {
		if _, err := b.probe(ctx); err != nil {
			return false, err
		}
	}
	if b.destination == destinationUnknown {
		more, err = b.turn(ctx, due)
	} else {
		page := lettersPerPage
		if !b.destination.blamesRecords() {
			page = smallPage
		}
		page = min(page, len(due))
		more, err = len(due) > page, b.retryPage(ctx, due[:page])
	}
	if err == nil {
		b.Log.Info("letters retried", zap.Int("settled", b.counts.settled), zap.Int("failed", b.counts.failed),
			zap.Int("users_gone", b.gone), zap.String("trace", b.TraceID))
	}
	return more, err
}

// probeIdleDestination clears the alert of a destination that works again although nothing waits for it. Otherwise the
// alert would stay active after its letters were discarded, or after a poll that found no change.
func (b *batch) probeIdleDestination(ctx context.Context) error {
	if err := b.open(ctx); err != nil {
		return err
	}
	result, err := b.probe(ctx)
	if err != nil {
		return err
	}
	if result != mirror.ProbeAccepted {
		delay := backoff.Delays{First: probePause, Longest: longestProbePause}.After(b.Holds + 1)
		return &round.HoldError{
			Park: job.Park{Reason: heldProbeInconclusive, Delay: delay},
			Err:  errors.New("the destination accepted none of the records that probes wrote: it is unknown whether it works"),
		}
	}
	return b.Store.InLane(ctx, b.Lease, func(ctx context.Context, tx *store.Tx) error {
		return job.ClearParks(ctx, tx, b.Customer.ID, true)
	})
}

// open opens VOMO and the destination.
func (b *batch) open(ctx context.Context) error {
	if err := b.Open(ctx); err != nil {
		return err
	}
	b.pages = b.newPipeline()
	b.users = &lookup.Reader{Connect: b.Connect, Customer: b.Customer, Lease: b.Lease, Job: jobRetry, Source: b.Source}
	return nil
}
