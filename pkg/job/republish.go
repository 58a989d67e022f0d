package job

import (
	"context"
	"fmt"
	"time"

	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/store"
)

const (
	republishEvery = time.Minute
	unattendedPage = 500
	// standingAtMost is how many requests of one round may turn out to stand in their stream already: where a hundred
	// thousand wait their turn, the next rounds ask for the others.
	standingAtMost = 1000
)

// Republish asks again for unfinished runs that nobody works: what a lost message, stream or worker leaves behind. It
// goes past the outbox, which would keep and retry what the stream refuses: where a request stands in the stream
// already, the refusal is the good answer.
type Republish struct {
	Publisher *bus.Publisher
	// Unattended are such runs, by id, after the given one.
	Unattended func(ctx context.Context, after int64, limit int32) ([]store.RunRef, error)
	Message    func(run store.RunRef) (store.Message, error)

	after int64 // where the next round goes on
}

// Run has a round at once and every minute until ctx ends; failed hears of those that fail.
func (r *Republish) Run(ctx context.Context, failed func(error)) {
	ticker := time.NewTicker(republishEvery)
	defer ticker.Stop()
	for {
		if _, err := r.Round(ctx); err != nil && ctx.Err() == nil {
			failed(err)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// Round asks for runs until there is no other, or until enough of them were found standing; it returns for how many it
// asked. Requests that were lost do not count against the bound: a lost stream is filled in one round.
func (r *Republish) Round(ctx context.Context) (asked int, err error) {
	for standing := 0; standing < standingAtMost; {
		runs, err := r.Unattended(ctx, r.after, unattendedPage)
		if err != nil {
			return asked, err
		}
		if len(runs) == 0 {
			r.after = 0
			return asked, nil
		}
		batch := make([]bus.Outgoing, 0, len(runs))
		for _, run := range runs {
			message, err := r.Message(run)
			if err != nil {
				return asked, err
			}
			batch = append(batch, bus.Outgoing{Subject: message.Subject, ID: message.ID, Payload: message.Payload})
		}
		fresh, err := r.Publisher.Renew(ctx, batch)
		if err != nil {
			return asked, fmt.Errorf("request an unattended run: %w", err)
		}
		asked += len(runs)
		standing += len(runs) - fresh
		r.after = runs[len(runs)-1].ID
	}
	return asked, nil
}
