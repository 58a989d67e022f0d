package store_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/store"
)

func TestNewItemReplacesTheOpenOneOfItsRow(t *testing.T) {
	t.Parallel()
	s := newFixture(t)
	item := store.ReviewItem{Customer: "acme", Kind: store.KindContact, SourceID: 7, RecordID: "501", Reason: "no_rule", Decisions: []string{"dismiss"}}
	other := item
	other.SourceID = 8
	var ids []int64
	for _, one := range []store.ReviewItem{item, other, item} {
		require.NoError(t, s.InTx(t.Context(), func(ctx context.Context, tx *store.Tx) error {
			id, err := tx.OpenReview(ctx, one, []byte("sealed"))
			ids = append(ids, id)
			return err
		}))
	}
	open, err := s.Reviews(t.Context(), store.ReviewsAsked{Customer: "acme", AtMost: 10})
	require.NoError(t, err)
	require.Len(t, open, 2)
	require.Equal(t, ids[1], open[0].ID)
	require.Equal(t, ids[2], open[1].ID)
	before, sealed, err := s.Review(t.Context(), "acme", ids[0])
	require.NoError(t, err)
	require.Equal(t, "superseded", before.State)
	require.Nil(t, sealed)
	for kind, want := range map[string]int64{store.KindContact: 2, store.KindUser: 0} {
		waiting, err := s.CountOpenReviews(t.Context(), "acme", kind)
		require.NoError(t, err)
		require.Equal(t, want, waiting)
	}
	require.NoError(t, s.InTx(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		ended, err := tx.SupersedeGivingReviews(ctx, "acme", 1)
		require.Equal(t, int64(1), ended)
		return err
	}))
}
