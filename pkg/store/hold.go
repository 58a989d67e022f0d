package store

import (
	"context"
	"errors"
	"sync"
	"time"

	"rollcall.dev/pkg/store/internal/db"
)

const takeAgainAfter = 200 * time.Millisecond

// AwaitLease is TakeLease for a short job that somebody waits for: it marks the lane as wanted and asks again until
// patience is over, then ErrLaneTaken.
func (s *Store) AwaitLease(ctx context.Context, customer, holder string, ttl, patience time.Duration) (*Lease, error) {
	end := time.NewTimer(patience)
	defer end.Stop()
	again := time.NewTicker(takeAgainAfter)
	defer again.Stop()
	for {
		lease, err := s.TakeLease(ctx, customer, holder, ttl)
		if !errors.Is(err, ErrLaneTaken) {
			return lease, err
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(err, context.Cause(ctx))
		case <-end.C:
			return nil, err
		case <-again.C:
		}
	}
}

// AssertLane is what InLane begins with, for a transaction that has to take another lock first.
func (t *Tx) AssertLane(ctx context.Context, lease *Lease) error {
	_, err := t.queries.LeaseRenewIfHeld(ctx, t.dbtx, &db.LeaseRenewIfHeldParams{CustomerID: lease.Customer, Epoch: lease.Epoch, Ttl: lease.ttl})
	if noRows(err) {
		return lease.lose("assert lease")
	}
	return wrap("assert lease", err)
}

// Hold renews the lease until done is called, which gives it back. The context ends, with ErrLaneLost as its cause,
// when the lane is lost. Work under a message's heartbeat needs it not.
func (l *Lease) Hold(ctx context.Context) (held context.Context, done func(ctx context.Context) error) {
	held, cancel := context.WithCancelCause(ctx)
	var renewing sync.WaitGroup
	renewing.Go(func() {
		ticker := time.NewTicker(l.ttl / 3)
		defer ticker.Stop()
		for {
			select {
			case <-held.Done():
				return
			case <-ticker.C:
			}
			// One that fails otherwise is tried again; what leaves meanwhile asks whether the lease outlasts it.
			if err := l.Renew(held); errors.Is(err, ErrLaneLost) {
				cancel(err)
			}
		}
	})
	return held, func(ctx context.Context) error {
		cancel(nil)
		renewing.Wait()
		return l.Release(ctx)
	}
}
