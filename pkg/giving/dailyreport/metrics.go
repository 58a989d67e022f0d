package dailyreport

import (
	"math"
	"strconv"
	"time"

	"rollcall.dev/pkg/store"
)

// state returns what a value means.
func (l Limit) state(value float64) string {
	switch {
	case value > l.Act:
		return Act
	case value > l.Look:
		return Look
	}
	return OK
}

func (m Metrics) verdicts() []Verdict {
	return []Verdict{
		m.Pending.Verdict, m.SubmittedLate.Verdict, m.NeedsReview.Verdict, m.Failed.Verdict, m.Conflict.Verdict, m.Latency.Verdict, m.RecoveredShare.Verdict,
	}
}

func worst(of []Verdict) string {
	worst := OK
	for _, one := range of {
		if one.State == Act || worst == OK {
			worst = one.State
		}
	}
	return worst
}

func (r Reporter) metrics(f store.GivingFigures) Metrics {
	l := r.Limits
	inReview := f.ImportNotRun + f.MatchNeeded
	metrics := Metrics{
		Pending: Aged{OldestAgeSeconds: age(f.PendingSince, f.At), Count: Count{Value: f.Pending, Verdict: Verdict{
			Healthy: "none older than " + hours(l.Pending.Look), State: OK,
			Remedy: "See why donations wait: rollcall status <customer>, and rollcall donation ls <customer> --status pending.",
		}}},
		SubmittedLate: Aged{OldestAgeSeconds: age(f.LateSince, f.At), Count: counted(f.SubmittedLate, l.SubmittedLate,
			"Ask the customer's staff whether they ran this morning's import in Virtuous. Look up their gifts: rollcall reconcile now <customer> --category stuck.")},
		NeedsReview: NeedsReview{
			Count: counted(inReview, l.NeedsReview,
				"Ask the customer's staff to run the import, and to find a contact for each: rollcall review ls <customer> --kind donation."),
			ByReason: ByReason{ImportNotRun: f.ImportNotRun, MatchNeeded: f.MatchNeeded},
		},
		Failed: counted(f.Failed, l.Failed,
			"See what Virtuous rejects: rollcall donation ls <customer> --status failed. Then rollcall donation retry or close."),
		Conflict: counted(f.Conflict, l.Conflict, "Decide which side is right: rollcall review ls <customer> --kind contact, and --kind gift."),
		Latency: Latency{MedianSeconds: seconds(f.Median), P95Seconds: seconds(f.P95), Verdict: Verdict{
			Healthy: "median up to " + hours(l.Latency.Look), State: OK,
			Remedy: "Ask the customer's staff to run the import every morning. If they do, check that webhooks come: rollcall webhook verify <customer>.",
		}},
		RecoveredShare: Share{Recovered: f.Recovered, Confirmed: f.Confirmed, Verdict: Verdict{
			Healthy: "up to " + percent(l.RecoveredShare.Look), State: OK,
			Remedy: "Webhooks do not come: rollcall webhook verify <customer>, and the log of the service webhooks.",
		}},
	}
	if seconds := metrics.Pending.OldestAgeSeconds; seconds != nil {
		metrics.Pending.State = l.Pending.state(float64(*seconds))
	}
	if f.Median != nil {
		metrics.Latency.State = l.Latency.state(f.Median.Seconds())
	}
	if f.Confirmed > 0 {
		share := math.Round(float64(f.Recovered)/float64(f.Confirmed)*1e4) / 1e4
		metrics.RecoveredShare.Value, metrics.RecoveredShare.State = &share, l.RecoveredShare.state(share)
	}
	return metrics
}

func counted(value int64, limit Limit, remedy string) Count {
	healthy := "0"
	if limit.Look > 0 {
		healthy = "up to " + number(limit.Look)
	}
	return Count{Value: value, Verdict: Verdict{Healthy: healthy, State: limit.state(float64(value)), Remedy: remedy}}
}

func age(since *time.Time, now time.Time) *int64 {
	if since == nil {
		return nil
	}
	old := now.Sub(*since)
	return seconds(&old)
}

func seconds(of *time.Duration) *int64 {
	if of == nil {
		return nil
	}
	whole := int64(of.Seconds())
	return &whole
}

func number(value float64) string { return strconv.FormatFloat(value, 'f', -1, 64) }

func hours(seconds float64) string { return number(seconds/time.Hour.Seconds()) + " h" }

func percent(share float64) string { return number(math.Round(share*1e4)/1e2) + " %" }
