package deadletter_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/deadletter"
	"rollcall.dev/pkg/store"
)

func TestARecordLetterIsAnnouncedWhereItsKindIsLookedFor(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	version := now.Add(-time.Hour)

	require.NoError(t, d.open(t, refused("41", version, false), refused("42", version, true)))

	ids := values[string](t, d, `SELECT id::text FROM dead_letters ORDER BY record_id`)
	got := d.announced(t)
	require.Len(t, got, 2)
	permanent, retryable := got[1], got[0]
	require.Equal(t, "rollcall.dlq.review.user.acme", permanent.Subject)
	require.Equal(t, "letter-"+ids[0], permanent.ID)
	require.Equal(t, map[string]string{
		"Content-Type": "application/json", "Rollcall-Letter-Id": ids[0], "Rollcall-Record-Id": "41", "Rollcall-Error": "http_422",
		"Rollcall-Error-Class": "permanent", "Rollcall-Attempts": "1", "Rollcall-First-Failed-At": "2026-03-02T09:30:00Z",
		"Rollcall-Original-Subject": "rollcall.dlq.review.user.acme", "traceparent": "00-trace-01",
	}, permanent.Headers)
	require.Equal(t, "rollcall.dlq.retry.user.acme", retryable.Subject)
	require.Equal(t, "retryable", retryable.Headers["Rollcall-Error-Class"])
	require.Equal(t, "rollcall.dlq.retry.user.acme", retryable.Headers["Rollcall-Original-Subject"])
	require.Equal(t, map[string]any{
		"letterId": ids[1], "customerId": "acme", "kind": "user", "recordId": "42", "sourceUpdatedAt": "2026-03-02T08:30:00Z",
		"errorCode": "destination_5xx", "errorClass": "retryable", "attempts": 1.0, "firstFailedAt": "2026-03-02T09:30:00Z",
		"job": "initial_backfill", "traceId": "00-trace-01", "originalSubject": "rollcall.dlq.retry.user.acme",
	}, retryable.body(t), "ids and a reason, and nothing else")
}

func TestALetterWaitsForFiveSecondsOrForAnOperator(t *testing.T) {
	t.Parallel()
	d := newDesk(t)

	require.NoError(t, d.open(t, refused("1", now, false), refused("2", now, true)))

	require.Equal(t, []string{"1 review 1", "2 waiting 1"}, values[string](t, d, `SELECT concat_ws(' ', record_id, state, attempts) FROM dead_letters ORDER BY 1`))
	require.Equal(t, []*time.Time{nil}, values[*time.Time](t, d, `SELECT next_attempt_at FROM dead_letters WHERE record_id = '1'`))
	require.True(t, now.Add(5*time.Second).Equal(values[time.Time](t, d, `SELECT next_attempt_at FROM dead_letters WHERE record_id = '2'`)[0]))
}

func TestAnotherVersionsLetterTakesThePlaceOfTheOpenOne(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	require.NoError(t, d.open(t, refused("1", now.Add(-time.Hour), true), refused("2", now, true)))

	require.NoError(t, d.open(t, refused("1", now, false)))

	require.Equal(t, []string{"1 review -", "1 settled superseded", "2 waiting -"},
		values[string](t, d, `SELECT record_id || ' ' || state || ' ' || coalesce(settled_how, '-') FROM dead_letters ORDER BY 1`))
	require.Empty(t, values[string](t, d, `SELECT record_id FROM dead_letters WHERE state = 'settled' AND next_attempt_at IS NOT NULL`))
	require.Len(t, d.announced(t), 3)
	depth, err := d.store.CountOpenLetters(t.Context(), "acme")
	require.NoError(t, err)
	require.EqualValues(t, 2, depth)
}

func TestALetterBelongsToItsPagesTransaction(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	crash := errors.New("the page was not committed")

	err := d.store.InTx(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		scope := deadletter.Scope{Customer: "acme", Job: "initial_backfill", Now: now}
		require.NoError(t, deadletter.OpenRecords(ctx, tx, scope, []deadletter.Refused{refused("1", now, true)}))
		return crash
	})

	require.ErrorIs(t, err, crash)
	require.Empty(t, values[string](t, d, `SELECT record_id FROM dead_letters`))
	require.Empty(t, d.announced(t))
}

func TestALetterThatIsPublishedTwiceIsRecognised(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	require.NoError(t, d.open(t, refused("1", now, true)))
	stream := &flaky{}

	_, err := d.store.RelayOutbox(t.Context(), stream)
	require.NoError(t, err)
	d.clock(t, now.Add(time.Minute))
	_, err = d.store.RelayOutbox(t.Context(), stream)
	require.NoError(t, err)

	require.Len(t, stream.got, 2)
	require.Equal(t, stream.got[0], stream.got[1], "Nats-Msg-Id, headers and bytes are the same")
	require.Equal(t, "letter-"+values[string](t, d, `SELECT id::text FROM dead_letters`)[0], stream.got[0].ID)
	require.Empty(t, d.announced(t))
}

func TestNoRecordsAreNoLetters(t *testing.T) {
	t.Parallel()
	d := newDesk(t)

	require.NoError(t, d.open(t))

	require.Empty(t, d.announced(t))
}

// flaky is a bus that takes a message and loses its word for it the first time.
type flaky struct{ got []store.Message }

func (f *flaky) PublishBatch(_ context.Context, messages []store.Message) []store.Delivery {
	f.got = append(f.got, messages...)
	if len(f.got) == 1 {
		return []store.Delivery{store.Failed}
	}
	return []store.Delivery{store.Delivered}
}
