package report

import (
	"context"
	"errors"
	"math"
	"time"

	"rollcall.dev/pkg/store"
)

// Polling has the last and the next poll. The first four names are those of docs/guides.md#sync-status.
type Polling struct {
	LastRunAt           *time.Time `json:"lastRunAt"`
	LastRunOutcome      *string    `json:"lastRunOutcome"` // success, failed
	CheckpointTimestamp *time.Time `json:"checkpointTimestamp"`
	LagMinutes          *int64     `json:"lagMinutes"` // since the checkpoint; it grows while no user changes, and does not affect the health
	CaughtUpAt          *time.Time `json:"caughtUpAt"` // by VOMO's clock: the mirror has all changes up to this time
	NextRunAt           *time.Time `json:"nextRunAt"`  // null if none is scheduled
	LastRun             *EndedRun  `json:"lastRun"`
	OpenRun             *OpenRun   `json:"openRun"` // unfinished: under way, or parked
}

// Reconciliation has the last and the next daily reconciliation.
type Reconciliation struct {
	LastRunAt *time.Time `json:"lastRunAt"` // of the last completed one
	LastDate  *string    `json:"lastDate"`  // its day, as 2026-11-20
	Expected  *int64     `json:"expected"`  // users who had changed
	Gaps      *int64     `json:"gaps"`      // of them, users that polls had missed and that were written
	Failures  *int64     `json:"failures"`  // of them, users that got a letter
	NextRunAt *time.Time `json:"nextRunAt"`
	LastRun   *EndedRun  `json:"lastRun"`
	OpenRun   *OpenRun   `json:"openRun"`
}

// EndedRun is a closed line of the job log.
type EndedRun struct {
	ID          int64     `json:"id"`
	StartedAt   time.Time `json:"startedAt"`
	CompletedAt time.Time `json:"completedAt"`
	Outcome     string    `json:"outcome"` // success, failed
	Processed   int64     `json:"processed"`
	Failures    int64     `json:"failures"`
	ErrorCode   *string   `json:"errorCode"`
	TraceID     string    `json:"traceId"`
}

// OpenRun is an unfinished run.
type OpenRun struct {
	ID         int64      `json:"id"` // its line in the job log
	State      string     `json:"state"`
	ParkReason *string    `json:"parkReason"` // null unless it is parked
	DueAt      *time.Time `json:"dueAt"`      // parked: when it is tried again; null while the customer is paused or switched off
	StartedAt  time.Time  `json:"startedAt"`
	Processed  int64      `json:"processed"`
}

func addPolling(ctx context.Context, from *store.Store, status *Status, facts *healthFacts) error {
	polling := &status.Polling
	checkpoint, err := from.Checkpoint(ctx, status.CustomerID, store.ResourceUserSync)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	if err == nil && checkpoint.Unix() > 0 { // the epoch stands for "nothing read yet"
		lag := int64(math.Round(status.AsOf.Sub(checkpoint).Minutes()))
		polling.CheckpointTimestamp, polling.LagMinutes = &checkpoint, &lag
	}
	if polling.LastRun, polling.OpenRun, err = runsOf(ctx, from, facts.customer, store.JobPoll, store.KindPoll); err != nil {
		return err
	}
	if last := polling.LastRun; last != nil {
		polling.LastRunAt, polling.LastRunOutcome = &last.CompletedAt, &last.Outcome
		facts.lastPollFailed, facts.lastPollAt = last.Outcome != store.OutcomeSuccess, &last.CompletedAt
	}
	polling.CaughtUpAt = facts.customer.CaughtUpAt
	if facts.customer.Steady() {
		polling.NextRunAt = facts.customer.NextPollAt
	}
	return nil
}

// gapRateOver is the period of the average gap rate (docs/guides.md#sync-status).
const gapRateOver = 7 * 24 * time.Hour

func addReconciliation(ctx context.Context, from *store.Store, status *Status, facts *healthFacts) error {
	shown := &status.Reconciliation
	var err error
	if shown.LastRun, shown.OpenRun, err = runsOf(ctx, from, facts.customer, store.JobUserDaily, store.KindUserDaily); err != nil {
		return err
	}
	last, err := from.LatestReconciliation(ctx, status.CustomerID, store.KindUserDaily)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	if err == nil {
		date := last.Date.Format(time.DateOnly)
		shown.LastRunAt, shown.LastDate, shown.Expected, shown.Gaps, shown.Failures = &last.CompletedAt, &date, &last.Expected, &last.Gaps, &last.Failures
	}
	if facts.customer.Steady() {
		shown.NextRunAt = facts.customer.NextReconcileAt
	}
	recent, err := from.RecentReconciliations(ctx, status.CustomerID, store.KindUserDaily, gapRateOver)
	if err != nil || len(recent) == 0 {
		return err
	}
	rate := 0.0
	for _, one := range recent {
		rate += float64(one.Gaps) / float64(max(one.Expected, 1))
	}
	rate /= float64(len(recent))
	status.Health.AverageReconciliationGapRate = &rate
	return nil
}

// runsOf returns the newest ended run and the unfinished run of a job, or nil.
func runsOf(ctx context.Context, from *store.Store, customer store.Customer, job, kind string) (*EndedRun, *OpenRun, error) {
	var ended *EndedRun
	var open *OpenRun
	line, err := from.LatestJob(ctx, customer.ID, job)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return nil, nil, err
	}
	if err == nil {
		ended = &EndedRun{
			ID: line.ID, StartedAt: line.StartedAt, CompletedAt: line.CompletedAt, Outcome: line.Outcome, Processed: line.Processed,
			Failures: line.Failures, TraceID: line.TraceID,
		}
		if line.ErrorCode != "" {
			ended.ErrorCode = &line.ErrorCode
		}
	}
	run, err := from.OpenRun(ctx, customer.ID, kind)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return nil, nil, err
	}
	if err == nil {
		open = &OpenRun{ID: run.JobID, State: string(run.State), StartedAt: run.CreatedAt, Processed: run.Processed}
		if run.State == store.RunParked && customer.Active() {
			open.DueAt = &run.DueAt
		}
		// The row keeps the reason until a page is committed, because the next attempt is a probe.
		if run.State == store.RunParked && run.ParkReason != "" {
			open.ParkReason = &run.ParkReason
		}
	}
	return ended, open, nil
}
