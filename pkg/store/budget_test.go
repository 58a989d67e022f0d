package store_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/store"
)

// Two that find no budget yet both open it: the second must not take the first one's row for a hold.
func TestTakersThatOpenABudgetTogetherAllGetAGrant(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	for round := range 20 {
		customer := "c" + string(rune('a'+round))
		atOnce(4, func(int) {
			wait, granted, err := f.TakeGrant(t.Context(), customer, "job", time.Second, 20*time.Second)
			if err != nil || !granted {
				t.Errorf("wait %s, granted %t: %v", wait, granted, err)
			}
		})
		spent, err := f.Spent(t.Context(), customer)
		require.NoError(t, err)
		require.Equal(t, store.Spending{Ever: map[string]int64{"job": 4}, Today: map[string]int64{"job": 4}}, spent)
	}
}

func TestAGrantIsRefusedOnlyBeyondThePatience(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	take := func(patience time.Duration) (time.Duration, bool) {
		wait, granted, err := f.TakeGrant(t.Context(), "acme", "job", 10*time.Second, patience)
		require.NoError(t, err)
		return wait, granted
	}
	for _, step := range []struct {
		patience time.Duration
		wait     time.Duration
		granted  bool
	}{
		{0, 0, true},
		{10*time.Second - time.Microsecond, 10 * time.Second, false},
		{10 * time.Second, 10 * time.Second, true},
		{0, 20 * time.Second, false},
	} {
		wait, granted := take(step.patience)
		require.Equal(t, step.wait, wait)
		require.Equal(t, step.granted, granted)
	}
}

func TestThrottlesAreCountedAndForgotten(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	_, _, err := f.TakeGrant(t.Context(), "acme", "job", time.Second, 0)
	require.NoError(t, err)

	require.NoError(t, f.HoldBudget(t.Context(), "acme", time.Minute, 3))
	throttles, err := f.Throttles(t.Context(), "acme")
	require.NoError(t, err)
	require.Equal(t, 3, throttles)

	require.NoError(t, f.ForgetThrottles(t.Context(), "acme"))
	throttles, err = f.Throttles(t.Context(), "acme")
	require.NoError(t, err)
	require.Zero(t, throttles)
}
