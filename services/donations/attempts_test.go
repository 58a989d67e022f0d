package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestLastTwentyAttemptsAtADonationAreKeptWithTheirStatus(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "{}")
	f.fault(t, map[string]any{"kind": "status", "status": 503, "count": 22})
	f.give(t, "don-1", nil)
	for range 22 {
		_, ran := f.round(t)
		require.True(t, ran)
		f.advance(t, 70*time.Minute)
	}
	f.settle(t)
	attempts, _, err := f.store.DonationAttempts(t.Context(), customer, column[int64](t, f, `SELECT id FROM virtuous_donation_queue`)[0])
	require.NoError(t, err)
	require.Len(t, attempts, 20)
	for _, one := range attempts[:19] {
		require.Equal(t, "unclear", one.Verdict)
		require.Equal(t, 503, one.Status)
		require.Equal(t, "status 503", one.Error)
		require.Contains(t, one.RequestID, "sandbox-")
	}
	last := attempts[19]
	require.Equal(t, []any{"accepted", 200, ""}, []any{last.Verdict, last.Status, last.Error})
	require.NotContains(t, column[string](t, f, `SELECT attempt_log::text FROM virtuous_donation_queue`)[0], "Ruiz")
}

func TestAttemptWhoseAnswerWasNotRecordedIsKeptAsOneWithoutAnAnswer(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "{}")
	f.give(t, "don-1", nil)
	f.exec(t, `UPDATE virtuous_donation_queue SET attempts = 1, attempt_started_at = rollcall_now(), attempt_epoch = 0, unanswered_since = rollcall_now()`)
	f.advance(t, time.Minute)
	f.settle(t)
	require.Equal(t, []string{"no_answer accepted"}, column[string](t, f,
		`SELECT string_agg(e ->> 'verdict', ' ') FROM virtuous_donation_queue, jsonb_array_elements(attempt_log) e`))
}
