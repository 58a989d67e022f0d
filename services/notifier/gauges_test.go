package main

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/bus"
)

const givingReport = `{"metrics":{"pending":{"value":2},"submittedLate":{"value":1},"needsReview":{"value":3},"failed":{"value":0},"conflict":{"value":4},
	"latency":{"medianSeconds":%s},"recoveredShare":{"value":%s}}}`

func TestGaugesMeasureStreamsAndGiving(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	_, err := f.js.Publish(t.Context(), bus.SubjectBackfill("acme"), []byte("{}"))
	require.NoError(t, err)
	for customer, values := range map[string][2]string{"acme": {"3600", "0.25"}, "bravo": {"60", "null"}} {
		report := strings.Replace(strings.Replace(givingReport, "%s", values[0], 1), "%s", values[1], 1)
		require.NoError(t, f.SaveGivingReport(t.Context(), customer, "2026-01-02", json.RawMessage(report), time.Now()))
	}
	require.NoError(t, f.SaveGivingReport(t.Context(), "gone", "2026-01-02",
		json.RawMessage(`{"metrics":{"pending":{"value":99}}}`), time.Now().Add(-48*time.Hour)))

	for customers, expected := range map[bool]string{
		false: `
# HELP rollcall_giving_latency_seconds Median time from submission to confirmation; of all customers, the longest.
# TYPE rollcall_giving_latency_seconds gauge
rollcall_giving_latency_seconds 3600
# HELP rollcall_giving_pending_donations Donations that wait to be sent, by the last reports.
# TYPE rollcall_giving_pending_donations gauge
rollcall_giving_pending_donations 4
# HELP rollcall_giving_recovered_ratio Share of confirmations that a reconciliation found; of all customers, the greatest.
# TYPE rollcall_giving_recovered_ratio gauge
rollcall_giving_recovered_ratio 0.25
`,
		true: `
# HELP rollcall_giving_latency_seconds Median time from submission to confirmation; of all customers, the longest.
# TYPE rollcall_giving_latency_seconds gauge
rollcall_giving_latency_seconds{customer="acme"} 3600
rollcall_giving_latency_seconds{customer="bravo"} 60
# HELP rollcall_giving_pending_donations Donations that wait to be sent, by the last reports.
# TYPE rollcall_giving_pending_donations gauge
rollcall_giving_pending_donations{customer="acme"} 2
rollcall_giving_pending_donations{customer="bravo"} 2
# HELP rollcall_giving_recovered_ratio Share of confirmations that a reconciliation found; of all customers, the greatest.
# TYPE rollcall_giving_recovered_ratio gauge
rollcall_giving_recovered_ratio{customer="acme"} 0.25
`,
	} {
		registry := prometheus.NewRegistry()
		measured := newGauges(f.Store, f.js, f.logger, registry, customers)
		require.NoError(t, measured.measureStreams(t.Context()))
		for range 2 { // a second measurement adds nothing
			require.NoError(t, measured.measureGiving(t.Context()))
		}
		require.NoError(t, testutil.GatherAndCompare(registry, strings.NewReader(expected),
			"rollcall_giving_latency_seconds", "rollcall_giving_pending_donations", "rollcall_giving_recovered_ratio"))
		require.InDelta(t, 1, testutil.ToFloat64(measured.messages.WithLabelValues(bus.StreamBackfill)), 0)
		require.InDelta(t, 0, testutil.ToFloat64(measured.oldest.WithLabelValues(bus.StreamPoll)), 0)
		require.Positive(t, testutil.ToFloat64(measured.bytes.WithLabelValues(bus.StreamBackfill)))
	}
}

func TestGaugesMeasureWebhooksToEndpoints(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	measured := newGauges(f.Store, f.js, f.logger, prometheus.NewRegistry(), false)
	values := func() (pending, overdue float64) {
		t.Helper()
		require.NoError(t, measured.measureEndpoints(t.Context()))
		return testutil.ToFloat64(measured.pending.WithLabelValues()), testutil.ToFloat64(measured.overdue.WithLabelValues())
	}
	pending, overdue := values()
	require.Zero(t, pending)
	require.Zero(t, overdue)
	f.exec(`INSERT INTO endpoints (topics, host, url_sealed, secret_sealed, due_at, created_at, updated_at)
		SELECT '{*}', 'partner.example', '', '', rollcall_now() - due * interval '1 minute', now(), now() FROM unnest('{-5,7,3}'::int[]) due`)
	f.exec(`INSERT INTO endpoint_deliveries (endpoint_id, event_id, customer_id, topic, body, state, next_attempt_at, retry_until, created_at, settled_at)
		SELECT e.id, state, 'acme', 't', '', state, CASE state WHEN 'pending' THEN now() END, now(), now(), CASE WHEN state <> 'pending' THEN now() END
		FROM endpoints e, unnest('{pending,delivered,failed}'::text[]) state`)
	pending, overdue = values()
	require.InDelta(t, 3, pending, 0)
	require.InDelta(t, 7*60, overdue, 30)
}
