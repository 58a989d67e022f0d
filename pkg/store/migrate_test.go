package store_test

import (
	"errors"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/testkit"
)

// relations is the number of tables and such in the database.
func relations(t *testing.T, url string) (count int) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	require.NoError(t, conn.QueryRow(t.Context(), `SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace`).Scan(&count))
	require.NoError(t, conn.Close(t.Context()))
	return count
}

func TestAnEmptyDatabaseIsOlderAndTheCheckLeavesItEmpty(t *testing.T) {
	t.Parallel()
	url := testkit.EmptyDatabase(t)

	atOnce(6, func(int) { // as services do that start together
		if err := store.CheckSchema(t.Context(), url); !errors.Is(err, store.ErrSchemaOlder) {
			t.Errorf("check: %v", err)
		}
	})

	require.Zero(t, relations(t, url))
}

func TestMigrateMayBeRunAgainAndInParallel(t *testing.T) {
	t.Parallel()
	url := testkit.EmptyDatabase(t)
	migrate := func(int) {
		if err := store.Migrate(t.Context(), url); err != nil {
			t.Errorf("migrate: %v", err)
		}
	}

	atOnce(3, migrate)

	require.NoError(t, store.CheckSchema(t.Context(), url))
	before := relations(t, url)
	migrate(0)
	require.Equal(t, before, relations(t, url))
}

func TestASchemaThatLacksAMigrationIsOlder(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	require.NoError(t, store.CheckSchema(t.Context(), f.url))

	f.exec(t, `DELETE FROM goose_db_version WHERE version_id = (SELECT max(version_id) FROM goose_db_version)`)

	require.ErrorIs(t, store.CheckSchema(t.Context(), f.url), store.ErrSchemaOlder)
}

func TestANewerSchemaIsAccepted(t *testing.T) {
	t.Parallel()
	f := newFixture(t)

	f.exec(t, `INSERT INTO goose_db_version (version_id, is_applied) VALUES (99999, true)`)

	require.NoError(t, store.CheckSchema(t.Context(), f.url), "services can be rolled back one release")
	require.NoError(t, store.Migrate(t.Context(), f.url))
}
