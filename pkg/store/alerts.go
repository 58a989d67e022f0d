package store

import (
	"context"
	"time"

	"rollcall.dev/pkg/store/internal/db"
)

// StandingAlert is a condition that was raised and has not cleared.
type StandingAlert struct {
	Type     string
	Severity string
	RaisedAt time.Time
}

// RaiseAlert notes a condition of a customer; raised is false where it stands already.
func (t *Tx) RaiseAlert(ctx context.Context, customer, kind, severity string) (id int64, raised bool, err error) {
	id, err = t.queries.AlertRaiseIfNew(ctx, t.dbtx, &db.AlertRaiseIfNewParams{CustomerID: customer, Type: kind, Severity: severity})
	raised, err = inserted(err, "raise alert")
	return id, raised, err
}

// ClearedAlert is a condition that is over.
type ClearedAlert struct {
	ID       int64
	Severity string
	RaisedAt time.Time
}

// ClearAlert notes that a condition is over; cleared is false where it did not stand.
func (t *Tx) ClearAlert(ctx context.Context, customer, kind string) (alert ClearedAlert, cleared bool, err error) {
	row, err := t.queries.AlertClearIfStanding(ctx, t.dbtx, &db.AlertClearIfStandingParams{CustomerID: customer, Type: kind})
	if noRows(err) {
		return ClearedAlert{}, false, nil
	}
	if err != nil {
		return ClearedAlert{}, false, wrap("clear alert", err)
	}
	return ClearedAlert{ID: row.ID, Severity: row.Severity, RaisedAt: row.RaisedAt}, true, nil
}

// LockAlert locks the customer's standing alert of that type until the transaction ends; stands is false if there is none.
func (t *Tx) LockAlert(ctx context.Context, customer, kind string) (stands bool, err error) {
	_, err = t.queries.AlertLockStanding(ctx, t.dbtx, &db.AlertLockStandingParams{CustomerID: customer, Type: kind})
	if noRows(err) {
		return false, nil
	}
	return err == nil, wrap("lock alert", err)
}

// UserAlerts are alerts of one type that are each about one user, and over as soon as they are told: they are kept so that
// somebody can look them up, and stand never.
type UserAlerts struct {
	Customer string
	Type     string
	Severity string
	TraceID  string
	At       time.Time
	VomoIDs  []string
}

// NoteUserAlerts keeps these alerts. It tells nobody: the caller's messages do.
func (t *Tx) NoteUserAlerts(ctx context.Context, alerts UserAlerts) error {
	if len(alerts.VomoIDs) == 0 {
		return nil
	}
	return t.later("note alerts of users", func(on db.DBTX) error {
		return t.queries.AlertsInsertOver(ctx, on, &db.AlertsInsertOverParams{
			CustomerID: alerts.Customer, Type: alerts.Type, Severity: alerts.Severity, TraceID: alerts.TraceID, At: alerts.At, VomoIds: alerts.VomoIDs,
		})
	})
}

// ForgetAlerts deletes up to atMost alerts that were over for age, and returns how many it deleted.
func (c Conn) ForgetAlerts(ctx context.Context, age time.Duration, atMost int32) (int64, error) {
	deleted, err := c.queries.AlertsForgetOver(ctx, c.dbtx, &db.AlertsForgetOverParams{OlderThan: age, AtMost: atMost})
	return deleted, wrap("forget alerts", err)
}

// ForgetLetters deletes up to atMost letters that were settled for age, and returns how many it deleted.
func (c Conn) ForgetLetters(ctx context.Context, age time.Duration, atMost int32) (int64, error) {
	deleted, err := c.queries.LettersForgetSettled(ctx, c.dbtx, &db.LettersForgetSettledParams{OlderThan: age, AtMost: atMost})
	return deleted, wrap("forget letters", err)
}

// ForgetGaps deletes up to atMost notes of who was missing in a reconciliation that are older than age, and returns how
// many it deleted. The reconciliation's own line, with their number, stays.
func (c Conn) ForgetGaps(ctx context.Context, age time.Duration, atMost int32) (int64, error) {
	deleted, err := c.queries.GapsForget(ctx, c.dbtx, &db.GapsForgetParams{OlderThan: age, AtMost: atMost})
	return deleted, wrap("forget reconciliation gaps", err)
}

// StandingAlerts are the customer's conditions that have not cleared.
func (c Conn) StandingAlerts(ctx context.Context, customer string) ([]StandingAlert, error) {
	rows, err := c.queries.AlertsStanding(ctx, c.dbtx, customer)
	if err != nil {
		return nil, wrap("read alerts", err)
	}
	alerts := make([]StandingAlert, 0, len(rows))
	for _, row := range rows {
		alerts = append(alerts, StandingAlert{Type: row.Type, Severity: row.Severity, RaisedAt: row.RaisedAt})
	}
	return alerts, nil
}
