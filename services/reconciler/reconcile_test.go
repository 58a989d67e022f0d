package main

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/bus"
)

const (
	subject = "rollcall.reconcile.user_daily.acme"
	plain   = `{"customerId":"acme"}`
)

// reconcile requests a reconciliation by hand and waits until it is the nth that has completed.
func (f *fixture) reconcile(nth int) {
	f.t.Helper()
	f.publish(subject, plain)
	f.waitReconciled("acme", nth)
}

// lastReconciliation returns the newest reconciliation.
func (f *fixture) lastReconciliation() string {
	f.t.Helper()
	return values[string](f, `SELECT concat_ws(' ', type, date, 'expected', expected_count, 'gaps', gap_count, 'failures', failure_count)
		FROM reconciliation_runs ORDER BY id DESC LIMIT 1`)[0]
}

// events returns the bodies of the customer's events of a name.
func (f *fixture) events(name string) []map[string]any {
	f.t.Helper()
	require.Eventually(f.t, func() bool { return values[int](f, `SELECT count(*) FROM outbox`)[0] == 0 }, soon, 20*time.Millisecond)
	only := jetstream.OrderedConsumerConfig{FilterSubjects: []string{bus.SubjectEvent(name, "acme")}}
	consumer, err := f.js.OrderedConsumer(f.t.Context(), bus.StreamEvents, only)
	require.NoError(f.t, err)
	info, err := consumer.Info(f.t.Context())
	require.NoError(f.t, err)
	bodies := []map[string]any{}
	for range info.NumPending {
		message, err := consumer.Next(jetstream.FetchMaxWait(soon))
		require.NoError(f.t, err)
		var body map[string]any
		require.NoError(f.t, json.Unmarshal(message.Data(), &body))
		bodies = append(bodies, body)
	}
	return bodies
}

func TestGapIsWrittenWithMappingEventAndAuditRow(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.change(yesterday, "a", 1, 2, 3)
	f.start()
	f.reconcile(1)
	require.Equal(t, "user_daily 2026-03-01 expected 3 gaps 3 failures 0", f.lastReconciliation())
	require.Equal(t, []string{"2026-03-02 3"}, values[string](f, `SELECT day || ' ' || mirrored FROM customer_daily_counts`))
	f.requests()
	// User 1 has a newer version than the mapping, 2 is missing in the mapping, 4 changed two days ago, and 5 changed
	// after the checkpoint.
	f.change(yesterday.Add(time.Hour), "b", 1)
	f.exec(`DELETE FROM user_mappings WHERE vomo_user_id = '2'`)
	f.change(yesterday.Add(-24*time.Hour), "a", 4)
	f.change(checkpoint.Add(time.Minute), "a", 5)

	f.reconcile(2)

	require.Equal(t, "user_daily 2026-03-01 expected 4 gaps 2 failures 0", f.lastReconciliation())
	require.Equal(t, []string{"2026-03-02 4"}, values[string](f, `SELECT day || ' ' || mirrored FROM customer_daily_counts`), "the later count of a day stays")
	require.Equal(t, []string{"1 stale_in_mapping", "2 not_in_mapping"}, values[string](f,
		`SELECT vomo_user_id || ' ' || reason FROM reconciliation_gaps WHERE job_id = (SELECT max(job_id) FROM reconciliation_runs) ORDER BY 1`))
	asked, written := f.requests()
	require.Equal(t, []string{"1", "2", "5"}, written, "every changed user must be written, also one that is not a gap")
	for _, query := range asked {
		require.Contains(t, query, "updated_after=2026-03-01T00%3A00%3A00Z")
		require.NotContains(t, query, "updated_before")
	}
	require.Equal(t, []string{"1", "2", "3", "5"}, values[string](f, `SELECT vomo_user_id FROM user_mappings ORDER BY 1`))
	require.Equal(t, []string{"create 2", "create 5", "update 1"}, values[string](f, `SELECT operation || ' ' || record_id FROM sync_audit
		WHERE job_id = (SELECT max(job_id) FROM reconciliation_runs) AND succeeded ORDER BY 1`))
	updated := f.events("user.updated")
	require.Len(t, updated, 1)
	require.Equal(t, "user_daily", updated[0]["job"])
	require.Equal(t, []any{"phone"}, updated[0]["changedFields"])
	require.Len(t, f.events("user.created"), 5)
	done := f.events("reconciliation.completed")
	require.Len(t, done, 2)
	require.Equal(t, "2026-03-01", done[1]["date"])
	require.InDelta(t, 2, done[1]["gapCount"], 0)
	require.InDelta(t, 4, done[1]["expectedCount"], 0)
	require.Equal(t, checkpoint, values[time.Time](f, `SELECT checkpoint FROM sync_checkpoints`)[0].UTC(), "a reconciliation must not move the checkpoint")

	f.reconcile(3)

	require.Equal(t, "user_daily 2026-03-01 expected 4 gaps 0 failures 0", f.lastReconciliation())
	_, written = f.requests()
	require.Empty(t, written)
	require.Equal(t, []string{"user_daily success 3", "user_daily success 4", "user_daily success 4"},
		values[string](f, `SELECT concat_ws(' ', job, outcome, processed_count) FROM job_log ORDER BY id`))
}

func TestUserWithOpenLetterIsNotAGap(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.change(yesterday, "a", 1, 2)
	f.mu.Lock()
	f.refused["2"] = http.StatusUnprocessableEntity
	f.mu.Unlock()
	f.start()
	f.reconcile(1)
	require.Equal(t, "user_daily 2026-03-01 expected 2 gaps 2 failures 1", f.lastReconciliation())

	f.reconcile(2)

	require.Equal(t, "user_daily 2026-03-01 expected 2 gaps 0 failures 0", f.lastReconciliation())
	require.Equal(t, []int{1}, values[int](f, `SELECT count(*) FROM dead_letters`))

	f.exec(`UPDATE dead_letters SET state = 'settled', settled_at = now(), settled_how = 'discarded'`)
	f.reconcile(3)
	require.Equal(t, "user_daily 2026-03-01 expected 2 gaps 1 failures 1", f.lastReconciliation(), "a user whose letter was discarded must be a gap")
}

func TestUserThatChangedAgainTodayIsFound(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.change(morning.Add(-2*time.Hour), "changed yesterday, and again today", 1)
	f.start()
	f.reconcile(1)
	require.Equal(t, "user_daily 2026-03-01 expected 1 gaps 1 failures 0", f.lastReconciliation())
}

func TestManyGapsOnManyPagesAreCountedOnce(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	for id := range 100 {
		f.change(yesterday.Add(time.Duration(id)*time.Second), "a", id+1)
	}
	f.start()
	f.reconcile(1)
	require.Equal(t, "user_daily 2026-03-01 expected 100 gaps 100 failures 0", f.lastReconciliation())
	require.Equal(t, []int{100}, values[int](f, `SELECT count(*) FROM user_mappings`))
}

func TestUnknownCategoryAndInvalidRequestBecomeLetters(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.start()
	f.publish("rollcall.reconcile.weekly.acme", plain)
	f.publish("rollcall.reconcile.user_daily.globex", `{"customerId":"acme"}`)
	require.Eventually(t, func() bool { return values[int](f, `SELECT count(*) FROM dead_letters`)[0] == 2 && f.waiting() == 0 }, soon, 20*time.Millisecond)
	require.Equal(t, []string{
		"acme category_unknown permanent rollcall.reconcile.weekly.acme", "globex request_invalid permanent rollcall.reconcile.user_daily.globex",
	}, values[string](f, `SELECT concat_ws(' ', customer_id, error_code, error_class, original_subject) FROM dead_letters ORDER BY 1`))
	asked, _ := f.requests()
	require.Empty(t, asked)
}

func TestInactiveCustomerIsNotReconciled(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]string{
		"paused": `UPDATE sync_configs SET paused_at = now()`, "switched off": `UPDATE sync_configs SET enabled = false`,
		"not backfilled": `UPDATE sync_configs SET backfill_completed_at = NULL`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			f.exec(change)
			f.exec(`UPDATE sync_configs SET next_reconcile_at = rollcall_now() - interval '1 hour'`)
			f.start()
			f.publish(subject, plain)
			require.Eventually(t, func() bool { return f.waiting() == 0 }, soon, 20*time.Millisecond)
			asked, _ := f.requests()
			require.Empty(t, asked)
			require.Equal(t, []int{0}, values[int](f, `SELECT count(*) FROM job_log`))
		})
	}
}
