package job_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestThrottledDestinationGetsNoRequestUntilTheTimeItNamed(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.sides.change(checkpoint.Add(time.Minute), "x", ids(15)...)
	f.sides.set(func(w *sides) {
		w.crm = func(string) int { return http.StatusServiceUnavailable }
		w.pause = "86400"
	})
	f.polled()
	require.Equal(t, "parked destination_throttled pages 0 attempts 0 parks 1", f.run())
	require.InDelta(t, 86400, values[float64](f, `SELECT extract(epoch FROM due_at - rollcall_now())::float8 FROM runs`)[0], 60)
	require.Empty(t, values[string](f, `SELECT type FROM alerts`))

	f.sides.saw()
	f.sides.set(func(w *sides) { w.crm = nil })
	f.polled() // by hand: no job sends anything meanwhile
	_, written := f.sides.saw()
	require.Empty(t, written)
	require.Equal(t, "parked destination_throttled pages 0 attempts 0 parks 2", f.run())
	require.Empty(t, values[string](f, `SELECT record_id FROM dead_letters`))

	f.exec(`UPDATE destination_holds SET until = rollcall_now() - interval '1 second'`)
	f.polled()
	require.Equal(t, ids(15), f.mapped())
}

func TestHoldOfDestinationDoesNotHoldItsReplacement(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.sides.change(checkpoint.Add(time.Minute), "x", ids(3)...)
	f.sides.set(func(w *sides) {
		w.crm = func(string) int { return http.StatusTooManyRequests }
		w.pause = "3600"
	})
	f.polled()
	require.Equal(t, "parked destination_throttled pages 0 attempts 0 parks 1", f.run())
	f.sides.set(func(w *sides) { w.crm, w.pause = nil, "" })
	f.exec(`UPDATE sync_configs SET destination = jsonb_set(destination, '{url}', to_jsonb($1::text))`, f.sides.server.URL+"/another")
	f.polled()
	require.Equal(t, ids(3), f.mapped())
}

func TestForbiddenRecordGetsLetterAfterThreeParks(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.sides.change(checkpoint.Add(time.Minute), "x", ids(20)...)
	f.sides.set(func(w *sides) {
		w.crm = func(id string) int { return map[string]int{"7": http.StatusForbidden}[id] }
	})
	polls := 0
	for f.run() != "" || polls == 0 {
		polls++
		require.LessOrEqual(t, polls, 6, f.run())
		f.polled()
		require.LessOrEqual(t, len(values[string](f, `SELECT record_id FROM dead_letters`)), 1)
	}
	require.Equal(t, []string{"7 http_403 review"}, values[string](f, `SELECT concat_ws(' ', record_id, error_code, state) FROM dead_letters`))
	require.Len(t, f.mapped(), 19)
	require.Empty(t, values[string](f, `SELECT type FROM alerts WHERE cleared_at IS NULL`))
	require.Equal(t, 4, polls, "three parks, before: for ever")
}

func TestRejectedCredentialOpensNoLetterHoweverOftenItParks(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.sides.change(checkpoint.Add(time.Minute), "x", ids(6)...)
	f.polled()
	f.sides.change(time.Now().Add(time.Minute), "y", ids(3)...)
	for _, status := range []int{http.StatusForbidden, http.StatusUnauthorized} {
		f.sides.set(func(w *sides) { w.crm = func(string) int { return status } })
		for range 4 { // fewer failures than open the circuit breaker
			f.polled()
		}
	}
	require.Empty(t, values[string](f, `SELECT record_id FROM dead_letters`))
	require.Equal(t, []string{"destination_auth_failed"}, values[string](f, `SELECT type FROM alerts WHERE cleared_at IS NULL`))
}

func TestRedirectRaisesAlertWithRemedy(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.sides.change(checkpoint.Add(time.Minute), "x", ids(15)...)
	f.sides.set(func(w *sides) { w.crm = func(string) int { return http.StatusPermanentRedirect } })
	f.polled()
	require.Equal(t, "parked destination_redirect pages 0 attempts 0 parks 1", f.run())
	require.Equal(t, []string{"destination_redirect"}, values[string](f, `SELECT type FROM alerts WHERE cleared_at IS NULL`))
	require.Contains(t, values[string](f, `SELECT convert_from(payload, 'utf8') FROM outbox WHERE subject LIKE 'rollcall.alerts.%'`)[0],
		"the URL to which the redirect leads")
}
