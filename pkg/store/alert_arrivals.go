package store

import (
	"context"
	"time"

	"rollcall.dev/pkg/store/internal/db"
)

// AlertArrival is an alert that is to be sent to people.
type AlertArrival struct {
	MessageID string
	RaisedID  string // of an end: the message of its beginning; "" if there is none
	Customer  string
	Type      string
	Cleared   bool
	Payload   string // the alert, as it travels
}

// Flood bounds the alerts of one type that are sent by themselves.
type Flood struct {
	AtOnce int           // so many within Recent are sent by themselves
	Recent time.Duration // the others are gathered
	// Quiet is after how long without another one the gathered alerts are due as one summary, Longest after how long at the latest.
	Quiet, Longest time.Duration
}

// NoteAlertArrival notes an alert and returns whether it is gathered for a summary. It is idempotent by the message's id.
func (s *Store) NoteAlertArrival(ctx context.Context, arrival AlertArrival, flood Flood) (gathered bool, err error) {
	err = s.InTx(ctx, func(ctx context.Context, tx *Tx) error {
		if err := tx.queries.AlertArrivalsLock(ctx, tx.dbtx, arrival.Type); err != nil {
			return wrap("lock alerts of a type", err)
		}
		gathered, err = tx.queries.AlertArrivalInsertIfNew(ctx, tx.dbtx, &db.AlertArrivalInsertIfNewParams{
			MessageID: arrival.MessageID, Type: arrival.Type, Cleared: arrival.Cleared, CustomerID: arrival.Customer, Payload: arrival.Payload,
			Recent: flood.Recent, AtOnce: int32(flood.AtOnce), RaisedID: arrival.RaisedID, //nolint:gosec // a few
		})
		if noRows(err) {
			gathered, err = tx.queries.AlertArrivalGathered(ctx, tx.dbtx, arrival.MessageID)
		}
		return wrap("note alert", err)
	})
	return gathered, err
}

// AlertSummary is what gathered alerts of one type are sent as.
type AlertSummary struct {
	ID              string // the same for the same alerts, however often it is sent
	Type            string
	Cleared         bool
	Alerts          int
	Customers       int
	FirstAt, LastAt time.Time // when they arrived
	Examples        []string  // payloads of the first ones
}

// ClaimAlertSummaries returns the summaries that are due, of each type the beginnings before the ends. No other caller gets
// them before again has passed.
func (s *Store) ClaimAlertSummaries(ctx context.Context, flood Flood, again time.Duration, examples int) (summaries []AlertSummary, err error) {
	err = s.InTx(ctx, func(ctx context.Context, tx *Tx) error {
		summaries = nil
		if err := tx.queries.AlertSummariesLock(ctx, tx.dbtx); err != nil {
			return wrap("lock summaries", err)
		}
		if err := tx.queries.AlertSummariesAssign(ctx, tx.dbtx, &db.AlertSummariesAssignParams{Quiet: flood.Quiet, Longest: flood.Longest}); err != nil {
			return wrap("name summaries", err)
		}
		rows, err := tx.queries.AlertSummariesClaim(ctx, tx.dbtx, again)
		if err != nil {
			return wrap("claim summaries", err)
		}
		for _, row := range rows {
			payloads, err := tx.queries.AlertSummaryExamples(ctx, tx.dbtx, &db.AlertSummaryExamplesParams{
				SummaryID: &row.SummaryID, AtMost: int32(examples), //nolint:gosec // a few
			})
			if err != nil {
				return wrap("read examples of a summary", err)
			}
			summaries = append(summaries, AlertSummary{
				ID: row.SummaryID, Type: row.Type, Cleared: row.Cleared, Alerts: int(row.Alerts), Customers: int(row.Customers),
				FirstAt: row.FirstAt, LastAt: row.LastAt, Examples: payloads,
			})
		}
		return nil
	})
	return summaries, err
}

// ReleaseAlertSummary gives a summary that could not be sent on all channels to the next caller.
func (c Conn) ReleaseAlertSummary(ctx context.Context, id string) error {
	return wrap("release summary", c.queries.AlertSummaryRelease(ctx, c.dbtx, &id))
}

// NoteAlertSummarySent notes that all channels had a summary, for each of its alerts.
func (c Conn) NoteAlertSummarySent(ctx context.Context, id string) error {
	return wrap("note summary", c.queries.AlertSummarySent(ctx, c.dbtx, id))
}

// ForgetAlertArrivals deletes up to atMost alerts that arrived before age and wait for nothing, and returns how many it deleted.
func (c Conn) ForgetAlertArrivals(ctx context.Context, age time.Duration, atMost int32) (int64, error) {
	deleted, err := c.queries.AlertArrivalsForget(ctx, c.dbtx, &db.AlertArrivalsForgetParams{OlderThan: age, AtMost: atMost})
	return deleted, wrap("forget alert arrivals", err)
}
