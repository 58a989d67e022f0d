package deadletter_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/deadletter"
	"rollcall.dev/pkg/store"
)

func TestPublishedLetterHasSubjectHeadersAndPayloadOfItsState(t *testing.T) {
	t.Parallel()
	letter := deadletter.Published{
		ID: uuid.MustParse("11111111-2222-4333-8444-555555555555"), Revision: 3, Customer: "acme", Kind: deadletter.KindUser, Waiting: true,
		RecordID: "42", UpdatedAt: now.Add(-time.Hour), ErrorCode: "destination_5xx", ErrorClass: deadletter.ClassRetryable, Attempts: 2,
		FirstFailedAt: now, Job: "initial_backfill", TraceID: "00-trace-01", OriginalSubject: "rollcall.dlq.retry.user.acme", // as the version before stored it
	}

	message, err := letter.Message()

	require.NoError(t, err)
	require.Equal(t, "rollcall.dlq.retry.user.acme.11111111-2222-4333-8444-555555555555", message.Subject)
	require.Empty(t, message.ID, "the stream must not take a letter for a duplicate of a message that is gone")
	require.Equal(t, map[string]string{
		"Content-Type": "application/json", "Rollcall-Letter-Id": letter.ID.String(), "Rollcall-Record-Id": "42",
		"Rollcall-Error": "destination_5xx", "Rollcall-Error-Class": "retryable", "Rollcall-Attempts": "2",
		"Rollcall-First-Failed-At": "2026-03-02T09:30:00Z", "Rollcall-Letter-Revision": "3", "traceparent": "00-trace-01",
		"Rollcall-Original-Subject": "rollcall.dlq.retry.user.acme.11111111-2222-4333-8444-555555555555",
	}, message.Headers)
	require.JSONEq(t, `{"letterId":"11111111-2222-4333-8444-555555555555","customerId":"acme","kind":"user","recordId":"42",
		"sourceUpdatedAt":"2026-03-02T08:30:00Z","errorCode":"destination_5xx","errorClass":"retryable","attempts":2,
		"firstFailedAt":"2026-03-02T09:30:00Z","job":"initial_backfill","traceId":"00-trace-01",
		"originalSubject":"rollcall.dlq.retry.user.acme.11111111-2222-4333-8444-555555555555"}`,
		string(message.Payload), "the payload must hold ids and a reason only")

	letter.Waiting, letter.Kind, letter.RecordID, letter.TraceID, letter.UpdatedAt = false, deadletter.KindMessage, "", "", time.Time{}
	message, err = letter.Message()
	require.NoError(t, err)
	require.Equal(t, "rollcall.dlq.review.message.acme.11111111-2222-4333-8444-555555555555", message.Subject)
	require.NotContains(t, message.Headers, "Rollcall-Record-Id")
	require.NotContains(t, string(message.Payload), "sourceUpdatedAt")
}

func TestDelayGrowsFromFiveSecondsToAnHourWithJitter(t *testing.T) {
	t.Parallel()
	for attempts, want := range map[int]time.Duration{
		0: 5 * time.Second, 1: 5 * time.Second, 2: 10 * time.Second, 5: 80 * time.Second, 10: 2560 * time.Second, 11: time.Hour, 1000: time.Hour,
	} {
		different := map[time.Duration]bool{}
		for range 50 {
			delay := deadletter.Delay(attempts)
			require.LessOrEqual(t, delay, want, "after %d attempts", attempts)
			require.GreaterOrEqual(t, delay, want*4/5, "after %d attempts", attempts)
			different[delay] = true
		}
		require.Greater(t, len(different), 1)
	}
}

func TestRetryableLetterWaitsAndPermanentLetterIsInReview(t *testing.T) {
	t.Parallel()
	f := newFixture(t)

	require.NoError(t, f.open(t, rejection("1", now, false), rejection("2", now, true)))

	require.Equal(t, []string{"1 review 1", "2 waiting 1"}, values[string](t, f, `SELECT concat_ws(' ', record_id, state, attempts) FROM dead_letters ORDER BY 1`))
	require.Equal(t, []*time.Time{nil}, values[*time.Time](t, f, `SELECT next_attempt_at FROM dead_letters WHERE record_id = '1'`))
	require.True(t, now.Add(5*time.Second).Equal(values[time.Time](t, f, `SELECT next_attempt_at FROM dead_letters WHERE record_id = '2'`)[0]))
}

func TestLetterOfAnotherVersionSupersedesOpenLetter(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	require.NoError(t, f.open(t, rejection("1", now.Add(-time.Hour), true), rejection("2", now, true)))

	require.NoError(t, f.open(t, rejection("1", now, false)))

	require.Equal(t, []string{"1 review -", "1 settled superseded", "2 waiting -"},
		values[string](t, f, `SELECT record_id || ' ' || state || ' ' || coalesce(settled_how, '-') FROM dead_letters ORDER BY 1`))
	require.Empty(t, values[string](t, f, `SELECT record_id FROM dead_letters WHERE state = 'settled' AND next_attempt_at IS NOT NULL`))
	depth, err := f.store.CountOpenLetters(t.Context(), "acme")
	require.NoError(t, err)
	require.EqualValues(t, 2, depth)
}

func TestLetterIsRolledBackWithItsPage(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	crash := errors.New("the page was not committed")

	err := f.store.InTx(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		scope := deadletter.Scope{Customer: "acme", Job: "initial_backfill"}
		require.NoError(t, deadletter.OpenRecords(ctx, tx, scope, []deadletter.Rejection{rejection("1", now, true)}))
		return crash
	})

	require.ErrorIs(t, err, crash)
	require.Empty(t, values[string](t, f, `SELECT record_id FROM dead_letters`))
}

func TestLetterThatFailsAgainWaitsLongerAndThenGoesToReview(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	require.NoError(t, f.open(t, rejection("1", now, true), rejection("2", now, true), rejection("3", now, true)))
	caps := store.RetryCaps{Attempts: 3, Age: 24 * time.Hour}
	again := func(record, code string, retryable bool) {
		letters, err := f.store.OpenLetters(t.Context(), "acme", deadletter.KindUser, []string{record})
		require.NoError(t, err)
		require.NoError(t, f.store.InTx(t.Context(), func(ctx context.Context, tx *store.Tx) error {
			return deadletter.CountAttempts(ctx, tx, "dlq_retry", caps, []deadletter.FailedAttempt{{Letter: letters[record], Code: code, Retryable: retryable}})
		}))
	}
	state := func(record string) string {
		return values[string](t, f, `SELECT concat_ws(' ', state, attempts, revision, error_code, jsonb_array_length(history))
			FROM dead_letters WHERE record_id = $1`, record)[0]
	}

	f.clock(t, now.Add(time.Minute))
	again("1", "destination_timeout", true)
	require.Equal(t, "waiting 2 2 destination_timeout 1", state("1"))
	next := values[time.Time](t, f, `SELECT next_attempt_at FROM dead_letters WHERE record_id = '1'`)[0]
	require.InDelta(t, 9, next.Sub(now.Add(time.Minute)).Seconds(), 1.001)
	again("1", "destination_5xx", true)
	require.Equal(t, "review 3 3 destination_5xx 2", state("1"), "the maximum of attempts is reached")
	require.Equal(t, []string{"destination_timeout dlq_retry", "destination_5xx dlq_retry"}, values[string](t, f,
		`SELECT concat_ws(' ', h->>'code', h->>'job') FROM dead_letters, jsonb_array_elements(history) h WHERE record_id = '1'`))

	again("2", "http_422", false)
	require.Equal(t, "review 2 2 http_422 1", state("2"), "the rejection is permanent")

	f.clock(t, now.Add(25*time.Hour))
	again("3", "destination_5xx", true)
	require.Equal(t, "waiting 2 2 destination_5xx 1", state("3"), "time in an outage must not count as age")
	f.exec(t, `UPDATE dead_letters SET next_attempt_at = last_failed_at + interval '24 hours' WHERE record_id = '3'`)
	caps.Attempts = 12
	f.clock(t, now.Add(50*time.Hour))
	again("3", "destination_5xx", true)
	require.Equal(t, "review 3 3 destination_5xx 2", state("3"), "the maximum of retry delay is reached")
	require.Empty(t, values[string](t, f, `SELECT record_id FROM dead_letters WHERE next_attempt_at IS NOT NULL`))
}

func TestOpenRecordsWithoutRecordsOpensNoLetter(t *testing.T) {
	t.Parallel()
	f := newFixture(t)

	require.NoError(t, f.open(t))

	require.Empty(t, values[string](t, f, `SELECT record_id FROM dead_letters`))
}
