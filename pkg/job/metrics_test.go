package job

import (
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"
)

func TestMetricsNameCustomerOnlyIfSwitchedOn(t *testing.T) {
	t.Parallel()
	for customers, labels := range map[bool]string{false: `kind="poll"`, true: `customer="acme",kind="poll"`} {
		registry := prometheus.NewRegistry()
		NewMetrics(registry, customers).ended("acme", "poll", "success")
		require.NoError(t, testutil.GatherAndCompare(registry, strings.NewReader(`
# HELP rollcall_runs_total Runs that ended, by kind and outcome.
# TYPE rollcall_runs_total counter
rollcall_runs_total{`+labels+`,outcome="success"} 1
`)))
	}
}
