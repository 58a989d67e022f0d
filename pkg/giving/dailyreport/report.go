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

// Reporter makes reports.
type Reporter struct {
	Limits Limits
}

// Make computes a customer's report as of now. store.ErrNotFound if the customer never had giving.
func (r Reporter) Make(ctx context.Context, on store.Conn, customer string) (Report, error) {
	config, err := on.VirtuousConfig(ctx, customer)
	if err != nil {
		return Report{}, err
	}
	figures, err := on.GivingFigures(ctx, customer, lateAfter, windowDays*24*time.Hour)
	if err != nil {
		return Report{}, err
	}
	zone, err := time.LoadLocation(config.TimeZone)
	if err != nil {
		zone = time.UTC // the onboarding did not know the zone either
	}
	made := Report{
		CustomerID: customer, Date: figures.At.In(zone).Format(time.DateOnly), MadeAt: figures.At.UTC(), WindowDays: windowDays,
		Metrics: r.metrics(figures),
	}
	made.State = made.Metrics.worst()
	return made, nil
}

// MakeAndStore computes a customer's report and stores it as that of the organization's day, in place of an earlier one of the day.
func (r Reporter) MakeAndStore(ctx context.Context, on store.Conn, customer string) (Report, error) {
	made, err := r.Make(ctx, on, customer)
	if err != nil {
		return Report{}, err
	}
	encoded, err := json.Marshal(made)
	if err != nil {
		return Report{}, fmt.Errorf("encode a report: %w", err)
	}
	return made, on.SaveGivingReport(ctx, customer, made.Date, encoded, made.MadeAt)
}

// Of returns the stored report of a day (YYYY-MM-DD). store.ErrNotFound if there is none.
func Of(ctx context.Context, on store.Conn, customer, date string) (Report, error) {
	encoded, err := on.GivingReport(ctx, customer, date)
	if err != nil {
		return Report{}, err
	}
	var stored Report
	if err := json.Unmarshal(encoded, &stored); err != nil {
		return Report{}, fmt.Errorf("decode a report: %w", err)
	}
	return stored, nil
}
