package main

import (
	"context"
	"errors"

	"go.uber.org/zap"

	"rollcall.dev/pkg/giving"
	"rollcall.dev/pkg/intake"
	"rollcall.dev/pkg/store"
	rollcallv1 "rollcall.dev/proto/rollcall/v1"
	"rollcall.dev/services/donations/internal/applied"
)

// Codes of the letters and events about messages that say what a platform applied.
const (
	codeAppliedInvalid = "applied_invalid"
	codeAppliedUnknown = "applied_unknown"
)

// What became of a valid message of this kind.
const (
	outcomeApplied = "applied"
	outcomeNothing = "nothing_waited" // settled before, or never different
)

// captureApplied settles what a message says that the platform applied. The same message again finds nothing that waits.
func (c *capturer) captureApplied(ctx context.Context, message intake.Message) error {
	customer, _, ok, err := c.settingsFor(ctx, message)
	if err != nil || !ok {
		return err
	}
	what, errs := giving.ParseApplied(message.Data, customer)
	if len(errs) > 0 {
		return c.reject(ctx, customer, message, rejection{code: codeAppliedInvalid, event: codeAppliedInvalid, errs: errs})
	}
	var fields []string
	done, err := c.customers.Commit(ctx, customer, message, func(ctx context.Context, tx *store.Tx) (err error) {
		fields, err = applied.Settle(ctx, tx, customer, what)
		return err
	})
	if errors.Is(err, applied.ErrUnknown) {
		return c.reject(ctx, customer, message, rejection{code: codeAppliedUnknown, event: codeAppliedUnknown, errs: unknownContact(what)})
	}
	if err != nil || !done {
		return err
	}
	outcome := outcomeApplied
	if len(fields) == 0 {
		outcome = outcomeNothing
	}
	c.metrics.contactMessage(outcome)
	c.logger.Info("contact applied by the platform", zap.String("customer", customer), zap.String("contact", what.ReferenceID),
		zap.Int64("virtuous_contact_id", what.VirtuousContactID), zap.Strings("fields", fields), zap.Uint64("sequence", message.Sequence))
	return nil
}

func unknownContact(what giving.Applied) rollcallv1.FieldErrors {
	errs := rollcallv1.FieldErrors{}
	if what.ReferenceID != "" {
		errs.Add("referenceId", "is of no contact that the platform published: give the id that the event contact.differs has")
	} else {
		errs.Add("virtuousContactId", "is no contact of the platform: give the id that the event contact.differs has, or referenceId")
	}
	return errs
}
