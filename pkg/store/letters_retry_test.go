package store_test

import (
	"context"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/store"
)

// letterIn makes a letter in some state.
func (f *fixture) letterIn(t *testing.T, customer, kind, state string) uuid.UUID {
	t.Helper()
	id := uuid.New()
	f.exec(t, `INSERT INTO dead_letters (id, customer_id, kind, record_id, original_subject, job, error_code, error_class, state,
			first_failed_at, last_failed_at, next_attempt_at)
		VALUES ($1::uuid, $2, $3, CASE WHEN $3 = 'user' THEN $1::uuid::text END, 'subject', 'job', 'http_422', 'permanent', $4,
			rollcall_now(), rollcall_now() + interval '0', CASE WHEN $4 = 'waiting' THEN rollcall_now() + interval '1 hour' END)`, id, customer, kind, state)
	return id
}

func TestOpenRecordLettersThatAreAskedForAreDueAtOnce(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	waiting, review := f.letterIn(t, "acme", "user", "waiting"), f.letterIn(t, "acme", "user", "review")
	settled, message := f.letterIn(t, "acme", "user", "settled"), f.letterIn(t, "acme", "message", "review")

	f.do(t, func(ctx context.Context, tx *store.Tx) error {
		n, err := tx.AskLetters(ctx, []uuid.UUID{waiting, review, settled, message, uuid.New()})
		require.Equal(t, int64(2), n)
		return err
	})

	due, err := f.DueLetters(t.Context(), "acme", 10)
	require.NoError(t, err)
	require.Len(t, due, 2)
	require.Equal(t, 2, value[int](t, f, `SELECT count(*) FROM dead_letters WHERE revision = 2 AND asked_at = rollcall_now() AND state = 'waiting'`))
}

func TestAskersOfTheSameLettersDoNotWaitForOneAnotherForEver(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	var ids, back []uuid.UUID
	for range 50 {
		ids = append(ids, f.letterIn(t, "acme", "user", "review"))
	}
	for i := range ids {
		back = append(back, ids[len(ids)-1-i])
	}
	atOnce(8, func(i int) {
		asked := ids
		if i%2 == 0 {
			asked = back
		}
		for range 5 {
			if err := f.InTx(t.Context(), func(ctx context.Context, tx *store.Tx) error {
				_, err := tx.AskLetters(ctx, asked)
				return err
			}); err != nil {
				t.Error(err)
			}
		}
	})
}

func TestLetterIsPublishedOncePerRevision(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	first, second := f.letterIn(t, "acme", "user", "review"), f.letterIn(t, "acme", "user", "review")
	unpublished := func(settled bool) (ids []uuid.UUID) {
		f.do(t, func(ctx context.Context, tx *store.Tx) error {
			letters, err := tx.UnpublishedLetters(ctx, settled, 0, 10)
			for _, letter := range letters {
				ids = append(ids, letter.ID)
			}
			return err
		})
		return ids
	}
	published := func() map[uuid.UUID]store.PublishedLetter {
		letters, err := f.PublishedLetters(t.Context(), uuid.Nil, 10)
		require.NoError(t, err)
		byID := map[uuid.UUID]store.PublishedLetter{}
		for _, letter := range letters {
			byID[letter.ID] = letter
		}
		return byID
	}
	require.ElementsMatch(t, []uuid.UUID{first, second}, unpublished(false))
	f.do(t, func(ctx context.Context, tx *store.Tx) error {
		return tx.NotePublished(ctx, []uuid.UUID{first, second})
	})
	require.Empty(t, unpublished(false))
	before := published()
	require.Equal(t, store.PublishedLetter{ID: first, Customer: "acme", Kind: "user", State: "review", Revision: 1}, before[first])

	f.do(t, func(ctx context.Context, tx *store.Tx) error {
		_, err := tx.AskLetters(ctx, []uuid.UUID{first})
		return err
	})
	require.Equal(t, []uuid.UUID{first}, unpublished(false))
	f.do(t, func(ctx context.Context, tx *store.Tx) error { return tx.NotePublished(ctx, []uuid.UUID{first}) })
	n, err := f.PublishAgain(t.Context(), []store.PublishedLetter{before[first], before[second]})
	require.NoError(t, err)
	require.Equal(t, int64(1), n, "the first letter was published again since")
	require.Equal(t, []uuid.UUID{second}, unpublished(false))
	require.NotContains(t, published(), second)

	f.do(t, func(ctx context.Context, tx *store.Tx) error {
		letter, err := tx.LockLetter(ctx, first)
		require.NoError(t, err)
		return tx.SettleLetter(ctx, letter, store.SettledByHand, "dlq_settled_by_hand")
	})
	require.Equal(t, []uuid.UUID{first}, unpublished(true))
	n, err = f.CountPublished(t.Context())
	require.NoError(t, err)
	require.Equal(t, int64(1), n)
	f.do(t, func(ctx context.Context, tx *store.Tx) error { return tx.NotePurged(ctx, []uuid.UUID{first}) })
	require.Empty(t, unpublished(true))
	n, err = f.CountUnpublished(t.Context())
	require.NoError(t, err)
	require.Equal(t, int64(1), n)
}
