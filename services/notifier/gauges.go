package main

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/store"
)

const (
	streamGaugesEvery = 15 * time.Second
	givingGaugesEvery = 5 * time.Minute // reports are made once a day
)

// gauges measure what belongs to no single process: the queues, and the giving of all customers. Each replica has the same values.
type gauges struct {
	store     *store.Store
	js        jetstream.JetStream
	logger    *zap.Logger
	customers bool // the figures of giving have the customer's id

	messages, bytes, oldest *prometheus.GaugeVec // by stream
	pending, overdue        *prometheus.GaugeVec // of webhooks to endpoints
	figures                 givingGauges
}

// givingGauges are the seven figures of the daily reports.
type givingGauges struct {
	pending, late, review, failed, conflict *prometheus.GaugeVec // sums, unless they have the customer's id
	latency, recovered                      *prometheus.GaugeVec // of the customer with the greatest
}

func newGauges(from *store.Store, js jetstream.JetStream, logger *zap.Logger, registry prometheus.Registerer, customers bool) *gauges {
	gauge := func(name, help string, labels ...string) *prometheus.GaugeVec {
		made := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, labels)
		registry.MustRegister(made)
		return made
	}
	var labels []string
	if customers {
		labels = []string{"customer"}
	}
	return &gauges{
		store: from, js: js, logger: logger, customers: customers,
		messages: gauge("rollcall_stream_messages", "Messages in a stream: in a work queue, those that are not done.", "stream"),
		bytes:    gauge("rollcall_stream_bytes", "Size of a stream.", "stream"),
		oldest:   gauge("rollcall_stream_oldest_message_seconds", "Age of the oldest message of a stream; 0: it has none.", "stream"),
		pending:  gauge("rollcall_endpoint_pending_deliveries", "Webhooks that endpoints have not accepted yet, counted up to 100,000."),
		overdue:  gauge("rollcall_endpoint_overdue_seconds", "For how long the endpoint that is due longest has been due; 0: none is."),
		figures: givingGauges{
			pending:   gauge("rollcall_giving_pending_donations", "Donations that wait to be sent, by the last reports.", labels...),
			late:      gauge("rollcall_giving_submitted_late_donations", "Donations submitted more than a day ago and not confirmed.", labels...),
			review:    gauge("rollcall_giving_review_donations", "Donations that wait for a person.", labels...),
			failed:    gauge("rollcall_giving_failed_donations", "Donations that were given up.", labels...),
			conflict:  gauge("rollcall_giving_conflicts", "Gifts and contacts that differ between both sides.", labels...),
			latency:   gauge("rollcall_giving_latency_seconds", "Median time from submission to confirmation; of all customers, the longest.", labels...),
			recovered: gauge("rollcall_giving_recovered_ratio", "Share of confirmations that a reconciliation found; of all customers, the greatest.", labels...),
		},
	}
}

// run measures until ctx ends.
func (g *gauges) run(ctx context.Context) {
	ticker := time.NewTicker(streamGaugesEvery)
	defer ticker.Stop()
	var giving time.Time
	for {
		measuring, cancel := context.WithTimeout(ctx, checkTimeout)
		err := errors.Join(g.measureStreams(measuring), g.measureEndpoints(measuring))
		if time.Since(giving) >= givingGaugesEvery {
			failed := g.measureGiving(measuring)
			if failed == nil {
				giving = time.Now()
			}
			err = errors.Join(err, failed)
		}
		cancel()
		if err != nil && ctx.Err() == nil {
			g.logger.Warn("streams, endpoints or giving not measured; it will be retried", zap.Error(err))
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

func (g *gauges) measureStreams(ctx context.Context) error {
	streams := g.js.ListStreams(ctx)
	for info := range streams.Info() {
		name := info.Config.Name
		if !strings.HasPrefix(name, bus.StreamPrefix) {
			continue
		}
		age := 0.0
		if info.State.Msgs > 0 {
			age = max(info.TimeStamp.Sub(info.State.FirstTime).Seconds(), 0)
		}
		g.messages.WithLabelValues(name).Set(float64(info.State.Msgs))
		g.bytes.WithLabelValues(name).Set(float64(info.State.Bytes))
		g.oldest.WithLabelValues(name).Set(age)
	}
	return streams.Err()
}

func (g *gauges) measureEndpoints(ctx context.Context) error {
	pending, overdue, err := g.store.PendingDeliveries(ctx)
	if err != nil {
		return err
	}
	g.pending.WithLabelValues().Set(float64(pending))
	g.overdue.WithLabelValues().Set(overdue.Seconds())
	return nil
}

func (g *gauges) measureGiving(ctx context.Context) error {
	reports, err := g.store.LastGivingReports(ctx)
	if err != nil {
		return err
	}
	all := []*prometheus.GaugeVec{
		g.figures.pending, g.figures.late, g.figures.review, g.figures.failed, g.figures.conflict, g.figures.latency, g.figures.recovered,
	}
	for _, gauge := range all {
		gauge.Reset() // customers that are gone
	}
	if !g.customers {
		for _, gauge := range all[:5] { // 0 is a value, also without a report
			gauge.WithLabelValues().Set(0)
		}
	}
	longest, greatest := -1.0, -1.0
	for _, report := range reports {
		var labels []string
		if g.customers {
			labels, longest, greatest = []string{report.Customer}, -1, -1
		}
		for i, value := range []int64{report.Pending, report.SubmittedLate, report.NeedsReview, report.Failed, report.Conflict} {
			all[i].WithLabelValues(labels...).Add(float64(value))
		}
		longest = setGreater(g.figures.latency.WithLabelValues, labels, report.LatencySeconds, longest)
		greatest = setGreater(g.figures.recovered.WithLabelValues, labels, report.RecoveredShare, greatest)
	}
	return nil
}

// setGreater sets a gauge to a value that is greater than the one before, and returns the greater one.
func setGreater(gauge func(labels ...string) prometheus.Gauge, labels []string, value *float64, before float64) float64 {
	if value == nil || *value <= before {
		return before
	}
	gauge(labels...).Set(*value)
	return *value
}
