package store

import (
	"context"
	"time"
)

// TakeLeaseAt is TakeLease by the given clock.
func (s *Store) TakeLeaseAt(ctx context.Context, customer, holder string, ttl time.Duration, now func() time.Time) (*Lease, error) {
	return s.takeLease(ctx, customer, holder, ttl, now)
}

// RelayBatch is how many messages a relay handles at once.
const RelayBatch = relayBatch

// Setting is a setting of the pool's sessions, as Postgres shows it.
func (s *Store) Setting(ctx context.Context, name string) (value string, err error) {
	err = s.pool.QueryRow(ctx, `SELECT current_setting($1)`, name).Scan(&value)
	return value, err
}
