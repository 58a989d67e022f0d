package messageletter

import (
	"context"

	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/event"
	"rollcall.dev/pkg/store"
)

// raiseFor raises the alert that an onboarding or offboarding message of the customer became a letter. It runs after
// the letter was added. The lock orders it with ClearOnboarding, so that one of the two sees what the other did.
func raiseFor(ctx context.Context, tx *store.Tx, customer string) error {
	active, err := tx.LockAlert(ctx, customer, event.AlertOnboardingLetter)
	if err != nil || active {
		return err
	}
	return event.Raise(ctx, tx, event.AlertFor(customer, event.AlertOnboardingLetter))
}

// ClearOnboarding clears the alert for onboarding and offboarding letters if the customer has no such open letter. It
// is called in the transaction that settled a message letter.
func ClearOnboarding(ctx context.Context, tx *store.Tx, customer string) error {
	active, err := tx.LockAlert(ctx, customer, event.AlertOnboardingLetter)
	if err != nil || !active {
		return err
	}
	open, err := tx.MessageLetterOpen(ctx, customer, bus.OnboardingSubjects)
	if err != nil || open {
		return err
	}
	return event.Clear(ctx, tx, customer, event.AlertOnboardingLetter, "No such letter is open any more.")
}
