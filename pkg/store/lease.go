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

// ErrLaneTaken says that another job writes this customer's mirror right now.
var ErrLaneTaken = errors.New("the customer's lane is taken by another job")

// ErrLaneLost says that the lease ended, or was ended, under its holder: nothing may be written any more.
var ErrLaneLost = errors.New("the customer's lane was lost")

// Lease is the right to write one customer's mirror. Its epoch is asserted in every page's transaction, so
// that a holder that slept through the lease commits nothing; its deadline, counted from before the renewal
// was sent, is asked before every request that leaves.
type Lease struct {
	Customer string
	Epoch    int64

	holder string // this lease's alone
	store  *Store
	ttl    time.Duration
	now    func() time.Time

	mu       sync.Mutex
	deadline time.Time
	wanted   bool
	lost     bool
}

// TakeLease takes the customer's lane for ttl, or marks it as wanted and returns ErrLaneTaken.
func (s *Store) TakeLease(ctx context.Context, customer, holder string, ttl time.Duration) (*Lease, error) {
	return s.takeLease(ctx, customer, holder, ttl, time.Now)
}

func (s *Store) takeLease(ctx context.Context, customer, holder string, ttl time.Duration, now func() time.Time) (*Lease, error) {
	sent := now()
	// A process in a container that starts again has the name and the number of the one before, and a process may take a
	// lane twice.
	holder += "/" + uuid.NewString()
	epoch, err := s.queries.LeaseTakeIfFree(ctx, s.dbtx, &db.LeaseTakeIfFreeParams{CustomerID: customer, Holder: holder, Ttl: ttl})
	if noRows(err) {
		if err := s.queries.LeaseMarkWanted(ctx, s.dbtx, customer); err != nil {
			return nil, wrap("mark lane as wanted", err)
		}
		return nil, ErrLaneTaken
	}
	if err != nil {
		return nil, wrap("take lease", err)
	}
	return &Lease{Customer: customer, Epoch: epoch, holder: holder, store: s, ttl: ttl, now: now, deadline: sent.Add(ttl)}, nil
}

// Renew extends the lease by its length. ErrLaneLost is final.
func (l *Lease) Renew(ctx context.Context) error {
	sent := l.now()
	wanted, err := l.store.queries.LeaseRenewIfHeld(ctx, l.store.dbtx, l.renewal())
	if noRows(err) {
		return l.lose("renew lease")
	}
	if err != nil {
		return wrap("renew lease", err)
	}
	l.extend(sent, wanted)
	return nil
}

// stillHeld is Renew without renewing.
func (l *Lease) stillHeld(ctx context.Context) error {
	wanted, err := l.store.queries.LeaseWantedIfHeld(ctx, l.store.dbtx, &db.LeaseWantedIfHeldParams{CustomerID: l.Customer, Epoch: l.Epoch, Holder: l.holder})
	if noRows(err) {
		return l.lose("look at lease")
	}
	if err != nil {
		return wrap("look at lease", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.wanted = l.wanted || wanted
	return nil
}

func (l *Lease) renewal() *db.LeaseRenewIfHeldParams {
	return &db.LeaseRenewIfHeldParams{CustomerID: l.Customer, Epoch: l.Epoch, Holder: l.holder, Ttl: l.ttl}
}

// Outlasts returns nil where the lease lasts for at least d from now, ErrLaneLost where it may not. Both the
// monotonic and the wall clock are asked: the first stands still while a machine sleeps.
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

// Release gives the lane back, also one that was fenced, which is closed until then. It must come after the holder's
// last request has ended. It is no error if the lane was lost before.
func (l *Lease) Release(ctx context.Context) error {
	l.mu.Lock()
	l.lost = true
	l.mu.Unlock()
	_, err := l.store.queries.LeaseReleaseIfHeld(ctx, l.store.dbtx, &db.LeaseReleaseIfHeldParams{
		CustomerID: l.Customer, Holder: l.holder, Epoch: l.Epoch,
	})
	return wrap("release lease", err)
}

// InLane runs work in a transaction that asserts the lease first, and renews it: ErrLaneLost where it is no
// longer held, and nothing is committed. The assertion is sent with the first statement of work that needs an
// answer, before it: work that only writes is under way before the answer is known.
func (s *Store) InLane(ctx context.Context, lease *Lease, work func(ctx context.Context, tx *Tx) error) error {
	sent := lease.now()
	var wanted bool
	err := s.inTxTogether(ctx, func(ctx context.Context, tx *Tx) error {
		tx.together.keep(func(on db.DBTX) error {
			_, err := tx.queries.LeaseRenewIfHeld(ctx, on, lease.renewal())
			return err
		}, func(results pgx.BatchResults) error {
			err := results.QueryRow().Scan(&wanted)
			if noRows(err) {
				return lease.lose("assert lease")
			}
			return wrap("assert lease", err)
		})
		return work(ctx, tx)
	})
	if err != nil {
		return err
	}
	lease.extend(sent, wanted)
	return nil
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
	return fmt.Errorf("%s of %s: %w", operation, l.Customer, ErrLaneLost)
}

// FenceLane closes the customer's lane: its holder commits nothing more, hears of it within a second, and lets go when
// its last request has ended. Until then, or until the lease runs out, the lane is taken.
func (t *Tx) FenceLane(ctx context.Context, customer string) error {
	return wrap("fence lane", t.queries.LeaseFence(ctx, t.dbtx, customer))
}

// LaneClosingUntil is when at the latest a lane that was fenced is free again; ErrNotFound if it is not closing.
func (c Conn) LaneClosingUntil(ctx context.Context, customer string) (time.Time, error) {
	until, err := c.queries.LeaseClosingUntil(ctx, c.dbtx, customer)
	return until, wrap("read whether the lane is closing", err)
}
