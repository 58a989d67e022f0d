package main

import (
	"testing"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/pkg/service"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/vault"
)

// rotateSubscriptions makes all attempts that are due to end rotations.
func (f *givingFixture) rotateSubscriptions(t *testing.T) {
	t.Helper()
	adder := newSubscriptionAdder(f.settler)
	for adder.rotateNext(t.Context()) {
		continue
	}
}

// validSecrets returns the sealed secrets that the receiver accepts.
func (f *givingFixture) validSecrets(t *testing.T) store.WebhookSecrets {
	t.Helper()
	secrets, err := f.store.WebhookSecrets(t.Context(), "acme")
	require.NoError(t, err)
	return secrets
}

func withSecret(secret string) string {
	return `{"customerId":"acme","virtuous":{"token":"k3y","webhookSecret":"` + secret + `"}}`
}

func TestGivenWebhookSecretReachesVirtuous(t *testing.T) {
	t.Parallel()
	f := newGivingFixture(t)
	f.onboardWithSubscription(t)
	f.virtuous.breaks(true)
	f.request(t, withSecret("second"))
	f.requireOutcome(t, "applied")
	f.rotateSubscriptions(t)
	require.Empty(t, f.virtuous.updates())
	f.advance(t, "25 hours")
	require.NotEmpty(t, f.validSecrets(t).Before, "Virtuous signs with it as long as it has no other")
	require.Equal(t, "wh-s3cret", f.token(t, store.CredentialWebhookSecretBefore))

	f.request(t, withSecret("third"))
	state, errs := f.outcome(t)
	require.Equal(t, "rejected", state)
	require.Equal(t, map[string][]string{fieldGivenSecret: {errSecretOnItsWay.Error()}}, errs)
	require.Equal(t, "wh-s3cret", f.token(t, store.CredentialWebhookSecretBefore))

	f.virtuous.breaks(false)
	f.rotateSubscriptions(t)
	require.Equal(t, []string{"31 second"}, f.virtuous.updates())
	require.NotEmpty(t, f.validSecrets(t).Before, "its day begins when Virtuous has the new one")
	f.advance(t, "25 hours")
	require.Empty(t, f.validSecrets(t).Before)
	f.rotateSubscriptions(t)
	require.Len(t, f.virtuous.updates(), 1, "the rotation is over")

	f.request(t, withSecret("third"))
	f.requireOutcome(t, "applied")
	f.rotateSubscriptions(t)
	require.Equal(t, []string{"31 second", "31 third"}, f.virtuous.updates())
}

func TestWebhookSecretOfAnOperatorReachesVirtuous(t *testing.T) {
	t.Parallel()
	f := newGivingFixture(t)
	f.onboardWithSubscription(t)
	give := func(secret string) error {
		public, err := f.vault.PublicXKey(t.Context())
		require.NoError(t, err)
		sealed, err := vault.SealToken(public, secret)
		require.NoError(t, err)
		_, err = f.operators().setConfig(t.Context(), operatorapi.ConfigChange{
			CustomerID: "acme", Virtuous: &operatorapi.VirtuousChange{WebhookSecretSealed: sealed},
		})
		return err
	}
	require.NoError(t, give("second"))
	var conflict *service.ConflictError
	require.ErrorAs(t, give("third"), &conflict)
	require.Equal(t, "second", f.token(t, store.CredentialWebhookSecret))
	require.NoError(t, give("second"), "it is no other secret")
	f.rotateSubscriptions(t)
	require.Equal(t, []string{"31 second"}, f.virtuous.updates())
}

// The request for the subscription has the secret that was there when it was sent.
func TestWebhookSecretIsRejectedWhileItsSubscriptionIsRequested(t *testing.T) {
	t.Parallel()
	f := newGivingFixture(t)
	f.onboardWithSubscription(t)
	f.sql(t, `UPDATE webhook_subscriptions SET state = 'requested', virtuous_webhook_id = NULL`)
	f.request(t, withSecret("second"))
	state, _ := f.outcome(t)
	require.Equal(t, "rejected", state)
	require.Equal(t, "wh-s3cret", f.token(t, store.CredentialWebhookSecret))
}
