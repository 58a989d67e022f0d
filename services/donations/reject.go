package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/google/uuid"
	"go.uber.org/zap"

	"rollcall.dev/pkg/event"
	"rollcall.dev/pkg/giving"
	"rollcall.dev/pkg/intake"
	"rollcall.dev/pkg/messageletter"
	"rollcall.dev/pkg/store"
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

// rejection is why a message does not become a donation.
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
	letter := store.DonationLetter{
		ID: uuid.New(), Customer: customer, PlatformID: giving.IDOf(message.Data), PayloadSealed: sealed, Subject: message.Subject,
		Origin: c.origin(message), Job: jobCapture, Code: why.code, Reason: reason, TraceID: event.NewTraceID(),
	}
	done, err := c.customers.Commit(ctx, customer, message, func(ctx context.Context, tx *store.Tx) error {
		added, err := tx.AddDonationLetter(ctx, letter)
		if err != nil || !added {
			return err
		}
		now, err := tx.Now(ctx)
		if err != nil {
			return err
		}
		rejected, err := event.Fact{
			Name: event.DonationRejected, Customer: customer, ID: "donation-rejected-" + letter.Origin, At: now, TraceID: letter.TraceID,
			Data: &rollcallv1.DonationRejected{
				CustomerId: customer, PlatformDonationId: letter.PlatformID, Code: why.event, Errors: why.errs.ListValues(),
				StreamSequence: message.Sequence,
			},
		}.Message()
		if err != nil {
			return err
		}
		return tx.Publish(ctx, rejected)
	})
	if err != nil || !done {
		return err
	}
	c.metrics.message("rejected")
	c.logger.Warn("donation rejected", zap.String("customer", customer), zap.String("code", why.code), zap.Uint64("sequence", message.Sequence),
		zap.Stringer("letter_id", letter.ID))
	return nil
}
