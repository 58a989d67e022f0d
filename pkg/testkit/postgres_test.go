package testkit_test

import (
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/testkit"
)

func TestEachTestHasItsOwnDatabase(t *testing.T) {
	t.Parallel()
	one, two := connect(t, testkit.Database(t)), connect(t, testkit.Database(t))

	_, err := one.Exec(t.Context(), `CREATE TABLE only_here (id int)`)
	require.NoError(t, err)

	_, err = two.Exec(t.Context(), `SELECT FROM only_here`)
	require.ErrorContains(t, err, "42P01", "the table must not be in the other database")
}

func TestDatabaseHasTheWholeSchema(t *testing.T) {
	t.Parallel()
	require.NoError(t, store.CheckSchema(t.Context(), testkit.Database(t)))
	require.ErrorIs(t, store.CheckSchema(t.Context(), testkit.EmptyDatabase(t)), store.ErrSchemaOlder)
}

func TestDatabaseIsDroppedAfterItsTestDespiteOpenConnection(t *testing.T) { //nolint:tparallel // what follows is after the subtest's end
	t.Parallel()
	var url string
	var open *pgx.Conn
	t.Run("the test that used it", func(t *testing.T) {
		url = testkit.Database(t)
		var err error
		open, err = pgx.Connect(t.Context(), url)
		require.NoError(t, err)
	})
	t.Cleanup(func() { _ = open.Close(t.Context()) })

	_, err := pgx.Connect(t.Context(), url)

	require.ErrorContains(t, err, "3D000", "no such database")
}

func connect(t *testing.T, url string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close(t.Context()) })
	return conn
}
