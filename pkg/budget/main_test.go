package budget_test

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/budget"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// perMinute is a pace that the minute decides: no request waits for the limiter of its process, which goes by real
// time. Its interval is that of VOMO's limits, 3 a second and 100 a minute.
func perMinute() budget.Limits { return budget.Limits{PerSecond: 10_000, PerMinute: 100} }

const interval = 606 * time.Millisecond

// fixture is a ledger in a database of its own, whose clock stands still until the test moves it.
type fixture struct {
	ledger *store.Store
	raw    *pgx.Conn
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	url := testkit.Database(t)
	raw, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	t.Cleanup(func() { _ = raw.Close(context.WithoutCancel(t.Context())) })
	b := &fixture{raw: raw}
	b.exec(t, `CREATE TABLE test_clock (at timestamptz NOT NULL)`)
	b.exec(t, `INSERT INTO test_clock VALUES ('2026-03-02 09:30:00Z')`)
	b.exec(t, `CREATE OR REPLACE FUNCTION rollcall_now() RETURNS timestamptz LANGUAGE sql STABLE AS 'SELECT at FROM test_clock'`)
	b.ledger, err = store.Open(t.Context(), url, store.Options{})
	require.NoError(t, err)
	t.Cleanup(b.ledger.Close)
	return b
}

func (b *fixture) exec(t *testing.T, statement string, args ...any) {
	t.Helper()
	_, err := b.raw.Exec(t.Context(), statement, args...)
	require.NoError(t, err)
}

func (b *fixture) advance(t *testing.T, d time.Duration) {
	t.Helper()
	b.exec(t, `UPDATE test_clock SET at = at + $1::interval`, d)
}

// held is how long from now the customer's next request has to wait.
func (b *fixture) held(t *testing.T, customer string) time.Duration {
	t.Helper()
	var held time.Duration
	require.NoError(t, b.raw.QueryRow(t.Context(),
		`SELECT greatest(next_at - rollcall_now(), interval '0') FROM customer_budgets WHERE customer_id = $1`, customer).Scan(&held))
	return held
}

// account is a job's share; waited is called with each wait, which takes no time.
func (b *fixture) account(t *testing.T, customer, job string, limits budget.Limits, waited func(time.Duration)) *budget.Account {
	t.Helper()
	account, err := budget.Open(b.ledger, customer, job, limits)
	require.NoError(t, err)
	account.OnWait(func(_ context.Context, d time.Duration) error {
		waited(d)
		return nil
	})
	return account
}

func (b *fixture) spent(t *testing.T, customer string) map[string]int64 {
	t.Helper()
	spent, err := b.ledger.Spent(t.Context(), customer)
	require.NoError(t, err)
	return spent.Ever
}
