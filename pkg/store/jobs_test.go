package store_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestOldLinesOfTheJobLogGoAndTheNewestOfEachStays(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.exec(t, `INSERT INTO job_log (customer_id, job, outcome, started_at, completed_at)
		SELECT v.customer, v.job, 'success', rollcall_now() - v.days * interval '1 day', rollcall_now() - v.days * interval '1 day'
		FROM (VALUES ('acme', 'user_sync_poll', 40), ('acme', 'user_sync_poll', 30), ('acme', 'user_sync_poll', 3),
		             ('acme', 'initial_backfill', 50), ('acme', 'dlq_retry', 40), ('birch', 'user_sync_poll', 40), ('birch', 'user_sync_poll', 39)
		) v (customer, job, days)`)
	f.exec(t, `INSERT INTO job_log (customer_id, job, started_at) VALUES ('acme', 'user_sync_poll', rollcall_now() - interval '60 days')`)

	more, err := f.ForgetJobs(t.Context(), 14*24*time.Hour)

	require.NoError(t, err)
	require.False(t, more)
	require.Equal(t, "acme dlq_retry 40, acme initial_backfill 50, acme user_sync_poll 3, acme user_sync_poll 60, birch user_sync_poll 39", value[string](t, f,
		`SELECT string_agg(concat_ws(' ', customer_id, job, extract(day FROM rollcall_now() - started_at)), ', ' ORDER BY customer_id, job, started_at DESC)
		FROM job_log`), "an open line, a backfill's, and whatever is a customer's newest stay")
}

func TestForgettingJobsDoesNotReadTheWholeLog(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.exec(t, `INSERT INTO job_log (customer_id, job, outcome, started_at, completed_at)
		SELECT 'c' || i % 2000, 'user_sync_poll', 'success', at, at
		FROM generate_series(1, 200000) i, LATERAL (SELECT rollcall_now() - interval '13 days' + i * interval '2 seconds' AS at) a`)
	f.exec(t, `ANALYZE job_log`)
	took, counting := time.Hour, time.Hour
	for range 5 {
		began := time.Now()
		more, err := f.ForgetJobs(t.Context(), 14*24*time.Hour)
		took = min(took, time.Since(began))
		require.NoError(t, err)
		require.False(t, more)
		began = time.Now()
		require.Equal(t, 200000, value[int](t, f, `SELECT count(*) FROM job_log WHERE outcome = 'success'`))
		counting = min(counting, time.Since(began))
	}
	t.Logf("nothing to forget among 200,000 lines: %s; to count them: %s", took, counting)
	require.Less(t, took, counting)
}
