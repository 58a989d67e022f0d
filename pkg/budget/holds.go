package budget

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"rollcall.dev/pkg/backoff"
)

const (
	maxBelieved = time.Hour
	firstHold   = time.Second
	maxHold     = time.Minute
)

// HoldLedger stores what answers 429 hold back.
type HoldLedger interface {
	HoldBudget(ctx context.Context, customer string, hold time.Duration, throttles int) error
	Throttles(ctx context.Context, customer string) (int, error)
	ForgetThrottles(ctx context.Context, customer string) error
}

// holds records answers 429 of one customer.
type holds struct {
	ledger   HoldLedger
	customer string
	// throttled means that 429s may be recorded, at first also by another account: that of a job that was parked for them, or that died.
	throttled atomic.Bool
}

// Throttled records an answer 429 with its Retry-After. 0 means that it named no time: the hold then doubles from a
// second to a minute, with jitter.
func (h *holds) Throttled(ctx context.Context, after time.Duration) error {
	h.throttled.Store(true)
	if after > 0 {
		if err := h.ledger.HoldBudget(ctx, h.customer, min(after, maxBelieved), 0); err != nil {
			return fmt.Errorf("hold the budget: %w", err)
		}
		return nil
	}
	throttles, err := h.ledger.Throttles(ctx, h.customer)
	if err != nil {
		return fmt.Errorf("read the budget: %w", err)
	}
	throttles++
	hold := backoff.Delays{First: firstHold, Longest: maxHold, Jitter: 0.5}.After(throttles)
	if err := h.ledger.HoldBudget(ctx, h.customer, hold, throttles); err != nil {
		return fmt.Errorf("hold the budget: %w", err)
	}
	return nil
}

// Answered records an answer that was not a 429: the doubling starts again.
func (h *holds) Answered(ctx context.Context) error {
	if !h.throttled.CompareAndSwap(true, false) {
		return nil
	}
	if err := h.ledger.ForgetThrottles(ctx, h.customer); err != nil {
		return fmt.Errorf("reset the budget: %w", err)
	}
	return nil
}
