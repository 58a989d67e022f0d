package givingapi

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"strings"

	"go.uber.org/zap"

	"rollcall.dev/pkg/giving"
	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/pkg/service"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/vault"
)

// Decisions about a donation that needs review.
const (
	decisionRetry = "retry"
	decisionClose = "close"
)

func (a *API) donations(ctx context.Context, question operatorapi.DonationsQuestion) (operatorapi.DonationsReply, error) {
	reply := operatorapi.DonationsReply{Donations: []operatorapi.DonationShown{}}
	if _, err := a.Store.Customer(ctx, question.CustomerID); err != nil {
		return reply, err
	}
	if err := checkState(question.State); err != nil {
		return reply, err
	}
	limit := pageOf(question.Limit)
	found, err := a.Store.Donations(ctx, question.CustomerID, question.State, cmp.Or(question.Before, math.MaxInt64), limit)
	if err != nil {
		return reply, err
	}
	imports, err := a.importsURL(ctx, question.CustomerID)
	if err != nil {
		return reply, err
	}
	for _, one := range found {
		shown := operatorapi.DonationShown{Donation: shownDonation(one)}
		if question.Donors || one.Status == store.DonationNeedsReview {
			if shown.Review, err = a.reviewOf(ctx, question.CustomerID, one, question.Donors); err != nil {
				return reply, err
			}
			if shown.Review != nil {
				shown.Review.ImportsURL = imports
			}
		}
		reply.Donations = append(reply.Donations, shown)
	}
	if len(found) == int(limit) {
		reply.Next = &found[len(found)-1].ID
	}
	return reply, nil
}

// importsURL returns the page on which the customer's staff run imports, nil if it is not known.
func (a *API) importsURL(ctx context.Context, customer string) (*string, error) {
	config, err := a.Store.VirtuousConfig(ctx, customer)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil //nolint:nilnil // it has none
	}
	return unless("", config.ImportsURL), err
}

func (a *API) donation(ctx context.Context, question operatorapi.DonationQuestion) (operatorapi.DonationShown, error) {
	one, err := a.Store.Donation(ctx, question.CustomerID, question.PlatformDonationID, question.ID)
	if err != nil {
		return operatorapi.DonationShown{}, err
	}
	shown := operatorapi.DonationShown{Donation: shownDonation(one)}
	if shown.Review, err = a.reviewOf(ctx, question.CustomerID, one, question.Donors); err != nil || shown.Review == nil {
		return shown, err
	}
	shown.Review.ImportsURL, err = a.importsURL(ctx, question.CustomerID)
	return shown, err
}

// shownDonation returns what of a donation is not sealed.
func shownDonation(one store.DonationRow) operatorapi.Donation {
	return operatorapi.Donation{
		ID: one.ID, PlatformDonationID: one.PlatformID, Status: one.Status, TransactionSource: one.TransactionSource, Attempts: one.Attempts,
		NextAttemptAt: one.NextAttemptAt, AttemptStartedAt: one.AttemptStartedAt, UnansweredSince: one.UnansweredSince, SubmittedAt: one.SubmittedAt,
		Repeated: one.Repeated, LookedUpAt: one.LookedUpAt, NextLookupAt: one.NextLookupAt, ConfirmedAt: one.ConfirmedAt,
		VirtuousGiftID: unless(0, one.GiftID), VirtuousContactID: unless(0, one.ContactID), RecoveryPath: unless("", one.RecoveryPath),
		ReviewReason: unless("", one.ReviewReason), LastError: unless("", one.LastError), CloseReason: unless("", one.CloseReason),
		CreatedAt: one.CreatedAt, StatusAt: one.StatusAt,
	}
}

// reviewOf opens what helps to find a donation in Virtuous. It is nil if the key was destroyed, or cannot be opened now: the rest is shown
// all the same.
func (a *API) reviewOf(ctx context.Context, customer string, one store.DonationRow, withDonor bool) (*operatorapi.DonationReview, error) {
	plain, err := a.Vault.Open(ctx, customer, a.DonationPurpose, one.Sealed)
	if errors.Is(err, vault.ErrKeyGone) || errors.Is(err, vault.ErrUnavailable) || errors.Is(err, vault.ErrForeign) {
		return nil, nil //nolint:nilnil // it cannot be read
	}
	if err != nil {
		return nil, fmt.Errorf("open a donation: %w", err)
	}
	donation, err := giving.DecodeDonation(plain)
	if err != nil {
		return nil, err
	}
	review := &operatorapi.DonationReview{
		PlatformReference: unless("", donation.PlatformReference), MissingSignals: missingSignals(donation.Contact), Decisions: decisionsOf(one.Status),
	}
	if withDonor {
		service.Disclosed(ctx)
		review.Donor = donorOf(donation)
	}
	return review, nil
}

// missingSignals names what Virtuous could have matched the donor by.
func missingSignals(contact giving.Contact) []string {
	missing := []string{}
	for _, signal := range []struct {
		name  string
		isSet bool
	}{
		{"email", contact.Email != ""}, {"phone", contact.Phone != ""}, {"address", contact.Address != giving.Address{}},
		{"referenceId", contact.ReferenceID != ""},
	} {
		if !signal.isSet {
			missing = append(missing, signal.name)
		}
	}
	return missing
}

func decisionsOf(status string) []string {
	switch status {
	case store.DonationNeedsReview, store.DonationFailed:
		return []string{decisionRetry, decisionClose}
	case store.DonationPending:
		return []string{decisionClose}
	}
	return []string{}
}

func donorOf(donation giving.Donation) *operatorapi.Donor {
	contact := donation.Contact
	join := func(separator string, parts ...string) string {
		var given []string
		for _, part := range parts {
			if part != "" {
				given = append(given, part)
			}
		}
		return strings.Join(given, separator)
	}
	at := contact.Address
	return &operatorapi.Donor{
		Name: cmp.Or(contact.Name, join(" ", contact.FirstName, contact.LastName)), Email: contact.Email, Phone: contact.Phone,
		Address: join(", ", at.Address1, at.Address2, at.City, at.State, at.Postal, at.Country), ReferenceID: contact.ReferenceID,
		Amount: donation.Amount, CurrencyCode: donation.CurrencyCode, GiftDate: donation.GiftDate,
	}
}

// retry has a rejected donation, or one that needs review, sent again.
func (a *API) retry(ctx context.Context, question operatorapi.DonationQuestion) (operatorapi.DonationShown, error) {
	one, err := a.Store.Donation(ctx, question.CustomerID, question.PlatformDonationID, question.ID)
	if err != nil {
		return operatorapi.DonationShown{}, err
	}
	changed, err := a.Store.RetryDonation(ctx, question.CustomerID, one)
	if err != nil {
		return operatorapi.DonationShown{}, err
	}
	if !changed {
		return operatorapi.DonationShown{}, &service.ConflictError{
			Text: "the donation is " + one.Status + ": only one that is failed or needs_review is sent again",
		}
	}
	a.Logger.Info("an operator retried a donation", zap.String("customer", question.CustomerID), zap.String("donation", one.PlatformID))
	a.Sent()
	return a.shownAgain(ctx, question.CustomerID, one.ID)
}

// shownAgain returns a donation as it is now, without anything sealed.
func (a *API) shownAgain(ctx context.Context, customer string, id int64) (operatorapi.DonationShown, error) {
	one, err := a.Store.Donation(ctx, customer, "", id)
	return operatorapi.DonationShown{Donation: shownDonation(one)}, err
}
