package job

import (
	"github.com/prometheus/client_golang/prometheus"

	"rollcall.dev/pkg/mirror"
)

// Metrics count runs, records and parks, without a customer's name: a partner has thousands of them. A nil *Metrics
// counts nothing.
type Metrics struct {
	records *prometheus.CounterVec
	pages   *prometheus.CounterVec
	runs    *prometheus.CounterVec
	parks   *prometheus.CounterVec
}

// NewMetrics registers them.
func NewMetrics(registry prometheus.Registerer) *Metrics {
	m := &Metrics{
		records: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "rollcall_records_processed_total", Help: "Users of committed pages, by job and outcome.",
		}, []string{"op", "outcome"}),
		pages: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "rollcall_run_pages_total", Help: "Committed pages, by kind of run.",
		}, []string{"kind"}),
		runs: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "rollcall_runs_total", Help: "Runs that ended, by kind and outcome.",
		}, []string{"kind", "outcome"}),
		parks: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "rollcall_run_parks_total", Help: "Runs parked, by kind and reason.",
		}, []string{"kind", "reason"}),
	}
	registry.MustRegister(m.records, m.pages, m.runs, m.parks)
	return m
}

func (m *Metrics) page(kind string, outcome mirror.Outcome) {
	if m == nil {
		return
	}
	m.pages.WithLabelValues(kind).Inc()
	m.records.WithLabelValues(kind, "written").Add(float64(outcome.Written))
	m.records.WithLabelValues(kind, "skipped").Add(float64(outcome.Skipped))
	m.records.WithLabelValues(kind, "failed").Add(float64(outcome.Failed))
}

func (m *Metrics) ended(kind, outcome string) {
	if m != nil {
		m.runs.WithLabelValues(kind, outcome).Inc()
	}
}

func (m *Metrics) parked(kind, reason string) {
	if m != nil {
		m.parks.WithLabelValues(kind, reason).Inc()
	}
}
