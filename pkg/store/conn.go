package store

import (
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"rollcall.dev/pkg/store/internal/db"
	"rollcall.dev/pkg/store/internal/direct"
)

// Conn is what statements run on: the pool, or one transaction. Its errors name the query that failed, and are ErrNotFound,
// ErrUnavailable or ErrLaneLost if they are one of these.
type Conn struct {
	*statements

	queries *db.Queries
	dbtx    db.DBTX
}

func newConn(on db.DBTX) Conn {
	mapped := mappedConn{on}
	return Conn{statements: direct.New(mapped), queries: db.New(), dbtx: mapped}
}

// statements has the methods that sqlc writes for sql/direct: statements that need no guard. Conn embeds it, so that a caller
// runs them on the pool and in a transaction alike. Statements that need a guard are in sql/queries; only this package's own
// methods run them.
type statements = direct.Queries

// Rows and parameters of these statements.
type (
	// ActiveAlert is an alert that was raised and has not cleared.
	ActiveAlert = direct.ActiveAlertsRow
	// TakenKey is what a request of the HTTP API takes an idempotency key with.
	TakenKey = direct.TakeIdempotencyKeyParams
	// AnswerKept is an answer that is kept for the request that has the key.
	AnswerKept = direct.KeepIdempotentAnswerParams
	// AlertLine is a row of alerts. VomoID is "" if it is not about one user; ClearedAt is nil while the alert is active.
	AlertLine = direct.AlertsRow
	// AlertsAsked says which alerts are listed. Customer nil: those of all; ClearedWithin 0: only active ones; Before nil: from
	// the newest.
	AlertsAsked = direct.AlertsParams
	// Grant is an API token or a link that is valid.
	Grant = direct.GrantBySecretRow
	// GrantLine is a row of access_grants, without its secret.
	GrantLine = direct.GrantsRow
	// GrantsAsked says which grants are listed. Customer nil: those of all; Before nil: from the newest.
	GrantsAsked = direct.GrantsParams
	// CaptureSettings are what a customer's donation is captured with.
	CaptureSettings = direct.CaptureSettingsRow
	// CustomerAlert is the active alert of a customer, by its type.
	CustomerAlert = direct.ActiveAlertsOfRow
	// Notification is the outcome of a message on one channel. Code says why it was not sent.
	Notification = direct.NoteNotificationParams
	// ServerFacts are what a Postgres says about itself, such as Version 150004 for 15.4.
	ServerFacts = direct.ServerFactsRow
	// VirtuousConfig is a row of virtuous_configs. TransactionSource, ImportsURL and GiftsSince are "" if they are not set, and
	// DisabledReason is "" while giving is enabled.
	VirtuousConfig = direct.VirtuousConfigRow
	// SharedContact is a pair of users to which the destination gave one id.
	SharedContact = direct.SharedContactRow
)

// mappedConn is a connection whose errors mapError has mapped, whichever way they come.
type mappedConn struct{ on db.DBTX }

// Exec runs a statement.
func (c mappedConn) Exec(ctx context.Context, sql string, arguments ...any) (pgconn.CommandTag, error) {
	tag, err := c.on.Exec(ctx, sql, arguments...)
	if err != nil {
		err = mapError(operationOf(sql), err)
	}
	return tag, err
}

// Query runs a statement that returns rows.
func (c mappedConn) Query(ctx context.Context, sql string, arguments ...any) (pgx.Rows, error) {
	rows, err := c.on.Query(ctx, sql, arguments...)
	if err != nil {
		return rows, mapError(operationOf(sql), err)
	}
	return mappedRows{rows, sql}, nil
}

// QueryRow runs a statement that returns one row.
func (c mappedConn) QueryRow(ctx context.Context, sql string, arguments ...any) pgx.Row {
	return mappedRow{c.on.QueryRow(ctx, sql, arguments...), sql}
}

type mappedRows struct {
	pgx.Rows

	sql string
}

// Scan reads the current row.
func (r mappedRows) Scan(into ...any) error {
	if err := r.Rows.Scan(into...); err != nil {
		return mapError(operationOf(r.sql), err)
	}
	return nil
}

// Err returns what ended the rows early.
func (r mappedRows) Err() error {
	if err := r.Rows.Err(); err != nil {
		return mapError(operationOf(r.sql), err)
	}
	return nil
}

type mappedRow struct {
	row pgx.Row
	sql string
}

// Scan reads the row.
func (r mappedRow) Scan(into ...any) error {
	if err := r.row.Scan(into...); err != nil {
		return mapError(operationOf(r.sql), err)
	}
	return nil
}
