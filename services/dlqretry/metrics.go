package main

import "github.com/prometheus/client_golang/prometheus"

// metrics count letters, without a customer's name: a partner has thousands of them. A nil *metrics counts nothing.
type metrics struct {
	retries *prometheus.CounterVec
	holds   *prometheus.CounterVec
	open    *prometheus.GaugeVec
	lag     prometheus.Gauge
	shown   *prometheus.CounterVec
}

func newMetrics(registry prometheus.Registerer) *metrics {
	m := &metrics{
		retries: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "rollcall_dlq_retries_total", Help: "Letters retried, by outcome: settled, failed.",
		}, []string{"outcome"}),
		holds: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "rollcall_dlq_holds_total", Help: "Turns of a customer that were put off without an attempt, by reason.",
		}, []string{"reason"}),
		open: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "rollcall_dlq_open_letters", Help: "Open letters of all customers, by state.",
		}, []string{"state"}),
		lag: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "rollcall_dlq_unshown_letters", Help: "Letters that ROLLCALL_DLQ does not show as they are.",
		}),
		shown: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "rollcall_dlq_shown_total", Help: "Changes of ROLLCALL_DLQ: shown, taken_away, orphan_deleted, shown_again.",
		}, []string{"change"}),
	}
	registry.MustRegister(m.retries, m.holds, m.open, m.lag, m.shown)
	return m
}

func (m *metrics) retried(settled, failed int) {
	if m == nil {
		return
	}
	m.retries.WithLabelValues("settled").Add(float64(settled))
	m.retries.WithLabelValues("failed").Add(float64(failed))
}

func (m *metrics) held(reason string) {
	if m != nil {
		m.holds.WithLabelValues(reason).Inc()
	}
}

func (m *metrics) stands(states map[string]int64, unshown int64) {
	if m == nil {
		return
	}
	for _, state := range []string{"waiting", "review"} {
		m.open.WithLabelValues(state).Set(float64(states[state]))
	}
	m.lag.Set(float64(unshown))
}

func (m *metrics) changed(change string, letters int) {
	if m != nil {
		m.shown.WithLabelValues(change).Add(float64(letters))
	}
}
