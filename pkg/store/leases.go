package store

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"rollcall.dev/pkg/store/internal/db"
)

// ErrLaneTaken says that another job writes this customer's mirror now.
var ErrLaneTaken = errors.New("the customer's lane is taken by another job")

// ErrLaneLost says that the lease ended, or was ended, before its holder released it. The holder may write nothing more.
var ErrLaneLost = errors.New("the customer's lane was lost")

// Lane is one of a customer's two lanes: in each, one job works at a time.
type Lane string

// Lanes.
const (
	LaneMirror Lane = "mirror" // backfills, polls, reconciliations of users, retries
	LaneGiving Lane = "giving" // donations, and reconciliations with Virtuous
)

// Lease is the right to write one customer's mirror, or to work on its giving. Each page's transaction asserts its epoch, so that a holder that slept
// through the lease commits nothing. Each request is checked against its deadline before it leaves; the deadline counts from
// before the renewal was sent.
type Lease struct {
	Customer string
	Epoch    int64

	lane   Lane
	holder string // unique to this lease
	store  *Store
	ttl    time.Duration
	now    func() time.Time

	mu       sync.Mutex
	deadline time.Time
	wanted   bool
	lost     bool
	released bool // with a transaction of the lane
}

// TakeLease takes the lane of the customer's mirror for ttl, or marks it as wanted and returns ErrLaneTaken.
func (s *Store) TakeLease(ctx context.Context, customer, holder string, ttl time.Duration) (*Lease, error) {
	return s.TakeLeaseIn(ctx, LaneMirror, customer, holder, ttl)
}

// TakeLeaseIn is TakeLease for either lane.
func (s *Store) TakeLeaseIn(ctx context.Context, lane Lane, customer, holder string, ttl time.Duration) (*Lease, error) {
	return s.takeLease(ctx, lane, customer, holder, ttl, time.Now)
}

func (s *Store) takeLease(ctx context.Context, lane Lane, customer, holder string, ttl time.Duration, now func() time.Time) (*Lease, error) {
	sent := now()
	// A process in a restarted container has the name and the number of the process before, and a process may take a lane
	// twice.
	holder += "/" + uuid.NewString()
	rows := laneRows{lane: lane, queries: s.queries}
	epoch, err := rows.take(ctx, s.dbtx, &db.LeaseTakeIfFreeParams{CustomerID: customer, Holder: holder, Ttl: ttl})
	if isNotFound(err) {
		if err := rows.markWanted(ctx, s.dbtx, customer); err != nil {
			return nil, err
		}
		return nil, ErrLaneTaken
	}
	if err != nil {
		return nil, err
	}
	return &Lease{Customer: customer, Epoch: epoch, lane: lane, holder: holder, store: s, ttl: ttl, now: now, deadline: sent.Add(ttl)}, nil
}

// Renew extends the lease by its length. ErrLaneLost is final.
func (l *Lease) Renew(ctx context.Context) error {
	sent := l.now()
	wanted, err := l.rows().renew(ctx, l.store.dbtx, l.renewal())
	if isNotFound(err) {
		return l.lose("renew lease")
	}
	if err != nil {
		return err
	}
	l.extend(sent, wanted)
	return nil
}

// stillHeld returns what Renew does, and does not renew.
func (l *Lease) stillHeld(ctx context.Context) error {
	wanted, err := l.rows().wanted(ctx, l.store.dbtx, &db.LeaseWantedIfHeldParams{CustomerID: l.Customer, Epoch: l.Epoch, Holder: l.holder})
	if isNotFound(err) {
		return l.lose("check lease")
	}
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.wanted = l.wanted || wanted
	return nil
}

func (l *Lease) rows() laneRows { return laneRows{lane: l.lane, queries: l.store.queries} }

func (l *Lease) end() *db.LeaseReleaseIfHeldParams {
	return &db.LeaseReleaseIfHeldParams{CustomerID: l.Customer, Holder: l.holder, Epoch: l.Epoch}
}

func (l *Lease) renewal() *db.LeaseRenewIfHeldParams {
	return &db.LeaseRenewIfHeldParams{CustomerID: l.Customer, Epoch: l.Epoch, Holder: l.holder, Ttl: l.ttl}
}

// Outlasts returns nil if the lease lasts for at least d from now, and ErrLaneLost if it may not. It compares both the monotonic
// and the wall clock, because the first stands still while a machine sleeps.
func (l *Lease) Outlasts(d time.Duration) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	end := now.Add(d)
	if l.lost || end.After(l.deadline) || end.Round(0).After(l.deadline.Round(0)) {
		return fmt.Errorf("lease of %s does not outlast the request: %w", l.Customer, ErrLaneLost)
	}
	return nil
}

// Wanted says whether another job asked for the lane while this one held it.
func (l *Lease) Wanted() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.wanted
}

// Release frees the lane. The holder calls it after its last request has ended, also if the lane was fenced: the lane is closed
// until then. If the lane was lost before, Release returns no error.
func (l *Lease) Release(ctx context.Context) error {
	l.mu.Lock()
	l.lost = true
	released := l.released
	l.mu.Unlock()
	if released {
		return nil
	}
	_, err := l.rows().release(ctx, l.store.dbtx, l.end())
	return err
}

// ReleaseLane frees the lane with the commit, instead of Release. It is for the last transaction of a lane whose last request has
// ended; the lease is asserted in the same transaction, so a fence comes before it or finds the lane free.
func (t *Tx) ReleaseLane(ctx context.Context) error {
	t.releasesLane = true
	return t.deferred(func(on db.DBTX) error {
		_, err := t.lease.rows().release(ctx, on, t.lease.end())
		return err
	})
}

// InLane runs work in a pipelined transaction that first asserts and renews the lease. It returns ErrLaneLost and commits nothing
// if the lease is no longer held.
//
// Errors arrive late in work: the assertion is sent together with the first statement whose answer work needs, or with the commit, and the error
// of a statement that only writes comes with a later statement, or with the commit.
func (s *Store) InLane(ctx context.Context, lease *Lease, work func(ctx context.Context, tx *Tx) error) error {
	sent := lease.now()
	var wanted, released bool
	err := s.InPipelinedTx(ctx, func(ctx context.Context, tx *Tx) error {
		tx.lease = lease
		tx.pipelined.deferStatement(func(on db.DBTX) error {
			_, err := lease.rows().renewOrFail(ctx, on, lease.renewal())
			return err
		}, func(results pgx.BatchResults) error {
			err := results.QueryRow().Scan(&wanted)
			if codeOf(err) == codeLaneLost {
				return lease.lose("assert lease")
			}
			return err
		})
		err := work(ctx, tx)
		released = tx.releasesLane
		return err
	})
	if err != nil {
		return err
	}
	if released {
		lease.noteReleased()
		return nil
	}
	lease.extend(sent, wanted)
	return nil
}

func (l *Lease) noteReleased() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lost, l.released = true, true
}

func (l *Lease) isReleased() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.released
}

func (l *Lease) extend(sent time.Time, wanted bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if deadline := sent.Add(l.ttl); deadline.After(l.deadline) {
		l.deadline = deadline
	}
	l.wanted = l.wanted || wanted
}

func (l *Lease) lose(operation string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lost = true
	return &operationError{operation: operation + " of " + l.Customer, cause: ErrLaneLost}
}

// FenceLane closes the lane of the customer's mirror. Its holder commits nothing more, learns of it within a second, and releases the lane when
// its last request has ended. Until then, or until the lease ends, the lane is taken.
func (t *Tx) FenceLane(ctx context.Context, customer string) error {
	return t.queries.LeaseFence(ctx, t.dbtx, customer)
}

// FenceGivingLane is FenceLane for the customer's giving.
func (t *Tx) FenceGivingLane(ctx context.Context, customer string) error {
	return t.queries.GivingLeaseFence(ctx, t.dbtx, customer)
}

const takeAgainAfter = 200 * time.Millisecond

// AwaitLease is TakeLease for a short job that an operator waits for. It marks the lane as wanted and tries again; when patience is
// over, it returns ErrLaneTaken.
func (s *Store) AwaitLease(ctx context.Context, customer, holder string, ttl, patience time.Duration) (*Lease, error) {
	return s.AwaitLeaseIn(ctx, LaneMirror, customer, holder, ttl, patience)
}

// AwaitLeaseIn is AwaitLease for either lane.
func (s *Store) AwaitLeaseIn(ctx context.Context, lane Lane, customer, holder string, ttl, patience time.Duration) (lease *Lease, err error) {
	err = untilTaken(ctx, patience, func() error {
		lease, err = s.TakeLeaseIn(ctx, lane, customer, holder, ttl)
		return err
	})
	return lease, err
}

// untilTaken calls take until it returns something else than ErrLaneTaken, or patience is over.
func untilTaken(ctx context.Context, patience time.Duration, take func() error) error {
	end := time.NewTimer(patience)
	defer end.Stop()
	again := time.NewTicker(takeAgainAfter)
	defer again.Stop()
	for {
		err := take()
		if !errors.Is(err, ErrLaneTaken) {
			return err
		}
		select {
		case <-ctx.Done():
			return errors.Join(err, context.Cause(ctx))
		case <-end.C:
			return err
		case <-again.C:
		}
	}
}

// AssertLane asserts and renews the lease as InLane does, in a transaction that has to take another lock first.
func (t *Tx) AssertLane(ctx context.Context, lease *Lease) error {
	_, err := lease.rows().renew(ctx, t.dbtx, lease.renewal())
	if isNotFound(err) {
		return lease.lose("assert lease")
	}
	return err
}

// A holder checks this often whether its lane was fenced, because an operator waits for the fence. Only as many leases are held
// as workers have slots, however many customers there are.
const checkLeaseEvery = 500 * time.Millisecond

// Hold renews the lease until done is called; done releases it. The returned context ends within a second after the lane was
// fenced, with ErrLaneLost as its cause.
func (l *Lease) Hold(ctx context.Context) (held context.Context, done func(ctx context.Context) error) {
	held, cancel := context.WithCancelCause(ctx)
	var renewing sync.WaitGroup
	renewing.Go(func() {
		every := min(l.ttl/3, checkLeaseEvery)
		ticker := time.NewTicker(every)
		defer ticker.Stop()
		renewed := time.Now()
		for {
			select {
			case <-held.Done():
				return
			case <-ticker.C:
			}
			began := time.Now()
			renew := began.Sub(renewed) >= l.ttl/3-every/2
			// Another failure is tried again. Each request that leaves meanwhile checks whether the lease outlasts it.
			switch err := l.check(held, renew); {
			case l.isReleased():
				return
			case errors.Is(err, ErrLaneLost):
				cancel(err)
			case err == nil && renew:
				renewed = began
			}
		}
	})
	return held, func(ctx context.Context) error {
		cancel(nil)
		renewing.Wait()
		return l.Release(ctx)
	}
}

// check renews the lease, or only checks whether it is held. A silent connection delays the next check by the time between two
// renewals at most.
func (l *Lease) check(ctx context.Context, renew bool) error {
	bounded, cancel := context.WithTimeout(ctx, l.ttl/3)
	defer cancel()
	if renew {
		return l.Renew(bounded)
	}
	return l.stillHeld(bounded)
}
