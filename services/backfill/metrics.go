package main

import (
	"github.com/prometheus/client_golang/prometheus"

	"rollcall.dev/pkg/mirror"
)

// metrics count records and parks, without a customer's name: a partner has thousands of them.
type metrics struct {
	records *prometheus.CounterVec
	pages   prometheus.Counter
	parks   *prometheus.CounterVec
}

func newMetrics(registry prometheus.Registerer) *metrics {
	m := &metrics{
		records: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "rollcall_records_processed_total", Help: "Users of committed pages, by job and outcome.",
			ConstLabels: prometheus.Labels{"op": operation},
		}, []string{"outcome"}),
		pages: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "rollcall_backfill_pages_total", Help: "Pages committed by backfills.",
		}),
		parks: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "rollcall_backfill_parks_total", Help: "Backfills parked, by reason.",
		}, []string{"reason"}),
	}
	registry.MustRegister(m.records, m.pages, m.parks)
	return m
}

func (m *metrics) page(outcome mirror.Outcome) {
	m.pages.Inc()
	m.records.WithLabelValues("written").Add(float64(outcome.Written))
	m.records.WithLabelValues("skipped").Add(float64(outcome.Skipped))
	m.records.WithLabelValues("failed").Add(float64(outcome.Failed))
}

func (m *metrics) parked(reason string) { m.parks.WithLabelValues(reason).Inc() }
