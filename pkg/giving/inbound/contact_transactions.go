package inbound

import (
	"context"
	"fmt"

	"go.uber.org/zap"
	"google.golang.org/protobuf/types/known/timestamppb"

	"rollcall.dev/pkg/event"
	"rollcall.dev/pkg/store"
	rollcallv1 "rollcall.dev/proto/rollcall/v1"
)

// confirmContacts confirms the platform's contacts whose references the records have, in whatever state they are: a transaction that matched a
// contact at Virtuous updates it, and one that did not creates one. Confirmed ones get the contact that their reference means by now.
func (w *work) confirmContacts(ctx context.Context, records []Record, noted []store.PartnerReference) error {
	if len(noted) == 0 {
		return nil
	}
	contacts, err := w.tx.LockContacts(ctx, w.Customer, noted)
	if err != nil {
		return err
	}
	for _, contact := range contacts {
		if contact.Status == statusConfirmed {
			if contact.Had != contact.Has {
				err = w.tx.SetContactOfReference(ctx, w.Customer, contact)
			}
		} else {
			err = w.confirmContact(ctx, records, contact)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (w *work) confirmContact(ctx context.Context, records []Record, contact store.SentContact) error {
	at, confirmed, err := w.tx.ConfirmContact(ctx, w.Customer, contact, w.RecoveryPath)
	if err != nil {
		return err
	}
	if !confirmed {
		return fmt.Errorf("confirm contact %s: %w", contact.ReferenceID, errTransactionChanged)
	}
	if isGivenUp(contact.Status) {
		w.Logger.Warn("contact confirmed although it was given up", zap.String("customer", w.Customer), zap.String("contact", contact.ReferenceID),
			zap.Int64("virtuous_contact_id", contact.Has), zap.String("status", contact.Status))
	}
	for i, record := range records {
		if record.Contact != nil && hasReference(record, contact.ReferenceID) {
			w.outcomes[i].ConfirmedContacts = append(w.outcomes[i].ConfirmedContacts, contact.ReferenceID)
			break
		}
	}
	data := &rollcallv1.ContactConfirmed{
		CustomerId: w.Customer, ReferenceId: contact.ReferenceID, VirtuousContactId: contact.Has, RecoveryPath: w.RecoveryPath, Job: w.Job,
	}
	if at.SubmittedAt != nil {
		data.SubmittedAt = timestamppb.New(*at.SubmittedAt)
	}
	if at.ConfirmedAt != nil {
		data.ConfirmedAt = timestamppb.New(*at.ConfirmedAt)
	}
	return w.addEvent(event.ContactConfirmed, contact.ID, w.now, nil, data)
}

func hasReference(record Record, id string) bool {
	for _, reference := range record.Contact.References {
		if reference.ID == id {
			return true
		}
	}
	return false
}

// isGivenUp reports whether a transaction with this status was not expected to be confirmed any more.
func isGivenUp(status string) bool { return status == "failed" || status == "closed" }
