package store_test

import (
	"context"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/testkit"
)

// failing is a statement that fails with the SQLSTATE that it is given; with "", it returns no row.
const (
	failing      = "-- name: FailNow :one\nSELECT fail($1) WHERE $1 <> ''"
	failingLater = "-- name: FailNow :many\nSELECT CASE WHEN n < 3 THEN n ELSE fail($1) END FROM generate_series(1, 3) n"
)

func newFailing(t *testing.T) *fixture {
	t.Helper()
	f := newFixture(t)
	f.exec(t, `CREATE FUNCTION fail(code text) RETURNS int LANGUAGE plpgsql AS
		$$ BEGIN RAISE EXCEPTION 'failed' USING ERRCODE = code; END $$`)
	f.exec(t, `CREATE TABLE late (n int)`)
	f.exec(t, `CREATE FUNCTION fail_late() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM fail(TG_ARGV[0]); END $$`)
	return f
}

// failLate makes a commit after an insert into the table late fail with the code.
func (f *fixture) failLate(t *testing.T, code string) {
	t.Helper()
	f.exec(t, `DROP TRIGGER IF EXISTS late ON late`)
	f.exec(t, `CREATE CONSTRAINT TRIGGER late AFTER INSERT ON late DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION fail_late('`+code+`')`)
}

// shutOut ends the sessions of the address's role and lets it begin no other.
func (f *fixture) shutOut(t *testing.T, address string) {
	t.Helper()
	role, _, _ := strings.Cut(strings.TrimPrefix(address, "postgres://"), ":")
	f.exec(t, `ALTER ROLE `+role+` NOSUPERUSER CONNECTION LIMIT 0`)
	f.exec(t, `SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE usename = $1`, role)
}

// drain reads all rows and returns what ended them.
func drain(rows pgx.Rows, err error) error {
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var n int
		if err := rows.Scan(&n); err != nil {
			return err
		}
	}
	return rows.Err()
}

func TestEachFailureNamesItsQueryOnceAndWhatItIs(t *testing.T) {
	t.Parallel()
	f := newFailing(t)
	insertLate := func(ctx context.Context, tx *store.Tx) error {
		_, err := tx.Statements().Exec(ctx, `INSERT INTO late VALUES (1)`)
		return err
	}
	on := func(run func(ctx context.Context, on store.Statements, code string) error) []func(code string) error {
		in := func(code string) func(ctx context.Context, tx *store.Tx) error {
			return func(ctx context.Context, tx *store.Tx) error { return run(ctx, tx.Statements(), code) }
		}
		return []func(code string) error{
			func(code string) error { return run(t.Context(), f.Statements(), code) },
			func(code string) error { return f.InTx(t.Context(), in(code)) },
			func(code string) error { return f.InPipelinedTx(t.Context(), in(code)) },
		}
	}
	ways := map[string]struct {
		calls     []func(code string) error
		operation string
	}{
		"QueryRow": {operation: "query FailNow", calls: on(func(ctx context.Context, on store.Statements, code string) error {
			var n int
			return on.QueryRow(ctx, failing, code).Scan(&n)
		})},
		"Query": {operation: "query FailNow", calls: on(func(ctx context.Context, on store.Statements, code string) error {
			return drain(on.Query(ctx, failing, code))
		})},
		"Query, after some rows": {operation: "query FailNow", calls: on(func(ctx context.Context, on store.Statements, code string) error {
			return drain(on.Query(ctx, failingLater, code))
		})},
		"Exec": {operation: "query FailNow", calls: on(func(ctx context.Context, on store.Statements, code string) error {
			_, err := on.Exec(ctx, failing, code)
			return err
		})},
		"a statement without a name": {operation: "run statement", calls: on(func(ctx context.Context, on store.Statements, code string) error {
			_, err := on.Exec(ctx, `SELECT fail($1)`, code)
			return err
		})},
		"a deferred statement, with the commit": {operation: "query FailNow", calls: []func(code string) error{func(code string) error {
			return f.InPipelinedTx(t.Context(), func(ctx context.Context, tx *store.Tx) error { return tx.Defer(ctx, failing, code) })
		}}},
		"a deferred statement, with a later one": {operation: "query FailNow", calls: []func(code string) error{func(code string) error {
			return f.InPipelinedTx(t.Context(), func(ctx context.Context, tx *store.Tx) error {
				if err := tx.Defer(ctx, failing, code); err != nil {
					return err
				}
				_, err := tx.Now(ctx)
				return err
			})
		}}},
		"commit": {operation: "commit", calls: []func(code string) error{
			func(code string) error {
				f.failLate(t, code)
				return f.InTx(t.Context(), insertLate)
			},
			func(code string) error {
				f.failLate(t, code)
				return f.InPipelinedTx(t.Context(), insertLate)
			},
			func(code string) error { // nothing was sent before the commit
				f.failLate(t, code)
				return f.InPipelinedTx(t.Context(), func(ctx context.Context, tx *store.Tx) error { return tx.Defer(ctx, `INSERT INTO late VALUES (1)`) })
			},
		}},
	}
	for name, way := range ways {
		for code, want := range map[string]error{
			"RC001": store.ErrLaneLost, "22012": nil, "23505": nil, "P0001": nil,
			"57014": store.ErrUnavailable, "40001": store.ErrUnavailable, "40P01": store.ErrUnavailable, "53300": store.ErrUnavailable,
		} {
			for _, call := range way.calls {
				err := call(code)
				require.Error(t, err, "%s, %s", name, code)
				require.True(t, strings.HasPrefix(err.Error(), way.operation+": "), "%s, %s: %v", name, code, err)
				require.Equal(t, 1, strings.Count(err.Error(), way.operation), "%s, %s: %v", name, code, err)
				for _, kind := range []error{store.ErrLaneLost, store.ErrUnavailable, store.ErrNotFound} {
					if kind == want { //nolint:errorlint // the sentinels themselves
						require.ErrorIs(t, err, kind, "%s, %s", name, code)
					} else {
						require.NotErrorIs(t, err, kind, "%s, %s", name, code)
					}
				}
				if want != store.ErrLaneLost { //nolint:errorlint // the sentinels themselves
					var raised *pgconn.PgError
					require.ErrorAs(t, err, &raised, "%s, %s", name, code)
				}
			}
		}
	}
}

func TestNoRowIsErrNotFoundAndTheTransactionGoesOn(t *testing.T) {
	t.Parallel()
	f := newFailing(t)
	read := func(ctx context.Context, on store.Statements) error {
		var n int
		return on.QueryRow(ctx, failing, "").Scan(&n)
	}
	within := func(ctx context.Context, tx *store.Tx) error {
		err := read(ctx, tx.Statements())
		require.ErrorIs(t, err, store.ErrNotFound)
		require.EqualError(t, err, "query FailNow: not found")
		_, err = tx.Now(ctx)
		return err
	}

	require.EqualError(t, read(t.Context(), f.Statements()), "query FailNow: not found")
	require.NoError(t, f.InTx(t.Context(), within))
	require.NoError(t, f.InPipelinedTx(t.Context(), within))
}

func TestARowThatDoesNotFitNamesItsQuery(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	const text = "-- name: Text :one\nSELECT 'text'"
	var n int

	require.ErrorContains(t, f.Statements().QueryRow(t.Context(), text).Scan(&n), "query Text: can't scan")
	require.ErrorContains(t, drain(f.Statements().Query(t.Context(), text)), "query Text: can't scan")
}

func TestALostConnectionIsAnOutage(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	for _, in := range []func(ctx context.Context, work func(ctx context.Context, tx *store.Tx) error) error{f.InTx, f.InPipelinedTx} {
		err := in(t.Context(), func(ctx context.Context, tx *store.Tx) error {
			var pid int
			require.NoError(t, tx.Statements().QueryRow(ctx, `SELECT pg_backend_pid()`).Scan(&pid))
			f.exec(t, `SELECT pg_terminate_backend($1, 10000)`, pid)
			_, err := tx.Now(ctx)
			return err
		})
		require.ErrorIs(t, err, store.ErrUnavailable)
		require.ErrorContains(t, err, "query Now: ")
	}
}

func TestAServerWithoutRoomIsAnOutageWhateverIsBegun(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	address := f.as(t, "app")
	app := openStore(t, address, store.Options{MaxConns: 2})
	f.shutOut(t, address)
	nothing := func(context.Context, *store.Tx) error { return nil }

	for operation, begin := range map[string]func() error{
		"begin transaction": func() error { return app.InTx(t.Context(), nothing) },
		"query Now": func() error {
			_, err := app.Now(t.Context())
			return err
		},
		"reach Postgres": func() error { return app.Ping(t.Context()) },
	} {
		require.Eventually(t, func() bool { // until the pool has given up the sessions that were ended
			err := begin()
			require.ErrorIs(t, err, store.ErrUnavailable, operation)
			require.ErrorContains(t, err, operation+": ")
			return strings.Contains(err.Error(), "failed to connect")
		}, within, 1)
	}
	require.ErrorContains(t, app.InPipelinedTx(t.Context(), nothing), "begin transaction: failed to connect")
	_, err := store.Open(t.Context(), "postgres://rollcall@"+testkit.FreeAddr(t)+"/rollcall", store.Options{})
	require.ErrorIs(t, err, store.ErrUnavailable, "no server listens there")
	require.ErrorContains(t, err, "reach Postgres: ")
}

func TestACallerWhoGivesUpSeesNoOutage(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	gone, stop := context.WithCancel(t.Context())
	stop()

	_, err := f.Now(gone)

	require.ErrorIs(t, err, context.Canceled)
	require.NotErrorIs(t, err, store.ErrUnavailable)
	require.NotErrorIs(t, f.InPipelinedTx(gone, func(context.Context, *store.Tx) error { return nil }), store.ErrUnavailable)
}

func TestALookupOfStoredVersionsMapsItsErrors(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	address := f.as(t, "app")
	app := openStore(t, address, store.Options{MaxConns: 1})
	look := func() error {
		_, err := app.StoredVersions(t.Context(), store.VersionsAsked{Customer: "acme", Letters: "user", IDs: []string{"1"}})
		return err
	}
	require.NoError(t, look())

	f.exec(t, `ALTER TABLE dead_letters RENAME TO gone`)
	require.ErrorContains(t, look(), "query LettersOpenFor: ")
	f.exec(t, `ALTER TABLE gone RENAME TO dead_letters`)
	f.shutOut(t, address)
	require.ErrorIs(t, look(), store.ErrUnavailable)
}
