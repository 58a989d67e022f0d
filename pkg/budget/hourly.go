package budget

import (
	"context"
	"errors"
	"fmt"
	"time"

	"rollcall.dev/pkg/backoff"
	"rollcall.dev/pkg/fault"
)

// Hourly is the pace of requests to an API that counts them by the hour, over all integrations of the customer: Virtuous.
type Hourly struct {
	PerHour float64 // how many are sent in an hour while the API's own limit is not known; above 0
	Share   float64 // the share of the API's limit that is sent in an hour, above 0 to 1
}

// HourlyBurst is how much time in which nothing was sent may be made up for at once: a twentieth of the hour.
const HourlyBurst = time.Hour / 20

// Of what is left of the quota, the shares below which only submissions are sent, and nothing.
const (
	lowShare  = 0.20
	lastShare = 0.05
)

// unknownReset is how long a quota counts as used up if the API does not say when it is full again.
const unknownReset = 5 * time.Minute

// sameReset is how far apart two times of the same reset may be: they are rounded, and come over the network.
const sameReset = 5 * time.Second

// Quota is what the API last said of its limit. Every integration of the customer spends it.
type Quota struct {
	Limit     int64     // 0: not known
	Remaining int64     // -1: not known
	ResetAt   time.Time // when Remaining is Limit again; zero: not known
}

// Purpose is what a request is for.
type Purpose int

const (
	// ForReads are requests that can wait.
	ForReads Purpose = iota
	// ForSubmissions are requests that go on when little of the quota is left.
	ForSubmissions
)

// Allowed returns how many requests may be sent in an hour.
func (h Hourly) Allowed(limit int64) float64 {
	if limit > 0 {
		return h.Share * float64(limit)
	}
	return h.PerHour
}

// Step returns the time between two requests if nothing is made up for. It is so long that in no hour, with the burst, more
// requests are sent than Allowed. It is a day at most.
func (h Hourly) Step(limit int64) time.Duration {
	allowed := h.Allowed(limit)
	// A burst of HourlyBurst/step requests, one more that uses the present moment, and an hour of steps.
	steps := max(allowed-1, allowed/2)
	return time.Duration(min(float64(time.Hour+HourlyBurst)/steps, float64(maxInterval)))
}

// Held returns how long a request has to wait because of what is left of the quota; 0: not at all.
func (q Quota) Held(now time.Time, purpose Purpose) time.Duration {
	if q.Limit <= 0 || q.Remaining < 0 || !q.ResetAt.After(now) {
		return 0
	}
	share := lowShare
	if purpose == ForSubmissions {
		share = lastShare
	}
	if float64(q.Remaining) >= share*float64(q.Limit) {
		return 0
	}
	return q.ResetAt.Sub(now)
}

// After returns what is known after an answer that said q, if seen was known before. What the answer leaves out stays known
// until its reset. Of two answers before the same reset, the one that left less counts, since answers overtake each other.
func (q Quota) After(seen Quota, now time.Time) Quota {
	if !seen.ResetAt.After(now) {
		seen.Remaining, seen.ResetAt = -1, time.Time{}
	}
	if q.Limit <= 0 {
		q.Limit = seen.Limit
	}
	if q.Remaining < 0 {
		return Quota{Limit: q.Limit, Remaining: seen.Remaining, ResetAt: seen.ResetAt}
	}
	if q.ResetAt.IsZero() {
		if q.ResetAt = seen.ResetAt; q.ResetAt.IsZero() {
			q.ResetAt = now.Add(unknownReset)
		}
	}
	if latest := now.Add(time.Hour); q.ResetAt.After(latest) {
		q.ResetAt = latest
	}
	if seen.Remaining >= 0 && q.ResetAt.Sub(seen.ResetAt).Abs() < sameReset {
		q.ResetAt, q.Remaining = seen.ResetAt, min(q.Remaining, seen.Remaining)
	}
	return q
}

// HourlyLedger stores the row of an hourly budget. Its grants may leave HourlyBurst early if nothing was sent before.
type HourlyLedger interface {
	HoldLedger
	TakeGrant(ctx context.Context, customer, job string, step, patience time.Duration) (wait time.Duration, granted bool, err error)
	SeenQuota(ctx context.Context, customer string) (Quota, error)
	// NoteQuota stores what is known. Of two that are noted before the same reset, the lesser remainder stays.
	NoteQuota(ctx context.Context, customer string, quota Quota) error
}

// HourlyAccount is one job's access to a customer's hourly budget. Several goroutines may use it.
type HourlyAccount struct {
	holds holds

	ledger   HourlyLedger
	job      string
	hourly   Hourly
	patience time.Duration
	wait     func(ctx context.Context, d time.Duration) error
	now      func() time.Time
}

// OpenHourly returns a job's access to the customer's hourly budget. now is the clock; nil is time.Now.
func OpenHourly(ledger HourlyLedger, customer, job string, hourly Hourly, now func() time.Time) (*HourlyAccount, error) {
	if !(hourly.PerHour > 0) || !(hourly.Share > 0) || !(hourly.Share <= 1) { // written so that it rejects NaN too
		return nil, fault.Permanent("limits_invalid", errors.New("requests an hour must be above 0, and the share above 0 and 1 at most"))
	}
	if now == nil {
		now = time.Now
	}
	account := &HourlyAccount{
		holds: holds{ledger: ledger, customer: customer}, ledger: ledger, job: job, hourly: hourly, patience: defaultPatience,
		wait: backoff.Sleep, now: now,
	}
	account.holds.throttled.Store(true)
	return account, nil
}

// Wait returns when the next request may be sent. If that is later than a slot should wait, it returns a fault.Throttled
// error with the time, and spends nothing.
func (a *HourlyAccount) Wait(ctx context.Context, purpose Purpose) error {
	quota, err := a.ledger.SeenQuota(ctx, a.holds.customer)
	if err != nil {
		return fmt.Errorf("read the quota: %w", err)
	}
	if held := quota.Held(a.now(), purpose); held > 0 {
		return fault.Throttled("quota_low", held, errors.New("little of the customer's quota is left"))
	}
	wait, granted, err := a.ledger.TakeGrant(ctx, a.holds.customer, a.job, a.hourly.Step(quota.Limit), a.patience)
	if err != nil {
		return fmt.Errorf("take a grant: %w", err)
	}
	if !granted {
		return fault.Throttled("budget_held", wait, errors.New("the customer's budget is held back"))
	}
	return a.wait(ctx, wait)
}

// Answered records what an answer said of the quota, whatever its status.
func (a *HourlyAccount) Answered(ctx context.Context, quota Quota) error {
	if quota.Limit <= 0 && quota.Remaining < 0 {
		return nil
	}
	seen, err := a.ledger.SeenQuota(ctx, a.holds.customer)
	if err != nil {
		return fmt.Errorf("read the quota: %w", err)
	}
	now := a.now()
	known := quota.After(seen, now)
	if known == seen {
		return nil
	}
	if err := a.ledger.NoteQuota(ctx, a.holds.customer, known); err != nil {
		return fmt.Errorf("note the quota: %w", err)
	}
	return nil
}

// Throttled records an answer 429 with the pause that it named, as Account.Throttled does.
func (a *HourlyAccount) Throttled(ctx context.Context, after time.Duration) error {
	return a.holds.Throttled(ctx, after)
}

// NotThrottled records an answer that was not a 429: the doubling starts again.
func (a *HourlyAccount) NotThrottled(ctx context.Context) error { return a.holds.Answered(ctx) }
