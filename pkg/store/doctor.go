package store

import (
	"context"
	"time"
)

// ServerFacts are what a Postgres tells of itself.
type ServerFacts struct {
	Version        int // as 150004 for 15.4
	MaxConnections int
	Connections    int
	Clock          time.Time // its own, whatever rollcall_now() says
}

// ServerFacts asks the Postgres that the store is connected to.
func (c Conn) ServerFacts(ctx context.Context) (ServerFacts, error) {
	row, err := c.queries.ServerFacts(ctx, c.dbtx)
	if err != nil {
		return ServerFacts{}, wrap("ask Postgres about itself", err)
	}
	return ServerFacts{
		Version: int(row.Version), MaxConnections: int(row.MaxConnections), Connections: int(row.Connections), Clock: row.Clock,
	}, nil
}

// Waiting is how many of something wait, and for how long the first has.
type Waiting struct {
	Count  int64
	Oldest time.Duration
}

// Backlog is what should move, and may not.
type Backlog struct {
	Outbox   Waiting // messages that are not published yet
	Runs     Waiting // backfills that are due and that nobody works
	Requests Waiting // onboarding requests that are pending
}

// Backlog looks for what should move.
func (c Conn) Backlog(ctx context.Context) (Backlog, error) {
	row, err := c.queries.Backlog(ctx, c.dbtx)
	if err != nil {
		return Backlog{}, wrap("look for a backlog", err)
	}
	waiting := func(count int64, seconds float64) Waiting {
		return Waiting{Count: count, Oldest: time.Duration(seconds * float64(time.Second))}
	}
	return Backlog{
		Outbox: waiting(row.Outbox, row.OutboxSeconds), Runs: waiting(row.Runs, row.RunsSeconds),
		Requests: waiting(row.Requests, row.RequestsSeconds),
	}, nil
}
