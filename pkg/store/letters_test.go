package store_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/store"
)

func version(second int64, hash string) store.Version {
	return store.Version{UpdatedAt: time.Unix(second, 0), Hash: []byte(hash)}
}

func recordLetter(record string, of store.Version, class string) store.RecordLetter {
	return store.RecordLetter{ID: uuid.New(), RecordID: record, Version: of, Subject: "rollcall.dlq.retry.user.acme", ErrorCode: "http_422", ErrorClass: class}
}

func acmeUsers() store.LetterScope {
	return store.LetterScope{Customer: "acme", Kind: "user", Job: "initial_backfill", TraceID: "trace", FirstDelay: 5 * time.Second}
}

func (f *fixture) addLetters(t testing.TB, letters ...store.RecordLetter) {
	t.Helper()
	f.do(t, func(ctx context.Context, tx *store.Tx) error { return tx.AddRecordLetters(ctx, acmeUsers(), letters) })
}

func (f *fixture) openLetters(t testing.TB, records ...string) map[string]store.OpenLetter {
	t.Helper()
	open, err := f.OpenLetters(t.Context(), "acme", "user", records)
	require.NoError(t, err)
	return open
}

func TestAtMostOneLetterIsOpenForARecord(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	first := recordLetter("1", version(100, "a"), "permanent")
	f.addLetters(t, first, recordLetter("2", version(100, "b"), "permanent"))

	err := f.InTx(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		return tx.AddRecordLetters(ctx, acmeUsers(), []store.RecordLetter{recordLetter("1", version(200, "c"), "permanent")})
	})

	require.Error(t, err)
	open := f.openLetters(t, "1", "2", "3")
	require.Len(t, open, 2)
	require.Equal(t, first.ID, open["1"].ID)
	require.True(t, first.Version.UpdatedAt.Equal(open["1"].Version.UpdatedAt))
	require.Equal(t, first.Version.Hash, open["1"].Version.Hash)
}

func TestANewerVersionSupersedesTheOpenLetter(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	old, other := recordLetter("1", version(100, "a"), "retryable"), recordLetter("2", version(100, "b"), "retryable")
	f.addLetters(t, old, other)
	newer := recordLetter("1", version(200, "c"), "retryable")

	f.do(t, func(ctx context.Context, tx *store.Tx) error {
		settled, err := tx.SupersedeLetters(ctx, "acme", "user", []string{"1", "unheard-of"})
		require.NoError(t, err)
		require.Equal(t, []uuid.UUID{old.ID}, settled)
		return tx.AddRecordLetters(ctx, acmeUsers(), []store.RecordLetter{newer})
	})

	open := f.openLetters(t, "1", "2")
	require.Equal(t, newer.ID, open["1"].ID)
	require.Equal(t, other.ID, open["2"].ID)
	require.Equal(t, "settled superseded t t", value[string](t, f,
		`SELECT concat_ws(' ', state, settled_how, settled_at IS NOT NULL, next_attempt_at IS NULL) FROM dead_letters WHERE id = $1`, old.ID))
	count, err := f.CountOpenLetters(t.Context(), "acme")
	require.NoError(t, err)
	require.Equal(t, int64(2), count)
}

func TestARetryableLetterWaitsAndAPermanentOneIsReviewed(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.addLetters(t, recordLetter("1", version(100, "a"), "retryable"), recordLetter("2", version(100, "b"), "permanent"))

	require.Equal(t, "waiting 00:00:05", value[string](t, f,
		`SELECT concat_ws(' ', state, next_attempt_at - first_failed_at) FROM dead_letters WHERE record_id = '1'`))
	require.Equal(t, "review ", value[string](t, f,
		`SELECT state || ' ' || coalesce(next_attempt_at::text, '') FROM dead_letters WHERE record_id = '2'`))
}

func TestALetterForARecordThatCouldNotBeReadNeedsNoVersion(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	unread := store.RecordLetter{ID: uuid.New(), RecordID: "1", Subject: "s", ErrorCode: "source_record_invalid", ErrorClass: "permanent"}

	f.addLetters(t, unread)

	require.True(t, f.openLetters(t, "1")["1"].Version.UpdatedAt.IsZero())
	require.Empty(t, f.openLetters(t, "1")["1"].Version.Hash)
}

func TestNoLettersIsNoWork(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.addLetters(t)
	require.Empty(t, f.openLetters(t))
	f.do(t, func(ctx context.Context, tx *store.Tx) error {
		settled, err := tx.SupersedeLetters(ctx, "acme", "user", nil)
		require.Empty(t, settled)
		return err
	})
}

func TestAMessageOpensOneLetterHoweverOftenItIsDelivered(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	add := func(origin string) (added bool, firstFailedAt time.Time) {
		f.do(t, func(ctx context.Context, tx *store.Tx) (err error) {
			firstFailedAt, added, err = tx.AddMessageLetter(ctx, store.MessageLetter{
				ID: uuid.New(), Customer: "_unknown", PayloadSealed: []byte("sealed"), Subject: "rollcall.onboarding.request.x",
				Origin: origin, Job: "onboarding", ErrorCode: "unreadable", Attempts: 3,
			})
			return err
		})
		return added, firstFailedAt
	}

	added, at := add("ROLLCALL_ONBOARDING/2026-03-01T00:00:00Z/7")
	require.True(t, added)
	require.True(t, at.Equal(time.Date(2026, time.March, 2, 9, 30, 0, 0, time.UTC)))
	added, _ = add("ROLLCALL_ONBOARDING/2026-03-01T00:00:00Z/7")
	require.False(t, added)
	added, _ = add("ROLLCALL_ONBOARDING/2026-03-01T00:00:00Z/8")
	require.True(t, added)

	count, err := f.CountOpenLetters(t.Context(), "_unknown")
	require.NoError(t, err)
	require.Equal(t, int64(2), count)
}

func TestACustomersLettersAreNotAnothers(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.addLetters(t, recordLetter("1", version(100, "a"), "permanent"))

	open, err := f.OpenLetters(t.Context(), "globex", "user", []string{"1"})

	require.NoError(t, err)
	require.Empty(t, open)
}

func TestLaneIsOpenedKnowingWhetherUsersHaveOpenLetters(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	open := func(customer string) bool {
		sides, err := f.MirrorSides(t.Context(), customer)
		require.NoError(t, err)
		return sides.LettersOpen
	}
	require.False(t, open("acme"))

	f.addLetters(t, recordLetter("1", version(100, "a"), "permanent"))

	require.True(t, open("acme"))
	require.False(t, open("beta"), "the letter is another customer's")

	f.do(t, func(ctx context.Context, tx *store.Tx) error {
		_, err := tx.SupersedeLetters(ctx, "acme", "user", []string{"1"})
		return err
	})

	require.False(t, open("acme"), "the letter is settled")
}
