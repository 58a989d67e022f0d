package giving

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"rollcall.dev/pkg/giving/inbound"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/virtuous"
)

const (
	// batchSize is how many transactions are read at once.
	batchSize = 50
	// queryAbove is from how many due donations on a query comes before the lookups.
	queryAbove = 50
)

// Recovery paths of transactions, and resolutions in the log.
const (
	recoveredByLookup = "reconciliation_lookup"
	recoveredByQuery  = "reconciliation_query"

	resolutionRecovered = "auto_recovered"
	resolutionReview    = "marked_needs_review"
	resolutionApplied   = "applied_inbound"

	entityDonation = "donation"
	entityContact  = "contact"
)

// stuckProgress is where a pass of stuck goes on.
type stuckProgress struct {
	Planned bool        `json:"counted"` // it is decided what is queried before the lookups
	Sources []string    `json:"sources"` // whose gifts are queried, or have yet to be
	Since   time.Time   `json:"since"`   // the gifts that were modified since then
	Cursor  int64       `json:"cursor"`  // the highest id of the last page of the first source
	After   store.Place `json:"after"`   // the last donation that was looked up

	AfterContact store.Place `json:"afterContact"` // the last contact that was looked up
}

func progressOf[T any](one store.GivingReconciliation) (T, error) {
	var progress T
	if err := json.Unmarshal(one.Progress, &progress); err != nil {
		return progress, fmt.Errorf("decode progress of %s: %w", one.Category, err)
	}
	return progress, nil
}

// stuck looks up donations and contacts that were submitted more than stuckAfterHours ago.
func (p *pass) stuck(ctx context.Context, one store.GivingReconciliation) (complete bool, err error) {
	progress, err := progressOf[stuckProgress](one)
	if err != nil {
		return false, err
	}
	age := time.Duration(p.config.StuckAfterHours) * time.Hour
	if !progress.Planned {
		if err := p.planQueries(ctx, age, &progress); err != nil {
			return false, err
		}
	}
	for len(progress.Sources) > 0 {
		if complete, err := p.querySource(ctx, &progress); err != nil || !complete {
			return false, err
		}
	}
	for _, list := range []list{{store.DonationTransaction, &progress.After}, {store.ContactTransaction, &progress.AfterContact}} {
		complete, err := p.each(ctx, list.at, &progress, func(after store.Place) ([]store.LateTransaction, error) {
			return p.Reconciler.Store.SubmittedBefore(ctx, list.kind, p.Customer.ID, age, after, batchSize)
		}, p.lookUpStuck)
		if err != nil || !complete {
			return false, err
		}
	}
	return true, p.end(ctx)
}

// lookUpStuck looks up one transaction, and confirms it if its gift or contact is there.
func (p *pass) lookUpStuck(ctx context.Context, one store.LateTransaction) error {
	record, err := p.lookUp(ctx, one)
	switch {
	case err == nil:
		return p.recover(ctx, record)
	case errors.Is(err, virtuous.ErrNotFound):
		p.Worked++
		return p.inLane(ctx, func(ctx context.Context, tx *store.Tx) error {
			return tx.NoteLookup(ctx, p.Customer.ID, one)
		})
	}
	return p.unknown(ctx, err)
}

// lookUp looks for the gift or contact of a transaction.
func (p *pass) lookUp(ctx context.Context, one store.LateTransaction) (record inbound.Record, err error) {
	record = inbound.Record{Read: true}
	if record.At, err = p.Reconciler.Store.Now(ctx); err != nil {
		return record, err
	}
	if one.Kind == store.ContactTransaction {
		var contact virtuous.Contact
		contact, err = p.client.ContactByReference(ctx, one.TransactionSource, one.PlatformID)
		record.Contact = &contact
	} else {
		var gift virtuous.Gift
		gift, err = p.client.GiftByTransaction(ctx, one.TransactionSource, one.PlatformID)
		record.Gift = &gift
	}
	if err == nil || errors.Is(err, virtuous.ErrNotFound) {
		p.unclear, p.answered = 0, true
		if ended := p.at("looked_up"); ended != nil {
			return record, ended
		}
	}
	return record, err
}

// recover applies the gift or contact of a transaction, which confirms it, and logs that.
func (p *pass) recover(ctx context.Context, record inbound.Record) error {
	err := p.inLane(ctx, func(ctx context.Context, tx *store.Tx) error {
		return p.apply(ctx, tx, recoveredByLookup, []inbound.Record{record})
	})
	if err != nil {
		return err
	}
	p.Worked++
	return p.at("recovered")
}

// apply applies records, and logs the donations and contacts that they confirm.
func (p *pass) apply(ctx context.Context, tx *store.Tx, path string, records []inbound.Record) error {
	outcomes, err := p.Inbound.Apply(ctx, tx, p.keys, p.inboundPass(path), records)
	if err != nil {
		return err
	}
	var entries []store.ReconciliationEntry
	for _, outcome := range outcomes {
		if outcome.Confirmed != "" {
			entries = append(entries, store.ReconciliationEntry{
				PlatformID: outcome.Confirmed, VirtuousID: outcome.ID, Entity: entityDonation, Resolution: resolutionRecovered, Details: detailsOf(outcome),
			})
		}
		for _, reference := range outcome.ConfirmedContacts {
			entries = append(entries, store.ReconciliationEntry{
				PlatformID: reference, VirtuousID: outcome.ID, Entity: entityContact, Resolution: resolutionRecovered, Details: detailsOf(outcome),
			})
		}
	}
	return p.log(ctx, tx, entries...)
}

func (p *pass) inboundPass(path string) inbound.Pass {
	return inbound.Pass{Customer: p.Customer.ID, Job: p.category, RecoveryPath: path, TraceID: p.TraceID}
}

func detailsOf(outcome inbound.Outcome) map[string]any {
	details := map[string]any{}
	if len(outcome.ChangedFields) > 0 {
		details["changed"] = outcome.ChangedFields
	}
	if len(outcome.Differs) > 0 {
		details["differs"] = outcome.Differs
	}
	return details
}

// planQueries decides whether the gifts of the due donations' sources are queried before the lookups: if there are so many donations that pages
// are cheaper. What Virtuous does not offer as a query, the lookups find.
func (p *pass) planQueries(ctx context.Context, age time.Duration, progress *stuckProgress) error {
	late, err := p.Reconciler.Store.SubmittedBefore(ctx, store.DonationTransaction, p.Customer.ID, age, store.Place{}, queryAbove+1)
	if err != nil {
		return err
	}
	if len(late) > queryAbove {
		progress.Since = late[0].SubmittedAt.AddDate(0, 0, -1)
		for _, donation := range late {
			if !slices.Contains(progress.Sources, donation.TransactionSource) {
				progress.Sources = append(progress.Sources, donation.TransactionSource)
			}
		}
	}
	progress.Planned = true
	return p.setProgress(ctx, progress)
}

// querySource reads the gifts of the first source from the progress on, and commits each page with it.
func (p *pass) querySource(ctx context.Context, progress *stuckProgress) (complete bool, err error) {
	asked, err := p.Reconciler.Store.Now(ctx)
	if err != nil {
		return false, err
	}
	for page, err := range p.client.GiftsByTransactionSource(ctx, progress.Sources[0], progress.Since, progress.Cursor) {
		if errors.Is(err, virtuous.ErrUnsupportedQuery) || errors.Is(err, virtuous.ErrRejected) {
			break
		}
		if err != nil {
			return false, err
		}
		p.answered = true
		records := make([]inbound.Record, 0, len(page.Records))
		for _, gift := range page.Records {
			records = append(records, inbound.Record{Gift: &gift, At: asked, Read: true})
		}
		progress.Cursor = page.Cursor
		err := p.inLane(ctx, func(ctx context.Context, tx *store.Tx) error {
			if err := p.apply(ctx, tx, recoveredByQuery, records); err != nil {
				return err
			}
			return tx.SetGivingProgress(ctx, p.Customer.ID, p.category, progress, p.answered)
		})
		if err != nil {
			return false, err
		}
		if err := p.at("queried"); err != nil {
			return false, err
		}
		if len(records) > 0 && p.mustEnd(ctx) {
			return false, nil
		}
		if asked, err = p.Reconciler.Store.Now(ctx); err != nil {
			return false, err
		}
	}
	progress.Sources, progress.Cursor = progress.Sources[1:], 0
	return true, p.setProgress(ctx, progress)
}

func (p *pass) setProgress(ctx context.Context, progress any) error {
	return p.inLane(ctx, func(ctx context.Context, tx *store.Tx) error {
		return tx.SetGivingProgress(ctx, p.Customer.ID, p.category, progress, p.answered)
	})
}

// keepProgress stores how far a pass came that ends with an error. Without it, the next round looks some donations up again.
func (p *pass) keepProgress(ctx context.Context, progress any) error {
	if ctx.Err() == nil {
		return p.setProgress(ctx, progress)
	}
	return nil
}

// end ends the pass of the category.
func (p *pass) end(ctx context.Context) error {
	return p.inLane(ctx, func(ctx context.Context, tx *store.Tx) error {
		return tx.EndGivingReconciliation(ctx, p.Customer.ID, p.category)
	})
}
