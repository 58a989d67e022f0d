package main

import "github.com/prometheus/client_golang/prometheus"

// metrics count without the customers' names, because there may be thousands of them. A nil *metrics counts nothing.
type metrics struct {
	messages *prometheus.CounterVec
	rows     *prometheus.CounterVec
	holds    *prometheus.CounterVec
}

func newMetrics(registry prometheus.Registerer) *metrics {
	m := &metrics{
		messages: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "rollcall_writeback_messages_total", Help: "Messages handled, by outcome: accepted, obsolete, letter, discarded.",
		}, []string{"outcome"}),
		rows: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "rollcall_writebacks_total", Help: "Users worked, by outcome: written, unchanged, created, kept_vomo, review, letter.",
		}, []string{"outcome"}),
		holds: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "rollcall_writeback_holds_total", Help: "Rounds of a customer that ended early, by reason.",
		}, []string{"reason"}),
	}
	registry.MustRegister(m.messages, m.rows, m.holds)
	return m
}

func (m *metrics) accepted(outcome string) {
	if m != nil {
		m.messages.WithLabelValues(outcome).Inc()
	}
}

func (m *metrics) worked(outcome string) {
	if m != nil {
		m.rows.WithLabelValues(outcome).Inc()
	}
}

func (m *metrics) held(reason string) {
	if m != nil && reason != "" {
		m.holds.WithLabelValues(reason).Inc()
	}
}
