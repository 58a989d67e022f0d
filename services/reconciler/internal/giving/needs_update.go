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
}

// needsUpdate has a person look at donations that were submitted more than needsReviewAfterHours ago and have no gift, and looks again for
// the gifts of those that a person looks at.
func (p *pass) needsUpdate(ctx context.Context, one store.GivingReconciliation) (complete bool, err error) {
	progress, err := progressOf[needsUpdateProgress](one)
	if err != nil {
		return false, err
	}
	age := time.Duration(p.config.NeedsReviewAfterHours) * time.Hour
	// Donations in review come first: those that are found now say that the import of their day was run.
	complete, err = p.each(ctx, &progress.Review, &progress, func(after store.Place) ([]store.LateDonation, error) {
		return p.Reconciler.Store.DonationsToLookUpAgain(ctx, p.Customer.ID, one.AskedAt, after, batchSize)
	}, func(ctx context.Context, donation store.LateDonation) error {
		return p.lookUpAgain(ctx, donation, one.AskedAt)
	})
	if err != nil || !complete {
		return false, err
	}
	complete, err = p.each(ctx, &progress.Submitted, &progress, func(after store.Place) ([]store.LateDonation, error) {
		return p.Reconciler.Store.DonationsSubmittedBefore(ctx, p.Customer.ID, age, after, batchSize)
	}, func(ctx context.Context, donation store.LateDonation) error {
		return p.lookUpLate(ctx, donation, age, one.AskedAt)
	})
	if err != nil || !complete {
		return false, err
	}
	return true, p.inLane(ctx, func(ctx context.Context, tx *store.Tx) error {
		waits, err := tx.AnyImportNotRun(ctx, p.Customer.ID)
		if err != nil {
			return err
		}
		if !waits {
			if err := event.Clear(ctx, tx, p.Customer.ID, event.AlertImportNotRun, "No donation waits for an import any more."); err != nil {
				return err
			}
		}
		return tx.EndGivingReconciliation(ctx, p.Customer.ID, p.category)
	})
}

// each does something with each donation of a list, and stores the place after which it goes on.
func (p *pass) each(ctx context.Context, at *store.Place, progress any, read func(after store.Place) ([]store.LateDonation, error),
	do func(ctx context.Context, donation store.LateDonation) error,
) (complete bool, err error) {
	for {
		late, err := read(*at)
		if err != nil || len(late) == 0 {
			return err == nil, err
		}
		for _, donation := range late {
			if err := do(ctx, donation); err != nil {
				return false, errors.Join(err, p.keepProgress(ctx, progress))
			}
			*at = donation.Place
			if p.mustEnd(ctx) {
				return false, p.setProgress(ctx, progress)
			}
		}
		if err := p.setProgress(ctx, progress); err != nil {
			return false, err
		}
	}
}

// lookUpLate looks up a submitted donation, unless stuck did so within the last hour, and marks it if it has no gift.
func (p *pass) lookUpLate(ctx context.Context, donation store.LateDonation, age time.Duration, asked time.Time) error {
	if !donation.LookedUpLately {
		gift, at, err := p.lookUp(ctx, donation)
		switch {
		case err == nil:
			return p.recover(ctx, gift, at)
		case !errors.Is(err, virtuous.ErrNotFound):
			return p.unknown(ctx, err)
		}
	}
	p.Worked++
	err := p.inLane(ctx, func(ctx context.Context, tx *store.Tx) error { return p.markNeedsReview(ctx, tx, donation, age, asked) })
	if err != nil {
		return err
	}
	return p.at("marked")
}

// markNeedsReview has a person look at a donation. The time of its next lookup is counted from when the pass was asked for, as the time of the
// next pass is: counted from the lookup, a day later would always be after the pass a day later.
func (p *pass) markNeedsReview(ctx context.Context, tx *store.Tx, donation store.LateDonation, age time.Duration, asked time.Time) error {
	reason, err := p.reasonOf(ctx, tx, donation.SubmittedAt)
	if err != nil {
		return err
	}
	changed, err := tx.MarkNeedsReview(ctx, p.Customer.ID, donation.ID, store.Review{
		Age: age, Reason: reason, LookedUp: !donation.LookedUpLately, Asked: asked,
	})
	if err != nil || !changed {
		return err
	}
	err = p.log(ctx, tx, store.ReconciliationEntry{
		PlatformID: donation.PlatformID, Entity: entityDonation, Resolution: resolutionReview, Details: map[string]any{"reason": reason},
	})
	if err != nil {
		return err
	}
	if err := p.publishReview(ctx, tx, donation, reason); err != nil {
		return err
	}
	return p.raiseImport(ctx, tx, reason)
}

// raiseImport raises the alert that staff have not run an import, once for all donations of the customer.
func (p *pass) raiseImport(ctx context.Context, tx *store.Tx, reason string) error {
	if reason != reasonImportNotRun {
		return nil
	}
	return event.Raise(ctx, tx, event.AlertFor(p.Customer.ID, event.AlertImportNotRun))
}

// reasonOf says why a donation has no gift. Virtuous bundles the transactions of a day at the organization's midnight, and staff import the
// bundle: if a donation of the day has a gift, the import was run.
func (p *pass) reasonOf(ctx context.Context, tx *store.Tx, submitted time.Time) (string, error) {
	local := submitted.In(p.zone)
	from := time.Date(local.Year(), local.Month(), local.Day(), 0, 0, 0, 0, p.zone)
	wasRun, err := tx.AnyConfirmedBetween(ctx, p.Customer.ID, from, from.AddDate(0, 0, 1))
	if wasRun {
		return reasonMatchNeeded, err
	}
	return reasonImportNotRun, err
}

func (p *pass) publishReview(ctx context.Context, tx *store.Tx, donation store.LateDonation, reason string) error {
	now, err := tx.Now(ctx)
	if err != nil {
		return err
	}
	message, err := event.Fact{
		Name: event.DonationNeedsReview, Customer: p.Customer.ID, At: now, TraceID: p.TraceID,
		ID: "donation-needs-review-" + p.Customer.ID + "-" + strconv.FormatInt(donation.ID, 10) + "-" + strconv.FormatInt(now.UnixNano(), 10),
		Data: &rollcallv1.DonationNeedsReview{
			CustomerId: p.Customer.ID, PlatformDonationId: donation.PlatformID, Reason: reason, SubmittedAt: timestamppb.New(donation.SubmittedAt),
		},
	}.Message()
	if err != nil {
		return err
	}
	return tx.Publish(ctx, message)
}

// lookUpAgain looks up a donation in review, in a pass that was asked for at a time.
func (p *pass) lookUpAgain(ctx context.Context, donation store.LateDonation, asked time.Time) error {
	gift, at, err := p.lookUp(ctx, donation)
	switch {
	case err == nil:
		return p.recover(ctx, gift, at)
	case !errors.Is(err, virtuous.ErrNotFound):
		return p.unknown(ctx, err)
	}
	p.Worked++
	return p.inLane(ctx, func(ctx context.Context, tx *store.Tx) error {
		reason, err := p.reasonOf(ctx, tx, donation.SubmittedAt)
		if err != nil {
			return err
		}
		return tx.StillNeedsReview(ctx, p.Customer.ID, donation.ID, reason, asked)
	})
}
