package mirror_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/mirror"
	"rollcall.dev/pkg/store"
)

const vomoPage = 15

// BenchmarkApplyPage is a page of which everybody is new or changed: 15 requests and one transaction.
func BenchmarkApplyPage(b *testing.B) {
	h := newHouse(b)
	list := users(vomoPage)
	for b.Loop() {
		for i := range list {
			list[i].UpdatedAt = list[i].UpdatedAt.Add(time.Second)
		}
		outcome, err := h.Apply(b.Context(), page(1, list...), mirror.ApplyOptions{}, nothingToRemember)
		require.NoError(b, err)
		require.Equal(b, vomoPage, outcome.Written)
	}
	b.ReportMetric(vomoPage*float64(b.N)/b.Elapsed().Seconds(), "users/s")
}

// BenchmarkSkippedPage is a page of which everybody is known: two reads and the transaction that moves the cursor.
func BenchmarkSkippedPage(b *testing.B) {
	h := newHouse(b)
	list := users(vomoPage)
	h.applied(b, list...)
	for b.Loop() {
		outcome, err := h.Apply(b.Context(), page(1, list...), mirror.ApplyOptions{}, nothingToRemember)
		require.NoError(b, err)
		require.Equal(b, vomoPage, outcome.Skipped)
	}
	b.ReportMetric(vomoPage*float64(b.N)/b.Elapsed().Seconds(), "users/s")
}

func nothingToRemember(context.Context, *store.Tx, mirror.Outcome) error { return nil }
