package dailyreport

import (
	"context"
	"slices"
	"time"

	"rollcall.dev/pkg/store"
)

const (
	// baselineReports is of how many reports the median is what is usual.
	baselineReports = 14
	// leastReports is how many reports are needed to know what is usual: one of each day of the week, because staff do not work on all of them.
	leastReports = 7
	// leastSample is how many donations a median or a share needs: one of three donations says nothing.
	leastSample = 10
)

// Baseline is what is usual for the customer, by the reports of days before. Times are in seconds.
type Baseline struct {
	Median  float64 `json:"median"`
	Reports int     `json:"reports"` // of how many reports
	// WeekBefore is the value on the same day of the week before; nil if it is not known.
	WeekBefore *float64 `json:"weekBefore"`
}

// history are the reports of days before, newest first.
type history []Report

func readHistory(ctx context.Context, on store.Conn, customer, before string) (history, error) {
	stored, err := on.GivingReportsBefore(ctx, customer, before, baselineReports)
	if err != nil {
		return nil, err
	}
	reports := make(history, 0, len(stored))
	for _, one := range stored {
		report, err := decode(one.Report)
		if err != nil {
			return nil, err
		}
		report.Date, report.MadeAt = one.Date, one.MadeAt // of the row, also if the document had none
		reports = append(reports, report)
	}
	return reports, nil
}

// valueOf returns a figure of a report as it is compared with those before; known is false if the report does not know it.
type valueOf func(Report) (value float64, known bool)

func countOf(count func(Report) int64) valueOf {
	return func(r Report) (float64, bool) { return float64(count(r)), true }
}

// matchNeeded leaves out donations whose import was not run: they have an alert of their own (import_not_run), and are the staff's work.
func matchNeeded(r Report) int64 { return r.Metrics.NeedsReview.ByReason.MatchNeeded }

func medianLatency(r Report) (float64, bool) {
	median := r.Metrics.Latency.MedianSeconds
	if median == nil || r.Metrics.RecoveredShare.Confirmed < leastSample {
		return 0, false
	}
	return float64(*median), true
}

func recoveredShare(r Report) (float64, bool) {
	share := r.Metrics.RecoveredShare
	if share.Value == nil || share.Confirmed < leastSample {
		return 0, false
	}
	return *share.Value, true
}

func driftOf(r Report) (float64, bool) {
	if r.Drift == nil {
		return 0, false
	}
	return float64(r.Drift.Value), true
}

// baseline returns what is usual; nil if too few reports know the figure.
func (h history) baseline(date string, value valueOf) *Baseline {
	weekBefore := ""
	if day, err := time.Parse(time.DateOnly, date); err == nil {
		weekBefore = day.AddDate(0, 0, -7).Format(time.DateOnly)
	}
	var found Baseline
	var values []float64
	for _, report := range h {
		one, known := value(report)
		if !known {
			continue
		}
		values = append(values, one)
		if report.Date == weekBefore {
			found.WeekBefore = &one
		}
	}
	if len(values) < leastReports {
		return nil
	}
	found.Median, found.Reports = median(values), len(values)
	return &found
}

// median returns the median of values, of which there is at least one.
func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return (sorted[middle-1] + sorted[middle]) / 2
}

// noteBaselines adds what is usual to each figure.
func (r *Report) noteBaselines(before history) {
	for _, one := range figures() {
		one.verdict(r).Baseline = before.baseline(r.Date, one.value)
	}
}
