package deadletter_test

import (
	"context"
	"encoding/base64"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/deadletter"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/testkit"
	"rollcall.dev/pkg/vault"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// now is where the database's clock stands.
var now = time.Date(2026, time.March, 2, 9, 30, 0, 0, time.UTC)

// desk is where letters are opened.
type desk struct {
	store  *store.Store
	vault  *vault.Vault
	pool   *pgxpool.Pool // looks at the tables past the store
	opener *deadletter.Opener
	born   time.Time // of the stream
}

func newDesk(t *testing.T) *desk {
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

	d := &desk{store: from, vault: &vault.Vault{Keeper: keeper, Keys: from}, pool: pool, born: now.AddDate(0, -1, 0)}
	d.opener = &deadletter.Opener{Store: from, Vault: d.vault, Job: "onboarding",
		StreamCreated: func(context.Context, string) (time.Time, error) { return d.born, nil }}
	d.clock(t, now)
	return d
}

// clock sets the database's clock.
func (d *desk) clock(t *testing.T, at time.Time) {
	t.Helper()
	d.exec(t, `CREATE OR REPLACE FUNCTION rollcall_now() RETURNS timestamptz LANGUAGE sql STABLE AS $$ SELECT timestamptz '`+
		at.Format(time.RFC3339Nano)+`' $$`)
}

func (d *desk) exec(t *testing.T, statement string) {
	t.Helper()
	_, err := d.pool.Exec(t.Context(), statement)
	require.NoError(t, err)
}

// values is the one column of a query.
func values[T any](t *testing.T, d *desk, query string, arguments ...any) []T {
	t.Helper()
	rows, err := d.pool.Query(t.Context(), query, arguments...)
	require.NoError(t, err)
	got, err := pgx.CollectRows(rows, pgx.RowTo[T])
	require.NoError(t, err)
	return got
}

// open opens record letters in a transaction of their own.
func (d *desk) open(t *testing.T, refused ...deadletter.Refused) error {
	t.Helper()
	return d.store.InTx(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		return deadletter.OpenRecords(ctx, tx, deadletter.Scope{Customer: "acme", Job: "initial_backfill", TraceID: "00-trace-01"}, refused)
	})
}

func refused(id string, at time.Time, retryable bool) deadletter.Refused {
	code := "http_422"
	if retryable {
		code = "destination_5xx"
	}
	return deadletter.Refused{RecordID: id, Version: store.Version{UpdatedAt: at, Hash: []byte("hash of " + id)}, Code: code, Retryable: retryable}
}
