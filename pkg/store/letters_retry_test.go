package store_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/store"
)

// letterIn makes a letter in some state.
func (b *bed) letterIn(t *testing.T, customer, kind, state string) uuid.UUID {
	t.Helper()
	id := uuid.New()
	b.exec(t, `INSERT INTO dead_letters (id, customer_id, kind, record_id, original_subject, job, error_code, error_class, state,
			first_failed_at, last_failed_at, next_attempt_at)
		VALUES ($1::uuid, $2, $3, CASE WHEN $3 = 'user' THEN $1::uuid::text END, 'subject', 'job', 'http_422', 'permanent', $4,
			rollcall_now(), rollcall_now() + interval '0', CASE WHEN $4 = 'waiting' THEN rollcall_now() + interval '1 hour' END)`, id, customer, kind, state)
	return id
}

func TestOpenRecordLettersThatAreAskedForAreDueAtOnce(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	waiting, review := b.letterIn(t, "acme", "user", "waiting"), b.letterIn(t, "acme", "user", "review")
	settled, message := b.letterIn(t, "acme", "user", "settled"), b.letterIn(t, "acme", "message", "review")

	b.do(t, func(ctx context.Context, tx *store.Tx) error {
		n, err := tx.AskLetters(ctx, []uuid.UUID{waiting, review, settled, message, uuid.New()})
		require.Equal(t, int64(2), n)
		return err
	})

	due, err := b.DueLetters(t.Context(), "acme", 10)
	require.NoError(t, err)
	require.Len(t, due, 2)
	require.Equal(t, 2, value[int](t, b, `SELECT count(*) FROM dead_letters WHERE revision = 2 AND asked_at = rollcall_now() AND state = 'waiting'`))
}

func TestAskersOfTheSameLettersDoNotWaitForOneAnotherForEver(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	var ids, back []uuid.UUID
	for range 50 {
		ids = append(ids, b.letterIn(t, "acme", "user", "review"))
	}
	for i := range ids {
		back = append(back, ids[len(ids)-1-i])
	}
	together(8, func(i int) {
		asked := ids
		if i%2 == 0 {
			asked = back
		}
		for range 5 {
			if err := b.InTx(t.Context(), func(ctx context.Context, tx *store.Tx) error {
				_, err := tx.AskLetters(ctx, asked)
				return err
			}); err != nil {
				t.Error(err)
			}
		}
	})
}

func TestWhatAnotherStreamShowedIsForgotten(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	before, now := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC), time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)
	old, here := b.letterIn(t, "acme", "user", "review"), b.letterIn(t, "acme", "user", "review")
	b.do(t, func(ctx context.Context, tx *store.Tx) error {
		letters, err := tx.UnshownLetters(ctx, false, 10)
		require.Len(t, letters, 2)
		require.NoError(t, tx.NoteShown(ctx, before, []store.ShownLetter{{ID: old, Sequence: 7}}))
		require.NoError(t, tx.NoteShown(ctx, now, []store.ShownLetter{{ID: here, Sequence: 7}}))
		return err
	})
	n, err := b.CountUnshown(t.Context())
	require.NoError(t, err)
	require.Zero(t, n)

	n, err = b.ForgetShownElsewhere(t.Context(), now, 10)
	require.NoError(t, err)
	require.Equal(t, int64(1), n)

	shown, err := b.ShownBetween(t.Context(), now, 1, 10)
	require.NoError(t, err)
	require.Equal(t, []store.ShownLetter{{ID: here, Sequence: 7}}, shown)
	again, err := b.ShowAgain(t.Context(), now, []store.ShownLetter{{ID: here, Sequence: 6}})
	require.NoError(t, err)
	require.Zero(t, again, "it was shown in another place since")
	again, err = b.ShowAgain(t.Context(), now, shown)
	require.NoError(t, err)
	require.Equal(t, int64(1), again)
	n, err = b.CountUnshown(t.Context())
	require.NoError(t, err)
	require.Equal(t, int64(2), n)
}
