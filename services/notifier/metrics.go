package main

import "github.com/prometheus/client_golang/prometheus"

// metrics count notices, without anybody's name. A nil *metrics counts nothing.
type metrics struct{ notices *prometheus.CounterVec }

func newMetrics(registry prometheus.Registerer) *metrics {
	m := &metrics{notices: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "rollcall_notifications_total",
		Help: "Attempts to tell people, by channel, kind and outcome: sent, failed (refused for good), skipped (nobody to tell), retried.",
	}, []string{"channel", "kind", "outcome"})}
	registry.MustRegister(m.notices)
	return m
}

func (m *metrics) count(notice notice, outcome string) {
	if m != nil {
		m.notices.WithLabelValues(notice.way, notice.kind, outcome).Inc()
	}
}
