package store

import (
	"context"
	"time"

	"rollcall.dev/pkg/store/internal/db"
)

// Parked is work that does not get on: why, since when, and when it is tried again.
type Parked struct {
	Work   string // "backfill", "letters", "writeback", "giving", or the kind of a scheduled run
	Reason string
	Detail string     // what stopped the last attempt, in words of our own; "" where that is not known
	Since  *time.Time // nil where the version before parked it
	Until  *time.Time // nil while it is tried
	Parks  int        // in a row since the last committed page; 0: it waits for a time, or was asked to go on
}

// WorkLetters is the work of a customer's letters, beside the kinds of runs.
const WorkLetters = "letters"

// WorkWriteback is the work of values that external systems want to have in VOMO.
const WorkWriteback = "writeback"

// WorkGiving is the work of donations.
const WorkGiving = "giving"

// ParkedOf are the parks of the customers' scheduled runs, letters, write-backs and giving, by customer. Their backfills tell of their own.
func (c Conn) ParkedOf(ctx context.Context, customers ...string) (map[string][]Parked, error) {
	parked := map[string][]Parked{}
	runs, err := c.queries.RunsParkedFor(ctx, c.dbtx, customers)
	if err != nil {
		return nil, err
	}
	for _, row := range runs {
		one := Parked{Work: row.Kind, Since: row.ParkSince, Parks: int(row.Parks)}
		one.Reason, one.Detail = textOf(row.ParkReason), textOf(row.ParkDetail)
		if RunState(row.State) == RunParked {
			one.Until = &row.DueAt
		}
		parked[row.CustomerID] = append(parked[row.CustomerID], one)
	}
	holds, err := c.queries.LettersHeldFor(ctx, c.dbtx, customers)
	if err != nil {
		return nil, err
	}
	for _, row := range holds {
		parked[row.CustomerID] = append(parked[row.CustomerID], Parked{
			Work: WorkLetters, Reason: row.Reason, Detail: textOf(row.Detail), Since: &row.Since, Until: &row.Until, Parks: 1,
		})
	}
	writebacks, err := c.queries.WritebacksHeldFor(ctx, c.dbtx, customers)
	if err != nil {
		return nil, err
	}
	for _, row := range writebacks {
		parked[row.CustomerID] = append(parked[row.CustomerID], Parked{
			Work: WorkWriteback, Reason: row.Reason, Detail: textOf(row.Detail), Since: &row.Since, Until: &row.Until, Parks: int(row.Holds),
		})
	}
	giving, err := c.queries.GivingHeldFor(ctx, c.dbtx, customers)
	if err != nil {
		return nil, err
	}
	for _, row := range giving {
		parked[row.CustomerID] = append(parked[row.CustomerID], Parked{
			Work: WorkGiving, Reason: row.Reason, Detail: textOf(row.Detail), Since: &row.Since, Until: &row.Until, Parks: int(row.Holds),
		})
	}
	return parked, nil
}

// Parked is the run's park; false where it gets on. The reason of a run that is tried stays until a page is committed.
func (r Run) Parked() (Parked, bool) {
	if r.ParkReason == "" || !r.State.Open() || r.State == RunPaused {
		return Parked{}, false
	}
	parked := Parked{Work: r.Kind, Reason: r.ParkReason, Detail: r.ParkDetail, Since: r.ParkSince, Parks: r.Parks}
	if r.State == RunParked {
		parked.Until = &r.DueAt
	}
	return parked, r.Parks > 0 || parked.Until != nil
}

// HoldLetters notes why the customer's letters are left alone for delay.
func (t *Tx) HoldLetters(ctx context.Context, customer, reason, detail string, delay time.Duration) error {
	return t.queries.LettersHold(ctx, t.dbtx, &db.LettersHoldParams{
		CustomerID: customer, Reason: reason, Detail: detail, Delay: delay,
	})
}

// ReleaseLetters notes that the customer's letters are retried again.
func (c Conn) ReleaseLetters(ctx context.Context, customer string) error {
	return c.queries.LettersRelease(ctx, c.dbtx, customer)
}

// OpenLettersSince is since when the customer has had so many open letters; ErrNotFound where there are fewer.
func (c Conn) OpenLettersSince(ctx context.Context, customer string, letters int32) (time.Time, error) {
	at, err := c.queries.LetterNthOpen(ctx, c.dbtx, &db.LetterNthOpenParams{CustomerID: customer, Before: letters - 1})
	return at, err
}
