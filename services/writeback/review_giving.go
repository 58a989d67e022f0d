package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"google.golang.org/protobuf/types/known/timestamppb"

	"rollcall.dev/pkg/event"
	"rollcall.dev/pkg/giving/inbound"
	"rollcall.dev/pkg/giving/resolution"
	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/pkg/service"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/telemetry"
	rollcallv1 "rollcall.dev/proto/rollcall/v1"
)

// explainGiving returns what is wrong with a contact or gift, and what the decisions do; "" for another reason.
func explainGiving(reason string) (text, remedy string) {
	const (
		takePartner  = "take-partner writes the platform's value to Virtuous. "
		takeVirtuous = "take-virtuous keeps Virtuous' value, and the platform gets an event to take it. "
		dismiss      = "dismiss leaves both as they are, until one of them changes. "
		command      = "Decide with rollcall review resolve <customer> <id> <decision>."
	)
	switch reason {
	case resolution.ReasonPartnerChange:
		return "The platform changed a field of a contact, and by the customer's rules Virtuous is right. Nothing was written.",
			"See both values with rollcall review show <customer> <id>. " + takePartner + takeVirtuous + dismiss + command
	case resolution.ReasonNoRule:
		return "Both sides have another value of a field, and the customer's rules do not say which is right: the field has no owner, or it is not known which " +
				"side changed last.",
			"See both values with rollcall review show <customer> <id>. " + takePartner + takeVirtuous + dismiss + command
	case resolution.ReasonTurns:
		return "Both sides kept changing a field back within a day, so rollcall stopped writing it.",
			"Find out which system changes the field by itself, and have it stop. " + takePartner + takeVirtuous + dismiss + command
	case resolution.ReasonDuplicate:
		return "The platform's address cannot be written to the contact: another contact of Virtuous has it, which rollcall review show names as otherContact.",
			"If the two contacts are one person, merge them in Virtuous; otherwise correct the address on the wrong side. Then " + takePartner + takeVirtuous +
				dismiss + command
	case resolution.ReasonRejected:
		return "Virtuous rejected the platform's value of a field.",
			"Correct the value on the platform, which compares it again. Or have Virtuous accept it; then " + takePartner + takeVirtuous + dismiss + command
	case resolution.ReasonCannotWrite:
		return "The platform's value is to be written to Virtuous, and rollcall cannot write this field of this contact, such as the name of an organization.",
			"Enter the platform's value in Virtuous by hand: rollcall notices it. " + takeVirtuous + dismiss + command
	case inbound.ReasonGiftDiffers:
		return "A gift differs from the donation that became it, and the customer's rules do not say that Virtuous is right. The donation is confirmed.",
			"See both values with rollcall review show <customer> <id>. If the donation is right, have the gift corrected in Virtuous, which ends this item: " +
				"rollcall writes no gifts. take-virtuous has the platform take the gift's values by an event, and dismiss leaves both as they are. " + command
	}
	return "", ""
}

// errOutdated means that an item is about a difference that is none any more.
var errOutdated = errors.New("the item is outdated")

// decideContact has the reconciler carry out a decision about a contact's field, which it does at its next look, or leaves both sides as they are.
func decideContact(ctx context.Context, tx *store.Tx, item store.ReviewItem, decision string) error {
	difference, virtuousID, err := lockConflict(ctx, tx, item)
	if err != nil {
		return err
	}
	if err := settle(ctx, tx, item, decision); err != nil {
		return err
	}
	if decision != store.DifferenceDismiss {
		_, err := tx.DecideContactDifference(ctx, item.Customer, difference, decision)
		return err
	}
	if _, err := tx.DismissContactDifference(ctx, item.Customer, difference); err != nil {
		return err
	}
	return tx.SetContactSyncState(ctx, item.Customer, virtuousID)
}

// lockConflict locks the contact that an item is about, before the item itself: a comparison locks in this order, too. It returns the difference, and
// the contact's id at Virtuous. errOutdated if there is nothing to decide any more.
func lockConflict(ctx context.Context, tx *store.Tx, item store.ReviewItem) (difference store.ContactDifference, virtuousID int64, err error) {
	// What is applied to the customer's contacts locks the same rows in another order, so that it must come before or after. Without giving,
	// nothing is applied.
	if _, err := tx.LockInbound(ctx, item.Customer); err != nil && !errors.Is(err, store.ErrNotFound) {
		return difference, 0, err
	}
	if difference, err = tx.ContactDifference(ctx, item.Customer, item.SourceID); err != nil {
		return difference, 0, outdatedIfUnknown(err)
	}
	contact, err := tx.LockContact(ctx, item.Customer, difference.ContactID)
	if err != nil {
		return difference, 0, outdatedIfUnknown(err)
	}
	// The difference may have changed until the contact was locked.
	if difference, err = tx.ContactDifference(ctx, item.Customer, item.SourceID); err != nil {
		return difference, 0, outdatedIfUnknown(err)
	}
	if difference.State != store.DifferenceConflict {
		return difference, 0, errOutdated
	}
	return difference, contact.VirtuousContactID, nil
}

// decideGift returns what settles an item about a gift with these details. rollcall writes no gifts: the platform takes the gift's values, or both sides
// stay as they are.
func decideGift(details []operatorapi.ReviewDetail) func(ctx context.Context, tx *store.Tx, item store.ReviewItem, decision string) error {
	return func(ctx context.Context, tx *store.Tx, item store.ReviewItem, decision string) error {
		id, err := strconv.ParseInt(item.RecordID, 10, 64)
		if err != nil {
			return fmt.Errorf("read the gift's id: %w", err)
		}
		if _, err := tx.LockInbound(ctx, item.Customer); err != nil && !errors.Is(err, store.ErrNotFound) { // as for contacts
			return err
		}
		changed, err := tx.SetGiftSyncState(ctx, item.Customer, id, store.GiftConflict, store.GiftInSync)
		if err != nil {
			return err
		}
		if !changed {
			return errOutdated
		}
		if err := settle(ctx, tx, item, decision); err != nil || decision != store.DifferenceTakeVirtuous {
			return err
		}
		return publishGift(ctx, tx, item, id, details)
	}
}

// publishGift has the platform read the gift: the event is that of a gift whose fields changed.
func publishGift(ctx context.Context, tx *store.Tx, item store.ReviewItem, id int64, details []operatorapi.ReviewDetail) error {
	gift, err := tx.Gift(ctx, item.Customer, id)
	if err != nil {
		return err
	}
	now, err := tx.Now(ctx)
	if err != nil {
		return err
	}
	data := &rollcallv1.GiftChanged{
		CustomerId: item.Customer, VirtuousGiftId: id, VirtuousContactId: gift.ContactID, PlatformDonationId: gift.PlatformDonationID, State: gift.State,
		Job: jobReview,
	}
	for _, detail := range details {
		data.ChangedFields = append(data.ChangedFields, detail.Field)
	}
	if gift.ModifiedAt != nil {
		data.ModifiedAt = timestamppb.New(*gift.ModifiedAt)
	}
	message, err := event.Fact{
		Name: event.GiftUpdated, Customer: item.Customer, ID: fmt.Sprintf("gift-review-%s-%d", item.Customer, item.ID), At: now, TraceID: telemetry.TraceParent(ctx),
		Data: data,
	}.Message()
	if err != nil {
		return err
	}
	return tx.Publish(ctx, message)
}

// jobReview is the job in events that a person's decision causes.
const jobReview = "review"

func outdatedIfUnknown(err error) error {
	if errors.Is(err, store.ErrNotFound) {
		return errOutdated
	}
	return err
}

// outdated is the answer to a decision about an item that is about nothing any more.
func outdated(item store.ReviewItem) error {
	return &service.ConflictError{Text: fmt.Sprintf(
		"item %d is superseded: the two sides are not in conflict any more. See where the %s stands: rollcall record %s %s %s",
		item.ID, item.Kind, item.Customer, item.Kind, item.RecordID)}
}
