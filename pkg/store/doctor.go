package store

import (
	"context"
	"time"
)

// Waiting says how many rows wait, and for how long the oldest has waited.
type Waiting struct {
	Count  int64
	Oldest time.Duration
}

// Backlog has what should move on, and may be stuck.
type Backlog struct {
	Outbox   Waiting // messages that are not published yet
	Runs     Waiting // due backfills that no worker has
	Requests Waiting // onboarding requests that are pending
}

// Backlog returns what should move on.
func (c Conn) Backlog(ctx context.Context) (Backlog, error) {
	row, err := c.queries.Backlog(ctx, c.dbtx)
	if err != nil {
		return Backlog{}, err
	}
	waiting := func(count int64, seconds float64) Waiting {
		return Waiting{Count: count, Oldest: time.Duration(seconds * float64(time.Second))}
	}
	return Backlog{
		Outbox: waiting(row.Outbox, row.OutboxSeconds), Runs: waiting(row.Runs, row.RunsSeconds),
		Requests: waiting(row.Requests, row.RequestsSeconds),
	}, nil
}
