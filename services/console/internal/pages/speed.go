package pages

import (
	"time"

	"rollcall.dev/pkg/report"
	"rollcall.dev/pkg/store"
)

const (
	// usersPerRequest is VOMO's page size.
	usersPerRequest = 15
	// nearLimit is from which share of the allowed requests on the API budget is what bounds a job.
	nearLimit = 0.85
)

// speed is how fast a job reads, and what keeps it from reading faster.
type speed struct {
	Job       string
	PerMinute float64 // records
	BoundBy   string
}

// speeds returns the speed of the backfill and of the last poll and reconciliation, without those that are too short to be measured.
func speeds(status report.Status) []speed {
	var found []speed
	if backfill := status.Backfill; backfill != nil && backfill.RequestsPerMinute != nil {
		found = append(found, speed{"backfill", usersPerRequest * *backfill.RequestsPerMinute, backfillBound(*backfill, status.Budget)})
	}
	for _, one := range []struct {
		job string
		run *report.EndedRun
	}{{"last poll", status.Polling.LastRun}, {"last reconciliation", status.Reconciliation.LastRun}} {
		if one.run == nil || one.run.Processed < usersPerRequest || one.run.CompletedAt.Sub(one.run.StartedAt) < time.Second {
			continue
		}
		perMinute := float64(one.run.Processed) / one.run.CompletedAt.Sub(one.run.StartedAt).Minutes()
		found = append(found, speed{one.job, perMinute, boundAt(perMinute/usersPerRequest, status.Budget)})
	}
	return found
}

// backfillBound returns what bounds a backfill: its wait, a free slot, the API budget, or the destination.
func backfillBound(backfill report.BackfillStatus, budget report.Budget) string {
	switch {
	case backfill.State == string(store.RunCompleted):
		return "it is complete"
	case backfill.WaitingFor != nil:
		return "it waits for " + spaced(*backfill.WaitingFor)
	case backfill.State == string(store.RunQueued):
		return "free slots (BACKFILL_SLOTS)"
	}
	return boundAt(*backfill.RequestsPerMinute, budget)
}

// boundAt returns what bounds a job that sends so many requests a minute: what is not the API budget is the destination, because nothing else takes
// as long.
func boundAt(requests float64, budget report.Budget) string {
	if budget.PerMinute != nil && requests >= nearLimit**budget.PerMinute {
		return "the API budget"
	}
	return "the destination"
}
