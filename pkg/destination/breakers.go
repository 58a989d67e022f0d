package destination

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sony/gobreaker/v2"
)

// BreakersConfig has the limits of a process's circuit breakers; a zero value means the default.
type BreakersConfig struct {
	Failures  uint32        // consecutive failures that open a breaker; default 10
	OpenFor   time.Duration // how long it stays open before it lets one request through; default 2 s
	IdleAfter time.Duration // how long a breaker may be unused before it is removed; default 1 h
}

// Breakers has one circuit breaker per key, shared by all jobs of the process: a destination that is down for one job
// is down for the next, and the failures of several jobs add up.
//
// A retryable error and ErrAuth are failures. A success, a stale answer and a *Rejection are successes: the destination
// works. A request that its caller cancelled counts as neither. A request that started before the breaker last
// changed its state no longer counts.
type Breakers struct {
	cfg BreakersConfig

	mu      sync.Mutex
	byKey   map[string]*breaker
	sweptAt time.Time
}

type breaker struct {
	circuit *gobreaker.CircuitBreaker[Result]
	trips   atomic.Uint64
	usedAt  time.Time // guarded by Breakers.mu
}

// abandonedError marks the failure of a request whose caller cancelled it: it says nothing about the destination.
type abandonedError struct{ error }

// NewBreakers returns an empty set of breakers.
func NewBreakers(cfg BreakersConfig) *Breakers {
	if cfg.Failures == 0 {
		cfg.Failures = 10
	}
	if cfg.OpenFor <= 0 {
		cfg.OpenFor = 2 * time.Second
	}
	if cfg.IdleAfter <= 0 {
		cfg.IdleAfter = time.Hour
	}
	return &Breakers{cfg: cfg, byKey: map[string]*breaker{}, sweptAt: time.Now()}
}

// BreakerKey returns the key of a customer's destination. Customers with the same address do not share a breaker,
// since the destination may reject one and accept the other.
func BreakerKey(customerID, url string) string { return customerID + " " + url }

// Trips returns how often the key's breaker has opened; a half-open one that opens again counts once more. A caller
// that saw a smaller number before knows that it opened meanwhile. The count starts at 0 again after the breaker was
// removed; calling Trips counts as use.
func (b *Breakers) Trips(key string) uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	br, known := b.byKey[key]
	if !known {
		return 0
	}
	br.usedAt = time.Now()
	return br.trips.Load()
}

// Len returns how many breakers exist.
func (b *Breakers) Len() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.byKey)
}

// get returns the key's breaker and, at intervals, removes unused ones.
func (b *Breakers) get(key string) *breaker {
	now := time.Now()
	b.mu.Lock()
	defer b.mu.Unlock()
	if now.Sub(b.sweptAt) >= b.cfg.IdleAfter/4 {
		b.sweptAt = now
		for k, br := range b.byKey {
			if now.Sub(br.usedAt) >= b.cfg.IdleAfter {
				delete(b.byKey, k)
			}
		}
	}
	br, known := b.byKey[key]
	if !known {
		br = b.newBreaker()
		b.byKey[key] = br
	}
	br.usedAt = now
	return br
}

func (b *Breakers) newBreaker() *breaker {
	br := &breaker{}
	br.circuit = gobreaker.NewCircuitBreaker[Result](gobreaker.Settings{
		MaxRequests: 1,
		Timeout:     b.cfg.OpenFor,
		ReadyToTrip: func(c gobreaker.Counts) bool { return c.ConsecutiveFailures >= b.cfg.Failures },
		OnStateChange: func(_ string, _, to gobreaker.State) {
			if to == gobreaker.StateOpen {
				br.trips.Add(1)
			}
		},
		IsSuccessful: func(err error) bool {
			var rejection *Rejection
			return err == nil || errors.As(err, &rejection)
		},
		IsExcluded: func(err error) bool {
			var gone *abandonedError
			return errors.As(err, &gone)
		},
	})
	return br
}

// do makes one attempt. If the breaker is open, it makes none and returns ErrOpen.
func (br *breaker) do(attempt func() (Result, error)) (Result, error) {
	result, err := br.circuit.Execute(attempt)
	var gone *abandonedError
	switch {
	case errors.As(err, &gone):
		return Result{}, gone.error
	case errors.Is(err, gobreaker.ErrOpenState), errors.Is(err, gobreaker.ErrTooManyRequests):
		return Result{}, ErrOpen
	}
	return result, err
}

func (br *breaker) open() bool { return br.circuit.State() == gobreaker.StateOpen }
