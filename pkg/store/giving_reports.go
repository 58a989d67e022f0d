package store

import (
	"context"
	"encoding/json"
	"time"

	"rollcall.dev/pkg/store/internal/db"
)

// GivingFigures are what the report of a customer's giving counts.
type GivingFigures struct {
	At                      time.Time // the database's clock
	Pending, SubmittedLate  int64
	PendingSince, LateSince *time.Time // of the oldest; nil: there is none
	ImportNotRun            int64      // in review, by reason
	MatchNeeded             int64
	Failed, Conflict        int64
	Confirmed, Recovered    int64          // within the time that was asked for
	Median, P95             *time.Duration // from submitted to confirmed; nil: nothing was confirmed
}

// GivingFigures counts. A donation that has been submitted for longer than late is late; confirmations within a time count.
func (c Conn) GivingFigures(ctx context.Context, customer string, late, within time.Duration) (GivingFigures, error) {
	row, err := c.queries.GivingFigures(ctx, c.dbtx, &db.GivingFiguresParams{CustomerID: customer, Late: late, Within: within})
	if err != nil {
		return GivingFigures{}, err
	}
	return GivingFigures{
		At: row.At, Pending: row.Pending, PendingSince: unlessEpoch(row.PendingSince), SubmittedLate: row.SubmittedLate,
		LateSince: unlessEpoch(row.SubmittedLateSince), ImportNotRun: row.ImportNotRun, MatchNeeded: row.MatchNeeded, Failed: row.Failed,
		Conflict: row.Conflict, Confirmed: row.Confirmed, Recovered: row.Recovered, Median: unlessNegative(row.Median), P95: unlessNegative(row.P95),
	}, nil
}

func unlessNegative(seconds float64) *time.Duration {
	if seconds < 0 {
		return nil
	}
	duration := time.Duration(seconds * float64(time.Second))
	return &duration
}

// SaveGivingReport stores the report of a day (YYYY-MM-DD), in place of an earlier one.
func (c Conn) SaveGivingReport(ctx context.Context, customer, date string, report json.RawMessage, madeAt time.Time) error {
	return c.queries.GivingReportUpsert(ctx, c.dbtx, &db.GivingReportUpsertParams{CustomerID: customer, Date: date, Report: report, MadeAt: madeAt})
}

// GivingReport returns the report of a day; ErrNotFound if there is none.
func (c Conn) GivingReport(ctx context.Context, customer, date string) (json.RawMessage, error) {
	return c.queries.GivingReportOf(ctx, c.dbtx, &db.GivingReportOfParams{CustomerID: customer, Date: date})
}

// StoredGivingReport is the report of a day.
type StoredGivingReport struct {
	Date   string // YYYY-MM-DD
	Report json.RawMessage
	MadeAt time.Time
}

// GivingReportsBefore returns up to atMost reports of days before a day (YYYY-MM-DD), newest first.
func (c Conn) GivingReportsBefore(ctx context.Context, customer, before string, atMost int32) ([]StoredGivingReport, error) {
	rows, err := c.queries.GivingReportsBefore(ctx, c.dbtx, &db.GivingReportsBeforeParams{CustomerID: customer, Before: before, AtMost: atMost})
	reports := make([]StoredGivingReport, 0, len(rows))
	for _, row := range rows {
		reports = append(reports, StoredGivingReport{Date: row.Date, Report: row.Report, MadeAt: row.MadeAt})
	}
	return reports, err
}

// GivingDriftSince returns how many differences between contacts of both sides were found since a time.
func (c Conn) GivingDriftSince(ctx context.Context, customer string, since time.Time) (int64, error) {
	return c.queries.GivingDriftSince(ctx, c.dbtx, &db.GivingDriftSinceParams{CustomerID: customer, Since: since})
}

// ForgetGivingReports deletes up to a number of reports that were made more than age ago.
func (c Conn) ForgetGivingReports(ctx context.Context, age time.Duration, atMost int32) (deleted int64, err error) {
	return c.queries.GivingReportForgetOld(ctx, c.dbtx, &db.GivingReportForgetOldParams{OlderThan: age, AtMost: atMost})
}

// DailyRunDue is a customer whose daily run is due.
type DailyRunDue struct {
	Customer string
	Enabled  bool   // Virtuous may be asked
	TimeZone string // the organization's
	DueAt    time.Time
}

// LockDailyRunsDue locks up to atMost customers whose daily run is due, also those whose giving is paused or switched off.
func (t *Tx) LockDailyRunsDue(ctx context.Context, atMost int32) ([]DailyRunDue, error) {
	rows, err := t.queries.GivingReportsLockDue(ctx, t.dbtx, atMost)
	due := make([]DailyRunDue, 0, len(rows))
	for _, row := range rows {
		due = append(due, DailyRunDue{Customer: row.CustomerID, Enabled: row.Enabled, TimeZone: row.TimeZone, DueAt: row.NextReportAt})
	}
	return due, err
}

// SetNextDailyRuns says when the customers' next daily runs are due. A daily run stands for the next scheduled reconciliation, so that one
// comes every later.
func (t *Tx) SetNextDailyRuns(ctx context.Context, customers []string, next []time.Time, every time.Duration) error {
	return t.queries.GivingReportsSetNext(ctx, t.dbtx, &db.GivingReportsSetNextParams{CustomerIds: customers, Next: next, Every: every})
}

// GivingReportsDue returns up to atMost customers whose report is to be made: the other categories of the daily run are complete, or it has
// waited for them for longestWait.
func (c Conn) GivingReportsDue(ctx context.Context, longestWait time.Duration, atMost int32) ([]string, error) {
	return c.queries.GivingReportsDue(ctx, c.dbtx, &db.GivingReportsDueParams{LongestWait: longestWait, AtMost: atMost})
}

// TakeGivingReport ends the wait for a customer's report; the caller makes and stores it in the same transaction. taken is false if another
// one does, or did.
func (t *Tx) TakeGivingReport(ctx context.Context, customer string) (taken bool, err error) {
	rows, err := t.queries.GivingReportTake(ctx, t.dbtx, customer)
	return rows > 0, err
}

// GivingNow are the seven figures of a customer's last report.
type GivingNow struct {
	Customer                                              string
	Pending, SubmittedLate, NeedsReview, Failed, Conflict int64
	LatencySeconds, RecoveredShare                        *float64 // nil: nothing was confirmed
}

// LastGivingReports returns the figures of each customer's last report, without those that are older than a day and a half.
func (c Conn) LastGivingReports(ctx context.Context) ([]GivingNow, error) {
	rows, err := c.queries.GivingReportsLatest(ctx, c.dbtx)
	figures := make([]GivingNow, 0, len(rows))
	for _, row := range rows {
		figures = append(figures, GivingNow{
			Customer: row.CustomerID, Pending: row.Pending, SubmittedLate: row.SubmittedLate, NeedsReview: row.NeedsReview, Failed: row.Failed,
			Conflict: row.Conflict, LatencySeconds: unlessBelowZero(row.LatencySeconds), RecoveredShare: unlessBelowZero(row.RecoveredShare),
		})
	}
	return figures, err
}

func unlessBelowZero(value float64) *float64 {
	if value < 0 {
		return nil
	}
	return &value
}
