package budget_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/budget"
	"rollcall.dev/pkg/fault"
)

// at sets the database's clock.
func (b *fixture) at(t *testing.T, now time.Time) {
	t.Helper()
	b.exec(t, `UPDATE test_clock SET at = $1`, now)
}

func TestRowInPostgresKeepsThreeProcessesInTheShare(t *testing.T) {
	t.Parallel()
	b := newFixture(t)
	b.at(t, hourlyBegin)
	server := &api{limit: 500, others: 0.4}
	sent := spend(t, b.ledger.VirtuousBudgets(), func(now time.Time) { b.at(t, now) }, 150*time.Minute, budget.ForSubmissions, server)
	requireAtMost(t, sent, 300)
	require.Greater(t, len(sent), 600)
	require.False(t, server.overdrawn)
}

func TestWhatIsLeftOfTheQuotaIsSharedByAllProcesses(t *testing.T) {
	t.Parallel()
	b := newFixture(t)
	b.at(t, hourlyBegin)
	now := hourlyBegin
	open := func() *budget.HourlyAccount {
		return openHourly(t, b.ledger.VirtuousBudgets(), func() time.Time { return now }, func(time.Time) {})
	}
	one, other := open(), open()
	require.NoError(t, other.Wait(t.Context(), budget.ForReads))
	require.NoError(t, one.Answered(t.Context(), budget.Quota{Limit: 5000, Remaining: 500, ResetAt: now.Add(10 * time.Minute)}))
	require.Equal(t, "quota_low", fault.CodeOf(other.Wait(t.Context(), budget.ForReads)))
	require.NoError(t, other.Wait(t.Context(), budget.ForSubmissions))
	require.NoError(t, other.Answered(t.Context(), budget.Quota{Limit: 5000, Remaining: 200, ResetAt: now.Add(10 * time.Minute)}))
	require.Equal(t, "quota_low", fault.CodeOf(one.Wait(t.Context(), budget.ForSubmissions)))
	now = now.Add(10 * time.Minute)
	require.NoError(t, one.Wait(t.Context(), budget.ForReads))
}
