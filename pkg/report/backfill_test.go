package report_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/budget"
	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/pkg/report"
	"rollcall.dev/pkg/store"
)

// The durations that the mirror guide has customers expect (docs/guides.md#initial-backfill) hold under the default limits.
func TestEstimatesAreWithinTheGuidesDurations(t *testing.T) {
	t.Parallel()
	limits := budget.Limits{PerSecond: 3, PerMinute: 100}
	for users, c := range map[int64]struct {
		requests int64
		estimate time.Duration
		guide    time.Duration
	}{
		1_000:   {67 + 4, 43 * time.Second, 3 * time.Minute},
		10_000:  {667 + 34, 7*time.Minute + 5*time.Second, 30 * time.Minute},
		100_000: {6667 + 334, time.Hour + 10*time.Minute + 43*time.Second, 5 * time.Hour},
		500_000: {33_334 + 1667, 5*time.Hour + 53*time.Minute + 31*time.Second, 24 * time.Hour},
	} {
		require.Equal(t, c.requests, report.BackfillRequests(users), users)
		estimate := limits.Estimate(c.requests)
		require.InDelta(t, c.estimate.Seconds(), estimate.Seconds(), 1, users)
		require.Less(t, estimate, c.guide, users)
	}
}

func TestRateAndEstimateAreMeasured(t *testing.T) {
	t.Parallel()
	of := func(state store.RunState, pages, processed int64, total *int64, active float64) store.Run {
		return store.Run{State: state, Pages: pages, Processed: processed, Cursor: store.Cursor{LastTotal: total}, ActiveSeconds: active}
	}
	for name, c := range map[string]struct {
		run  store.Run
		rate *float64
		eta  *int64
	}{
		"nothing read":             {of(store.RunQueued, 0, 0, nil, 0), nil, nil},
		"one page tells no rate":   {of(store.RunRunning, 1, 15, new(int64(1000)), 0.4), nil, nil},
		"half way":                 {of(store.RunRunning, 34, 510, new(int64(1000)), 20.4), new(100.0), new(int64(23))}, // 33 pages and 4 windows at 1.67/s
		"a page begun is a page":   {of(store.RunRunning, 10, 150, new(int64(151)), 10), new(60.0), new(int64(1))},
		"rate to a tenth":          {of(store.RunRunning, 10, 150, new(int64(150)), 7), new(85.7), new(int64(0))},
		"more than VOMO counted":   {of(store.RunRunning, 10, 160, new(int64(150)), 10), new(60.0), new(int64(0))},
		"VOMO counts nothing":      {of(store.RunRunning, 10, 150, nil, 10), new(60.0), nil},
		"parked goes on some day":  {of(store.RunParked, 10, 150, new(int64(300)), 10), new(60.0), new(int64(10))},
		"completed":                {of(store.RunCompleted, 67, 1000, new(int64(1000)), 40.2), new(100.0), new(int64(0))},
		"completed, no user in it": {of(store.RunCompleted, 1, 0, new(int64(0)), 0.1), nil, new(int64(0))},
		"failed goes nowhere":      {of(store.RunFailed, 10, 150, new(int64(300)), 10), new(60.0), nil},
		"cancelled goes nowhere":   {of(store.RunCancelled, 10, 150, new(int64(300)), 10), new(60.0), nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			shown := report.BackfillOf(c.run)
			require.Equal(t, c.rate, shown.RequestsPerMinute)
			require.Equal(t, c.eta, shown.EtaSeconds)
		})
	}
}

func TestARunIsShownWithEveryName(t *testing.T) {
	t.Parallel()
	shown := report.BackfillOf(store.Run{
		ID: 3, Customer: "acme", State: store.RunQueued, Cursor: store.Cursor{Phase: store.PhasePages},
		TraceID: "00-trace-01", CreatedAt: noon, UpdatedAt: noon, DueAt: noon,
	})

	require.JSONEq(t, `{"id":3,"customerId":"acme","state":"queued","parkReason":null,"dueAt":null,"processed":0,"total":null,"written":0,`+
		`"skipped":0,"failures":0,"recovered":0,"verified":null,"phase":"pages","pages":0,`+
		`"requestsPerMinute":null,"rewrite":false,"etaSeconds":null,"traceId":"00-trace-01",`+
		`"createdAt":"2026-03-01T12:00:00Z","startedAt":null,"updatedAt":"2026-03-01T12:00:00Z","completedAt":null}`, document(t, shown))
}

func TestAParkedRunSaysWhyAndUntilWhen(t *testing.T) {
	t.Parallel()
	until := noon.Add(time.Minute)

	shown := report.BackfillOf(store.Run{State: store.RunParked, ParkReason: "destination_down", DueAt: until})
	require.Equal(t, new("destination_down"), shown.ParkReason)
	require.Equal(t, &until, shown.DueAt)

	shown = report.BackfillOf(store.Run{State: store.RunRunning, ParkReason: "destination_down", DueAt: until})
	require.Equal(t, new("destination_down"), shown.ParkReason, "until a page is committed")
	require.Nil(t, shown.DueAt)
}

func TestOneCustomersNewestRunIsShownAlone(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	first := h.queue(t, "acme")
	h.exec(t, `UPDATE backfill_runs SET state = 'completed' WHERE id = $1`, first)
	second := h.queue(t, "acme")
	h.queue(t, "other")

	reply, err := report.Backfills(t.Context(), h.Store, operatorapi.BackfillsQuestion{CustomerID: "acme"})

	require.NoError(t, err)
	require.Len(t, reply.Backfills, 1)
	require.Equal(t, second, reply.Backfills[0].ID)
	require.Nil(t, reply.Next)
}

func TestRunsArePagedNewestFirstAndTheLastPageSaysSo(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	h.many(t, 6)
	for limit, pages := range map[int32][]int{4: {4, 2}, 3: {3, 3}, 6: {6}, 1: {1, 1, 1, 1, 1, 1}, 0: {6}, -5: {6}, 1 << 30: {6}} {
		var sizes []int
		var ids []int64
		for question := (operatorapi.BackfillsQuestion{Limit: limit}); ; {
			reply, err := report.Backfills(t.Context(), h.Store, question)
			require.NoError(t, err)
			sizes = append(sizes, len(reply.Backfills))
			for _, run := range reply.Backfills {
				ids = append(ids, run.ID)
			}
			if reply.Next == nil {
				break
			}
			question.Before = *reply.Next
		}
		require.Equal(t, pages, sizes, "at most %d a page", limit)
		require.Equal(t, []int64{6, 5, 4, 3, 2, 1}, ids)
	}
}

func TestWithoutRunsTheListIsEmptyAndNotNull(t *testing.T) {
	t.Parallel()
	h := newFixture(t)

	reply, err := report.Backfills(t.Context(), h.Store, operatorapi.BackfillsQuestion{})

	require.NoError(t, err)
	require.JSONEq(t, `{"backfills":[],"next":null}`, document(t, reply))
}

func TestTheLargestPageStaysBelowWhatNATSCarries(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	h.many(t, 250)

	reply, err := report.Backfills(t.Context(), h.Store, operatorapi.BackfillsQuestion{Limit: 1000})

	require.NoError(t, err)
	require.Len(t, reply.Backfills, 200)
	require.NotNil(t, reply.Next)
	require.Less(t, len(document(t, reply)), 256<<10)
	unlimited, err := report.Backfills(t.Context(), h.Store, operatorapi.BackfillsQuestion{})
	require.NoError(t, err)
	require.Len(t, unlimited.Backfills, 50)
}

// many makes runs 1 to n, each of a customer of its own and with values as long as they get.
func (h *fixture) many(t *testing.T, n int) {
	t.Helper()
	h.exec(t, `INSERT INTO job_log (customer_id, job, started_at) VALUES ('acme', 'initial_backfill', now())`)
	//nolint:dupword // one value for each column
	h.exec(t, `INSERT INTO runs (customer_id, kind, job_id, trace_id, state, park_reason, due_at, created_at, started_at, updated_at, completed_at,
			pages, processed, cursor, written, skipped, failures, active_seconds)
		SELECT rpad(i::text, 63, 'x'), 'backfill', 1, $2, 'parked', 'destination_auth_failed', at, at, at, at, at, big, big,
			jsonb_build_object('lastTotal', big * 15), big, big, big, 1234567.8
		FROM generate_series(1, $1::int) AS i, (VALUES (timestamptz '2026-03-02T09:30:00.123456Z', 999999999999::bigint)) AS v (at, big)`,
		n, "00-"+strings.Repeat("f", 32)+"-"+strings.Repeat("f", 16)+"-01")
}
