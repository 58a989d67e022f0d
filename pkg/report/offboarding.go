package report

import (
	"context"
	"errors"
	"time"

	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/pkg/store"
)

// Offboarding says what an offboarding of the customer would delete, or how far it is; ErrNotFound if the customer is not known. messages
// counts the customer's messages by stream.
func Offboarding(ctx context.Context, from *store.Store, customer string, retention time.Duration,
	messages func(ctx context.Context, customer string) (map[string]uint64, error),
) (operatorapi.Offboarding, error) {
	known, err := from.Customer(ctx, customer)
	if err != nil {
		return operatorapi.Offboarding{}, err
	}
	now, err := from.Now(ctx)
	if err != nil {
		return operatorapi.Offboarding{}, err
	}
	counts, err := from.OffboardingCounts(ctx, customer)
	if err != nil {
		return operatorapi.Offboarding{}, err
	}
	credentials, err := from.CredentialNames(ctx, customer)
	if err != nil {
		return operatorapi.Offboarding{}, err
	}
	inStreams, err := messages(ctx, customer)
	if err != nil {
		return operatorapi.Offboarding{}, err
	}
	if credentials == nil {
		credentials = []string{}
	}
	shown := operatorapi.Offboarding{
		CustomerID: customer, AsOf: now, OffboardedAt: known.OffboardedAt, PurgeAt: now.Add(retention),
		AtOnce: operatorapi.OffboardingAtOnce{
			Credentials: credentials, DataKey: counts.HasKey, OpenRuns: counts.OpenRuns, UnpublishedMessages: counts.Unpublished,
		},
		Soon: operatorapi.OffboardingSoon{
			Addresses: counts.Addresses, OpenLetters: counts.OpenLetters, ActiveAlerts: counts.ActiveAlerts, Messages: inStreams,
		},
		Purge: operatorapi.OffboardingPurge{Users: counts.Mappings, SettledLetters: counts.SettledLetters},
	}
	if shown.Giving, err = offboardingGiving(ctx, from, customer, inStreams[bus.StreamDonations]); err != nil {
		return operatorapi.Offboarding{}, err
	}
	under, err := from.Offboarding(ctx, customer)
	if errors.Is(err, store.ErrNotFound) {
		return shown, nil
	}
	step := string(under.Step)
	shown.Step, shown.PurgeAt = &step, under.PurgeAt
	return shown, err
}

// donationsNamed is how many donations, and how many contacts, an answer names.
const donationsNamed = 100

func offboardingGiving(ctx context.Context, from *store.Store, customer string, queued uint64) (operatorapi.OffboardingGiving, error) {
	counts, err := from.CountDonations(ctx, customer)
	if err != nil {
		return operatorapi.OffboardingGiving{}, err
	}
	contacts, err := from.ContactFigures(ctx, customer, contactsLateAfter)
	if err != nil {
		return operatorapi.OffboardingGiving{}, err
	}
	named, err := from.UnfinishedContacts(ctx, customer, donationsNamed)
	if err != nil {
		return operatorapi.OffboardingGiving{}, err
	}
	donations, err := from.UnfinishedDonations(ctx, customer, donationsNamed)
	shown := operatorapi.OffboardingGiving{
		Queued: queued, Pending: counts.Pending, Submitted: counts.Submitted, Donations: []string{},
		PendingContacts: contacts.Pending, SubmittedContacts: contacts.Submitted, Contacts: append([]string{}, named...),
	}
	for _, donation := range donations {
		shown.Donations = append(shown.Donations, donation.PlatformID)
	}
	return shown, err
}
