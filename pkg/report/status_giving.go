package report

import (
	"context"
	"errors"
	"fmt"
	"time"

	"rollcall.dev/pkg/event"
	"rollcall.dev/pkg/store"
)

// Giving says how the customer's donations stand.
type Giving struct {
	Enabled          bool       `json:"enabled"`
	DisabledReason   *string    `json:"disabledReason"` // "auth_failed" or "removed"; null if enabled, or if it was never set up
	OnboardedAt      *time.Time `json:"onboardedAt"`
	OrganizationName *string    `json:"organizationName"` // as Virtuous has it
	Pending          int64      `json:"pending"`          // captured, and not accepted by Virtuous yet
	PendingSince     *time.Time `json:"pendingSince"`     // the oldest
	Submitted        int64      `json:"submitted"`        // accepted, and not a gift yet
	SubmittedSince   *time.Time `json:"submittedSince"`
	NeedsReview      int64      `json:"needsReview"`
	Failed           int64      `json:"failed"`
	Conflict         int64      `json:"conflict"`
	LastWebhookAt    *time.Time `json:"lastWebhookAt"`
	LastReconciledAt *time.Time `json:"lastReconciledAt"`

	Contacts GivingContacts `json:"contacts"`
}

// GivingContacts says how the platform's contacts stand on their way into Virtuous.
type GivingContacts struct {
	Pending      int64      `json:"pending"`
	PendingSince *time.Time `json:"pendingSince"`
	Submitted    int64      `json:"submitted"`
	NeedsReview  int64      `json:"needsReview"`
	Failed       int64      `json:"failed"`
}

// contactsLateAfter is how long a contact may be submitted; the status does not show those that are late.
const contactsLateAfter = 24 * time.Hour

func addGiving(ctx context.Context, from *store.Store, status *Status, facts *healthFacts) error {
	config, err := from.VirtuousConfig(ctx, status.CustomerID)
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	counts, err := from.CountDonations(ctx, status.CustomerID)
	if err != nil {
		return err
	}
	contacts, err := from.ContactFigures(ctx, status.CustomerID, contactsLateAfter)
	if err != nil {
		return err
	}
	facts.giving, facts.contacts = &counts, contacts
	status.Giving = Giving{
		Enabled: config.Enabled, OnboardedAt: &config.OnboardedAt, OrganizationName: &config.OrganizationName,
		Pending: counts.Pending, PendingSince: counts.PendingSince, Submitted: counts.Submitted, SubmittedSince: counts.SubmittedSince,
		NeedsReview: counts.NeedsReview, Failed: counts.Failed, Conflict: counts.Conflict,
		LastWebhookAt: config.LastWebhookAt, LastReconciledAt: config.LastReconciledAt,
		Contacts: GivingContacts{
			Pending: contacts.Pending, PendingSince: contacts.PendingSince, Submitted: contacts.Submitted,
			NeedsReview: contacts.ImportNotRun + contacts.MatchNeeded, Failed: contacts.Failed,
		},
	}
	status.Giving.DisabledReason = unlessEmpty(config.DisabledReason)
	return nil
}

// addGiving adds what an operator should know about donations. What stops them are alerts and parks, which are reasons of their own.
func (s healthFacts) addGiving(found *reasons) {
	if s.giving == nil {
		return
	}
	for _, one := range []struct {
		code  string
		count int64
		since *time.Time
	}{
		{event.ConditionDonationsFailed, s.giving.Failed, s.giving.FailedSince},
		{event.ConditionDonationsNeedReview, s.giving.NeedsReview, nil},
		{event.ConditionContactsFailed, s.contacts.Failed, nil},
		{event.ConditionContactsNeedReview, s.contacts.ImportNotRun + s.contacts.MatchNeeded, nil},
		{event.ConditionGivingConflicts, s.giving.Conflict, nil},
	} {
		if one.count > 0 {
			text, remedy := event.ExplainFor(s.customer.ID, one.code)
			found.listed = append(found.listed, Reason{Code: one.code, Text: fmt.Sprintf("%s How many: %d.", text, one.count), Remedy: remedy, Since: one.since})
		}
	}
}
