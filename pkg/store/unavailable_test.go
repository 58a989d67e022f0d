package store_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/testkit"
)

func TestAnOutageIsToldFromAWrongStatement(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	b.exec(t, `CREATE TABLE raised (code text NOT NULL)`)
	b.exec(t, `CREATE FUNCTION away() RETURNS trigger LANGUAGE plpgsql AS
		$$ BEGIN RAISE EXCEPTION 'away' USING ERRCODE = (SELECT code FROM raised); END $$`)
	b.exec(t, `CREATE TRIGGER away BEFORE INSERT ON alerts FOR EACH ROW EXECUTE FUNCTION away()`)
	for code, unavailable := range map[string]bool{
		"57P01": true, "57014": true, "40001": true, "40P01": true, "53300": true, "53100": true, "55P03": true, "08006": true, "25006": true, "58030": true,
		"P0001": false, "23505": false, "42P01": false, "55000": false, "22001": false,
	} {
		b.exec(t, `DELETE FROM raised`)
		b.exec(t, `INSERT INTO raised VALUES ($1)`, code)
		err := b.InTx(t.Context(), func(ctx context.Context, tx *store.Tx) error {
			_, _, err := tx.RaiseAlert(ctx, "acme", "test", "low")
			return err
		})
		require.Error(t, err, code)
		if unavailable {
			require.ErrorIs(t, err, store.ErrUnavailable, code)
		} else {
			require.NotErrorIs(t, err, store.ErrUnavailable, code)
		}
	}
	_, err := store.Open(t.Context(), "postgres://rollcall@"+testkit.FreeAddr(t)+"/rollcall", store.Options{})
	require.ErrorIs(t, err, store.ErrUnavailable, "no server listens there")
	gone, stop := context.WithCancel(t.Context())
	stop()
	_, err = b.Customer(gone, "acme")
	require.Error(t, err)
	require.NotErrorIs(t, err, store.ErrUnavailable, "the caller gave up")
}
