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

// ForgetGivingReports deletes up to a number of reports that were made more than age ago.
func (c Conn) ForgetGivingReports(ctx context.Context, age time.Duration, atMost int32) (deleted int64, err error) {
	return c.queries.GivingReportForgetOld(ctx, c.dbtx, &db.GivingReportForgetOldParams{OlderThan: age, AtMost: atMost})
}
