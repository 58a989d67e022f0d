package store

import (
	"context"
	"time"

	"rollcall.dev/pkg/store/internal/db"
)

// DailyCount is how many people of a customer the destination had on a day.
type DailyCount struct {
	Day      time.Time // the beginning of the day, UTC
	Mirrored int64
}

// NoteDailyCount counts the customer's mirrored people for today.
func (t *Tx) NoteDailyCount(ctx context.Context, customer string) error {
	return t.deferred(func(on db.DBTX) error { return t.queries.DailyCountNote(ctx, on, customer) })
}

// DailyCounts returns the counts of the last days, the oldest first. Days on which no reconciliation completed are left out.
func (c Conn) DailyCounts(ctx context.Context, customer string, days int32) ([]DailyCount, error) {
	rows, err := c.queries.DailyCounts(ctx, c.dbtx, &db.DailyCountsParams{CustomerID: customer, Days: days})
	counts := make([]DailyCount, 0, len(rows))
	for _, row := range rows {
		counts = append(counts, DailyCount{Day: row.Day.Time, Mirrored: row.Mirrored})
	}
	return counts, err
}

// ForgetDailyCounts deletes up to atMost counts of days before age. It returns how many it deleted.
func (c Conn) ForgetDailyCounts(ctx context.Context, age time.Duration, atMost int32) (int64, error) {
	return c.queries.DailyCountsForget(ctx, c.dbtx, &db.DailyCountsForgetParams{OlderThan: age, AtMost: atMost})
}
