package store

import (
	"context"
	"time"

	"rollcall.dev/pkg/store/internal/db"
)

// Outcomes of a line in the job log.
const (
	OutcomeSuccess = "success"
	OutcomeFailed  = "failed"
)

// Job is a line of the job log that has ended.
type Job struct {
	ID          int64
	Outcome     string
	TraceID     string
	Processed   int64
	Failures    int64
	ErrorCode   string // "" if it succeeded
	StartedAt   time.Time
	CompletedAt time.Time
}

// StartJob begins a line in the job log.
func (c Conn) StartJob(ctx context.Context, customer, job, traceID string) (id int64, err error) {
	id, err = c.queries.JobStart(ctx, c.dbtx, &db.JobStartParams{CustomerID: customer, Job: job, TraceID: &traceID})
	return id, err
}

// FinishJob ends a line in the job log, as failed if errorCode is not "".
func (c Conn) FinishJob(ctx context.Context, id, processed, failures int64, errorCode string) error {
	_, err := c.queries.JobFinishIfOpen(ctx, c.dbtx, &db.JobFinishIfOpenParams{
		ID: id, Outcome: new(outcomeOf(errorCode)), ProcessedCount: processed, FailureCount: failures, ErrorCode: given(errorCode),
	})
	return err
}

func outcomeOf(errorCode string) string {
	if errorCode != "" {
		return OutcomeFailed
	}
	return OutcomeSuccess
}

// jobsAtOnce keeps one deletion from the job log short: each line is looked for in the tables that refer to it.
const jobsAtOnce = 1000

// ForgetJobs deletes up to a batch of ended lines of jobs other than backfills that are older than age,
// and keeps each customer's newest of each; more reports that there may be others.
func (c Conn) ForgetJobs(ctx context.Context, age time.Duration) (more bool, err error) {
	deleted, err := c.queries.JobsForget(ctx, c.dbtx, &db.JobsForgetParams{OlderThan: age, AtMost: jobsAtOnce})
	return deleted == jobsAtOnce, err
}

// LatestJob returns the customer's newest ended line of a job; ErrNotFound if there is none.
func (c Conn) LatestJob(ctx context.Context, customer, job string) (Job, error) {
	row, err := c.queries.JobLatest(ctx, c.dbtx, &db.JobLatestParams{CustomerID: customer, Job: job})
	if err != nil {
		return Job{}, err
	}
	return Job{
		ID: row.ID, Outcome: textOf(row.Outcome), TraceID: textOf(row.TraceID), Processed: row.ProcessedCount, Failures: row.FailureCount,
		ErrorCode: textOf(row.ErrorCode), StartedAt: row.StartedAt, CompletedAt: timeOf(row.CompletedAt),
	}, nil
}

// LatestOutcomes returns the outcomes of the newest ended lines of a job; customers without one are left out.
func (c Conn) LatestOutcomes(ctx context.Context, customers []string, job string) (map[string]string, error) {
	rows, err := c.queries.JobsLatestFor(ctx, c.dbtx, &db.JobsLatestForParams{CustomerIds: customers, Job: job})
	if err != nil {
		return nil, err
	}
	outcomes := make(map[string]string, len(rows))
	for _, row := range rows {
		if row.Outcome != nil {
			outcomes[row.CustomerID] = *row.Outcome
		}
	}
	return outcomes, nil
}
