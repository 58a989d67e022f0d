package dailyreport

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"rollcall.dev/pkg/event"
	"rollcall.dev/pkg/store"
)

const (
	// spikeFactor is how many times higher than usual an unusual figure is.
	spikeFactor = 3
	// growthReports is over how many reports donations in review grow: a week, so that days on which staff do not work count once.
	growthReports = 7
	// growthRises is how often they grow in these reports. They never fall.
	growthRises = 4
)

// figure is a figure of a report that raises an alert if it is unusual.
type figure struct {
	alert   string
	value   valueOf
	verdict func(*Report) *Verdict
	floor   func(Floors) float64
	text    func(float64) string
}

// figures returns all figures, in the order in which every process raises and clears their alerts.
func figures() []figure {
	all := []figure{
		{
			alert: event.AlertGivingPending, value: countOf(func(r Report) int64 { return r.Metrics.Pending.Value }), text: number,
			verdict: func(r *Report) *Verdict { return &r.Metrics.Pending.Verdict }, floor: func(f Floors) float64 { return f.Pending },
		},
		{
			alert: event.AlertGivingSubmittedLate, value: countOf(func(r Report) int64 { return r.Metrics.SubmittedLate.Value }), text: number,
			verdict: func(r *Report) *Verdict { return &r.Metrics.SubmittedLate.Verdict }, floor: func(f Floors) float64 { return f.SubmittedLate },
		},
		{
			alert: event.AlertGivingNeedsReview, value: countOf(matchNeeded), text: number,
			verdict: func(r *Report) *Verdict { return &r.Metrics.NeedsReview.Verdict }, floor: func(f Floors) float64 { return f.NeedsReview },
		},
		{
			alert: event.AlertGivingFailed, value: countOf(func(r Report) int64 { return r.Metrics.Failed.Value }), text: number,
			verdict: func(r *Report) *Verdict { return &r.Metrics.Failed.Verdict }, floor: func(f Floors) float64 { return f.Failed },
		},
		{
			alert: event.AlertGivingConflict, value: countOf(func(r Report) int64 { return r.Metrics.Conflict.Value }), text: number,
			verdict: func(r *Report) *Verdict { return &r.Metrics.Conflict.Verdict }, floor: func(f Floors) float64 { return f.Conflict },
		},
		{
			alert: event.AlertGivingLatency, value: medianLatency, text: roundedHours,
			verdict: func(r *Report) *Verdict { return &r.Metrics.Latency.Verdict }, floor: func(f Floors) float64 { return f.Latency },
		},
		{
			alert: event.AlertGivingRecovered, value: recoveredShare, text: percent,
			verdict: func(r *Report) *Verdict { return &r.Metrics.RecoveredShare.Verdict }, floor: func(f Floors) float64 { return f.RecoveredShare },
		},
		{
			alert: event.AlertGivingDrift, value: driftOf, text: number,
			verdict: func(r *Report) *Verdict { return &r.Drift.Verdict }, floor: func(f Floors) float64 { return f.Drift },
		},
	}
	slices.SortFunc(all, func(a, b figure) int { return strings.Compare(a.alert, b.alert) })
	return all
}

// escalate raises the alerts of the figures that are unusual, and clears the others.
func (r Reporter) escalate(ctx context.Context, tx *store.Tx, made Report, before history) error {
	waits, err := waitsOnPurpose(ctx, tx, made.CustomerID)
	if err != nil {
		return err
	}
	for _, one := range figures() {
		growth := ""
		if one.alert == event.AlertGivingNeedsReview {
			growth = before.growth(made, one.floor(r.Floors))
		}
		if !one.isSpike(made, before, r.Floors) && growth == "" {
			err = event.Clear(ctx, tx, made.CustomerID, one.alert, one.baselineText(made))
		} else if !waits {
			err = event.Raise(ctx, tx, event.FigureFor(made.CustomerID, one.alert, growth+one.baselineText(made)))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// waitsOnPurpose returns whether a customer's giving is paused or switched off: that has a reason of its own, and no figure of the time
// says more.
func waitsOnPurpose(ctx context.Context, tx *store.Tx, id string) (bool, error) {
	config, err := tx.VirtuousConfig(ctx, id)
	if err != nil || !config.Enabled {
		return true, err
	}
	customer, err := tx.Customer(ctx, id)
	if errors.Is(err, store.ErrNotFound) {
		return true, nil
	}
	return customer.PausedAt != nil, err
}

// isSpike returns whether a figure is above its floor and several times higher than usual.
func (f figure) isSpike(made Report, before history, floors Floors) bool {
	value, known := f.value(made)
	baseline := f.verdict(&made).Baseline
	if !known || baseline == nil || value <= f.floor(floors) {
		return false
	}
	usual := baseline.Median
	switch f.alert {
	case event.AlertGivingPending:
		if made.Metrics.Pending.State == OK {
			return false // none is old: the platform had many donations in the last hours, as after an appeal
		}
	case event.AlertGivingSubmittedLate:
		// On days without staff no import is run, so what is usual depends on the day of the week.
		if baseline.WeekBefore != nil {
			usual = max(usual, *baseline.WeekBefore)
		}
	case event.AlertGivingRecovered:
		if made.Metrics.RecoveredShare.Recovered < leastSample {
			return false
		}
	case event.AlertGivingDrift:
		usual = max(usual, before.medianDriftFound()) // contacts are compared once a week: on other days there is no drift to find
	}
	return value > spikeFactor*usual
}

// medianDriftFound returns the median of the reports that found any drift; 0 if none did.
func (h history) medianDriftFound() float64 {
	var found []float64
	for _, report := range h {
		if value, _ := driftOf(report); value > 0 {
			found = append(found, value)
		}
	}
	if len(found) == 0 {
		return 0
	}
	return median(found)
}

// growth says how donations that need a match have grown steadily; "" if they have not.
func (h history) growth(made Report, floor float64) string {
	if len(h) < leastReports || float64(matchNeeded(made)) <= floor {
		return ""
	}
	rises, last := 0, matchNeeded(made)
	for _, report := range h[:growthReports-1] {
		before := matchNeeded(report)
		if before > last {
			return ""
		}
		if before < last {
			rises++
		}
		last = before
	}
	if rises < growthRises {
		return ""
	}
	return fmt.Sprintf("They grew from %d to %d within the last %d reports and never fell. ", last, matchNeeded(made), growthReports)
}

// baselineText names the value and what is usual.
func (f figure) baselineText(made Report) string {
	value, known := f.value(made)
	now := "The report of " + made.Date + " has too few donations to tell"
	if known {
		now = "The report of " + made.Date + " has " + f.text(value)
	}
	baseline := f.verdict(&made).Baseline
	if baseline == nil {
		return now + "; too few reports before it tell what is usual."
	}
	usual := fmt.Sprintf("; usual is %s, the median of the %d reports before it.", f.text(baseline.Median), baseline.Reports)
	if f.alert == event.AlertGivingSubmittedLate && baseline.WeekBefore != nil {
		usual = strings.TrimSuffix(usual, ".") + ", and " + f.text(*baseline.WeekBefore) + " a week before."
	}
	return now + usual
}

func roundedHours(seconds float64) string { return number(math.Round(seconds/360)/10) + " h" }
