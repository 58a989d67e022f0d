package store_test

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/testkit"
)

// The log has months, rows in each, and a reader with an old snapshot. Rows are added while the migration waits for it.
func TestIndexOfATableWithPartitionsIsBuiltBesideItsWriters(t *testing.T) {
	t.Parallel()
	url := testkit.EmptyDatabase(t)
	require.NoError(t, (&store.Migration{DatabaseURL: url, Files: migrationsUpTo(t, "00110")}).Run(t.Context()))
	raw, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, raw.Close(context.WithoutCancel(t.Context()))) })
	exec := func(statement string) {
		_, err := raw.Exec(t.Context(), statement)
		require.NoError(t, err)
	}
	for _, month := range []string{"2026_01", "2026_02"} {
		exec(`CREATE TABLE virtuous_reconciliation_log_` + month + ` (LIKE virtuous_reconciliation_log INCLUDING DEFAULTS INCLUDING CONSTRAINTS)`)
	}
	exec(`ALTER TABLE virtuous_reconciliation_log ATTACH PARTITION virtuous_reconciliation_log_2026_01 FOR VALUES FROM ('2026-01-01Z') TO ('2026-02-01Z')`)
	exec(`ALTER TABLE virtuous_reconciliation_log ATTACH PARTITION virtuous_reconciliation_log_2026_02 FOR VALUES FROM ('2026-02-01Z') TO ('2026-03-01Z')`)
	const add = `INSERT INTO virtuous_reconciliation_log (customer_id, run_at, category, virtuous_record_id, resolution)
		SELECT 'acme', '2026-01-10Z'::timestamptz + n % 90 * interval '1 day', 'stuck', n, 'auto_recovered' FROM generate_series(1, 900) n`
	exec(add)
	finish := dump(t, url)
	migrated := make(chan error, 1)
	go func() {
		migrated <- (&store.Migration{DatabaseURL: url, Pause: 50 * time.Millisecond}).Run(t.Context())
	}()
	const building = `SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND state = 'active'
		AND query LIKE 'CREATE INDEX CONCURRENTLY%')`
	require.Eventually(t, func() bool {
		exec(add)
		var is bool
		require.NoError(t, raw.QueryRow(t.Context(), building).Scan(&is))
		return is
	}, within, 10*time.Millisecond)
	finish()
	require.NoError(t, <-migrated)

	var valid bool
	var parts int
	require.NoError(t, raw.QueryRow(t.Context(), `SELECT indisvalid, (SELECT count(*) FROM pg_inherits WHERE inhparent = indexrelid) FROM pg_index
		WHERE indexrelid = 'virtuous_reconciliation_log_virtuous'::regclass`).Scan(&valid, &parts))
	require.True(t, valid)
	require.Equal(t, 3, parts, "two months, and the default partition")
	require.NoError(t, store.Migrate(t.Context(), url), "a second run finds nothing to build")
}

// A migrator that died left the index of one month invalid, and others unbuilt.
func TestIndexOfAPartitionThatWasLeftInvalidIsBuiltAgain(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.exec(t, `DROP INDEX virtuous_reconciliation_log_virtuous`)
	f.exec(t, `CREATE INDEX virtuous_reconciliation_log_virtuous ON ONLY virtuous_reconciliation_log (customer_id, virtuous_record_id, run_at)
		WHERE virtuous_record_id IS NOT NULL`)
	f.exec(t, `CREATE TABLE virtuous_reconciliation_log_2026_03 (LIKE virtuous_reconciliation_log INCLUDING DEFAULTS INCLUDING CONSTRAINTS)`)
	f.exec(t, `ALTER TABLE virtuous_reconciliation_log ATTACH PARTITION virtuous_reconciliation_log_2026_03 FOR VALUES FROM ('2026-03-01Z') TO ('2026-04-01Z')`)
	const valid = `SELECT indisvalid FROM pg_index WHERE indexrelid = 'virtuous_reconciliation_log_virtuous'::regclass`
	require.False(t, value[bool](t, f, valid), "the month that was attached brings its own, the default partition has none")
	require.NoError(t, store.Migrate(t.Context(), f.url))
	require.True(t, value[bool](t, f, valid))
}
