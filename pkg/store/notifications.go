package store

import (
	"context"
	"time"

	"rollcall.dev/pkg/store/internal/db"
)

// Outcomes of a notification: the values of notifications.outcome.
const (
	NotificationSent    = "sent"
	NotificationFailed  = "failed"  // rejected permanently
	NotificationSkipped = "skipped" // there was no recipient, or the alert was cleared
)

// AlertArrival is an alert that people are to be notified of.
type AlertArrival struct {
	MessageID string
	RaisedID  string // if it cleared: the message that it was raised with; "" if there is none
	Customer  string
	Type      string
	Cleared   bool
	Payload   string // the alert as the message has it
}

// Flood bounds how many alerts of one type are sent one by one. The others are gathered into a summary.
type Flood struct {
	AtOnce int // alerts within Recent that are sent one by one
	Recent time.Duration
	// A summary is due if no alert of the type came for Quiet, and at the latest when its first alert is Longest old.
	Quiet, Longest time.Duration
}

// NoteAlertArrival stores an alert and returns whether it is gathered for a summary. It is idempotent by the message's id.
func (s *Store) NoteAlertArrival(ctx context.Context, arrival AlertArrival, flood Flood) (gathered bool, err error) {
	err = s.InTx(ctx, func(ctx context.Context, tx *Tx) error {
		if err := tx.queries.AlertArrivalsLock(ctx, tx.dbtx, arrival.Type); err != nil {
			return err
		}
		gathered, err = tx.queries.AlertArrivalInsertIfNew(ctx, tx.dbtx, &db.AlertArrivalInsertIfNewParams{
			MessageID: arrival.MessageID, Type: arrival.Type, Cleared: arrival.Cleared, CustomerID: arrival.Customer, Payload: arrival.Payload,
			Recent: flood.Recent, AtOnce: int32(flood.AtOnce), RaisedID: arrival.RaisedID, //nolint:gosec // a few
		})
		if isNotFound(err) {
			gathered, err = tx.queries.AlertArrivalGathered(ctx, tx.dbtx, arrival.MessageID)
		}
		return err
	})
	return gathered, err
}

// AlertSummary is one notice for the gathered alerts of one type.
type AlertSummary struct {
	ID              string // the same for the same alerts, however often it is sent
	Type            string
	Cleared         bool
	Alerts          int
	Customers       int
	FirstAt, LastAt time.Time // when the first and the last alert arrived
	Examples        []string  // payloads of the first alerts
}

// ClaimAlertSummaries returns the summaries that are due; of each type, raised alerts come before cleared ones. No other caller gets
// them before again has passed.
func (s *Store) ClaimAlertSummaries(ctx context.Context, flood Flood, again time.Duration, examples int) (summaries []AlertSummary, err error) {
	err = s.InTx(ctx, func(ctx context.Context, tx *Tx) error {
		summaries = nil
		if err := tx.queries.AlertSummariesLock(ctx, tx.dbtx); err != nil {
			return err
		}
		if err := tx.queries.AlertSummariesAssign(ctx, tx.dbtx, &db.AlertSummariesAssignParams{Quiet: flood.Quiet, Longest: flood.Longest}); err != nil {
			return err
		}
		rows, err := tx.queries.AlertSummariesClaim(ctx, tx.dbtx, again)
		if err != nil {
			return err
		}
		for _, row := range rows {
			payloads, err := tx.queries.AlertSummaryExamples(ctx, tx.dbtx, &db.AlertSummaryExamplesParams{
				SummaryID: &row.SummaryID, AtMost: int32(examples), //nolint:gosec // a few
			})
			if err != nil {
				return err
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
