package store

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"rollcall.dev/pkg/store/internal/db"
)

// TakeLeaseAt is TakeLease by the given clock.
func (s *Store) TakeLeaseAt(ctx context.Context, customer, holder string, ttl time.Duration, now func() time.Time) (*Lease, error) {
	return s.takeLease(ctx, LaneMirror, customer, holder, ttl, now)
}

// RelayBatch is how many messages a relay handles at once.
const RelayBatch = relayBatch

// Setting is a setting of the pool's sessions, as Postgres shows it.
func (s *Store) Setting(ctx context.Context, name string) (value string, err error) {
	err = s.pool.Load().QueryRow(ctx, `SELECT current_setting($1)`, name).Scan(&value)
	return value, err
}

// SetReadOnlySession makes the session of the transaction read-only from the next transaction on.
func (t *Tx) SetReadOnlySession(ctx context.Context) error {
	_, err := t.dbtx.Exec(ctx, `SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY`)
	return err
}

// SetDial replaces the pool by one whose connections are made by dial.
func (s *Store) SetDial(ctx context.Context, dial pgconn.DialFunc) error {
	config := s.pool.Load().Config()
	config.ConnConfig.DialFunc = dial
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return err
	}
	s.pool.Swap(pool).Close()
	return nil
}

// MaxConns is how large the pool may be.
func (s *Store) MaxConns() int32 { return s.pool.Load().Config().MaxConns }

// PauseAfter is how long a relay waits after so many looks in a row that found nothing.
func PauseAfter(empty int, tick time.Duration) time.Duration { return pauseAfter(empty, tick) }

// Statements is what the store's and a transaction's statements run on.
type Statements = db.DBTX

// Statements returns the connection of the store, or of a transaction.
func (c Conn) Statements() Statements { return c.dbtx }

// Defer defers a statement of a pipelined transaction.
func (t *Tx) Defer(ctx context.Context, sql string, arguments ...any) error {
	return t.deferred(func(on db.DBTX) error {
		_, err := on.Exec(ctx, sql, arguments...)
		return err
	})
}
