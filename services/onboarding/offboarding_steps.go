package main

import (
	"context"
	"errors"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/event"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/telemetry"
	rollcallv1 "rollcall.dev/proto/rollcall/v1"
)

// errOffboardingEnded means that there is nothing more to do: the customer returned, or was never onboarded.
var errOffboardingEnded = errors.New("the offboarding has ended")

// step works one batch of the current step, and returns how far the offboarding is then.
func (o *offboarder) step(ctx context.Context, at store.Offboarding) (store.Offboarding, error) {
	switch at.Step {
	case store.OffboardingBlanksRecords:
		return o.inStep(ctx, at, o.blankRecords)
	case store.OffboardingErasesMessages:
		return o.eraseMessages(ctx, at)
	case store.OffboardingErasesLateMessages:
		return o.eraseLateMessages(ctx, at)
	case store.OffboardingRetains:
		return o.inStep(ctx, at, o.beginPurge)
	case store.OffboardingPurges:
		return o.inStep(ctx, at, o.purgeRecords)
	case store.OffboardingPurged:
	}
	return at, nil
}

// change changes how far an offboarding is, in the transaction of what it has done. The next batch is due after delay.
type change func(ctx context.Context, tx *store.Tx, at *store.Offboarding) (delay time.Duration, err error)

// inStep runs a change while the customer is locked and stays offboarded. If another process has finished the step, it changes nothing.
func (o *offboarder) inStep(ctx context.Context, claimed store.Offboarding, do change) (at store.Offboarding, err error) {
	ended := false
	err = o.store.InTx(ctx, func(ctx context.Context, tx *store.Tx) error {
		if err := tx.LockCustomer(ctx, claimed.Customer); err != nil {
			return err
		}
		at, err = tx.LockOffboarding(ctx, claimed.Customer)
		if errors.Is(err, store.ErrNotFound) {
			ended = true
			return nil
		}
		if err != nil || at.Step != claimed.Step {
			return err
		}
		customer, err := tx.Customer(ctx, claimed.Customer)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
		if err == nil && customer.OffboardedAt == nil { // a service of the version before onboarded it again
			ended = true
			return endOffboarding(ctx, tx, at)
		}
		delay, err := do(ctx, tx, &at)
		if errors.Is(err, errOffboardingEnded) {
			ended = true
			return tx.DeleteOffboarding(ctx, at.Customer)
		}
		if err != nil {
			return err
		}
		return tx.SaveOffboarding(ctx, at, delay)
	})
	if err == nil && ended {
		err = errOffboardingEnded
	}
	return at, err
}

// endOffboarding ends the offboarding of a customer that returned. Letters of records that the destination rejected open again.
func endOffboarding(ctx context.Context, tx *store.Tx, at store.Offboarding) error {
	if at.JobID != 0 {
		if err := tx.FinishJob(ctx, at.JobID, at.Blanked, 0, "returned"); err != nil {
			return err
		}
	}
	return tx.EndOffboarding(ctx, at.Customer)
}

// blankRecords blanks a batch of mappings, then settles a batch of letters, then deletes batches of write-backs, review items,
// candidates for deletion, participations, gifts, contacts and webhooks, and closes transactions, then blanks what requests said.
func (o *offboarder) blankRecords(ctx context.Context, tx *store.Tx, at *store.Offboarding) (time.Duration, error) {
	last, blanked, err := tx.BlankMappings(ctx, at.Customer, at.Cursor, o.batch)
	if err != nil {
		return 0, err
	}
	at.Blanked += blanked
	if last != "" {
		at.Cursor = last
		return offboardHold, nil
	}
	if more, err := o.forgetSealed(ctx, tx, at.Customer); err != nil || more {
		return offboardHold, err
	}
	if err := tx.BlankRequests(ctx, at.Customer); err != nil {
		return 0, err
	}
	at.Step, at.Cursor = store.OffboardingErasesMessages, ""
	return offboardHold, nil
}

// forgetSealed settles or deletes a batch of what cannot be opened without the destroyed key; more says that there may be others.
func (o *offboarder) forgetSealed(ctx context.Context, tx *store.Tx, customer string) (more bool, err error) {
	for _, forget := range []func(context.Context, string, int32) (int64, error){
		tx.OffboardLetters, tx.OffboardDrains, tx.ForgetWritebacks, tx.ForgetReviewsOf, tx.OffboardDeletions, tx.DeleteParticipations,
		tx.OffboardDonations, tx.OffboardContacts, tx.ForgetContactDifferences, tx.ForgetGifts, tx.ForgetContacts, tx.ForgetReferences, tx.ForgetInbox,
	} {
		forgotten, err := forget(ctx, customer, o.batch)
		if err != nil || forgotten == int64(o.batch) {
			return true, err
		}
	}
	return false, nil
}

// eraseMessages erases a batch of messages with personal data in the clear. After the last of them it purges all messages of the
// customer, and then publishes what the offboarding itself has to say: the end of alerts, and its event.
func (o *offboarder) eraseMessages(ctx context.Context, claimed store.Offboarding) (store.Offboarding, error) {
	erased, done, err := o.erase(ctx, claimed.Customer, int(o.batch))
	denied := errors.Is(err, bus.ErrNotErasable)
	if err != nil && !denied {
		return claimed, err
	}
	var purged uint64
	if done || denied {
		purged, err = o.purge(ctx, claimed.Customer)
		denied = denied || errors.Is(err, bus.ErrNotErasable)
		if err != nil && !errors.Is(err, bus.ErrNotErasable) {
			return claimed, err
		}
	}
	return o.inStep(ctx, claimed, func(ctx context.Context, tx *store.Tx, at *store.Offboarding) (time.Duration, error) {
		at.Erased += int64(erased) + int64(purged) //nolint:gosec // counts of messages
		if !done && !denied {
			return offboardHold, nil
		}
		return lateMessages, finishErasure(ctx, tx, at, denied)
	})
}

func finishErasure(ctx context.Context, tx *store.Tx, at *store.Offboarding, denied bool) error {
	if err := clearAll(ctx, tx, at.Customer, "The customer was offboarded."); err != nil {
		return err
	}
	if denied {
		if err := event.Raise(ctx, tx, event.AlertFor(at.Customer, event.AlertMessageNotErased)); err != nil {
			return err
		}
	}
	if err := nameOrphanedWebhooks(ctx, tx, at.Customer); err != nil {
		return err
	}
	if err := tx.FinishJob(ctx, at.JobID, at.Blanked, 0, ""); err != nil {
		return err
	}
	at.JobID, at.Step = 0, store.OffboardingErasesLateMessages
	customer, err := tx.Customer(ctx, at.Customer)
	if errors.Is(err, store.ErrNotFound) {
		return errOffboardingEnded // it was never onboarded, and has no mapping
	}
	if err != nil {
		return err
	}
	return publishCustomerEvent(ctx, tx, at.Customer, event.CustomerOffboarded, func(time.Time) proto.Message {
		return &rollcallv1.CustomerOffboarded{
			CustomerId: at.Customer, OffboardedAt: timestamppb.New(*customer.OffboardedAt), PurgeAt: timestamppb.New(at.PurgeAt),
		}
	})
}

// eraseLateMessages erases what was on its way to a stream during the first erasure, and settles what was being sealed. Then
// Postgres renews the samples that it keeps of addresses.
func (o *offboarder) eraseLateMessages(ctx context.Context, claimed store.Offboarding) (store.Offboarding, error) {
	erased, done, err := o.erase(ctx, claimed.Customer, int(o.batch))
	denied := errors.Is(err, bus.ErrNotErasable)
	if err != nil && !denied {
		return claimed, err
	}
	if done || denied {
		if err := o.store.RenewSamples(ctx); err != nil {
			return claimed, err
		}
	}
	return o.inStep(ctx, claimed, func(ctx context.Context, tx *store.Tx, at *store.Offboarding) (time.Duration, error) {
		at.Erased += int64(erased)
		more, err := o.forgetSealed(ctx, tx, at.Customer)
		if err == nil && !more && (done || denied) {
			at.Step = store.OffboardingRetains
		}
		return offboardHold, err
	})
}

// errSubscriptionsLeft means that subscriptions are still to be deleted at Virtuous, which takes an hour at most.
var errSubscriptionsLeft = errors.New("webhook subscriptions are still to be deleted at Virtuous")

// beginPurge ends the retention: from now on a return needs a full backfill.
func (o *offboarder) beginPurge(ctx context.Context, tx *store.Tx, at *store.Offboarding) (time.Duration, error) {
	left, err := tx.OpenRemovals(ctx, at.Customer)
	if err != nil {
		return 0, err
	}
	if left > 0 {
		return 0, errSubscriptionsLeft
	}
	job, err := tx.StartJob(ctx, at.Customer, jobPermanentOffboard, telemetry.TraceParent(ctx))
	at.JobID, at.Step, at.Cursor = job, store.OffboardingPurges, ""
	return offboardHold, err
}

// purgeRecords deletes a batch of mappings, then of letters and transactions, and then what is left besides the audit.
func (o *offboarder) purgeRecords(ctx context.Context, tx *store.Tx, at *store.Offboarding) (time.Duration, error) {
	last, purged, err := tx.PurgeMappings(ctx, at.Customer, at.Cursor, o.batch)
	if err != nil {
		return 0, err
	}
	at.Purged += purged
	if last != "" {
		at.Cursor = last
		return offboardHold, nil
	}
	// Messages that came after the offboarding may have opened letters, too.
	if more, err := o.forgetSealed(ctx, tx, at.Customer); err != nil || more {
		return offboardHold, err
	}
	letters, err := tx.PurgeLetters(ctx, at.Customer, o.batch)
	if err != nil || letters == int64(o.batch) {
		return offboardHold, err
	}
	for _, purge := range []func(context.Context, string, int32) (int64, error){tx.PurgeDonations, tx.PurgeContactQueue} {
		purged, err := purge(ctx, at.Customer, o.batch)
		if err != nil || purged == int64(o.batch) {
			return offboardHold, err
		}
	}
	if err := tx.PurgeGiving(ctx, at.Customer); err != nil {
		return 0, err
	}
	if err := tx.ForgetEndpoints(ctx, at.Customer); err != nil {
		return 0, err
	}
	if err := event.Clear(ctx, tx, at.Customer, event.AlertEndpointFailing, "The customer was purged, and its endpoints with it."); err != nil {
		return 0, err
	}
	if err := tx.PurgeCustomer(ctx, at.Customer); err != nil {
		return 0, err
	}
	// A message that became a letter meanwhile made a key. A request that waits for the end of the purge keeps its secrets.
	if err := o.destroyKey(ctx, tx, at.Customer, store.Origin{}); err != nil {
		return 0, err
	}
	if err := tx.FinishJob(ctx, at.JobID, at.Purged, 0, ""); err != nil {
		return 0, err
	}
	at.JobID, at.Step = 0, store.OffboardingPurged
	return 0, publishCustomerEvent(ctx, tx, at.Customer, event.CustomerPurged, func(now time.Time) proto.Message {
		return &rollcallv1.CustomerPurged{CustomerId: at.Customer, UserCount: event.Count(at.Purged), PurgedAt: timestamppb.New(now)}
	})
}
