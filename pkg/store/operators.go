package store

import (
	"context"
	"time"

	"rollcall.dev/pkg/store/internal/db"
)

// PauseRun stops the customer's unfinished run at its last committed page, whoever works it; ErrNotFound where
// there is none, or where it is paused already.
func (t *Tx) PauseRun(ctx context.Context, customer string) (Run, error) {
	return oneRun(t.queries.RunPauseIfOpen(ctx, t.dbtx, customer))
}

// ResumeRun queues the customer's paused run again; ErrNotFound where none is paused.
func (t *Tx) ResumeRun(ctx context.Context, customer string) (Run, error) {
	return oneRun(t.queries.RunResumeIfPaused(ctx, t.dbtx, customer))
}

// ChangeCustomer writes what an operator may change of a customer: the destination, the cadence, the address and
// the limits. ErrNotFound where nobody of that id was onboarded.
func (t *Tx) ChangeCustomer(ctx context.Context, customer Customer) error {
	changed, err := t.queries.SyncConfigChange(ctx, t.dbtx, &db.SyncConfigChangeParams{
		CustomerID: customer.ID, ExternalSystemUrl: customer.ExternalSystemURL, Destination: customer.Destination,
		PollCadenceMinutes: customer.PollCadenceMinutes, AdminEmail: customer.AdminEmail,
		RequestsPerSecond: customer.RequestsPerSecond, RequestsPerMinute: customer.RequestsPerMinute,
	})
	if err == nil && changed == 0 {
		err = ErrNotFound
	}
	return wrap("change customer", err)
}

// StartJob begins a line in the job log.
func (c Conn) StartJob(ctx context.Context, customer, job, traceID string) (id int64, err error) {
	id, err = c.queries.JobStart(ctx, c.dbtx, &db.JobStartParams{CustomerID: customer, Job: job, TraceID: &traceID})
	return id, wrap("log job start", err)
}

// FinishJob ends a line in the job log, as failed where errorCode is not "".
func (c Conn) FinishJob(ctx context.Context, id, processed, failures int64, errorCode string) error {
	outcome, code := "success", &errorCode
	if errorCode == "" {
		code = nil
	} else {
		outcome = "failed"
	}
	_, err := c.queries.JobFinishIfOpen(ctx, c.dbtx, &db.JobFinishIfOpenParams{
		ID: id, Outcome: &outcome, ProcessedCount: processed, FailureCount: failures, ErrorCode: code,
	})
	return wrap("log job end", err)
}

// jobsAtOnce keeps one deletion from the job log short: each line is looked for in the tables that refer to it.
const jobsAtOnce = 1000

// ForgetJobs deletes up to a batch of closed lines of polls, reconciliations, retries and resyncs that are older than
// age, and keeps each customer's newest of each; more says that there may be others.
func (c Conn) ForgetJobs(ctx context.Context, age time.Duration) (more bool, err error) {
	deleted, err := c.queries.JobsForget(ctx, c.dbtx, &db.JobsForgetParams{OlderThan: age, AtMost: jobsAtOnce})
	return deleted == jobsAtOnce, wrap("forget old lines of the job log", err)
}

// Overview is what a list tells of a customer besides its settings.
type Overview struct {
	Run         *Run // the newest, nil where there is none
	Users       int64
	OpenLetters int64
	Alerts      []string // types of those that stand, oldest first
}

// Overviews reads the overviews of these customers, in a few statements for all of them.
func (c Conn) Overviews(ctx context.Context, customers []string) (map[string]Overview, error) {
	overviews := make(map[string]Overview, len(customers))
	change := func(customer string, apply func(*Overview)) {
		one := overviews[customer]
		apply(&one)
		overviews[customer] = one
	}
	runs, err := c.queries.RunsLatestFor(ctx, c.dbtx, customers)
	if err != nil {
		return nil, wrap("read newest runs", err)
	}
	for _, row := range runs {
		run := runFrom(row)
		change(row.CustomerID, func(o *Overview) { o.Run = &run })
	}
	users, err := c.queries.MappingCountsFor(ctx, c.dbtx, customers)
	if err != nil {
		return nil, wrap("count mappings", err)
	}
	for _, row := range users {
		change(row.CustomerID, func(o *Overview) { o.Users = row.Users })
	}
	letters, err := c.queries.LettersOpenCountsFor(ctx, c.dbtx, customers)
	if err != nil {
		return nil, wrap("count open letters", err)
	}
	for _, row := range letters {
		change(row.CustomerID, func(o *Overview) { o.OpenLetters = row.Letters })
	}
	alerts, err := c.queries.AlertsStandingFor(ctx, c.dbtx, customers)
	if err != nil {
		return nil, wrap("read alerts", err)
	}
	for _, row := range alerts {
		change(row.CustomerID, func(o *Overview) { o.Alerts = append(o.Alerts, row.Type) })
	}
	return overviews, nil
}

// CredentialNames says which credentials the customer has.
func (c Conn) CredentialNames(ctx context.Context, customer string) (map[string]bool, error) {
	rows, err := c.queries.CredentialNames(ctx, c.dbtx, customer)
	if err != nil {
		return nil, wrap("list credentials", err)
	}
	names := make(map[string]bool, len(rows))
	for _, name := range rows {
		names[name] = true
	}
	return names, nil
}
