package main

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/pkg/store"
)

const withWebhook = `{"customerId":"acme","virtuous":{"token":"k3y","transactionSource":"AcmeGive","createWebhook":true}}`

// addSubscriptions makes all attempts that are due to create subscriptions.
func (f *givingFixture) addSubscriptions(t *testing.T) {
	t.Helper()
	adder := newSubscriptionAdder(f.settler)
	for adder.addNext(t.Context()) {
		continue
	}
}

// subscriptionRequests are the requests for subscriptions that Virtuous got.
func (f *givingFixture) subscriptionRequests() []string {
	f.virtuous.mu.Lock()
	defer f.virtuous.mu.Unlock()
	return slices.Clone(f.virtuous.created)
}

func TestOnboardingCreatesTheWantedSubscriptionWithASecretOfOurs(t *testing.T) {
	t.Parallel()
	f := newGivingFixture(t)
	f.request(t, withWebhook)
	f.requireOutcome(t, "applied")
	f.addSubscriptions(t)

	require.Len(t, f.subscriptionRequests(), 1)
	secret := f.token(t, store.CredentialWebhookSecret)
	require.Len(t, secret, 64)
	for _, part := range []string{"k3y {", `"secret":"` + secret + `"`, `"payloadUrl":"https://hooks.example.org/webhooks/virtuous/acme"`, `"giftCreate":true`} {
		require.Contains(t, f.subscriptionRequests()[0], part)
	}
	require.Equal(t, "active 77", text(t, f, `SELECT concat_ws(' ', state, virtuous_webhook_id) FROM webhook_subscriptions`))

	f.request(t, `{"customerId":"acme","virtuous":{"token":"n3wk3y"}}`)
	f.requireOutcome(t, "applied")
	f.advance(t, "1 day")
	f.addSubscriptions(t)
	require.Len(t, f.subscriptionRequests(), 1, "there is one")
}

func TestSubscriptionWhoseAnswerIsLostIsNamedAndRequestedAgain(t *testing.T) {
	t.Parallel()
	f := newGivingFixture(t)
	f.virtuous.breaks(true)
	f.request(t, withWebhook)
	f.requireOutcome(t, "applied")
	f.addSubscriptions(t)
	require.Len(t, f.subscriptionRequests(), 1)
	require.Equal(t, 1, f.count(t, orphans))
	f.virtuous.breaks(false)
	f.addSubscriptions(t)
	require.Len(t, f.subscriptionRequests(), 1, "not at once")
	f.advance(t, "1 hour")
	f.addSubscriptions(t)
	require.Equal(t, "orphaned, active", text(t, f, `SELECT string_agg(state, ', ' ORDER BY id) FROM webhook_subscriptions`))
}

// The process died after the request was sent: the row is all that is known of it.
func TestSubscriptionOfAProcessThatDiedIsNamedAndRequestedAgain(t *testing.T) {
	t.Parallel()
	f := newGivingFixture(t)
	f.request(t, withWebhook)
	f.sql(t, `INSERT INTO webhook_subscriptions (customer_id, state, payload_url, toggles, requested_at, updated_at)
		SELECT 'acme', 'requested', 'https://hooks.example.org', '{giftCreate}', at, at AS b FROM (SELECT rollcall_now() AS at) now`)
	f.addSubscriptions(t)
	require.Empty(t, f.subscriptionRequests(), "it may be under way")
	f.advance(t, "1 hour")
	f.addSubscriptions(t)
	require.Equal(t, 1, f.count(t, orphans))
	require.Equal(t, "orphaned, active", text(t, f, `SELECT string_agg(state, ', ' ORDER BY id) FROM webhook_subscriptions`))
}

func TestSubscriptionNeedsThePublicAddress(t *testing.T) {
	t.Parallel()
	f := newGivingFixture(t)
	f.settler.publicURL = ""
	f.request(t, withWebhook)
	state, errs := f.outcome(t)
	require.Equal(t, "rejected", state)
	require.Equal(t, map[string][]string{fieldCreateWebhook: {noPublicURL}}, errs)
}

func TestOperatorsChangeHasASubscriptionCreated(t *testing.T) {
	t.Parallel()
	f := newGivingFixture(t)
	f.request(t, withVirtuous)
	f.addSubscriptions(t)
	require.Empty(t, f.subscriptionRequests())
	operators := &operators{store: f.store, vault: f.vault, logger: zap.NewNop()}
	change := operatorapi.ConfigChange{CustomerID: "acme", Virtuous: &operatorapi.VirtuousChange{CreateWebhook: new(true)}}
	_, err := operators.setConfig(t.Context(), change)
	require.Error(t, err, "there is no public address")
	operators.publicURL = "https://hooks.example.org"
	_, err = operators.setConfig(t.Context(), change)
	require.NoError(t, err)
	f.addSubscriptions(t)
	require.Len(t, f.subscriptionRequests(), 1)
}
