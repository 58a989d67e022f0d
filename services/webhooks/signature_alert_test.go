package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func (f *fixture) signatureAlerts(t *testing.T) (raised, active int) {
	t.Helper()
	require.NoError(t, f.pool.QueryRow(t.Context(), `SELECT count(*), count(*) FILTER (WHERE cleared_at IS NULL) FROM alerts
		WHERE customer_id = 'acme' AND type = 'webhook_signature_failures'`).Scan(&raised, &active))
	return raised, active
}

func TestManyWrongSignaturesInARowRaiseAnAlertUntilARightOneComes(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	body := delivery(t, 10, 1)
	reject := func(times int, customer string) {
		t.Helper()
		for range times {
			require.Equal(t, 401, f.send(t, request{customer: customer, body: body, signature: "none"}).status)
		}
	}
	requireAlerts := func(raised, active int) {
		t.Helper()
		gotRaised, gotActive := f.signatureAlerts(t)
		require.Equal(t, []int{raised, active}, []int{gotRaised, gotActive})
	}
	reject(alertFailures, "globex") // which does not exist
	reject(alertFailures-1, customer)
	require.Equal(t, 200, f.deliver(t, body))
	reject(alertFailures-1, customer)
	f.advance(alertWithin + time.Second)
	reject(alertFailures-1, customer)
	requireAlerts(0, 0)

	reject(2*alertFailures, customer)
	requireAlerts(1, 1)
	require.Equal(t, 200, f.deliver(t, delivery(t, 20, 1)))
	requireAlerts(1, 0)
	var foreign int
	require.NoError(t, f.pool.QueryRow(t.Context(), `SELECT count(*) FROM alerts WHERE customer_id <> 'acme'`).Scan(&foreign))
	require.Zero(t, foreign)
}
