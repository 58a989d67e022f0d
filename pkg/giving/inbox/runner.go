package inbox

import (
	"context"
	"time"

	"go.uber.org/zap"

	"rollcall.dev/pkg/giving/inbound"
	"rollcall.dev/pkg/job"
	"rollcall.dev/pkg/round"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/vault"
	"rollcall.dev/pkg/virtuous"
)

const (
	// claimFor is longer than a part takes, unless its records have to wait for the budget of requests.
	claimFor = 2 * time.Minute
	// partsAtOnce bounds how many parts are claimed together, and claimsPerRound how long a customer keeps a slot.
	partsAtOnce    = 8
	claimsPerRound = 8
	// longestPause is between attempts at a part whose records cannot be read.
	shortestPause = 5 * time.Second
	longestPause  = time.Hour
	// maxTries is after how many failed attempts a part, or a record, that cannot be applied becomes a letter: some ten minutes. Faults of
	// Virtuous, of the key service and of Postgres have no such end, and are not counted.
	maxTries = 8
	// indexing is how long Virtuous may not find a record that it has just delivered.
	indexing = 10 * time.Minute
)

// Reader reads records from Virtuous; *virtuous.Client is one.
type Reader interface {
	Gift(ctx context.Context, id int64) (virtuous.Gift, error)
	Contact(ctx context.Context, id int64) (virtuous.Contact, error)
}

// Applying applies the parts in the inbox.
type Applying struct {
	Store   *store.Store
	Vault   *vault.Vault
	Logger  *zap.Logger
	Applier *inbound.Applier
	// Open returns a reader for a customer.
	Open func(ctx context.Context, customer string) (Reader, error)
}

// Kind returns the rounds in which parts are applied. They take no lane: a part is claimed by its row, and a webhook waits for no request of
// the other jobs to Virtuous.
func (a *Applying) Kind() round.Kind {
	return round.Kind{Job: jobName, Lane: store.LaneGiving, TakesNoLane: true, Look: a.look, Work: a.workRound}
}

func (a *Applying) look(ctx context.Context) ([]round.Customer, error) {
	found, err := a.Store.InboxCustomers(ctx)
	customers := make([]round.Customer, 0, len(found))
	for _, id := range found {
		customers = append(customers, round.Customer{ID: id})
	}
	return customers, err
}

// workRound works parts of the customer that are due.
func (a *Applying) workRound(ctx context.Context, of *round.Round) (more bool, err error) {
	reader := &customerReader{open: a.Open, customer: of.Customer.ID}
	for claim := range claimsPerRound {
		parts, err := a.Store.ClaimInboxParts(ctx, of.Customer.ID, claimFor, partsAtOnce)
		if err != nil || len(parts) == 0 {
			return false, err
		}
		for _, part := range parts {
			if err := a.work(ctx, reader, part); err != nil {
				return false, err
			}
		}
		if claim == 0 { // a key was opened
			if err := job.ClearKeeperAlert(ctx, a.Store); err != nil {
				return false, err
			}
		}
		if of.MustEnd(ctx) {
			break
		}
	}
	return true, nil
}
