package event

import (
	"context"
	"strconv"

	"rollcall.dev/pkg/store"
)

// Raise notes a condition and tells it, unless it stands already.
func Raise(ctx context.Context, tx *store.Tx, alert Alert) error {
	id, raised, err := tx.RaiseAlert(ctx, alert.Customer, alert.Type, alert.Severity)
	if err != nil || !raised {
		return err
	}
	now, err := tx.Now(ctx)
	if err != nil {
		return err
	}
	message, err := alert.Message(strconv.FormatInt(id, 10), false, now)
	if err != nil {
		return err
	}
	return tx.Publish(ctx, message)
}

// Clear notes that a condition is over and tells it, with the moment at which it began, where it stood.
func Clear(ctx context.Context, tx *store.Tx, customer, kind, text string) error {
	standing, cleared, err := tx.ClearAlert(ctx, customer, kind)
	if err != nil || !cleared {
		return err
	}
	now, err := tx.Now(ctx)
	if err != nil {
		return err
	}
	over := Alert{Customer: customer, Type: kind, Severity: standing.Severity, Text: text, RaisedAt: standing.RaisedAt}
	message, err := over.Message(strconv.FormatInt(standing.ID, 10), true, now)
	if err != nil {
		return err
	}
	return tx.Publish(ctx, message)
}
