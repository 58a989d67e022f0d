package acceptance_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/bus"
)

// clock sets the database's clock, and so the clock of all services.
func (f *fixture) clock(moment string) {
	f.t.Helper()
	_, err := f.pool.Exec(f.t.Context(), `CREATE TABLE IF NOT EXISTS test_clock AS SELECT interval '0' AS ahead`)
	require.NoError(f.t, err)
	_, err = f.pool.Exec(f.t.Context(), `CREATE OR REPLACE FUNCTION rollcall_now() RETURNS timestamptz LANGUAGE sql STABLE AS
		'SELECT now() + ahead FROM test_clock'`)
	require.NoError(f.t, err)
	_, err = f.pool.Exec(f.t.Context(), `UPDATE test_clock SET ahead = $1::text::timestamptz - now()`, moment)
	require.NoError(f.t, err)
}

func TestBackfillStopsInQuietHoursAndContinuesAfterThem(t *testing.T) {
	t.Parallel()
	f := newFixture(t, fast)
	f.organisation("acme", 1500)
	f.start(programOnboarding)
	f.start(programBackfill)
	f.slowDown(40)
	request := f.request("acme")
	request["quietHours"] = map[string]any{"from": "08:00", "to": "18:00", "zone": "America/Chicago"}
	f.clock("2026-01-14T13:59:45Z")
	f.publish(bus.SubjectOnboard("acme"), request)
	f.await(soon, "the run is under way, or the quiet hours have begun", func() bool {
		run := f.backfill("acme")
		return run != nil && (run.Processed > 200 || run.State == "parked")
	})

	f.clock("2026-01-14T14:00:00Z")

	f.awaitState("acme", "parked", soon)
	parked := f.backfill("acme")
	require.Equal(t, "quiet_hours", *parked.ParkReason)
	require.Equal(t, "2026-01-15T00:00:00Z", parked.DueAt.UTC().Format("2006-01-02T15:04:05Z"))
	require.Less(t, parked.Processed, int64(1500))
	f.await(soon, "no slot is held", func() bool { return f.subjects("ROLLCALL_BACKFILL", ">") == 0 })
	requests := f.traffic().VOMO["acme"].Requests

	f.publish(bus.SubjectBackfill("acme"), map[string]any{"customerId": "acme"})
	f.await(soon, "a request published by hand is settled", func() bool { return f.subjects("ROLLCALL_BACKFILL", ">") == 0 })
	require.Equal(t, requests, f.traffic().VOMO["acme"].Requests, "VOMO is left in peace")
	require.Equal(t, "parked", f.backfill("acme").State)

	f.clock("2026-01-15T00:00:00Z")

	f.awaitState("acme", "completed", longest)
	require.Equal(t, comparison{Source: 1500, Destination: 1500, Same: 1500}, f.compare("acme"))
	require.Zero(t, f.count(`SELECT count(*) FROM alerts`), "quiet hours raise no alert")
}
