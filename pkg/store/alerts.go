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
