package store_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/testkit"
)

// BenchmarkTakeGrant is one request's share of the budget: what every request to VOMO costs before it leaves.
func BenchmarkTakeGrant(b *testing.B) {
	s := openStore(b, testkit.Database(b), store.Options{})
	for b.Loop() {
		_, granted, err := s.TakeGrant(b.Context(), "acme", "initial_backfill", time.Microsecond, time.Minute)
		require.NoError(b, err)
		require.True(b, granted)
	}
}

// BenchmarkSaveMappingsPage is a page of 15 in a transaction of its own; every page is a newer version.
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
