package destination

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cenkalti/backoff/v5"

	"rollcall.dev/pkg/fault"
)

const (
	attempts    = 3
	firstWait   = 300 * time.Millisecond
	secondWait  = time.Second
	jitter      = 0.3             // each wait is this share shorter or longer
	longestWait = 3 * time.Second // a longer pause is not sat out here: the job parks instead
	probeTime   = 5 * time.Second // of the one attempt of a probe
)

type probeKey struct{}

// AsProbe makes the writes under the context probes: one attempt each, of 5 s at most. They ask whether a destination works
// that did not, and most of them find that it does not: what hangs must not hold a worker for the time of three attempts.
func AsProbe(ctx context.Context) context.Context { return context.WithValue(ctx, probeKey{}, true) }

func isProbe(ctx context.Context) bool { return ctx.Value(probeKey{}) != nil }

// GuardConfig is what a Guard needs besides its destination.
type GuardConfig struct {
	// Key names the breaker, see BreakerKey.
	Key string
	// Breakers are the process's; nil gives the Guard one of its own.
	Breakers *Breakers
	// Customer is whose destination it is, and Host the HostKey of its URL; "": it is known to no one else.
	Customer, Host string
	// Hosts are the process's; nil gives the Guard a set of its own.
	Hosts *Hosts
	// Before is asked before each attempt whether the request may leave (does the lease outlast it?).
	// nil lets all leave.
	Before func(ctx context.Context) error
	// Leave is asked again as the bytes of a request leave, so that a process that slept in between sends none
	// of them: Before's question, without waiting for anything. nil asks no second time.
	Leave func() error
	// Timer is time.After, unless a test wants its own.
	Timer func(d time.Duration) <-chan time.Time
}

// Guard is a destination with retries in place and a circuit breaker around it.
//
// A retryable failure is tried again, three attempts in all, after some 0.3 s and 1 s, or after the pause
// that the destination asked for where that is at most 3 s. A longer pause, and a breaker or a host that opened
// meanwhile, end the call at once: whoever calls parks the job. A probe (AsProbe) is not tried again, nor is what
// waited in vain for longer than a probe would while the host answered nothing else.
type Guard struct {
	dest Destination
	cfg  GuardConfig
}

var _ Batcher = (*Guard)(nil)

// NewGuard puts a guard around dest. It is cheap: one for each job, each with the lease check of its job.
func NewGuard(dest Destination, cfg GuardConfig) *Guard {
	if cfg.Breakers == nil {
		cfg.Breakers = NewBreakers(BreakersConfig{})
	}
	if cfg.Hosts == nil {
		cfg.Hosts = NewHosts(HostsConfig{})
	}
	if cfg.Before == nil {
		cfg.Before = func(context.Context) error { return nil }
	}
	if cfg.Timer == nil {
		cfg.Timer = time.After
	}
	return &Guard{dest: dest, cfg: cfg}
}

// Upsert hands the record to the destination. Its error is the last attempt's; ErrOpen when the breaker
// stopped it, with the failure of an attempt before where there was one; ErrHostSilent when the host answers no customer and
// it is not this request's turn to ask; ErrHeld with Before's error when
// Before did; or the context's error with its cause, when ctx ended: at once, or when a request that had left has
// ended.
func (g *Guard) Upsert(ctx context.Context, record Record) (Result, error) {
	return g.insist(ctx, func(ctx context.Context) (Result, error) { return g.dest.Upsert(ctx, record) })
}

// BatchSize is the destination's own, 0 where it takes records one by one.
func (g *Guard) BatchSize() int {
	if batcher, ok := g.dest.(Batcher); ok {
		return batcher.BatchSize()
	}
	return 0
}

// UpsertBatch hands the records to the destination in one request. The request as a whole is tried again as
// Upsert's is, with the same errors; a record that the destination asked to bring again is not.
func (g *Guard) UpsertBatch(ctx context.Context, records []Record) ([]BatchResult, error) {
	batcher, ok := g.dest.(Batcher)
	if !ok {
		return nil, errNoBatches
	}
	var results []BatchResult
	_, err := g.insist(ctx, func(ctx context.Context) (Result, error) {
		var err error
		results, err = batcher.UpsertBatch(ctx, records)
		return Result{}, err //nolint:wrapcheck // as it is: attempt looks into it
	})
	if err != nil {
		return nil, err
	}
	return results, nil
}

// insist makes attempts until one settles the matter or their number is spent.
func (g *Guard) insist(ctx context.Context, send func(ctx context.Context) (Result, error)) (Result, error) {
	waits := &backoff.ExponentialBackOff{
		InitialInterval:     firstWait,
		Multiplier:          float64(secondWait) / float64(firstWait),
		MaxInterval:         secondWait,
		RandomizationFactor: jitter,
	}
	br := g.cfg.Breakers.get(g.cfg.Key)
	most := attempts
	if isProbe(ctx) {
		most = 1
	}
	var last error // of the attempt before
	for n := 1; ; n++ {
		if err := g.cfg.Before(ctx); err != nil {
			return Result{}, fmt.Errorf("%w: %w", ErrHeld, err)
		}
		hangs := g.cfg.Hosts.hanging(g.cfg.Host)
		result, err := br.do(func() (Result, error) { return g.attempt(ctx, send) })
		switch {
		case errors.Is(err, ErrOpen):
			return Result{}, withCause(last)
		case !Retryable(err), errors.Is(err, ErrRedirect), errors.Is(err, ErrHostSilent): // which no wait of seconds ends
			return result, err
		case br.open():
			// A wait would only end at the open breaker.
			return Result{}, withCause(err)
		case n == most, IsNoAnswer(err) && hangs():
			return Result{}, fmt.Errorf("%d attempts: %w", n, err)
		}
		wait := waits.NextBackOff()
		if pause, asked := fault.After(err); asked {
			if pause > longestWait {
				return Result{}, err
			}
			wait = max(wait, pause)
		}
		select {
		case <-ctx.Done():
			return Result{}, gaveUp(ctx)
		case <-g.cfg.Timer(wait):
		}
		last = err
	}
}

// attempt makes one attempt and tells the caller's own end from the destination's slowness. What the
// destination did answer stays an answer, also when the caller went away meanwhile.
func (g *Guard) attempt(ctx context.Context, send func(ctx context.Context) (Result, error)) (Result, error) {
	probe, err := g.cfg.Hosts.enter(g.cfg.Host)
	if err != nil {
		return Result{}, &abandonedError{err} // no request was made
	}
	// A request that has left is not cut off: the destination may write it all the same, after what the next holder of the
	// customer's lane sends. It ends by its own limit of time, and the caller waits for it.
	sending := withLeave(context.WithoutCancel(ctx), g.leave(ctx))
	if probe || isProbe(ctx) {
		limited, cancel := context.WithTimeout(sending, probeTime)
		defer cancel()
		sending = limited
	}
	result, err := send(sending)
	result, err = judge(ctx, result, err)
	g.cfg.Hosts.ended(g.cfg.Host, g.cfg.Customer, err)
	return result, err
}

// judge tells whose a failure is; ctx is our caller's.
func judge(ctx context.Context, result Result, err error) (Result, error) {
	var refusal *Refusal
	switch {
	case errors.Is(err, ErrHeld):
		return Result{}, &abandonedError{err} // it tells nothing of the destination
	case err == nil, errors.Is(err, ErrAuth), errors.As(err, &refusal):
		return result, err
	case ctx.Err() != nil:
		return Result{}, &abandonedError{gaveUp(ctx)}
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		// A limit of the destination's client, not of our caller.
		return Result{}, fault.Unknown("destination_timeout", NoAnswer(errors.New("the destination did not answer in time")))
	}
	return Result{}, err
}

// leave is asked as the bytes of a request leave: none does for a caller that has gone.
func (g *Guard) leave(ctx context.Context) func() error {
	return func() error {
		if ctx.Err() != nil {
			return gaveUp(ctx)
		}
		if g.cfg.Leave == nil {
			return nil
		}
		return g.cfg.Leave()
	}
}

// withCause puts the failure in front, so that fault.CodeOf and fault.After speak of it.
func withCause(err error) error {
	if err == nil {
		return ErrOpen
	}
	return fmt.Errorf("%w: %w", err, ErrOpen)
}

func gaveUp(ctx context.Context) error {
	err, cause := ctx.Err(), context.Cause(ctx)
	if errors.Is(cause, err) {
		return fmt.Errorf("upsert: %w", cause)
	}
	return fmt.Errorf("upsert: %w: %w", err, cause)
}
