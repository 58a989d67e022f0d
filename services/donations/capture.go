package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"

	"rollcall.dev/pkg/connector"
	"rollcall.dev/pkg/event"
	"rollcall.dev/pkg/giving"
	"rollcall.dev/pkg/intake"
	"rollcall.dev/pkg/messageletter"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/vault"
	rollcallv1 "rollcall.dev/proto/rollcall/v1"
)

// Purposes for which the parts of a donation are sealed.
const (
	purposeDonation    = "donation"
	purposeTransaction = giving.PurposeTransaction
)

// capturer stores the donations of messages.
type capturer struct {
	store     *store.Store
	vault     *vault.Vault
	customers *intake.Customers
	logger    *zap.Logger
	metrics   *metrics
	// projects are checked before a donation is stored.
	projects *projects
	virtuous *connector.Virtuous
	source   string // the transaction source of customers that name none of their own
	wake     func()
}

// capture stores a message's donation. It is idempotent by the donation's id and content.
func (c *capturer) capture(ctx context.Context, message intake.Message) error {
	customer, ok, err := c.customers.Of(ctx, message)
	if err != nil || !ok {
		return err
	}
	config, err := c.store.VirtuousConfig(ctx, customer)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	source := cmp.Or(config.TransactionSource, c.source)
	if err != nil || config.DisabledReason == store.GivingRemoved || source == "" {
		errs := rollcallv1.FieldErrors{}
		errs.Add("customerId", "is a customer without giving: onboard it with virtuous, and then retry the letter")
		return c.reject(ctx, customer, message, rejection{code: codeOff, event: eventInvalid, errs: errs})
	}
	donation, errs := giving.Parse(message.Data, customer, zoneOf(config.TimeZone))
	if len(errs) > 0 {
		return c.reject(ctx, customer, message, rejection{code: codeInvalid, event: eventInvalid, errs: errs})
	}
	one, err := c.seal(ctx, donation, giving.Settings{
		TransactionSource: source, DesignationsField: config.DesignationsField, Defaults: config.Defaults,
	})
	if err != nil {
		return err
	}
	if errs, err = c.checkProjects(ctx, config, donation, &one); err != nil {
		return err
	}
	if len(errs) > 0 {
		return c.reject(ctx, customer, message, rejection{code: codeInvalid, event: eventInvalid, errs: errs})
	}
	return c.save(ctx, message, one)
}

// zoneOf returns the organization's time zone, UTC if the onboarding did not know it either.
func zoneOf(name string) *time.Location {
	zone, err := time.LoadLocation(name)
	if err != nil {
		return time.UTC
	}
	return zone
}

// seal returns the donation as it is stored: canonical form, transaction and hash.
func (c *capturer) seal(ctx context.Context, donation giving.Donation, settings giving.Settings) (store.CapturedDonation, error) {
	one := store.CapturedDonation{
		Customer: donation.CustomerID, PlatformID: donation.PlatformDonationID, TransactionSource: settings.TransactionSource, TraceID: event.NewTraceID(),
	}
	canonical, err := donation.Encode()
	if err != nil {
		return one, err
	}
	body, err := donation.Transaction(settings)
	if err != nil {
		return one, err
	}
	key, err := c.vault.EnsureKey(ctx, one.Customer)
	if err != nil {
		return one, fmt.Errorf("open customer's key: %w", err)
	}
	hashKey, err := key.HashKey()
	if err != nil {
		return one, err
	}
	one.ContentHash = giving.ContentHash(hashKey, canonical)
	if one.DonationSealed, err = key.Seal(purposeDonation, canonical); err != nil {
		return one, fmt.Errorf("seal the donation: %w", err)
	}
	if one.BodySealed, err = key.Seal(purposeTransaction, body); err != nil {
		return one, fmt.Errorf("seal the transaction: %w", err)
	}
	return one, nil
}

// save stores the donation, unless it is known, and settles the letters of earlier messages with its id.
func (c *capturer) save(ctx context.Context, message intake.Message, one store.CapturedDonation) error {
	outcome := outcomeCaptured
	done, err := c.customers.CommitBeside(ctx, one.Customer, message, func(ctx context.Context, tx *store.Tx) (err error) {
		if outcome, err = addOrCompare(ctx, tx, one); err != nil || outcome == outcomeDiffers {
			return err
		}
		return tx.SettleDonationLetters(ctx, one.Customer, one.PlatformID, c.origin(message))
	})
	switch {
	case err != nil || !done:
		return err
	case outcome == outcomeDiffers:
		errs := rollcallv1.FieldErrors{}
		errs.Add("platformDonationId", "is the id of a donation with another content, which stays as it is")
		return c.reject(ctx, one.Customer, message, rejection{code: codeDiffers, event: codeDiffers, errs: errs})
	}
	c.metrics.message(outcome)
	c.logger.Info("donation "+outcome, zap.String("customer", one.Customer), zap.String("donation", one.PlatformID),
		zap.Uint64("sequence", message.Sequence))
	c.wake()
	return nil
}

// What became of a valid message.
const (
	outcomeCaptured = "captured"
	outcomeRepeated = "repeated"
	outcomeReplaced = "replaced"
	outcomeDiffers  = "differs"
)

// addOrCompare adds the donation, or compares it with the one that has its id.
func addOrCompare(ctx context.Context, tx *store.Tx, one store.CapturedDonation) (outcome string, err error) {
	added, err := tx.AddDonation(ctx, one)
	if err != nil || added {
		return outcomeCaptured, err
	}
	known, err := tx.LockDonation(ctx, one.Customer, one.PlatformID)
	switch {
	case err != nil:
		return "", err
	case bytes.Equal(known.ContentHash, one.ContentHash):
		return outcomeRepeated, nil
	}
	replaced, err := tx.ReplaceDonation(ctx, known.ID, one)
	if err != nil || replaced {
		return outcomeReplaced, err
	}
	return outcomeDiffers, nil
}

func (c *capturer) origin(message intake.Message) string {
	return messageletter.OriginOf(message.Stream, message.Created, message.Sequence)
}
