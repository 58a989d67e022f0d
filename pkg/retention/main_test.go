package retention

import (
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"rollcall.dev/pkg/config"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// fixture is a pruner with a database of its own, whose clock stands still until the test moves it.
type fixture struct {
	*Pruner

	t    *testing.T
	pool *pgxpool.Pool
}

func newFixture(t *testing.T, environ ...string) *fixture {
	t.Helper()
	settings, err := config.Load(environ)
	require.NoError(t, err)
	url := testkit.Database(t)
	opened, err := store.Open(t.Context(), url, store.Options{MaxConns: 4})
	require.NoError(t, err)
	t.Cleanup(opened.Close)
	f := &fixture{t: t, Pruner: &Pruner{Store: opened, Logger: zap.NewNop(), Rules: Rules(settings)}}
	f.pool, err = pgxpool.New(t.Context(), url)
	require.NoError(t, err)
	t.Cleanup(f.pool.Close)
	f.exec(`CREATE TABLE test_clock (at timestamptz NOT NULL)`)
	f.exec(`INSERT INTO test_clock VALUES ('2026-03-02 09:30:00Z')`)
	f.exec(`CREATE OR REPLACE FUNCTION rollcall_now() RETURNS timestamptz LANGUAGE sql STABLE AS 'SELECT at FROM test_clock'`)
	return f
}

func (f *fixture) exec(statement string, arguments ...any) {
	f.t.Helper()
	_, err := f.pool.Exec(f.t.Context(), statement, arguments...)
	require.NoError(f.t, err)
}

// advance moves the database's clock by a Postgres interval.
func (f *fixture) advance(by string) {
	f.t.Helper()
	f.exec(`UPDATE test_clock SET at = at + $1::text::interval`, by)
}

// kept prunes, and returns what is left of a column.
func (f *fixture) kept(query string) []string {
	f.t.Helper()
	f.Round(f.t.Context())
	rows, err := f.pool.Query(f.t.Context(), query)
	require.NoError(f.t, err)
	left, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(f.t, err)
	return left
}
