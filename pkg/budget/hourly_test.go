package budget_test

import (
	"context"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/budget"
	"rollcall.dev/pkg/fault"
)

func usual() budget.Hourly { return budget.Hourly{PerHour: 1200, Share: 0.6} }

var hourlyBegin = time.Date(2026, 11, 28, 9, 0, 0, 0, time.UTC)

// hourlyRow is the row of an hourly budget with a clock that the test moves: the arithmetic is that of the statements.
type hourlyRow struct {
	now       time.Time
	nextAt    time.Time
	throttles int
	quota     budget.Quota
}

func newHourlyRow() *hourlyRow {
	return &hourlyRow{now: hourlyBegin, nextAt: hourlyBegin, quota: budget.Quota{Remaining: -1}}
}

func (r *hourlyRow) TakeGrant(_ context.Context, _, _ string, step, patience time.Duration) (time.Duration, bool, error) {
	if r.nextAt.After(r.now.Add(patience)) {
		return r.nextAt.Sub(r.now), false, nil
	}
	earliest := r.now.Add(-budget.HourlyBurst)
	if r.nextAt.Before(earliest) {
		r.nextAt = earliest
	}
	wait := max(r.nextAt.Sub(r.now), 0)
	r.nextAt = r.nextAt.Add(step)
	return wait, true, nil
}

func (r *hourlyRow) HoldBudget(_ context.Context, _ string, hold time.Duration, throttles int) error {
	if until := r.now.Add(hold); until.After(r.nextAt) {
		r.nextAt = until
	}
	r.throttles = throttles
	return nil
}

func (r *hourlyRow) Throttles(context.Context, string) (int, error) { return r.throttles, nil }

func (r *hourlyRow) ForgetThrottles(context.Context, string) error {
	r.throttles = 0
	return nil
}

func (r *hourlyRow) SeenQuota(context.Context, string) (budget.Quota, error) { return r.quota, nil }

func (r *hourlyRow) NoteQuota(_ context.Context, _ string, quota budget.Quota) error {
	r.quota = quota
	return nil
}

func (r *hourlyRow) open(t *testing.T) *budget.HourlyAccount {
	t.Helper()
	return openHourly(t, r, func() time.Time { return r.now }, func(now time.Time) { r.now = now })
}

// openHourly opens an account that moves the clock instead of waiting.
func openHourly(t *testing.T, ledger budget.HourlyLedger, now func() time.Time, move func(time.Time)) *budget.HourlyAccount {
	t.Helper()
	account, err := budget.OpenHourly(ledger, "acme", "job", usual(), now)
	require.NoError(t, err)
	account.OnWait(func(_ context.Context, wait time.Duration) error {
		move(now().Add(wait))
		return nil
	})
	return account
}

// remains has the API say how much of 5,000 requests remains until a reset in ten minutes.
func (r *hourlyRow) remains(t *testing.T, account *budget.HourlyAccount, remaining int64) {
	t.Helper()
	require.NoError(t, account.Answered(t.Context(), budget.Quota{Limit: 5000, Remaining: remaining, ResetAt: r.now.Add(10 * time.Minute)}))
}

func TestStepKeepsHourWithItsBurstInTheLimit(t *testing.T) {
	t.Parallel()
	for _, limit := range []int64{0, 1, 2, 3, 10, 100, 1500, 5000, 1_000_000} {
		allowed, step := usual().Allowed(limit), usual().Step(limit)
		inBurst := math.Floor(float64(budget.HourlyBurst)/float64(step)) + 1
		inHour := inBurst + float64(time.Hour)/float64(step)
		require.LessOrEqual(t, inHour, max(allowed, 2)+0.001, "limit %d", limit)
		if allowed > 100 {
			require.InDelta(t, allowed/20, inBurst, 0.06*allowed/20+1, "a burst is a twentieth of the hour")
		}
	}
	require.InDelta(t, 1200, usual().Allowed(0), 0)
	require.InDelta(t, 3000, usual().Allowed(5000), 0)
	require.Positive(t, budget.Hourly{PerHour: math.SmallestNonzeroFloat64, Share: 1}.Step(0))
}

// api is Virtuous' count of requests: fixed hours, in which others spend a share evenly.
type api struct {
	limit     int64
	others    float64 // of the limit
	window    time.Time
	ours      int64
	overdrawn bool
}

func (a *api) answer(now time.Time) budget.Quota {
	if window := now.Truncate(time.Hour); !window.Equal(a.window) {
		a.window, a.ours = window, 0
	}
	a.ours++
	passed := float64(now.Sub(a.window)) / float64(time.Hour)
	remaining := a.limit - a.ours - int64(passed*a.others*float64(a.limit))
	a.overdrawn = a.overdrawn || remaining < 0
	return budget.Quota{Limit: a.limit, Remaining: max(remaining, 0), ResetAt: a.window.Add(time.Hour)}
}

// spend runs three processes for some hours. Each sends as soon as it may. It returns when the requests were sent.
func spend(t *testing.T, ledger budget.HourlyLedger, move func(time.Time), hours time.Duration, purpose budget.Purpose, server *api) []time.Time {
	t.Helper()
	now := hourlyBegin
	moveTo := func(at time.Time) {
		now = at
		move(at)
	}
	accounts, ready := make([]*budget.HourlyAccount, 3), make([]time.Time, 3)
	for i := range accounts {
		accounts[i], ready[i] = openHourly(t, ledger, func() time.Time { return now }, moveTo), hourlyBegin
	}
	var sent []time.Time
	for {
		next := 0
		for i := range ready {
			if ready[i].Before(ready[next]) {
				next = i
			}
		}
		at := ready[next]
		if at.After(hourlyBegin.Add(hours)) {
			slices.SortFunc(sent, time.Time.Compare)
			return sent
		}
		moveTo(at)
		err := accounts[next].Wait(t.Context(), purpose)
		if after, named := fault.After(err); named {
			ready[next] = at.Add(after)
			continue
		}
		require.NoError(t, err)
		sent = append(sent, now)
		require.NoError(t, accounts[next].Answered(t.Context(), server.answer(now)))
		ready[next] = now.Add(50 * time.Millisecond)
	}
}

// requireAtMost checks each hour that begins with a request.
func requireAtMost(t *testing.T, sent []time.Time, most int) {
	t.Helper()
	first := 0
	for last := range sent {
		for sent[last].Sub(sent[first]) >= time.Hour {
			first++
		}
		require.LessOrEqual(t, last-first+1, most, "in the hour from %s", sent[first])
	}
}

func TestThreeProcessesStayInTheShareWhileOthersSpend(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		purpose budget.Purpose
		least   int // in six hours
	}{
		"submissions": {budget.ForSubmissions, 6 * 2800},
		"reads":       {budget.ForReads, 6 * 2300}, // they leave the last 20 % of the quota
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := &api{limit: 5000, others: 0.4}
			row := newHourlyRow()
			sent := spend(t, row, func(now time.Time) { row.now = now }, 6*time.Hour, test.purpose, server)
			requireAtMost(t, sent, 3000)
			require.GreaterOrEqual(t, len(sent), test.least)
			require.False(t, server.overdrawn)
		})
	}
}

func TestOthersThatSpendMoreThanTheirPartDoNotMakeUsOverdraw(t *testing.T) {
	t.Parallel()
	server := &api{limit: 5000, others: 0.9}
	row := newHourlyRow()
	sent := spend(t, row, func(now time.Time) { row.now = now }, 6*time.Hour, budget.ForSubmissions, server)
	requireAtMost(t, sent, 3000)
	require.False(t, server.overdrawn)
	require.Greater(t, len(sent), 6*600)
}

func TestUnknownLimitIsTheInstallations(t *testing.T) {
	t.Parallel()
	row := newHourlyRow()
	account := row.open(t)
	var sent []time.Time
	for row.now.Before(hourlyBegin.Add(3 * time.Hour)) {
		require.NoError(t, account.Wait(t.Context(), budget.ForReads))
		require.NoError(t, account.Answered(t.Context(), budget.Quota{Remaining: -1}))
		sent = append(sent, row.now)
	}
	requireAtMost(t, sent, 1200)
	require.Greater(t, len(sent), 3*1100)
}

func TestPauseIsMadeUpForByABurst(t *testing.T) {
	t.Parallel()
	row := newHourlyRow()
	account := row.open(t)
	row.now = row.now.Add(2 * time.Hour)
	began, burst := row.now, 0
	for row.now.Equal(began) {
		require.NoError(t, account.Wait(t.Context(), budget.ForReads))
		burst++
	}
	require.InDelta(t, 60, burst-1, 3, "1/20 of 1200; the next one waited")
}

func TestSubmissionsGoOnAtTenPercentAndStopAtFour(t *testing.T) {
	t.Parallel()
	row := newHourlyRow()
	account := row.open(t)
	requireHeld := func(purpose budget.Purpose, text string) {
		err := account.Wait(t.Context(), purpose)
		require.Equal(t, fault.KindThrottled, fault.KindOf(err), text)
		require.Equal(t, "quota_low", fault.CodeOf(err))
		after, _ := fault.After(err)
		require.Equal(t, 10*time.Minute, after, "until the reset")
	}

	row.remains(t, account, 1000)
	require.NoError(t, account.Wait(t.Context(), budget.ForReads), "20 %")
	row = newHourlyRow()
	account = row.open(t)
	row.remains(t, account, 500)
	requireHeld(budget.ForReads, "10 %")
	require.NoError(t, account.Wait(t.Context(), budget.ForSubmissions), "10 %")
	row = newHourlyRow()
	account = row.open(t)
	row.remains(t, account, 200)
	nextAt := row.nextAt
	requireHeld(budget.ForReads, "4 %")
	requireHeld(budget.ForSubmissions, "4 %")
	require.Equal(t, nextAt, row.nextAt, "what is not sent spends nothing")

	row.now = row.now.Add(10 * time.Minute)
	require.NoError(t, account.Wait(t.Context(), budget.ForReads), "after the reset")
	require.NoError(t, account.Wait(t.Context(), budget.ForSubmissions))
}

func TestAnswersThatOvertakeEachOtherCountByTheLesserRemainder(t *testing.T) {
	t.Parallel()
	reset := hourlyBegin.Add(10 * time.Minute)
	seen := budget.Quota{Limit: 5000, Remaining: 240, ResetAt: reset}
	late := budget.Quota{Limit: 5000, Remaining: 260, ResetAt: reset.Add(2 * time.Second)}
	require.Equal(t, seen, late.After(seen, hourlyBegin))
	next := budget.Quota{Limit: 5000, Remaining: 4999, ResetAt: reset.Add(40 * time.Minute)}
	require.Equal(t, next, next.After(seen, hourlyBegin), "the next hour")
	require.Equal(t, next, next.After(seen, reset.Add(time.Second)))
}

func TestWhatAnAnswerLeavesOutStaysKnownUntilTheReset(t *testing.T) {
	t.Parallel()
	seen := budget.Quota{Limit: 5000, Remaining: 100, ResetAt: hourlyBegin.Add(10 * time.Minute)}
	unknown := budget.Quota{Remaining: -1}
	require.Equal(t, seen, unknown.After(seen, hourlyBegin))
	require.Equal(t, budget.Quota{Limit: 5000, Remaining: -1}, unknown.After(seen, hourlyBegin.Add(time.Hour)))
	require.Equal(t, budget.Quota{Limit: 5000, Remaining: 90, ResetAt: seen.ResetAt}, budget.Quota{Remaining: 90}.After(seen, hourlyBegin))
}

func TestQuotaWithoutResetIsAskedAgainAfterFiveMinutes(t *testing.T) {
	t.Parallel()
	low := budget.Quota{Limit: 5000, Remaining: 10}.After(budget.Quota{Remaining: -1}, hourlyBegin)
	require.Equal(t, 5*time.Minute, low.Held(hourlyBegin, budget.ForSubmissions))
	require.Zero(t, low.Held(hourlyBegin.Add(5*time.Minute), budget.ForReads))
	far := budget.Quota{Limit: 5000, Remaining: 10, ResetAt: hourlyBegin.Add(24 * time.Hour)}.After(budget.Quota{Remaining: -1}, hourlyBegin)
	require.Equal(t, time.Hour, far.Held(hourlyBegin, budget.ForSubmissions), "an hour at most")
}

func TestHourlyAccountIsHeldByA429(t *testing.T) {
	t.Parallel()
	row := newHourlyRow()
	account := row.open(t)
	require.NoError(t, account.Throttled(t.Context(), 10*time.Minute))
	err := account.Wait(t.Context(), budget.ForSubmissions)
	require.Equal(t, "budget_held", fault.CodeOf(err))
	after, _ := fault.After(err)
	require.Equal(t, 10*time.Minute, after)

	row.now = row.now.Add(10 * time.Minute)
	require.NoError(t, account.Throttled(t.Context(), 0))
	require.Equal(t, 1, row.throttles, "without a time the hold doubles")
	require.NoError(t, account.NotThrottled(t.Context()))
	require.Zero(t, row.throttles)
}

func TestInvalidHourlyLimitsAreRejected(t *testing.T) {
	t.Parallel()
	for _, hourly := range []budget.Hourly{
		{}, {PerHour: 1200}, {Share: 0.6}, {PerHour: -1, Share: 0.6}, {PerHour: 1200, Share: 1.1}, {PerHour: math.NaN(), Share: 0.6}, {PerHour: 1, Share: math.NaN()},
	} {
		_, err := budget.OpenHourly(nil, "acme", "job", hourly, nil)
		require.Equal(t, "limits_invalid", fault.CodeOf(err), "%+v", hourly)
	}
}
