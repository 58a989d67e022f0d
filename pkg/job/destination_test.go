package job_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestAThrottledDestinationIsLeftAloneUntilTheTimeItNamed(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.world.change(checkpoint.Add(time.Minute), "x", ids(15)...)
	h.world.set(func(w *world) {
		w.crm = func(string) int { return http.StatusServiceUnavailable }
		w.pause = "86400"
	})
	h.polled()
	require.Equal(t, "parked destination_throttled pages 0 attempts 0 parks 1", h.run())
	require.InDelta(t, 86400, values[float64](h, `SELECT extract(epoch FROM due_at - rollcall_now())::float8 FROM sync_runs`)[0], 60)
	require.Empty(t, values[string](h, `SELECT type FROM alerts`))

	h.world.saw()
	h.world.set(func(w *world) { w.crm = nil })
	h.polled() // by hand: no job sends anything meanwhile
	_, written := h.world.saw()
	require.Empty(t, written)
	require.Equal(t, "parked destination_throttled pages 0 attempts 0 parks 2", h.run())
	require.Empty(t, values[string](h, `SELECT record_id FROM dead_letters`))

	h.exec(`UPDATE destination_holds SET until = rollcall_now() - interval '1 second'`)
	h.polled()
	require.Equal(t, ids(15), h.mapped())
}

func TestAHoldIsTheDestinationsThatAskedForIt(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.world.change(checkpoint.Add(time.Minute), "x", ids(3)...)
	h.world.set(func(w *world) {
		w.crm = func(string) int { return http.StatusTooManyRequests }
		w.pause = "3600"
	})
	h.polled()
	require.Equal(t, "parked destination_throttled pages 0 attempts 0 parks 1", h.run())
	h.world.set(func(w *world) { w.crm, w.pause = nil, "" })
	h.exec(`UPDATE sync_configs SET destination = jsonb_set(destination, '{url}', to_jsonb($1::text))`, h.world.server.URL+"/another")
	h.polled()
	require.Equal(t, ids(3), h.mapped())
}

func TestOneForbiddenRecordStopsNoCustomerForLong(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.world.change(checkpoint.Add(time.Minute), "x", ids(20)...)
	h.world.set(func(w *world) {
		w.crm = func(id string) int { return map[string]int{"7": http.StatusForbidden}[id] }
	})
	polls := 0
	for h.run() != "" || polls == 0 {
		polls++
		require.LessOrEqual(t, polls, 6, h.run())
		h.polled()
		require.LessOrEqual(t, len(values[string](h, `SELECT record_id FROM dead_letters`)), 1)
	}
	require.Equal(t, []string{"7 http_403 review"}, values[string](h, `SELECT concat_ws(' ', record_id, error_code, state) FROM dead_letters`))
	require.Len(t, h.mapped(), 19)
	require.Empty(t, values[string](h, `SELECT type FROM alerts WHERE cleared_at IS NULL`))
	require.Equal(t, 4, polls, "three parks, before: for ever")
}

func TestARefusedCredentialIsNoRecordsHoweverOftenItParks(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.world.change(checkpoint.Add(time.Minute), "x", ids(6)...)
	h.polled()
	h.world.change(time.Now().Add(time.Minute), "y", ids(3)...)
	for _, status := range []int{http.StatusForbidden, http.StatusUnauthorized} {
		h.world.set(func(w *world) { w.crm = func(string) int { return status } })
		for range 4 { // fewer failures than open the circuit breaker
			h.polled()
		}
	}
	require.Empty(t, values[string](h, `SELECT record_id FROM dead_letters`))
	require.Equal(t, []string{"destination_auth_failed"}, values[string](h, `SELECT type FROM alerts WHERE cleared_at IS NULL`))
}

func TestARedirectIsAlertedWithItsRemedy(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.world.change(checkpoint.Add(time.Minute), "x", ids(15)...)
	h.world.set(func(w *world) { w.crm = func(string) int { return http.StatusPermanentRedirect } })
	h.polled()
	require.Equal(t, "parked destination_redirect pages 0 attempts 0 parks 1", h.run())
	require.Equal(t, []string{"destination_redirect"}, values[string](h, `SELECT type FROM alerts WHERE cleared_at IS NULL`))
	require.Contains(t, values[string](h, `SELECT convert_from(payload, 'utf8') FROM outbox WHERE subject LIKE 'rollcall.alerts.%'`)[0],
		"the URL that the redirect leads to")
}
