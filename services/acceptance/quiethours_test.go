package acceptance_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/bus"
)

// clock has the database's clock go on from a moment, for all services at once.
func (h *house) clock(moment string) {
	h.t.Helper()
	_, err := h.pool.Exec(h.t.Context(), `CREATE TABLE IF NOT EXISTS test_clock AS SELECT interval '0' AS ahead`)
	require.NoError(h.t, err)
	_, err = h.pool.Exec(h.t.Context(), `CREATE OR REPLACE FUNCTION rollcall_now() RETURNS timestamptz LANGUAGE sql STABLE AS
		'SELECT now() + ahead FROM test_clock'`)
	require.NoError(h.t, err)
	_, err = h.pool.Exec(h.t.Context(), `UPDATE test_clock SET ahead = $1::text::timestamptz - now()`, moment)
	require.NoError(h.t, err)
}

func TestABackfillRestsInTheQuietHoursAndGoesOnAfterThem(t *testing.T) {
	t.Parallel()
	h := newHouse(t, fast)
	h.organisation("acme", 1500)
	h.start(programOnboarding)
	h.start(programBackfill)
	h.slow(40)
	request := h.request("acme")
	request["quietHours"] = map[string]any{"from": "08:00", "to": "18:00", "zone": "America/Chicago"}
	h.clock("2026-01-14T13:59:45Z")
	h.publish(bus.SubjectOnboard("acme"), request)
	h.until(soon, "the run is under way, or the quiet hours have begun", func() bool {
		run := h.backfill("acme")
		return run != nil && (run.Processed > 200 || run.State == "parked")
	})

	h.clock("2026-01-14T14:00:00Z")

	h.untilState("acme", "parked", soon)
	parked := h.backfill("acme")
	require.Equal(t, "quiet_hours", *parked.ParkReason)
	require.Equal(t, "2026-01-15T00:00:00Z", parked.DueAt.UTC().Format("2006-01-02T15:04:05Z"))
	require.Less(t, parked.Processed, int64(1500))
	h.until(soon, "no slot is held", func() bool { return h.subjects("ROLLCALL_BACKFILL", ">") == 0 })
	requests := h.traffic().VOMO["acme"].Requests

	h.publish(bus.SubjectBackfill("acme"), map[string]any{"customerId": "acme"})
	h.until(soon, "a request published by hand is settled", func() bool { return h.subjects("ROLLCALL_BACKFILL", ">") == 0 })
	require.Equal(t, requests, h.traffic().VOMO["acme"].Requests, "VOMO is left in peace")
	require.Equal(t, "parked", h.backfill("acme").State)

	h.clock("2026-01-15T00:00:00Z")

	h.untilState("acme", "completed", longest)
	require.Equal(t, comparison{Source: 1500, Destination: 1500, Same: 1500}, h.compare("acme"))
	require.Zero(t, h.count(`SELECT count(*) FROM alerts`), "a wait that was asked for alerts nobody")
}
