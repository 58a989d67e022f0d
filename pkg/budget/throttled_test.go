package budget_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/budget"
	"rollcall.dev/pkg/fault"
)

// opened is an account whose budget's row stands: something was sent for the customer.
func (b *fixture) opened(t *testing.T, job string) *budget.Account {
	t.Helper()
	account := b.account(t, "acme", job, perMinute(), func(time.Duration) {})
	require.NoError(t, account.Wait(t.Context()))
	return account
}

func Test429DelaysAllAccountsForItsRetryAfter(t *testing.T) {
	t.Parallel()
	b := newFixture(t)
	refused := b.opened(t, "backfill")
	var waited time.Duration
	other := b.account(t, "acme", "poll", perMinute(), func(wait time.Duration) { waited = wait })

	require.NoError(t, refused.Throttled(t.Context(), 10*time.Second))

	require.NoError(t, other.Wait(t.Context()))
	require.Equal(t, 10*time.Second, waited)
	b.advance(t, time.Minute)
	require.NoError(t, refused.Throttled(t.Context(), 25*time.Second))
	require.Equal(t, fault.KindThrottled, fault.KindOf(other.Wait(t.Context())))
}

func TestRetryAfterIsLimitedToAnHour(t *testing.T) {
	t.Parallel()
	b := newFixture(t)
	account := b.opened(t, "job")

	require.NoError(t, account.Throttled(t.Context(), 30*24*time.Hour))

	require.Equal(t, time.Hour, b.held(t, "acme"))
}

func Test429NeverShortensHold(t *testing.T) {
	t.Parallel()
	b := newFixture(t)
	account := b.opened(t, "job")
	require.NoError(t, account.Throttled(t.Context(), 10*time.Minute))

	require.NoError(t, account.Throttled(t.Context(), time.Second))
	require.NoError(t, account.Throttled(t.Context(), 0))

	require.Equal(t, 10*time.Minute, b.held(t, "acme"))
}

// refusals has the account refused n times without a time, and returns the holds.
func (b *fixture) rejections(t *testing.T, account *budget.Account, n int) []time.Duration {
	t.Helper()
	holds := make([]time.Duration, n)
	for i := range holds {
		b.advance(t, time.Hour)
		require.NoError(t, account.Throttled(t.Context(), 0))
		holds[i] = b.held(t, "acme")
	}
	return holds
}

// requireDoubling allows for jitter: down to half of the pause.
func requireDoubling(t *testing.T, holds []time.Duration) {
	t.Helper()
	for i, hold := range holds {
		full := min(time.Second<<i, time.Minute)
		require.LessOrEqual(t, hold, full, "refusal %d", i+1)
		require.GreaterOrEqual(t, hold, full/2, "refusal %d", i+1)
	}
}

func TestHoldWithoutRetryAfterDoublesToAMinute(t *testing.T) {
	t.Parallel()
	b := newFixture(t)
	requireDoubling(t, b.rejections(t, b.opened(t, "job"), 9))
}

func TestHoldsHaveJitter(t *testing.T) {
	t.Parallel()
	b := newFixture(t)
	account := b.opened(t, "job")
	b.rejections(t, account, 7)

	seen := map[time.Duration]bool{}
	for _, hold := range b.rejections(t, account, 5) {
		seen[hold] = true
	}

	require.Greater(t, len(seen), 1)
}

func TestAnswerRestartsDoubling(t *testing.T) {
	t.Parallel()
	b := newFixture(t)
	account := b.opened(t, "job")
	b.rejections(t, account, 6)

	require.NoError(t, account.Answered(t.Context()))

	requireDoubling(t, b.rejections(t, account, 3))
}

// A job that is parked for refusals comes back as another account.
func TestAnswerToNextAccountRestartsDoubling(t *testing.T) {
	t.Parallel()
	b := newFixture(t)
	b.rejections(t, b.opened(t, "job"), 6)
	b.advance(t, time.Hour)
	next := b.opened(t, "job")

	require.NoError(t, next.Answered(t.Context()))

	requireDoubling(t, b.rejections(t, next, 3))
}

func Test429sOfTwoAccountsAddUp(t *testing.T) {
	t.Parallel()
	b := newFixture(t)
	one, other := b.opened(t, "one"), b.opened(t, "other")
	b.rejections(t, one, 3)

	hold := b.rejections(t, other, 1)[0]

	require.GreaterOrEqual(t, hold, 4*time.Second)
}
