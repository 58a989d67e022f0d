package record

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"

	"rollcall.dev/pkg/store"
)

// Lookup is what Virtuous answered. Its Outcome is one of operatorapi's.
type Lookup struct {
	Outcome string
	Reason  string // why it was not asked, or what was unclear
	At      time.Time
	ID      int64    // of the record that was found
	Changed []string // fields in which it is not what is stored
}

// Delivered is what deliveries that are not applied have of a record. They are sealed: the caller opens them.
type Delivered struct {
	WaitsSince *time.Time // a part that waits
	Letter     *uuid.UUID // of a part that could not be applied
	LetterAt   time.Time
	LetterCode string
}

// Customer is what is known of a record's customer.
type Customer struct {
	store.Customer

	Giving *store.VirtuousConfig // nil: it has none
	Hold   *store.GivingHold     // nil: there is none
	Now    time.Time
}

// CustomerOf reads a customer; store.ErrNotFound if it is not known.
func CustomerOf(ctx context.Context, from store.Conn, id string) (Customer, error) {
	known, err := from.Customer(ctx, id)
	if err != nil {
		return Customer{}, err
	}
	customer := Customer{Customer: known}
	if customer.Now, err = from.Now(ctx); err != nil {
		return customer, err
	}
	if customer.Giving, err = optional(from.VirtuousConfig(ctx, id)); err != nil {
		return customer, err
	}
	customer.Hold, err = optional(from.GivingHoldNow(ctx, id))
	return customer, err
}

// NotAsked returns why Virtuous is not asked about a customer's records; "" if it may be.
func (c Customer) NotAsked() string {
	switch {
	case c.OffboardedAt != nil:
		return "the customer was offboarded"
	case c.PausedAt != nil:
		return "the customer is paused"
	case c.Giving == nil:
		return "the customer has no giving"
	case !c.Giving.Enabled && c.Giving.DisabledReason == store.GivingRemoved:
		return "giving was removed from the customer"
	case !c.Giving.Enabled:
		return "Virtuous rejected the customer's API key"
	case c.Hold != nil:
		return "the customer's giving is held (" + c.Hold.Reason + ") until " + moment(c.Hold.Until)
	}
	return ""
}

func moment(at time.Time) string { return at.UTC().Format("2006-01-02 15:04:05 UTC") }

// optional returns nil for a row that there is not.
func optional[Row any](row Row, err error) (*Row, error) {
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil //nolint:nilnil // there is none
	}
	if err != nil {
		return nil, err
	}
	return &row, nil
}

// Gift is what is stored of a donation, of a gift, or of both.
type Gift struct {
	Customer Customer
	ID       string // as it was asked for
	FoundAs  string // "": it is not known here

	Donation        *store.DonationRow
	Attempts        []store.AttemptEntry
	ProjectsChecked bool
	ImportWasRun    bool // another donation of its day is confirmed

	Row    *store.GiftRow
	Stored *store.PartnerGift // the same gift, with its version

	Actions   []store.ReconciliationAction
	Letters   []store.TracedLetter
	Deletions []store.TracedDeletion
	Acts      []store.Act
	Delivered
}

// loadGift adds the gift of an id, if it is known.
func (g *Gift) loadGift(ctx context.Context, from store.Conn, id int64) (err error) {
	if g.Row, err = optional(from.Gift(ctx, g.Customer.ID, id)); err != nil || g.Row == nil {
		return err
	}
	stored, err := from.PartnerGifts(ctx, g.Customer.ID, []int64{id})
	if err == nil && len(stored) > 0 {
		g.Stored = &stored[0]
	}
	return err
}

// loadDonation adds the donation with the platform's id, if it is known.
func (g *Gift) loadDonation(ctx context.Context, from store.Conn, platformID string) (err error) {
	if g.Donation, err = optional(from.Donation(ctx, g.Customer.ID, platformID, 0)); err != nil || g.Donation == nil {
		return err
	}
	if g.Attempts, g.ProjectsChecked, err = from.DonationAttempts(ctx, g.Customer.ID, g.Donation.ID); err != nil {
		return err
	}
	g.ImportWasRun, err = g.Customer.importWasRun(ctx, from, store.DonationTransaction, g.Donation.SubmittedAt)
	return err
}

// GiftID returns the gift's id at Virtuous, 0 if none is known.
func (g *Gift) GiftID() int64 {
	switch {
	case g.Row != nil:
		return g.Row.ID
	case g.Donation != nil:
		return g.Donation.GiftID
	}
	return 0
}

// PlatformID returns the platform's id of the donation, "" if the gift is of none.
func (g *Gift) PlatformID() string {
	switch {
	case g.Donation != nil:
		return g.Donation.PlatformID
	case g.Row != nil:
		return g.Row.PlatformDonationID
	case g.FoundAs == "":
		return g.ID
	}
	return ""
}

// loadHistory adds what the logs have of the record.
func (g *Gift) loadHistory(ctx context.Context, from store.Conn) (err error) {
	customer, platformID := g.Customer.ID, g.PlatformID()
	if g.Actions, err = from.ReconciliationsOf(ctx, customer, platformID, g.GiftID(), "donation", "gift"); err != nil {
		return err
	}
	if id := g.GiftID(); id != 0 {
		if g.Deletions, err = from.GiftDeletionsOf(ctx, customer, id); err != nil {
			return err
		}
	}
	if platformID == "" {
		return nil
	}
	if g.Letters, err = from.LettersOf(ctx, customer, platformID, "donation"); err != nil {
		return err
	}
	g.Acts, err = from.ActsOf(ctx, customer, platformID, []string{"platformDonationId", "recordId"}, []string{"donations", "record"})
	return err
}
