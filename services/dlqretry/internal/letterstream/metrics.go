package letterstream

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"rollcall.dev/pkg/store"
)

const gaugeEvery = 15 * time.Second

// Changes of the stream, as the metric counts them.
const (
	changePublished      = "published"
	changePublishedAgain = "published_again" // an audit missed its message
	changePurged         = "purged"
	changeOrphanPurged   = "orphan_purged" // an audit found a subject without an open letter
)

// Metrics counts letters without the customers' names, because there may be thousands of them. A nil *Metrics counts
// nothing.
type Metrics struct {
	open        *prometheus.GaugeVec
	unpublished prometheus.Gauge
	changes     *prometheus.CounterVec
}

// NewMetrics registers the metrics.
func NewMetrics(registry prometheus.Registerer) *Metrics {
	m := &Metrics{
		open: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "rollcall_dlq_open_letters", Help: "Open letters of all customers, by state.",
		}, []string{"state"}),
		unpublished: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "rollcall_dlq_unpublished_letters", Help: "Letters whose message in ROLLCALL_DLQ is not the current one.",
		}),
		changes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "rollcall_dlq_published_total", Help: "Changes of ROLLCALL_DLQ: published, published_again, purged, orphan_purged.",
		}, []string{"change"}),
	}
	registry.MustRegister(m.open, m.unpublished, m.changes)
	return m
}

func (m *Metrics) changed(change string, letters int) {
	if m != nil {
		m.changes.WithLabelValues(change).Add(float64(letters))
	}
}

// Gauges counts the open and the unpublished letters at intervals.
type Gauges struct {
	Store   *store.Store
	Logger  *zap.Logger
	Metrics *Metrics
}

// Run counts until ctx ends.
func (g *Gauges) Run(ctx context.Context) {
	ticker := time.NewTicker(gaugeEvery)
	defer ticker.Stop()
	for {
		if err := g.count(ctx); err != nil && ctx.Err() == nil {
			g.Logger.Warn("letters not counted", zap.Error(err))
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

func (g *Gauges) count(ctx context.Context) error {
	states, err := g.Store.OpenLettersByState(ctx)
	if err != nil {
		return err
	}
	unpublished, err := g.Store.CountUnpublished(ctx)
	if err != nil {
		return err
	}
	for _, state := range []store.LetterStates{store.LettersWaiting, store.LettersReview} {
		g.Metrics.open.WithLabelValues(string(state)).Set(float64(states[string(state)]))
	}
	g.Metrics.unpublished.Set(float64(unpublished))
	return nil
}
