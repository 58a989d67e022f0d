package budget_test

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/budget"
	"rollcall.dev/pkg/fault"
)

func TestIntervalKeepsBothLimitsWithOnePercentMargin(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		limits  budget.Limits
		want    time.Duration
		allowed float64
	}{
		"VOMO's, where the minute decides": {budget.Limits{PerSecond: 3, PerMinute: 100}, interval, 100},
		"where the second decides":         {budget.Limits{PerSecond: 1, PerMinute: 100}, 1010 * time.Millisecond, 60},
		"no limit a minute":                {budget.Limits{PerSecond: 2}, 505 * time.Millisecond, 120},
		"far above":                        {budget.Limits{PerSecond: 5000}, 202 * time.Microsecond, 300_000},
	} {
		require.InDelta(t, float64(c.want), float64(c.limits.Interval()), float64(time.Microsecond), name)
		require.InDelta(t, c.allowed, c.limits.AllowedPerMinute(), 0.001, name)
	}
}

func TestEstimateIsTimeOfRequests(t *testing.T) {
	t.Parallel()
	limits := budget.Limits{PerSecond: 3, PerMinute: 100}
	require.InDelta(t, 40.6, limits.Estimate(67).Seconds(), 0.1, "the integration guide's thousand users")
	require.Equal(t, time.Duration(math.MaxInt64), limits.Estimate(math.MaxInt64), "a wrong total from VOMO must not give a negative time")
}

func TestInvalidLimitsAreRejected(t *testing.T) {
	t.Parallel()
	for _, limits := range []budget.Limits{
		{},
		{PerSecond: -1},
		{PerSecond: math.NaN()},
		{PerSecond: 3, PerMinute: -1},
		{PerSecond: 3, PerMinute: math.NaN()},
		{PerSecond: 1e-300},
		{PerSecond: 3, PerMinute: 1e-300},
	} {
		_, err := budget.Open(nil, "acme", "job", limits)
		require.Equal(t, fault.KindPermanent, fault.KindOf(err), "%+v", limits)
		require.Equal(t, "limits_invalid", fault.CodeOf(err))
	}
}

func TestIntervalIsNeverZeroOrNegative(t *testing.T) {
	t.Parallel()
	for _, tiny := range []float64{1e-3, 1e-9, 1e-12, 1e-300, math.SmallestNonzeroFloat64} {
		require.Positive(t, budget.Limits{PerSecond: tiny}.Interval(), "%g a second", tiny)
		require.Positive(t, budget.Limits{PerSecond: 3, PerMinute: tiny}.Interval(), "%g a minute", tiny)
	}
}

func TestCustomersLimitsReplaceInstallations(t *testing.T) {
	t.Parallel()
	installation := budget.Limits{PerSecond: 3, PerMinute: 100}
	for name, test := range map[string]struct {
		perSecond, perMinute *float64
		want                 budget.Limits
	}{
		"none":                   {nil, nil, installation},
		"a second":               {new(5.0), nil, budget.Limits{PerSecond: 5, PerMinute: 100}},
		"a minute":               {nil, new(40.0), budget.Limits{PerSecond: 3, PerMinute: 40}},
		"both":                   {new(5.0), new(40.0), budget.Limits{PerSecond: 5, PerMinute: 40}},
		"none a minute":          {nil, new(0.0), budget.Limits{PerSecond: 3}},
		"above the installation": {new(50.0), new(4000.0), budget.Limits{PerSecond: 50, PerMinute: 4000}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, test.want, installation.With(test.perSecond, test.perMinute))
			require.Equal(t, budget.Limits{PerSecond: 3, PerMinute: 100}, installation, "the installation's limits must not change")
		})
	}
}
