package worker

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics counts messages by outcome. A nil *Metrics counts nothing.
type Metrics struct {
	messages      *prometheus.CounterVec
	seconds       *prometheus.HistogramVec
	interruptions *prometheus.CounterVec
}

// NewMetrics registers a worker's metrics.
func NewMetrics(registry prometheus.Registerer) *Metrics {
	metrics := &Metrics{
		messages: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "rollcall_messages_total", Help: "Messages settled, by consumer and outcome.",
		}, []string{"consumer", "outcome"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "rollcall_message_seconds", Help: "Time from delivery to settling.",
			Buckets: []float64{.005, .05, .5, 5, 30, 60, 120, 600},
		}, []string{"consumer"}),
		interruptions: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "rollcall_pull_interruptions_total", Help: "Pulls that ended without a message: missed heartbeats, reconnects, new leaders.",
		}, []string{"consumer"}),
	}
	registry.MustRegister(metrics.messages, metrics.seconds, metrics.interruptions)
	return metrics
}

func (m *Metrics) settled(consumer, outcome string, took time.Duration) {
	if m == nil {
		return
	}
	m.messages.WithLabelValues(consumer, outcome).Inc()
	m.seconds.WithLabelValues(consumer).Observe(took.Seconds())
}

func (m *Metrics) interrupted(consumer string) {
	if m != nil {
		m.interruptions.WithLabelValues(consumer).Inc()
	}
}
