package store_test

import (
	"context"
	"errors"
	"strconv"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/testkit"
)

// BenchmarkTakeGrant takes one grant of the budget, as each request to VOMO does before it leaves.
func BenchmarkTakeGrant(b *testing.B) {
	s := openStore(b, testkit.Database(b), store.Options{})
	for b.Loop() {
		_, granted, err := s.TakeGrant(b.Context(), "acme", "initial_backfill", time.Microsecond, time.Minute)
		require.NoError(b, err)
		require.True(b, granted)
	}
}

// BenchmarkSaveMappingsPage saves a page of 15 users in a transaction of its own; each page has a newer version.
func BenchmarkSaveMappingsPage(b *testing.B) {
	s := openStore(b, testkit.Database(b), store.Options{})
	second := int64(0)
	for b.Loop() {
		second++
		page := users(15, version(second, "hash"))
		require.NoError(b, s.InTx(b.Context(), func(ctx context.Context, tx *store.Tx) error {
			return tx.SaveMappings(ctx, "acme", page)
		}))
	}
}

// BenchmarkStoredVersionsOfANewCustomer looks up a page of a large customer that the planner's statistics do not have: they were made
// when another customer was alone. It must cost as much as a small customer's page.
func BenchmarkStoredVersionsOfANewCustomer(b *testing.B) {
	for _, size := range []int{1_000, 50_000} {
		b.Run(strconv.Itoa(size), func(b *testing.B) {
			database := testkit.Database(b)
			s := openStore(b, database, store.Options{})
			fill := func(customer string, users int) {
				require.NoError(b, execute(b.Context(), database, `INSERT INTO user_mappings
					SELECT $1, n::text, 'crm-' || n, NULL, now(), '2026-01-01', '\x00' FROM generate_series(1, $2::int) n`, customer, users))
			}
			fill("first", 600)
			require.NoError(b, execute(b.Context(), database, `ANALYZE user_mappings`))
			fill("second", size)
			ids := make([]string, 0, 15)
			for i := range 15 {
				ids = append(ids, strconv.Itoa(size-i))
			}
			for b.Loop() {
				known, err := s.StoredVersions(b.Context(), store.VersionsAsked{Customer: "second", Letters: "user", IDs: ids})
				require.NoError(b, err)
				require.Len(b, known.Mappings, 15)
			}
		})
	}
}

func execute(ctx context.Context, database, statement string, arguments ...any) error {
	conn, err := pgx.Connect(ctx, database)
	if err != nil {
		return err
	}
	_, err = conn.Exec(ctx, statement, arguments...)
	return errors.Join(err, conn.Close(ctx))
}
