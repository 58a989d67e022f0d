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

// reconciled asks for a reconciliation by hand and waits until it is the nth that has come to its end.
func (h *house) reconciled(nth int) {
	h.t.Helper()
	h.ask(subject, plain)
	h.reconciledTimes("acme", nth)
}

// record is the newest reconciliation.
func (h *house) record() string {
	h.t.Helper()
	return values[string](h, `SELECT concat_ws(' ', type, date, 'expected', expected_count, 'gaps', gap_count, 'failures', failure_count)
		FROM reconciliation_runs ORDER BY id DESC LIMIT 1`)[0]
}

// events are the bodies of the customer's events of a name.
func (h *house) events(name string) []map[string]any {
	h.t.Helper()
	require.Eventually(h.t, func() bool { return values[int](h, `SELECT count(*) FROM outbox`)[0] == 0 }, soon, 20*time.Millisecond)
	only := jetstream.OrderedConsumerConfig{FilterSubjects: []string{bus.SubjectEvent(name, "acme")}}
	consumer, err := h.js.OrderedConsumer(h.t.Context(), bus.StreamEvents, only)
	require.NoError(h.t, err)
	info, err := consumer.Info(h.t.Context())
	require.NoError(h.t, err)
	bodies := []map[string]any{}
	for range info.NumPending {
		message, err := consumer.Next(jetstream.FetchMaxWait(soon))
		require.NoError(h.t, err)
		var body map[string]any
		require.NoError(h.t, json.Unmarshal(message.Data(), &body))
		bodies = append(bodies, body)
	}
	return bodies
}

func TestAGapGetsItsMappingItsEventAndItsAuditLine(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.change(yesterday, "a", 1, 2, 3)
	h.start()
	h.reconciled(1)
	require.Equal(t, "user_daily 2026-03-01 expected 3 gaps 3 failures 0", h.record())
	h.saw()
	// One is known in an older version, one not at all, one has the day before yesterday's version, and one is on time.
	h.change(yesterday.Add(time.Hour), "b", 1)
	h.exec(`DELETE FROM user_mappings WHERE vomo_user_id = '2'`)
	h.change(yesterday.Add(-24*time.Hour), "a", 4)
	h.change(checkpoint.Add(time.Minute), "a", 5)

	h.reconciled(2)

	require.Equal(t, "user_daily 2026-03-01 expected 4 gaps 2 failures 0", h.record())
	require.Equal(t, []string{"1 stale_in_mapping", "2 not_in_mapping"}, values[string](h,
		`SELECT vomo_user_id || ' ' || reason FROM reconciliation_gaps WHERE job_id = (SELECT max(job_id) FROM reconciliation_runs) ORDER BY 1`))
	asked, written := h.saw()
	require.Equal(t, []string{"1", "2", "5"}, written, "everybody is brought, also who is no gap yet")
	for _, query := range asked {
		require.Contains(t, query, "updated_after=2026-03-01T00%3A00%3A00Z")
		require.NotContains(t, query, "updated_before")
	}
	require.Equal(t, []string{"1", "2", "3", "5"}, values[string](h, `SELECT vomo_user_id FROM user_mappings ORDER BY 1`))
	require.Equal(t, []string{"create 2", "create 5", "update 1"}, values[string](h, `SELECT operation || ' ' || record_id FROM sync_audit
		WHERE job_id = (SELECT max(job_id) FROM reconciliation_runs) AND succeeded ORDER BY 1`))
	updated := h.events("user.updated")
	require.Len(t, updated, 1)
	require.Equal(t, "user_daily", updated[0]["job"])
	require.Equal(t, []any{"phone"}, updated[0]["changedFields"])
	require.Len(t, h.events("user.created"), 5)
	done := h.events("reconciliation.completed")
	require.Len(t, done, 2)
	require.Equal(t, "2026-03-01", done[1]["date"])
	require.InDelta(t, 2, done[1]["gapCount"], 0)
	require.InDelta(t, 4, done[1]["expectedCount"], 0)
	require.Equal(t, checkpoint, values[time.Time](h, `SELECT checkpoint FROM sync_checkpoints`)[0].UTC(), "the checkpoint is the polls'")

	h.reconciled(3)

	require.Equal(t, "user_daily 2026-03-01 expected 4 gaps 0 failures 0", h.record())
	_, written = h.saw()
	require.Empty(t, written)
	require.Equal(t, []string{"user_daily success 3", "user_daily success 4", "user_daily success 4"},
		values[string](h, `SELECT concat_ws(' ', job, outcome, processed_count) FROM job_log ORDER BY id`))
}

func TestWhoeverHasALetterIsKnownAndNoGap(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.change(yesterday, "a", 1, 2)
	h.mu.Lock()
	h.refused["2"] = http.StatusUnprocessableEntity
	h.mu.Unlock()
	h.start()
	h.reconciled(1)
	require.Equal(t, "user_daily 2026-03-01 expected 2 gaps 2 failures 1", h.record())

	h.reconciled(2)

	require.Equal(t, "user_daily 2026-03-01 expected 2 gaps 0 failures 0", h.record())
	require.Equal(t, []int{1}, values[int](h, `SELECT count(*) FROM dead_letters`))

	h.exec(`UPDATE dead_letters SET state = 'settled', settled_at = now(), settled_how = 'discarded'`)
	h.reconciled(3)
	require.Equal(t, "user_daily 2026-03-01 expected 2 gaps 1 failures 1", h.record(), "what was discarded is missing, and is said to be")
}

func TestAUserWhoChangedAgainTodayIsFound(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.change(morning.Add(-2*time.Hour), "changed yesterday, and again today", 1)
	h.start()
	h.reconciled(1)
	require.Equal(t, "user_daily 2026-03-01 expected 1 gaps 1 failures 0", h.record())
}

func TestManyGapsOnManyPagesAreCountedOnce(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	for id := range 100 {
		h.change(yesterday.Add(time.Duration(id)*time.Second), "a", id+1)
	}
	h.start()
	h.reconciled(1)
	require.Equal(t, "user_daily 2026-03-01 expected 100 gaps 100 failures 0", h.record())
	require.Equal(t, []int{100}, values[int](h, `SELECT count(*) FROM user_mappings`))
}

func TestACategoryThatNobodyKnowsBecomesALetter(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.start()
	h.ask("rollcall.reconcile.user_deletions.acme", plain)
	h.ask("rollcall.reconcile.user_daily.globex", `{"customerId":"acme"}`)
	require.Eventually(t, func() bool { return values[int](h, `SELECT count(*) FROM dead_letters`)[0] == 2 && h.waiting() == 0 }, soon, 20*time.Millisecond)
	require.Equal(t, []string{
		"acme category_unknown permanent rollcall.reconcile.user_deletions.acme", "globex request_invalid permanent rollcall.reconcile.user_daily.globex",
	}, values[string](h, `SELECT concat_ws(' ', customer_id, error_code, error_class, original_subject) FROM dead_letters ORDER BY 1`))
	asked, _ := h.saw()
	require.Empty(t, asked)
}

func TestWhoIsNotPolledIsNotReconciledEither(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]string{
		"paused": `UPDATE sync_configs SET paused_at = now()`, "switched off": `UPDATE sync_configs SET enabled = false`,
		"not backfilled": `UPDATE sync_configs SET backfill_completed_at = NULL`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t)
			h.exec(change)
			h.exec(`UPDATE sync_configs SET next_reconcile_at = rollcall_now() - interval '1 hour'`)
			h.start()
			h.ask(subject, plain)
			require.Eventually(t, func() bool { return h.waiting() == 0 }, soon, 20*time.Millisecond)
			asked, _ := h.saw()
			require.Empty(t, asked)
			require.Equal(t, []int{0}, values[int](h, `SELECT count(*) FROM job_log`))
		})
	}
}
