package endpoints

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Outcomes of attempts.
const (
	outcomeDelivered = "delivered"
	outcomeRetried   = "retried"
	outcomeFailed    = "failed"
)

// Metrics count attempts, without names of endpoints or customers. A nil *Metrics counts nothing.
type Metrics struct {
	attempts *prometheus.CounterVec
	duration prometheus.Histogram
}

// NewMetrics registers the metrics.
func NewMetrics(registry prometheus.Registerer) *Metrics {
	m := &Metrics{
		attempts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "rollcall_endpoint_attempts_total",
			Help: "Attempts to send webhooks to endpoints, by outcome: delivered, retried, failed (given up, or the endpoint is gone).",
		}, []string{"outcome"}),
		duration: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "rollcall_endpoint_attempt_duration_seconds", Help: "How long attempts to send webhooks to endpoints take.",
			Buckets: []float64{0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10},
		}),
	}
	registry.MustRegister(m.attempts, m.duration)
	for _, outcome := range []string{outcomeDelivered, outcomeRetried, outcomeFailed} {
		m.attempts.WithLabelValues(outcome)
	}
	return m
}

func (m *Metrics) count(outcome string) {
	if m != nil {
		m.attempts.WithLabelValues(outcome).Inc()
	}
}

func (m *Metrics) observe(took time.Duration) {
	if m != nil {
		m.duration.Observe(took.Seconds())
	}
}
