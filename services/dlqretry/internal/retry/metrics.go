package retry

import "github.com/prometheus/client_golang/prometheus"

// Metrics counts retries without the customers' names, because there may be thousands of them. A nil *Metrics counts
// nothing.
type Metrics struct {
	retries *prometheus.CounterVec
	holds   *prometheus.CounterVec
}

// NewMetrics registers the metrics.
func NewMetrics(registry prometheus.Registerer) *Metrics {
	m := &Metrics{
		retries: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "rollcall_dlq_retries_total", Help: "Letters retried, by outcome: settled, failed.",
		}, []string{"outcome"}),
		holds: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "rollcall_dlq_holds_total", Help: "Rounds of a customer that ended without an attempt, by reason.",
		}, []string{"reason"}),
	}
	registry.MustRegister(m.retries, m.holds)
	return m
}

func (m *Metrics) retried(settled, failed int) {
	if m == nil {
		return
	}
	m.retries.WithLabelValues("settled").Add(float64(settled))
	m.retries.WithLabelValues("failed").Add(float64(failed))
}

func (m *Metrics) held(reason string) {
	if m != nil && reason != "" {
		m.holds.WithLabelValues(reason).Inc()
	}
}
