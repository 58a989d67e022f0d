package giving

import (
	"context"
	"errors"
	"strconv"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"rollcall.dev/pkg/event"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/virtuous"
	rollcallv1 "rollcall.dev/proto/rollcall/v1"
)

// Reasons for a review.
const (
	reasonImportNotRun = "import_not_run"
	reasonMatchNeeded  = "match_needed"
)

// needsUpdateProgress is where a pass of needs_update goes on.
type needsUpdateProgress struct {
	Submitted store.Place `json:"submitted"`
	Review    store.Place `json:"review"`

	SubmittedContacts store.Place `json:"submittedContacts"`
	ContactsInReview  store.Place `json:"contactsInReview"`
}

// needsUpdate has a person look at donations and contacts that were submitted more than needsReviewAfterHours ago and have no gift or contact, and
// looks again for those that a person looks at.
func (p *pass) needsUpdate(ctx context.Context, one store.GivingReconciliation) (complete bool, err error) {
	progress, err := progressOf[needsUpdateProgress](one)
	if err != nil {
		return false, err
	}
	age := time.Duration(p.config.NeedsReviewAfterHours) * time.Hour
	// Those in review come first: those that are found now say that the import of their day was run.
	for _, list := range []list{{store.DonationTransaction, &progress.Review}, {store.ContactTransaction, &progress.ContactsInReview}} {
		complete, err := p.each(ctx, list.at, &progress, func(after store.Place) ([]store.LateTransaction, error) {
			return p.Reconciler.Store.ToLookUpAgain(ctx, list.kind, p.Customer.ID, one.AskedAt, after, batchSize)
		}, func(ctx context.Context, late store.LateTransaction) error {
			return p.lookUpAgain(ctx, late, one.AskedAt)
		})
		if err != nil || !complete {
			return false, err
		}
	}
	for _, list := range []list{{store.DonationTransaction, &progress.Submitted}, {store.ContactTransaction, &progress.SubmittedContacts}} {
		complete, err := p.each(ctx, list.at, &progress, func(after store.Place) ([]store.LateTransaction, error) {
			return p.Reconciler.Store.SubmittedBefore(ctx, list.kind, p.Customer.ID, age, after, batchSize)
		}, func(ctx context.Context, late store.LateTransaction) error {
			return p.lookUpLate(ctx, late, age, one.AskedAt)
		})
		if err != nil || !complete {
			return false, err
		}
	}
	return true, p.inLane(ctx, func(ctx context.Context, tx *store.Tx) error {
		waits, err := tx.AnyImportNotRun(ctx, p.Customer.ID)
		if err != nil {
			return err
		}
		if !waits {
			if err := event.Clear(ctx, tx, p.Customer.ID, event.AlertImportNotRun, "Nothing waits for an import any more."); err != nil {
				return err
			}
		}
		return tx.EndGivingReconciliation(ctx, p.Customer.ID, p.category)
	})
}

// list is one kind of transaction, and the place in its list after which a pass goes on.
type list struct {
	kind store.TransactionKind
	at   *store.Place
}

// each does something with each transaction of a list, and stores the place after which it goes on.
func (p *pass) each(ctx context.Context, at *store.Place, progress any, read func(after store.Place) ([]store.LateTransaction, error),
	do func(ctx context.Context, one store.LateTransaction) error,
) (complete bool, err error) {
	for {
		late, err := read(*at)
		if err != nil || len(late) == 0 {
			return err == nil, err
		}
		for _, one := range late {
			if err := do(ctx, one); err != nil {
				return false, errors.Join(err, p.keepProgress(ctx, progress))
			}
			*at = one.Place
			if p.mustEnd(ctx) {
				return false, p.setProgress(ctx, progress)
			}
		}
		if err := p.setProgress(ctx, progress); err != nil {
			return false, err
		}
	}
}

// lookUpLate looks up a submitted transaction, unless stuck did so within the last hour, and marks it if nothing is found.
func (p *pass) lookUpLate(ctx context.Context, one store.LateTransaction, age time.Duration, asked time.Time) error {
	if !one.LookedUpLately {
		record, err := p.lookUp(ctx, one)
		switch {
		case err == nil:
			return p.recover(ctx, record)
		case !errors.Is(err, virtuous.ErrNotFound):
			return p.unknown(ctx, err)
		}
	}
	p.Worked++
	err := p.inLane(ctx, func(ctx context.Context, tx *store.Tx) error { return p.markNeedsReview(ctx, tx, one, age, asked) })
	if err != nil {
		return err
	}
	return p.at("marked")
}

// markNeedsReview has a person look at a transaction. The time of its next lookup is counted from when the pass was asked for, as the time of the
// next pass is: counted from the lookup, a day later would always be after the pass a day later.
func (p *pass) markNeedsReview(ctx context.Context, tx *store.Tx, one store.LateTransaction, age time.Duration, asked time.Time) error {
	reason, err := p.reasonOf(ctx, tx, one)
	if err != nil {
		return err
	}
	changed, err := tx.MarkNeedsReview(ctx, p.Customer.ID, one, store.Review{
		Age: age, Reason: reason, LookedUp: !one.LookedUpLately, Asked: asked,
	})
	if err != nil || !changed {
		return err
	}
	err = p.log(ctx, tx, store.ReconciliationEntry{
		PlatformID: one.PlatformID, Entity: entityOf(one), Resolution: resolutionReview, Details: map[string]any{"reason": reason},
	})
	if err != nil {
		return err
	}
	if err := p.publishReview(ctx, tx, one, reason); err != nil {
		return err
	}
	return p.raiseImport(ctx, tx, reason)
}

// raiseImport raises the alert that staff have not run an import, once for all transactions of the customer.
func (p *pass) raiseImport(ctx context.Context, tx *store.Tx, reason string) error {
	if reason != reasonImportNotRun {
		return nil
	}
	return event.Raise(ctx, tx, event.AlertFor(p.Customer.ID, event.AlertImportNotRun))
}

// reasonOf says why nothing became of a transaction. Virtuous bundles the transactions of a day at the organization's midnight, and staff import the
// bundle: if another one of the day is confirmed, the import was run.
func (p *pass) reasonOf(ctx context.Context, tx *store.Tx, one store.LateTransaction) (string, error) {
	local := one.SubmittedAt.In(p.zone)
	from := time.Date(local.Year(), local.Month(), local.Day(), 0, 0, 0, 0, p.zone)
	wasRun, err := tx.AnyConfirmedBetween(ctx, one.Kind, p.Customer.ID, from, from.AddDate(0, 0, 1))
	if wasRun {
		return reasonMatchNeeded, err
	}
	return reasonImportNotRun, err
}

func (p *pass) publishReview(ctx context.Context, tx *store.Tx, one store.LateTransaction, reason string) error {
	now, err := tx.Now(ctx)
	if err != nil {
		return err
	}
	fact := event.Fact{
		Customer: p.Customer.ID, At: now, TraceID: p.TraceID,
		ID: entityOf(one) + "-needs-review-" + p.Customer.ID + "-" + strconv.FormatInt(one.ID, 10) + "-" + strconv.FormatInt(now.UnixNano(), 10),
	}
	submitted := timestamppb.New(one.SubmittedAt)
	if one.Kind == store.ContactTransaction {
		fact.Name = event.ContactNeedsReview
		fact.Data = &rollcallv1.ContactNeedsReview{CustomerId: p.Customer.ID, ReferenceId: one.PlatformID, Reason: reason, SubmittedAt: submitted}
	} else {
		fact.Name = event.DonationNeedsReview
		fact.Data = &rollcallv1.DonationNeedsReview{CustomerId: p.Customer.ID, PlatformDonationId: one.PlatformID, Reason: reason, SubmittedAt: submitted}
	}
	message, err := fact.Message()
	if err != nil {
		return err
	}
	return tx.Publish(ctx, message)
}

// entityOf returns what a transaction is of, for the log and for events.
func entityOf(one store.LateTransaction) string {
	if one.Kind == store.ContactTransaction {
		return entityContact
	}
	return entityDonation
}

// lookUpAgain looks up a transaction in review, in a pass that was asked for at a time.
func (p *pass) lookUpAgain(ctx context.Context, one store.LateTransaction, asked time.Time) error {
	record, err := p.lookUp(ctx, one)
	switch {
	case err == nil:
		return p.recover(ctx, record)
	case !errors.Is(err, virtuous.ErrNotFound):
		return p.unknown(ctx, err)
	}
	p.Worked++
	return p.inLane(ctx, func(ctx context.Context, tx *store.Tx) error {
		reason, err := p.reasonOf(ctx, tx, one)
		if err != nil {
			return err
		}
		return tx.StillNeedsReview(ctx, p.Customer.ID, one, reason, asked)
	})
}
