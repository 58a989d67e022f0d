package main

import (
	"testing"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/worker"
)

// removeSubscriptions makes all attempts that are due to delete subscriptions at Virtuous.
func (f *givingFixture) removeSubscriptions(t *testing.T) {
	t.Helper()
	remover := &subscriptionRemover{offboarder: f.offboarder, virtuous: f.settler.virtuous}
	for remover.removeNext(t.Context()) {
		continue
	}
}

func (f *givingFixture) workOffboarding(t *testing.T) {
	t.Helper()
	for f.offboarder.workNext(t.Context()) {
		continue
	}
}

func (f *givingFixture) onboardWithSubscription(t *testing.T) {
	t.Helper()
	f.request(t, `{"customerId":"acme","virtuous":{"token":"k3y","transactionSource":"AcmeGive","webhookSecret":"wh-s3cret"}}`)
	f.subscription(t)
}

const (
	keysLeft = `SELECT count(*) FROM customer_keys`
	orphans  = `SELECT count(*) FROM alerts WHERE type = 'webhook_orphaned' AND cleared_at IS NULL`
)

func TestOffboardingDeletesTheSubscriptionAtVirtuousAndThenItsKey(t *testing.T) {
	t.Parallel()
	f := newGivingFixture(t)
	f.onboardWithSubscription(t)
	donor, err := f.vault.Seal(t.Context(), "acme", "donation", []byte("Ana Ruiz"))
	require.NoError(t, err)

	require.ErrorIs(t, f.offboard(t, `{"customerId":"acme"}`), worker.ErrSettled)

	_, err = f.vault.Open(t.Context(), "acme", "donation", donor)
	require.Error(t, err, "what is sealed for the customer can be opened no more from the first moment on")
	require.Zero(t, f.count(t, `SELECT count(*) FROM credentials`))
	_, err = f.store.WebhookSecrets(t.Context(), "acme")
	require.ErrorIs(t, err, store.ErrNotFound, "deliveries are rejected from the first moment on")
	require.Equal(t, 1, f.count(t, keysLeft))
	f.removeSubscriptions(t)
	require.Equal(t, []string{"31 k3y"}, f.virtuous.deletions())
	require.Zero(t, f.count(t, keysLeft))
	require.Equal(t, 1, f.count(t, `SELECT count(*) FROM webhook_subscriptions WHERE state = 'removed' AND key_sealed IS NULL`))
	f.workOffboarding(t)
	require.Zero(t, f.count(t, orphans))
}

func TestSubscriptionThatCannotBeDeletedForAnHourIsNamedAndItsKeyDestroyed(t *testing.T) {
	t.Parallel()
	f := newGivingFixture(t)
	f.onboardWithSubscription(t)
	f.virtuous.breaks(true)
	require.ErrorIs(t, f.offboard(t, `{"customerId":"acme"}`), worker.ErrSettled)
	f.workOffboarding(t)
	attempts := 0
	for f.count(t, keysLeft) > 0 {
		require.Less(t, attempts, 70)
		asked := f.virtuous.asked.Load()
		f.removeSubscriptions(t)
		if f.virtuous.asked.Load() > asked {
			attempts++
		}
		require.LessOrEqual(t, f.count(t, `SELECT extract(epoch FROM rollcall_now() - timestamptz '2026-01-15T00:00:00Z')::int`), 3600)
		f.advance(t, "3 minutes")
	}
	require.Greater(t, attempts, 5)
	require.Equal(t, 1, f.count(t, `SELECT count(*) FROM webhook_subscriptions WHERE state = 'orphaned' AND key_sealed IS NULL AND last_error <> ''`))
	alert := text(t, f, `SELECT convert_from(payload, 'UTF8') FROM outbox WHERE subject = 'rollcall.alerts.medium.webhook_orphaned.acme'`)
	require.Contains(t, alert, "Its id: 31.")
	require.Equal(t, 1, f.count(t, orphans))
}

func TestReturnDuringTheRemovalOfASubscriptionKeepsTheDataKey(t *testing.T) {
	t.Parallel()
	f := newGivingFixture(t)
	f.onboardWithSubscription(t)
	f.virtuous.breaks(true)
	require.ErrorIs(t, f.offboard(t, `{"customerId":"acme"}`), worker.ErrSettled)
	f.workOffboarding(t)
	f.removeSubscriptions(t)
	f.advance(t, "2 minutes")
	f.workOffboarding(t)
	f.request(t, `{"customerId":"acme","virtuous":{"token":"n3wk3y","transactionSource":"AcmeGive"}}`)
	f.requireOutcome(t, "applied")

	f.virtuous.breaks(false)
	f.advance(t, "10 minutes")
	f.removeSubscriptions(t)

	require.Equal(t, []string{"31 k3y"}, f.virtuous.deletions(), "with the key that it was created with")
	require.Equal(t, "n3wk3y", f.token(t, store.CredentialVirtuousToken))
}

// The key of a removal that is under way is sealed with the data key that the offboarding destroys.
func TestOffboardingGoesOnWithTheRemovalOfASubscription(t *testing.T) {
	t.Parallel()
	f := newGivingFixture(t)
	f.request(t, both)
	f.subscription(t)
	f.virtuous.breaks(true)
	f.request(t, `{"customerId":"acme","virtuous":{"remove":true}}`)
	f.requireOutcome(t, "applied")
	f.removeSubscriptions(t)
	require.ErrorIs(t, f.offboard(t, `{"customerId":"acme"}`), worker.ErrSettled)
	f.virtuous.breaks(false)
	f.removeSubscriptions(t)
	require.Equal(t, []string{"31 k3y"}, f.virtuous.deletions())
	require.Zero(t, f.count(t, keysLeft))
}

func TestPurgeWaitsUntilNoSubscriptionIsLeftToDelete(t *testing.T) {
	t.Parallel()
	f := newGivingFixture(t)
	f.offboarder.retention = 0
	f.onboardWithSubscription(t)
	f.virtuous.breaks(true)
	require.ErrorIs(t, f.offboard(t, `{"customerId":"acme"}`), worker.ErrSettled)
	step := func() store.OffboardingStep {
		f.workOffboarding(t)
		f.advance(t, "2 minutes")
		f.workOffboarding(t)
		at, err := f.store.Offboarding(t.Context(), "acme")
		require.NoError(t, err)
		return at.Step
	}
	require.Equal(t, store.OffboardingRetains, step())
	require.Equal(t, store.OffboardingRetains, step())
	f.advance(t, "1 hour")
	f.removeSubscriptions(t)
	require.Equal(t, 1, f.count(t, orphans))
	require.Equal(t, store.OffboardingPurged, step())
}

func TestSubscriptionWithoutAKnownIDIsNamedAtOnce(t *testing.T) {
	t.Parallel()
	f := newGivingFixture(t)
	f.request(t, both)
	f.sql(t, `INSERT INTO webhook_subscriptions (customer_id, state, payload_url, toggles, requested_at, updated_at)
		VALUES ('acme', 'requested', 'https://hooks.example.org', '{giftCreate}', now(), now())`)
	f.request(t, `{"customerId":"acme","virtuous":{"remove":true}}`)
	f.requireOutcome(t, "applied")
	require.Equal(t, 1, f.count(t, orphans))
	f.removeSubscriptions(t)
	require.Empty(t, f.virtuous.deletions())
}
