package main

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics count without the customers' names, because there may be thousands of them.
type metrics struct {
	answers *prometheus.CounterVec
	records *prometheus.CounterVec
	others  prometheus.Counter
}

func newMetrics(registry prometheus.Registerer) *metrics {
	m := &metrics{
		answers: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "rollcall_webhook_deliveries_total", Help: "Deliveries answered, by status: 200 is durable, 401 has a wrong signature.",
		}, []string{"status"}),
		records: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "rollcall_webhook_records_total", Help: "Records of accepted deliveries, by event.",
		}, []string{"event"}),
		others: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "rollcall_webhook_other_events_total", Help: "Accepted deliveries of events that giving does not handle.",
		}),
	}
	registry.MustRegister(m.answers, m.records, m.others)
	return m
}

func (m *metrics) answered(status int) { m.answers.WithLabelValues(strconv.Itoa(status)).Inc() }
func (m *metrics) stored(event string, records int) {
	m.records.WithLabelValues(event).Add(float64(records))
}
func (m *metrics) ignored() { m.others.Inc() }
