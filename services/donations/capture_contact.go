package main

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"time"

	"go.uber.org/zap"

	"rollcall.dev/pkg/deadletter"
	"rollcall.dev/pkg/giving"
	"rollcall.dev/pkg/intake"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/telemetry"
)

const codeContactInvalid = "contact_invalid"

// What became of a valid contact, besides captured and repeated.
const (
	outcomeKnown    = "known"    // Virtuous has the contact: it is compared, and nothing is sent
	outcomeObsolete = "obsolete" // a newer version was accepted before
)

// captureContact stores a message's version of a contact, if it is the newest. It is idempotent by the contact's reference and content.
func (c *capturer) captureContact(ctx context.Context, message intake.Message) error {
	customer, settings, ok, err := c.settingsFor(ctx, message)
	if err != nil || !ok {
		return err
	}
	contact, errs := giving.ParseContact(message.Data, customer, message.Published)
	if len(errs) > 0 {
		return c.reject(ctx, customer, message, rejection{code: codeContactInvalid, event: eventInvalid, errs: errs})
	}
	one, err := c.sealContact(ctx, contact, settings)
	if err != nil {
		return err
	}
	one.PublishedAt = message.Published
	return c.saveContact(ctx, message, one)
}

// sealContact returns the contact as it is stored: canonical form, transaction and hash.
func (c *capturer) sealContact(ctx context.Context, contact giving.PartnerContact, settings store.CaptureSettings) (store.CapturedContact, error) {
	one := store.CapturedContact{
		Customer: contact.CustomerID, Reference: store.Reference{Source: strings.ToLower(strings.TrimSpace(settings.TransactionSource)), ID: contact.ReferenceID},
		TransactionSource: settings.TransactionSource, ModifiedAt: given(contact.ModifiedAt), TraceID: telemetry.TraceParent(ctx),
	}
	canonical, err := contact.Encode()
	if err != nil {
		return one, err
	}
	body, err := contact.Transaction(settings.TransactionSource)
	if err != nil {
		return one, err
	}
	key, err := c.keyOf(ctx, one.Customer, settings)
	if err != nil {
		return one, err
	}
	hashKey, err := key.HashKey()
	if err != nil {
		return one, err
	}
	one.ContentHash = giving.ContactHash(hashKey, canonical)
	if one.PartnerSealed, err = key.Seal(giving.PurposePartnerContact, canonical); err != nil {
		return one, fmt.Errorf("seal the contact: %w", err)
	}
	if one.BodySealed, err = key.Seal(giving.PurposeContactTransaction, body); err != nil {
		return one, fmt.Errorf("seal the transaction: %w", err)
	}
	return one, nil
}

// given returns a time that a message names, nil if it names none.
func given(at time.Time) *time.Time {
	if at.IsZero() {
		return nil
	}
	return &at
}

// saveContact stores the version, unless a newer one is known, and settles the letters of earlier messages with its reference.
func (c *capturer) saveContact(ctx context.Context, message intake.Message, one store.CapturedContact) error {
	var outcome string
	done, err := c.customers.Commit(ctx, one.Customer, message, func(ctx context.Context, tx *store.Tx) error {
		status, err := tx.CaptureContact(ctx, one, c.origin(message))
		if err != nil || status != "" {
			outcome = outcomeOf(outcomeCaptured, status)
			return err
		}
		if outcome, err = replaceContact(ctx, tx, one); err != nil {
			return err
		}
		return tx.SettleTransactionLetters(ctx, one.Customer, deadletter.KindContact, one.Reference.ID, c.origin(message))
	})
	if err != nil || !done {
		return err
	}
	c.metrics.contactMessage(outcome)
	c.logger.Info("contact "+outcome, zap.String("customer", one.Customer), zap.String("contact", one.Reference.ID),
		zap.Uint64("sequence", message.Sequence))
	c.wake()
	return nil
}

// outcomeOf returns what became of a version: that of a confirmed contact is not sent.
func outcomeOf(outcome, status string) string {
	if status == store.DonationConfirmed {
		return outcomeKnown
	}
	return outcome
}

// replaceContact compares the version with the one that is known of its reference, and takes its place if it is newer.
func replaceContact(ctx context.Context, tx *store.Tx, one store.CapturedContact) (outcome string, err error) {
	known, err := tx.LockContactVersion(ctx, one.Customer, one.Reference)
	switch {
	case err != nil:
		return "", err
	case bytes.Equal(known.ContentHash, one.ContentHash):
		return outcomeRepeated, nil
	case !giving.VersionTime{ModifiedAt: one.ModifiedAt, PublishedAt: one.PublishedAt}.IsNewerThan(
		giving.VersionTime{ModifiedAt: known.ModifiedAt, PublishedAt: known.PublishedAt}):
		return outcomeObsolete, nil
	}
	status, err := tx.ReplaceContactVersion(ctx, known.ID, one)
	return outcomeOf(outcomeReplaced, status), err
}
