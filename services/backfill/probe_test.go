package main

import (
	"net/http"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// A run that only yielded its lane, slept, or waited for VOMO says nothing of the destination: if it came back as a probe, one
// record that cannot be written could raise destination_down.
func TestOnlyRunParkedForItsDestinationProbesFirst(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		reason  string
		parks   int
		records int // that were tried at a destination that fails
	}{
		"never parked":                           {"", 0, 3},
		"it yielded its lane":                    {"lane_wanted", 1, 3},
		"it slept":                               {"quiet_hours", 0, 3},
		"it waited for a day":                    {"not_before", 0, 3},
		"VOMO was down":                          {"vomo_unavailable", 2, 3},
		"Postgres was away":                      {"database_unavailable", 2, 3},
		"the destination was down":               {"destination_down", 1, 1},
		"it was down before the quiet hours":     {"quiet_hours", 2, 1},
		"the destination rejected the token":     {"destination_auth_failed", 1, 1},
		"the destination asked for a pause":      {"destination_throttled", 1, 1},
		"the destination answered a redirect":    {"destination_redirect", 1, 1},
		"its name led to a private address":      {"destination_not_public", 1, 1},
		"the destination's answer was not clear": {"destination_unclear", 1, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			f.set(func() { f.more, f.crm, f.body = 2, http.StatusInternalServerError, "" })
			f.queued(t)
			_, err := f.pool.Exec(t.Context(), `UPDATE backfill_runs SET park_reason = nullif($1, ''), parks = $2`, c.reason, c.parks)
			require.NoError(t, err)

			require.NoError(t, f.received(t))

			f.mu.Lock()
			defer f.mu.Unlock()
			slices.Sort(f.written)
			require.Len(t, slices.Compact(f.written), c.records)
		})
	}
}
