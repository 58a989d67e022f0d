package main

import (
	"context"
	"errors"

	"go.uber.org/zap"

	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/store"
)

// forgetAtOnce is how many rows of each kind one transaction deletes of an organization that is not the customer's any more.
const forgetAtOnce = 1000

// errOrganizationKept rolls back a request for another organization: more is known of the one before than one transaction should delete.
var errOrganizationKept = errors.New("the organization before is not forgotten")

// forgetOrganization deletes a batch of what is known of the organization before, and reports whether there may be more. Its ids mean other
// gifts and contacts at the new one. Its deliveries are rejected, and their parts that are on their way name it. Donations and
// contacts that went there, or may have, are closed; other pending ones go to the new one.
func (s *settler) forgetOrganization(ctx context.Context, tx *store.Tx, customer string) (more bool, err error) {
	// The settings come before gifts and donations, as in a transaction that applies gifts; another order could deadlock.
	if err := tx.LockInboundAgainstParts(ctx, customer); err != nil {
		return false, err
	}
	if err := endWebhooks(ctx, tx, s.vault.On(tx.Conn), customer); err != nil {
		return false, err
	}
	letters := func(ctx context.Context, customer string, atMost int32) (int64, error) {
		return tx.ForgetLettersUnder(ctx, customer, bus.SubjectWebhooks(customer), atMost)
	}
	for _, forget := range []func(context.Context, string, int32) (int64, error){
		tx.CloseDonationsOfOrganization, tx.CloseContactsOfOrganization, tx.SupersedeGivingReviews, tx.ForgetContactDifferences, tx.ForgetGifts,
		tx.ForgetContacts, tx.ForgetReferences, tx.ForgetInbox, letters,
	} {
		forgotten, err := forget(ctx, customer, s.forgetAtOnce)
		if err != nil {
			return false, err
		}
		more = more || forgotten >= int64(s.forgetAtOnce)
	}
	return more, tx.ForgetVirtuousState(ctx, customer)
}

// forgetInBatches forgets the organization before, one transaction for each batch. The request stays pending meanwhile: if the process dies,
// the rest is forgotten when it is settled again. If another request comes first, reconciliations read again what is forgotten, because
// where they stood is forgotten, too.
func (s *settler) forgetInBatches(ctx context.Context, proposed proposal) error {
	customer, batches := proposed.pending.Customer, 0
	for more := true; more; batches++ {
		err := s.store.InTx(ctx, func(ctx context.Context, tx *store.Tx) (err error) {
			if err = tx.LockCustomer(ctx, customer); err != nil {
				return err
			}
			later, err := tx.RequestAppliedAfter(ctx, customer, proposed.pending.Origin)
			if err != nil || later.Giving {
				more = false
				return err
			}
			more, err = s.forgetOrganization(ctx, tx, customer)
			return err
		})
		if err != nil {
			return err
		}
	}
	s.logger.Info("organization before forgotten", zap.String("customer", customer), zap.Int("batches", batches))
	return nil
}
