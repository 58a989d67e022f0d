package report_test

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// fixture is a store whose clock shows 2026-03-02T09:30:00Z.
type fixture struct {
	*store.Store
	pool *pgxpool.Pool // changes what only services could
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	url := testkit.Database(t)
	from, err := store.Open(t.Context(), url, store.Options{MaxConns: 2})
	require.NoError(t, err)
	t.Cleanup(from.Close)
	pool, err := pgxpool.New(t.Context(), url)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	h := &fixture{Store: from, pool: pool}
	h.exec(t, `CREATE OR REPLACE FUNCTION rollcall_now() RETURNS timestamptz LANGUAGE sql STABLE AS $$ SELECT timestamptz '2026-03-02T09:30:00Z' $$`)
	return h
}

func (h *fixture) exec(t *testing.T, statement string, arguments ...any) {
	t.Helper()
	_, err := h.pool.Exec(t.Context(), statement, arguments...)
	require.NoError(t, err)
}

// in does something in a transaction of its own.
func (h *fixture) in(t *testing.T, work func(ctx context.Context, tx *store.Tx) error) {
	t.Helper()
	require.NoError(t, h.InTx(t.Context(), work))
}

// onboard sets a customer up as the onboarding does.
func (h *fixture) onboard(t *testing.T, customer string) {
	t.Helper()
	h.in(t, func(ctx context.Context, tx *store.Tx) error {
		_, err := tx.SaveCustomer(ctx, store.Customer{
			ID: customer, ExternalSystemURL: "http://127.0.0.1/crm", Destination: []byte(`{"kind":"rest"}`), PollCadenceMinutes: 30,
		})
		if err != nil {
			return err
		}
		return tx.StartCheckpoint(ctx, customer, store.ResourceUserSync)
	})
}

// queue starts a run.
func (h *fixture) queue(t *testing.T, customer string) (id int64) {
	t.Helper()
	h.in(t, func(ctx context.Context, tx *store.Tx) (err error) {
		id, _, err = tx.StartBackfill(ctx, customer, "initial_backfill", "00-trace-01")
		return err
	})
	return id
}

func document(t *testing.T, value any) string {
	t.Helper()
	text, err := json.Marshal(value)
	require.NoError(t, err)
	return string(text)
}

var noon = time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC)
