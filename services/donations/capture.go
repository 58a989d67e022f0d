package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"go.uber.org/zap"

	"rollcall.dev/pkg/connector"
	"rollcall.dev/pkg/deadletter"
	"rollcall.dev/pkg/giving"
	"rollcall.dev/pkg/intake"
	"rollcall.dev/pkg/messageletter"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/telemetry"
	"rollcall.dev/pkg/vault"
	rollcallv1 "rollcall.dev/proto/rollcall/v1"
)

// Purposes for which the parts of a donation are sealed.
const (
	purposeDonation    = "donation"
	purposeTransaction = giving.PurposeTransaction
)

// capturer stores the donations and contacts of messages.
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
	zones    zones
	wake     func()
}

// capture stores a message's donation. It is idempotent by the donation's id and content.
func (c *capturer) capture(ctx context.Context, message intake.Message) error {
	customer, settings, ok, err := c.settingsFor(ctx, message)
	if err != nil || !ok {
		return err
	}
	donation, errs := giving.Parse(message.Data, customer, c.zones.of(settings.TimeZone))
	if len(errs) > 0 {
		return c.reject(ctx, customer, message, rejection{code: codeInvalid, event: eventInvalid, errs: errs})
	}
	one, err := c.seal(ctx, donation, settings)
	if err != nil {
		return err
	}
	if errs, err = c.checkProjects(ctx, donation, &one); err != nil {
		return err
	}
	if len(errs) > 0 {
		return c.reject(ctx, customer, message, rejection{code: codeInvalid, event: eventInvalid, errs: errs})
	}
	return c.save(ctx, message, one)
}

// settingsFor returns the customer of a message, and what its donations and contacts are captured with. ok is false if the message is dealt with: its
// customer is not onboarded, or has no giving.
func (c *capturer) settingsFor(ctx context.Context, message intake.Message) (customer string, settings store.CaptureSettings, ok bool, err error) {
	if customer, ok, err = c.customers.NamedBy(ctx, message); err != nil || !ok {
		return customer, settings, false, err
	}
	settings, err = c.store.CaptureSettings(ctx, customer)
	if errors.Is(err, store.ErrNotFound) {
		c.customers.Discard(customer, message)
		return customer, settings, false, nil
	}
	if err != nil {
		return customer, settings, false, err
	}
	settings.TransactionSource = cmp.Or(settings.TransactionSource, c.source)
	if !settings.HasGiving || settings.TransactionSource == "" {
		errs := rollcallv1.FieldErrors{}
		errs.Add("customerId", "is a customer without giving: onboard it with virtuous, and then retry the letter")
		return customer, settings, false, c.reject(ctx, customer, message, rejection{code: codeOff, event: eventInvalid, errs: errs})
	}
	return customer, settings, true, nil
}

// keyOf opens the data key that was read with the settings.
func (c *capturer) keyOf(ctx context.Context, customer string, settings store.CaptureSettings) (vault.CustomerKey, error) {
	key, err := c.vault.KeyFrom(ctx, customer, store.SealedKey{KeyID: settings.KeyID, Sealed: settings.SealedKey})
	if err != nil {
		return key, fmt.Errorf("open customer's key: %w", err)
	}
	return key, nil
}

// seal returns the donation as it is stored: canonical form, transaction and hash.
func (c *capturer) seal(ctx context.Context, donation giving.Donation, settings store.CaptureSettings) (store.CapturedDonation, error) {
	one := store.CapturedDonation{
		Customer: donation.CustomerID, PlatformID: donation.PlatformDonationID, TransactionSource: settings.TransactionSource, TraceID: telemetry.TraceParent(ctx),
	}
	canonical, err := donation.Encode()
	if err != nil {
		return one, err
	}
	body, err := donation.Transaction(giving.Settings{
		TransactionSource: settings.TransactionSource, DesignationsField: settings.DesignationsField, Defaults: settings.Defaults,
	})
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
	outcome, done := outcomeCaptured, true
	added, err := c.store.CaptureDonation(ctx, one, c.origin(message))
	if err == nil && !added {
		done, err = c.customers.Commit(ctx, one.Customer, message, func(ctx context.Context, tx *store.Tx) (err error) {
			if outcome, err = compare(ctx, tx, one); err != nil || outcome == outcomeDiffers {
				return err
			}
			return tx.SettleTransactionLetters(ctx, one.Customer, deadletter.KindDonation, one.PlatformID, c.origin(message))
		})
	}
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

// compare compares the donation with the one that has its id, and takes its place if that one is over.
func compare(ctx context.Context, tx *store.Tx, one store.CapturedDonation) (outcome string, err error) {
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

// zones keeps the time zones that were loaded: loading one reads a file.
type zones struct{ loaded sync.Map }

// of returns an organization's time zone, UTC if the onboarding did not know it either.
func (z *zones) of(name string) *time.Location {
	if zone, ok := z.loaded.Load(name); ok {
		return zone.(*time.Location) //nolint:forcetypeassert // nothing else is stored
	}
	zone, err := time.LoadLocation(name)
	if err != nil {
		return time.UTC
	}
	z.loaded.Store(name, zone)
	return zone
}
