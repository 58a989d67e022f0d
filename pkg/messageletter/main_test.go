package messageletter_test

import (
	"context"
	"encoding/base64"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/deadletter"
	"rollcall.dev/pkg/messageletter"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/testkit"
	"rollcall.dev/pkg/vault"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// now is the time of the database's clock.
var now = time.Date(2026, time.March, 2, 9, 30, 0, 0, time.UTC)

// fixture is an Opener with its own database and vault.
type fixture struct {
	store         *store.Store
	vault         *vault.Vault
	pool          *pgxpool.Pool // reads the tables directly, without the store
	opener        *messageletter.Opener
	streamCreated time.Time // when the stream was created
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	url := testkit.Database(t)
	from, err := store.Open(t.Context(), url, store.Options{MaxConns: 4})
	require.NoError(t, err)
	t.Cleanup(from.Close)
	pool, err := pgxpool.New(t.Context(), url)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	keeper, err := vault.OpenKeeper(t.Context(), "base64key://"+base64.URLEncoding.EncodeToString(make([]byte, 32)))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, keeper.Close()) })

	f := &fixture{store: from, vault: &vault.Vault{Keeper: keeper, Keys: from}, pool: pool, streamCreated: now.AddDate(0, -1, 0)}
	f.opener = &messageletter.Opener{Store: from, Vault: f.vault, Job: "onboarding",
		StreamCreated: func(context.Context, string) (time.Time, error) { return f.streamCreated, nil }}
	f.clock(t, now)
	return f
}

// clock sets the database's clock.
func (f *fixture) clock(t *testing.T, at time.Time) {
	t.Helper()
	f.exec(t, `CREATE OR REPLACE FUNCTION rollcall_now() RETURNS timestamptz LANGUAGE sql STABLE AS $$ SELECT timestamptz '`+
		at.Format(time.RFC3339Nano)+`' $$`)
}

func (f *fixture) exec(t *testing.T, statement string) {
	t.Helper()
	_, err := f.pool.Exec(t.Context(), statement)
	require.NoError(t, err)
}

// values returns the one column of a query.
func values[T any](t *testing.T, f *fixture, query string, arguments ...any) []T {
	t.Helper()
	rows, err := f.pool.Query(t.Context(), query, arguments...)
	require.NoError(t, err)
	got, err := pgx.CollectRows(rows, pgx.RowTo[T])
	require.NoError(t, err)
	return got
}

// openRecord opens the letter of a rejected record and returns its id.
func (f *fixture) openRecord(t *testing.T, id string) string {
	t.Helper()
	require.NoError(t, f.store.InTx(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		return deadletter.OpenRecords(ctx, tx, deadletter.Scope{Customer: "acme", Job: "initial_backfill", TraceID: "00-trace-01"}, []deadletter.Rejection{
			{RecordID: id, Version: store.Version{UpdatedAt: now, Hash: []byte("hash")}, Code: "http_422"},
		})
	}))
	return values[string](t, f, `SELECT id::text FROM dead_letters WHERE record_id = $1`, id)[0]
}
