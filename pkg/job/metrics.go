package job

import (
	"github.com/prometheus/client_golang/prometheus"

	"rollcall.dev/pkg/mirror"
)

// Metrics count runs, records and parks. They have a customer's id only if that is switched on: a partner has thousands of
// customers. A nil *Metrics counts nothing.
type Metrics struct {
	customers bool
	records   *prometheus.CounterVec
	pages     *prometheus.CounterVec
	runs      *prometheus.CounterVec
	parks     *prometheus.CounterVec
}

// labelCustomer is the label with a customer's id.
const labelCustomer = "customer"

// NewMetrics registers them; customers says whether they have a label with the customer's id.
func NewMetrics(registry prometheus.Registerer, customers bool) *Metrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		if customers {
			labels = append(labels, labelCustomer)
		}
		made := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
		registry.MustRegister(made)
		return made
	}
	return &Metrics{
		customers: customers,
		records:   counter("rollcall_records_processed_total", "Users of committed pages, by job and outcome.", "op", "outcome"),
		pages:     counter("rollcall_run_pages_total", "Committed pages, by kind of run.", "kind"),
		runs:      counter("rollcall_runs_total", "Runs that ended, by kind and outcome.", "kind", "outcome"),
		parks:     counter("rollcall_run_parks_total", "Runs parked, by kind and reason.", "kind", "reason"),
	}
}

// slotsGauge shows how many slots a process has now.
func slotsGauge(slots func() int) prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "rollcall_run_slots", Help: "Customers whose runs this process may work at the same time now. For backfills it goes by the load.",
	}, func() float64 { return float64(slots()) })
}

// with returns the counter of these values and, if that is switched on, of the customer.
func (m *Metrics) with(of *prometheus.CounterVec, customer string, values ...string) prometheus.Counter {
	if m.customers {
		values = append(values, customer)
	}
	return of.WithLabelValues(values...)
}

func (m *Metrics) committed(customer, kind string, pages int, outcome mirror.Outcome) {
	if m == nil {
		return
	}
	m.with(m.pages, customer, kind).Add(float64(pages))
	m.with(m.records, customer, kind, "written").Add(float64(outcome.Written))
	m.with(m.records, customer, kind, "skipped").Add(float64(outcome.Skipped))
	m.with(m.records, customer, kind, "failed").Add(float64(outcome.Failed))
}

func (m *Metrics) ended(customer, kind, outcome string) {
	if m != nil {
		m.with(m.runs, customer, kind, outcome).Inc()
	}
}

func (m *Metrics) parked(customer, kind, reason string) {
	if m != nil {
		m.with(m.parks, customer, kind, reason).Inc()
	}
}
