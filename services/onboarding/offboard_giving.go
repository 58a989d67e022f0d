package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"rollcall.dev/pkg/event"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/worker"
	rollcallv1 "rollcall.dev/proto/rollcall/v1"
)

const (
	// captureTime is how long an offboarding waits until the donations that came before it are captured, so that none is lost unseen.
	captureTime  = time.Minute
	captureRetry = 2 * time.Second
	namedAtMost  = 10 // donations, and contacts, that a rejection names
)

// errDonationsQueued means that donations wait in ROLLCALL_DONATIONS.
var errDonationsQueued = errors.New("donations of the customer are not captured yet")

// awaitCapture returns how many of the customer's donations are not captured, or asks for another delivery of the message as long as they
// may still be.
func (i *intake) awaitCapture(ctx context.Context, delivery *worker.Delivery, customer string) (queued uint64, err error) {
	if queued, err = i.queuedDonations(ctx, customer); err != nil || queued == 0 {
		return 0, err
	}
	if time.Since(delivery.Published) < captureTime {
		return 0, worker.Retry(captureRetry, errDonationsQueued)
	}
	return queued, nil
}

// contactsLate is how long a contact may be submitted; an offboarding ends those that are late with the others.
const contactsLate = 24 * time.Hour

// unfinishedGiving returns an error of the request if there are donations or contacts that an offboarding would end; nil if there are none.
func unfinishedGiving(ctx context.Context, tx *store.Tx, customer string, queued uint64) (rollcallv1.FieldErrors, error) {
	counts, err := tx.CountDonations(ctx, customer)
	if err != nil {
		return nil, err
	}
	contacts, err := tx.ContactFigures(ctx, customer, contactsLate)
	if err != nil || counts.Pending+counts.Submitted+contacts.Pending+contacts.Submitted == 0 && queued == 0 {
		return nil, err
	}
	donations, err := tx.UnfinishedDonations(ctx, customer, namedAtMost)
	if err != nil {
		return nil, err
	}
	names := make([]string, 0, len(donations)+1)
	for _, donation := range donations {
		names = append(names, donation.PlatformID)
	}
	references, err := tx.UnfinishedContacts(ctx, customer, namedAtMost)
	if err != nil {
		return nil, err
	}
	of := ""
	if sum := contacts.Pending + contacts.Submitted; sum > 0 {
		of = fmt.Sprintf(", and so are %d and %d contacts (%s)", contacts.Pending, contacts.Submitted, listed(references, sum))
	}
	errs := rollcallv1.FieldErrors{}
	errs.Add("force", fmt.Sprintf("is missing: %d donations are pending, %d are submitted and %d are not captured, and an offboarding closes them (%s)%s: "+
		"wait until they are confirmed, or set force", counts.Pending, counts.Submitted, queued, listed(names, counts.Pending+counts.Submitted), of))
	return errs, nil
}

// listed joins names, and says if there are more than these.
func listed(names []string, all int64) string {
	if all > int64(len(names)) {
		names = append(names, "…")
	}
	return strings.Join(names, ", ")
}

// nameOrphanedWebhooks raises the alert about subscriptions that an offboarding left at Virtuous. It comes after the customer's messages
// were purged.
func nameOrphanedWebhooks(ctx context.Context, tx *store.Tx, customer string) error {
	ids, err := tx.OrphanedSubscriptions(ctx, customer)
	if err != nil || len(ids) == 0 {
		return err
	}
	return event.Raise(ctx, tx, event.OrphanedWebhooksFor(customer, ids))
}
