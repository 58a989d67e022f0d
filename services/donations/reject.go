package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"go.uber.org/zap"

	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/deadletter"
	"rollcall.dev/pkg/event"
	"rollcall.dev/pkg/giving"
	"rollcall.dev/pkg/intake"
	"rollcall.dev/pkg/messageletter"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/telemetry"
	rollcallv1 "rollcall.dev/proto/rollcall/v1"
)

// Codes of letters, and of the event about a rejection.
const (
	codeOff      = "giving_off"
	codeInvalid  = "donation_invalid"
	codeDiffers  = "donation_differs"
	eventInvalid = "invalid"
)

// maxReason limits the text of a letter: a message may have many wrong fields.
const maxReason = 1000

// rejection is why a message does not become a donation or contact, or settles nothing.
type rejection struct {
	code  string // the letter's
	event string // the event's
	errs  rollcallv1.FieldErrors
}

// reject makes a letter and an event of a message. The same message again would have the same result, so it is not retried.
func (c *capturer) reject(ctx context.Context, customer string, message intake.Message, why rejection) error {
	sealed, err := c.vault.Seal(ctx, customer, messageletter.PurposePayload, message.Data)
	if err != nil {
		return fmt.Errorf("seal the message: %w", err)
	}
	reason := why.errs.Error()
	if len(reason) > maxReason {
		reason = strings.ToValidUTF8(reason[:maxReason], "") + "…"
	}
	letter := store.TransactionLetter{
		ID: uuid.New(), Kind: deadletter.KindDonation, Customer: customer, PlatformID: giving.IDOf(message.Data), PayloadSealed: sealed,
		Subject: message.Subject, Origin: c.origin(message), Job: jobCapture, Code: why.code, Reason: reason, TraceID: telemetry.TraceParent(ctx),
	}
	reference := giving.ReferenceOf(message.Data)
	switch {
	case bus.IsContact(message.Subject):
		letter.Kind, letter.PlatformID = deadletter.KindContact, reference
	case bus.IsApplied(message.Subject):
		// It is no contact, and must not take the place of the letter of a contact with this reference.
		letter.Kind, letter.PlatformID = deadletter.KindMessage, ""
	}
	done, err := c.customers.Commit(ctx, customer, message, func(ctx context.Context, tx *store.Tx) error {
		added, err := tx.AddTransactionLetter(ctx, letter)
		if err != nil || !added {
			return err
		}
		now, err := tx.Now(ctx)
		if err != nil {
			return err
		}
		rejected, err := rejectedEvent(letter, why, now, message.Sequence, reference).Message()
		if err != nil {
			return err
		}
		return tx.Publish(ctx, rejected)
	})
	if err != nil || !done {
		return err
	}
	if letter.Kind == deadletter.KindDonation {
		c.metrics.message("rejected")
	} else {
		c.metrics.contactMessage("rejected")
	}
	c.logger.Warn(letter.Kind+" rejected", zap.String("customer", customer), zap.String("code", why.code), zap.Uint64("sequence", message.Sequence),
		zap.Stringer("letter_id", letter.ID))
	return nil
}

// rejectedEvent is the event that a message did not become a donation or contact, or settled nothing of a contact. reference is the contact's.
func rejectedEvent(letter store.TransactionLetter, why rejection, at time.Time, sequence uint64, reference string) event.Fact {
	fact := event.Fact{Customer: letter.Customer, ID: letter.Kind + "-rejected-" + letter.Origin, At: at, TraceID: letter.TraceID}
	if letter.Kind != deadletter.KindDonation {
		if letter.Kind == deadletter.KindMessage && why.event == eventInvalid {
			why.event = codeAppliedInvalid
		}
		fact.Name = event.ContactRejected
		fact.Data = &rollcallv1.ContactRejected{
			CustomerId: letter.Customer, ReferenceId: reference, Code: why.event, Errors: why.errs.ListValues(), StreamSequence: sequence,
		}
		return fact
	}
	fact.Name = event.DonationRejected
	fact.Data = &rollcallv1.DonationRejected{
		CustomerId: letter.Customer, PlatformDonationId: letter.PlatformID, Code: why.event, Errors: why.errs.ListValues(), StreamSequence: sequence,
	}
	return fact
}
