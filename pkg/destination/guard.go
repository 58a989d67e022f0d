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
	jitter      = 0.3             // each wait is up to this share shorter or longer
	longestWait = 3 * time.Second // the Guard does not wait for longer pauses: the job parks instead
	probeTime   = 5 * time.Second // limit of a probe's one attempt
)

type probeKey struct{}

// AsProbe makes the writes under the context probes: one attempt each, of 5 s at most. A probe asks whether a
// destination that did not work works again, and usually it does not: a destination that hangs must not hold a worker
// for the time of three attempts.
func AsProbe(ctx context.Context) context.Context { return context.WithValue(ctx, probeKey{}, true) }

func isProbe(ctx context.Context) bool { return ctx.Value(probeKey{}) != nil }

// GuardConfig configures a Guard.
type GuardConfig struct {
	// Key names the breaker, see BreakerKey.
	Key string
	// Breakers are the process's; nil gives the Guard its own.
	Breakers *Breakers
	// Customer is the owner of the destination, and Host the HostKey of its URL; "" if the destination is not shared.
	Customer, Host string
	// Hosts are the process's; nil gives the Guard its own set.
	Hosts *Hosts
	// Before is called before each attempt and decides whether the request may be sent (does the lease outlast it?).
	// nil allows all.
	Before func(ctx context.Context) error
	// SendCheck is the same check again, without waiting, when the bytes of a request are sent: a process that was
	// suspended in between must send none of them. nil skips this second check.
	SendCheck func() error
	// Timer is time.After; tests may replace it.
	Timer func(d time.Duration) <-chan time.Time
}

// Guard is a destination with immediate retries and a circuit breaker.
//
// It makes up to three attempts after retryable failures, with waits of about 0.3 s and 1 s, or the pause that the
// destination asked for if that is at most 3 s. A longer pause, or a breaker or a host that opened meanwhile, end the
// call at once: the caller parks the job. A probe (AsProbe) is not retried, nor is a request that waited longer than
// a probe would while the host answered no other request.
type Guard struct {
	dest Destination
	cfg  GuardConfig
}

var _ Batcher = (*Guard)(nil)

// NewGuard puts a guard around dest. It is cheap: each job has its own, with its own lease check.
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

// Upsert sends the record to the destination. Its error is that of the last attempt; ErrOpen if the breaker stopped
// it, with the failure of an earlier attempt if there was one; ErrHostSilent if the host answers no customer and this
// request is not the one that probes it; ErrHeld with Before's error if Before rejected it; or the context's error
// with its cause if ctx ended: at once, or when a request that was already sent has ended.
func (g *Guard) Upsert(ctx context.Context, record Record) (Result, error) {
	return g.retry(ctx, func(ctx context.Context) (Result, error) { return g.dest.Upsert(ctx, record) })
}

// Delete deletes the record at the destination, with the retries and the errors of Upsert.
func (g *Guard) Delete(ctx context.Context, externalUserID string) error {
	_, err := g.retry(ctx, func(ctx context.Context) (Result, error) { return Result{}, g.dest.Delete(ctx, externalUserID) })
	return err
}

// BatchSize returns the destination's batch size, 0 if it accepts records one by one.
func (g *Guard) BatchSize() int {
	if batcher, ok := g.dest.(Batcher); ok {
		return batcher.BatchSize()
	}
	return 0
}

// UpsertBatch sends the records to the destination in one request. The request as a whole is retried like Upsert's,
// with the same errors; single records that the destination asked to send again are not.
func (g *Guard) UpsertBatch(ctx context.Context, records []Record) ([]BatchResult, error) {
	batcher, ok := g.dest.(Batcher)
	if !ok {
		return nil, errNoBatches
	}
	var results []BatchResult
	_, err := g.retry(ctx, func(ctx context.Context) (Result, error) {
		var err error
		results, err = batcher.UpsertBatch(ctx, records)
		return Result{}, err //nolint:wrapcheck // as it is: attempt looks into it
	})
	if err != nil {
		return nil, err
	}
	return results, nil
}

// retry makes attempts until one decides the result or the maximum is reached.
func (g *Guard) retry(ctx context.Context, send func(ctx context.Context) (Result, error)) (Result, error) {
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
	var last error // of the previous attempt
	for n := 1; ; n++ {
		if err := g.cfg.Before(ctx); err != nil {
			return Result{}, fmt.Errorf("%w: %w", ErrHeld, err)
		}
		hangs := g.cfg.Hosts.hanging(g.cfg.Host)
		result, err := br.do(func() (Result, error) { return g.attempt(ctx, send) })
		switch {
		case errors.Is(err, ErrOpen):
			return Result{}, withCause(last)
		case !Retryable(err), errors.Is(err, ErrRedirect), errors.Is(err, ErrHostSilent): // a wait of seconds does not help
			return result, err
		case br.open():
			// After the wait the breaker would still be open.
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

// attempt makes one attempt, and distinguishes the end of the caller's context from a slow destination. If the
// destination answered, the answer is used, even if the caller's context ended meanwhile.
func (g *Guard) attempt(ctx context.Context, send func(ctx context.Context) (Result, error)) (Result, error) {
	probe, err := g.cfg.Hosts.enter(g.cfg.Host)
	if err != nil {
		return Result{}, &abandonedError{err} // no request was made
	}
	// A request that was sent is not cancelled: the destination may still write it, after what the next holder of the
	// customer's lane sends. It ends by its own timeout, and the caller waits for it.
	sending := withSendCheck(context.WithoutCancel(ctx), g.sendCheck(ctx))
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

// judge decides whether the caller or the destination caused a failure; ctx is the caller's.
func judge(ctx context.Context, result Result, err error) (Result, error) {
	var rejection *Rejection
	switch {
	case errors.Is(err, ErrHeld):
		return Result{}, &abandonedError{err} // it says nothing about the destination
	case err == nil, errors.Is(err, ErrAuth), errors.As(err, &rejection):
		return result, err
	case ctx.Err() != nil:
		return Result{}, &abandonedError{gaveUp(ctx)}
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		// The timeout of the destination's client, not the caller's.
		return Result{}, fault.Unknown("destination_timeout", NoAnswer(errors.New("the destination did not answer in time")))
	}
	return Result{}, err
}

// sendCheck returns the check that is made when the bytes of a request are sent: none are sent for a caller that has ended.
func (g *Guard) sendCheck(ctx context.Context) func() error {
	return func() error {
		if ctx.Err() != nil {
			return gaveUp(ctx)
		}
		if g.cfg.SendCheck == nil {
			return nil
		}
		return g.cfg.SendCheck()
	}
}

// withCause puts the failure first, so that fault.CodeOf and fault.After use it.
func withCause(err error) error {
	if err == nil {
		return ErrOpen
	}
	return fmt.Errorf("%w: %w", err, ErrOpen)
}

func gaveUp(ctx context.Context) error {
	err, cause := ctx.Err(), context.Cause(ctx)
	if errors.Is(cause, err) {
		return fmt.Errorf("write: %w", cause)
	}
	return fmt.Errorf("write: %w: %w", err, cause)
}

type sendCheckKey struct{}

// withSendCheck adds the check to the context of a request, so that it runs again when the request's bytes are sent.
func withSendCheck(ctx context.Context, check func() error) context.Context {
	if check == nil {
		return ctx
	}
	return context.WithValue(ctx, sendCheckKey{}, check)
}

// SendCheckOf returns the check that GuardConfig.SendCheck put into a request's context, nil if there is none. A destination
// calls it as late as possible, best right before each write to the connection: between the check before an attempt
// and its first byte are a lookup, a handshake and, on a machine that is suspended, any amount of time.
func SendCheckOf(ctx context.Context) func() error {
	check, _ := ctx.Value(sendCheckKey{}).(func() error)
	return check
}
