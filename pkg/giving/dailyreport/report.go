package dailyreport

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"rollcall.dev/pkg/store"
)

// States of figures and of a report, the better ones first.
const (
	OK   = "ok"
	Look = "look" // soon, by the person who works with the customer
	Act  = "act"  // now
)

// lateAfter is how long a donation may be submitted without a gift: Virtuous runs imports at night.
const lateAfter = 24 * time.Hour

// windowDays is over how many days latency and recovered share are counted: over a single day they would jump.
const windowDays = 7

// Report is the state of a customer's giving.
type Report struct {
	CustomerID string    `json:"customerId"`
	Date       string    `json:"date"` // the organization's day
	MadeAt     time.Time `json:"madeAt"`
	State      string    `json:"state"` // the worst of its figures
	WindowDays int       `json:"windowDays"`
	Metrics    Metrics   `json:"metrics"`
	Contacts   *Contacts `json:"contacts"` // null in reports of earlier versions
	// Drift counts the differences between contacts that were found since the report of a day before; nil only in reports of a version that did
	// not count them.
	Drift *Count `json:"drift"`
}

// Metrics are the figures.
type Metrics struct {
	Pending        Aged        `json:"pending"`
	SubmittedLate  Aged        `json:"submittedLate"` // for more than 24 hours
	NeedsReview    NeedsReview `json:"needsReview"`
	Failed         Count       `json:"failed"`
	Conflict       Count       `json:"conflict"`
	Latency        Latency     `json:"latency"`
	RecoveredShare Share       `json:"recoveredShare"`
}

// Verdict says what a value means.
type Verdict struct {
	Healthy string `json:"healthy"`
	State   string `json:"state"`
	Remedy  string `json:"remedy"`
	// Baseline is nil without enough reports of days before.
	Baseline *Baseline `json:"baseline"`
}

// Count is a number of donations, gifts or contacts.
type Count struct {
	Verdict

	Value int64 `json:"value"`
}

// Aged is a number of donations and the age of the oldest; null if there is none.
type Aged struct {
	Count

	OldestAgeSeconds *int64 `json:"oldestAgeSeconds"`
}

// NeedsReview is the number of donations in review, and why.
type NeedsReview struct {
	Count

	ByReason ByReason `json:"byReason"`
}

// ByReason counts donations in review.
type ByReason struct {
	ImportNotRun int64 `json:"import_not_run"`
	MatchNeeded  int64 `json:"match_needed"`
}

// Latency is the time from submitted to confirmed; null if nothing was confirmed.
type Latency struct {
	Verdict

	MedianSeconds *int64 `json:"medianSeconds"`
	P95Seconds    *int64 `json:"p95Seconds"`
}

// Share is which share of the confirmed donations a reconciliation confirmed; null if nothing was confirmed.
type Share struct {
	Verdict

	Value     *float64 `json:"value"`
	Recovered int64    `json:"recovered"`
	Confirmed int64    `json:"confirmed"`
}

// Reporter makes reports, and raises the alerts about unusual figures.
type Reporter struct {
	Limits Limits
	Floors Floors
}

// Make computes a customer's report as of now. store.ErrNotFound if the customer never had giving.
func (r Reporter) Make(ctx context.Context, on store.Conn, customer string) (Report, error) {
	made, _, err := r.make(ctx, on, customer)
	return made, err
}

func (r Reporter) make(ctx context.Context, on store.Conn, customer string) (made Report, before history, err error) {
	config, err := on.VirtuousConfig(ctx, customer)
	if err != nil {
		return Report{}, nil, err
	}
	figures, err := on.GivingFigures(ctx, customer, lateAfter, windowDays*24*time.Hour)
	if err != nil {
		return Report{}, nil, err
	}
	contacts, err := on.ContactFigures(ctx, customer, lateAfter)
	if err != nil {
		return Report{}, nil, err
	}
	zone, err := time.LoadLocation(config.TimeZone)
	if err != nil {
		zone = time.UTC // the onboarding did not know the zone either
	}
	made = Report{
		CustomerID: customer, Date: figures.At.In(zone).Format(time.DateOnly), MadeAt: figures.At.UTC(), WindowDays: windowDays,
		Metrics: r.metrics(figures), Contacts: r.contacts(contacts, figures.At),
	}
	if before, err = readHistory(ctx, on, customer, made.Date); err != nil {
		return Report{}, nil, err
	}
	since := figures.At.Add(-24 * time.Hour)
	if len(before) > 0 {
		since = before[0].MadeAt
	}
	drift, err := on.GivingDriftSince(ctx, customer, since)
	if err != nil {
		return Report{}, nil, err
	}
	counted := counted(drift, r.Limits.Drift, "See which fields differ: rollcall reconcile log <customer> --category drift.")
	made.Drift = &counted
	made.State = worst(append(append(made.Metrics.verdicts(), made.Contacts.verdicts()...), made.Drift.Verdict))
	made.noteBaselines(before)
	return made, before, nil
}

// MakeAndStore computes a customer's report and stores it as that of the organization's day, in place of an earlier one of the day. The alerts
// about unusual figures are raised and cleared in the same transaction.
func (r Reporter) MakeAndStore(ctx context.Context, tx *store.Tx, customer string) (Report, error) {
	made, before, err := r.make(ctx, tx.Conn, customer)
	if err != nil {
		return Report{}, err
	}
	encoded, err := json.Marshal(made)
	if err != nil {
		return Report{}, fmt.Errorf("encode a report: %w", err)
	}
	if err := tx.SaveGivingReport(ctx, customer, made.Date, encoded, made.MadeAt); err != nil {
		return Report{}, err
	}
	return made, r.escalate(ctx, tx, made, before)
}

// Of returns the stored report of a day (YYYY-MM-DD). store.ErrNotFound if there is none.
func Of(ctx context.Context, on store.Conn, customer, date string) (Report, error) {
	encoded, err := on.GivingReport(ctx, customer, date)
	if err != nil {
		return Report{}, err
	}
	return decode(encoded)
}

func decode(encoded json.RawMessage) (stored Report, err error) {
	if err := json.Unmarshal(encoded, &stored); err != nil {
		return Report{}, fmt.Errorf("decode a report: %w", err)
	}
	return stored, nil
}

// WaitingForReview returns how many donations, gifts and contacts wait for a person's decision.
func (r *Report) WaitingForReview() int64 {
	waiting := r.Metrics.NeedsReview.Value + r.Metrics.Conflict.Value
	if r.Contacts != nil {
		waiting += r.Contacts.NeedsReview.Value
	}
	return waiting
}
