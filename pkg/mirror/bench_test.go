package mirror_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/mirror"
	"rollcall.dev/pkg/store"
)

const pageSize = 15

// BenchmarkApplyPage applies a page on which each user is new or changed: 15 requests and one transaction.
func BenchmarkApplyPage(b *testing.B) {
	f := newFixture(b)
	list := users(pageSize)
	for b.Loop() {
		for i := range list {
			list[i].UpdatedAt = list[i].UpdatedAt.Add(time.Second)
		}
		outcome, err := f.Apply(b.Context(), page(1, list...), mirror.ApplyOptions{}, noCommitHook)
		require.NoError(b, err)
		require.Equal(b, pageSize, outcome.Written)
	}
	b.ReportMetric(pageSize*float64(b.N)/b.Elapsed().Seconds(), "users/s")
}

// BenchmarkSkippedPage applies a page on which each user is unchanged: two reads and the transaction that moves the cursor.
func BenchmarkSkippedPage(b *testing.B) {
	f := newFixture(b)
	list := users(pageSize)
	f.mustApply(b, list...)
	for b.Loop() {
		outcome, err := f.Apply(b.Context(), page(1, list...), mirror.ApplyOptions{}, noCommitHook)
		require.NoError(b, err)
		require.Equal(b, pageSize, outcome.Skipped)
	}
	b.ReportMetric(pageSize*float64(b.N)/b.Elapsed().Seconds(), "users/s")
}

func noCommitHook(context.Context, *store.Tx, mirror.Outcome) error { return nil }
