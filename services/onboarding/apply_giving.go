package main

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"time"

	"rollcall.dev/pkg/event"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/vault"
	rollcallv1 "rollcall.dev/proto/rollcall/v1"
)

// applyGiving writes the customer's side of Virtuous: settings, key and webhook secret. A customer with Virtuous alone gets a row without
// a destination.
func (s *settler) applyGiving(ctx context.Context, tx *store.Tx, keys *vault.Vault, proposed proposal, completed *rollcallv1.OnboardingCompleted,
) (onboardedAt time.Time, err error) {
	customer := proposed.pending.Customer
	var adminEmail *string
	if email := proposed.request.GetAdminEmail(); email != "" {
		adminEmail = &email
	}
	if onboardedAt, err = tx.SaveCustomerForGiving(ctx, customer, adminEmail); err != nil {
		return onboardedAt, err
	}
	completed.Virtuous = true
	if proposed.request.GetVirtuous().GetRemove() {
		return onboardedAt, removeGiving(ctx, tx, keys, customer)
	}
	before := proposed.givingBefore
	if before != nil && before.OrganizationID != proposed.giving.OrganizationID {
		if more, err := s.forgetOrganization(ctx, tx, customer); err != nil || more {
			return onboardedAt, errors.Join(err, errOrganizationKept)
		}
	}
	if err := tx.SaveVirtuous(ctx, proposed.giving); err != nil {
		return onboardedAt, err
	}
	if err := tx.KeyGiven(ctx, customer); err != nil {
		return onboardedAt, err
	}
	if err := tx.ReleaseGiving(ctx, customer); err != nil {
		return onboardedAt, err
	}
	if err := saveKey(ctx, tx, keys, proposed); err != nil {
		return onboardedAt, err
	}
	secrets := webhookSecrets{vault: keys, tx: tx, customer: customer}
	if _, err := secrets.replace(ctx, proposed.secrets.WebhookSecret); err != nil {
		return onboardedAt, err
	}
	completed.VirtuousOrganizationName = proposed.giving.OrganizationName
	completed.VirtuousSetUp = before == nil || before.RemovedAt != nil
	isOther := before != nil && before.OrganizationID != proposed.giving.OrganizationID
	if proposed.giving.CreateWebhook && (completed.GetVirtuousSetUp() || isOther || !before.CreateWebhook) {
		return onboardedAt, tx.WantSubscription(ctx, customer)
	}
	return onboardedAt, nil
}

func saveSecret(ctx context.Context, tx *store.Tx, keys *vault.Vault, customer, name, secret string) error {
	sealed, err := keys.Seal(ctx, customer, name, []byte(secret))
	if err != nil {
		return fmt.Errorf("seal %s: %w", name, err)
	}
	return tx.SaveCredential(ctx, customer, name, sealed)
}

// webhookSecrets are the secrets that sign deliveries to a customer.
type webhookSecrets struct {
	vault    *vault.Vault
	tx       *store.Tx
	customer string
}

// errSecretOnItsWay means that Virtuous may sign with the present secret or with the one before: a third one would take the place of one
// of them.
var errSecretOnItsWay = errors.New("Virtuous does not have the webhook secret yet that was given before: give another one when " +
	"`rollcall webhook verify` names no open rotation, and no id that is not known")

// replace stores a new secret. The one before stays beside it: deliveries that were signed with it are still on their way. If Virtuous signs
// with it for a subscription of ours, this is the beginning of a rotation, which ends when Virtuous has the new one. Without a new secret, the
// one that there is stays. Errors: errSecretOnItsWay.
func (w webhookSecrets) replace(ctx context.Context, secret string) (changed bool, err error) {
	if secret == "" {
		return false, nil
	}
	sealed, err := w.tx.Credential(ctx, w.customer, store.CredentialWebhookSecret)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return false, err
	}
	if err == nil {
		before, err := w.vault.Open(ctx, w.customer, store.CredentialWebhookSecret, sealed)
		if err != nil {
			return false, fmt.Errorf("open the webhook secret: %w", err)
		}
		if subtle.ConstantTimeCompare(before, []byte(secret)) == 1 {
			return false, nil
		}
		if err := w.rotate(ctx); err != nil {
			return false, err
		}
		if err := saveSecret(ctx, w.tx, w.vault, w.customer, store.CredentialWebhookSecretBefore, string(before)); err != nil {
			return false, err
		}
	}
	return true, saveSecret(ctx, w.tx, w.vault, w.customer, store.CredentialWebhookSecret, secret)
}

// rotate has the customer's subscription sent to Virtuous again, if there is one.
func (w webhookSecrets) rotate(ctx context.Context) error {
	subscription, err := w.tx.LockSubscription(ctx, w.customer)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return nil
	case err != nil:
		return err
	case subscription.State != store.SubscriptionActive || subscription.RotatingSince != nil:
		return errSecretOnItsWay
	}
	_, err = w.tx.BeginRotation(ctx, subscription.ID, 0)
	return err
}

// removeGiving ends giving for a customer whose mirror goes on. What was captured stays: it is sent if giving returns.
func removeGiving(ctx context.Context, tx *store.Tx, keys *vault.Vault, customer string) error {
	if _, err := tx.DisableGiving(ctx, customer, store.GivingRemoved); err != nil {
		return err
	}
	if err := tx.ReleaseGiving(ctx, customer); err != nil {
		return err
	}
	if err := endWebhooks(ctx, tx, keys, customer); err != nil {
		return err
	}
	if err := tx.ForgetOAuth(ctx, customer); err != nil {
		return err
	}
	return tx.SaveCredential(ctx, customer, store.CredentialVirtuousToken, nil)
}

// endWebhooks has deliveries of the customer's organization rejected from now on: it deletes the secrets that sign them, and ends the
// subscriptions while the key of that organization is there.
func endWebhooks(ctx context.Context, tx *store.Tx, keys *vault.Vault, customer string) error {
	for _, name := range []string{store.CredentialWebhookSecret, store.CredentialWebhookSecretBefore} {
		if err := tx.SaveCredential(ctx, customer, name, nil); err != nil {
			return err
		}
	}
	subscriptions, err := subscriptionKeys(ctx, tx, keys, customer)
	if err != nil {
		return err
	}
	orphans, err := removeSubscriptions(ctx, tx, keys, customer, subscriptions)
	if err != nil || len(orphans) == 0 {
		return err
	}
	return event.Raise(ctx, tx, event.OrphanedWebhooksFor(customer, orphans))
}
