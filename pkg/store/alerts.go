package store

import (
	"context"
	"time"

	"rollcall.dev/pkg/store/internal/db"
)

// RaiseAlert raises an alert of a customer; raised is false if it is active already.
func (t *Tx) RaiseAlert(ctx context.Context, customer, kind, severity string) (id int64, raised bool, err error) {
	id, err = t.queries.AlertRaiseIfNew(ctx, t.dbtx, &db.AlertRaiseIfNewParams{CustomerID: customer, Type: kind, Severity: severity})
	raised, err = found(err)
	return id, raised, err
}

// ClearedAlert is an alert that has cleared.
type ClearedAlert struct {
	ID       int64
	Severity string
	RaisedAt time.Time
}

// ClearAlert clears an alert; cleared is false if it was not active.
func (t *Tx) ClearAlert(ctx context.Context, customer, kind string) (alert ClearedAlert, cleared bool, err error) {
	row, err := t.queries.AlertClearIfActive(ctx, t.dbtx, &db.AlertClearIfActiveParams{CustomerID: customer, Type: kind})
	cleared, err = found(err)
	return ClearedAlert(*row), cleared, err
}

// LockAlert locks the customer's active alert of that type until the transaction ends; active is false if there is none.
func (t *Tx) LockAlert(ctx context.Context, customer, kind string) (active bool, err error) {
	_, err = t.queries.AlertLockActive(ctx, t.dbtx, &db.AlertLockActiveParams{CustomerID: customer, Type: kind})
	return found(err)
}

// found turns ErrNotFound into false.
func found(err error) (bool, error) {
	if isNotFound(err) {
		return false, nil
	}
	return err == nil, err
}

// UserAlerts are alerts of one type that are each about one user. They are never active: each is kept for an operator to look up,
// and has cleared when it is raised.
type UserAlerts struct {
	Customer string
	Type     string
	Severity string
	TraceID  string
	At       time.Time
	VomoIDs  []string
}

// NoteUserAlerts stores these alerts. It notifies no one: the caller publishes messages for that.
func (t *Tx) NoteUserAlerts(ctx context.Context, alerts UserAlerts) error {
	if len(alerts.VomoIDs) == 0 {
		return nil
	}
	return t.deferred(func(on db.DBTX) error {
		return t.queries.AlertsInsertOver(ctx, on, &db.AlertsInsertOverParams{
			CustomerID: alerts.Customer, Type: alerts.Type, Severity: alerts.Severity, TraceID: alerts.TraceID, At: alerts.At, VomoIds: alerts.VomoIDs,
		})
	})
}

// ForgetAlerts deletes up to atMost alerts that cleared longer than age ago, and returns how many it deleted.
func (c Conn) ForgetAlerts(ctx context.Context, age time.Duration, atMost int32) (int64, error) {
	return c.queries.AlertsForgetOver(ctx, c.dbtx, &db.AlertsForgetOverParams{OlderThan: age, AtMost: atMost})
}

// ForgetLetters deletes up to atMost letters that were settled longer than age ago, and returns how many it deleted.
func (c Conn) ForgetLetters(ctx context.Context, age time.Duration, atMost int32) (int64, error) {
	return c.queries.LettersForgetSettled(ctx, c.dbtx, &db.LettersForgetSettledParams{OlderThan: age, AtMost: atMost})
}

// ForgetGaps deletes up to atMost reconciliation gaps that are older than age, and returns how many it deleted. The
// reconciliation's row, with their number, stays.
func (c Conn) ForgetGaps(ctx context.Context, age time.Duration, atMost int32) (int64, error) {
	return c.queries.GapsForget(ctx, c.dbtx, &db.GapsForgetParams{OlderThan: age, AtMost: atMost})
}
