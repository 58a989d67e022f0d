package store

import (
	"context"
	"errors"
	"sync"
	"time"
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
	_, err := t.queries.LeaseRenewIfHeld(ctx, t.dbtx, lease.renewal())
	if noRows(err) {
		return lease.lose("assert lease")
	}
	return wrap("assert lease", err)
}

// A holder looks this often whether its lane was fenced: people wait for what they asked for. Leases that are held are as
// many as there are slots, however many customers there are.
const lookAtLeaseEvery = 500 * time.Millisecond

// Hold renews the lease until done is called, which gives it back. The context ends, with ErrLaneLost as its cause,
// within a second after the lane was fenced.
func (l *Lease) Hold(ctx context.Context) (held context.Context, done func(ctx context.Context) error) {
	held, cancel := context.WithCancelCause(ctx)
	var renewing sync.WaitGroup
	renewing.Go(func() {
		every := min(l.ttl/3, lookAtLeaseEvery)
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
			// One that fails otherwise is tried again; what leaves meanwhile asks whether the lease outlasts it.
			switch err := l.look(held, renew); {
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

// look renews the lease, or only looks whether it stands; a connection that has gone silent keeps no later look waiting
// for longer than the time between two renewals.
func (l *Lease) look(ctx context.Context, renew bool) error {
	bounded, cancel := context.WithTimeout(ctx, l.ttl/3)
	defer cancel()
	if renew {
		return l.Renew(bounded)
	}
	return l.stillHeld(bounded)
}
