package main

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/report"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/vault"
	"rollcall.dev/pkg/worker"
)

const withRefresh = `{"customerId":"acme","virtuous":{"refreshToken":"g1ven","transactionSource":"AcmeGive"}}`

// newRefreshFixture is a givingFixture whose Virtuous gives the tokens acc3ss and n3xt for g1ven, once.
func newRefreshFixture(t *testing.T) *givingFixture {
	t.Helper()
	f := newGivingFixture(t)
	f.virtuous.grant("g1ven", "acc3ss", "n3xt")
	f.virtuous.answer("acc3ss", http.StatusOK, relief)
	f.virtuous.answer("acc3ss-2", http.StatusOK, relief)
	return f
}

// requireTokens checks the customer's tokens: access, refresh, and the one that was given.
func (f *givingFixture) requireTokens(t *testing.T, access, refresh, given string) {
	t.Helper()
	require.Equal(t, access, f.token(t, store.CredentialVirtuousToken))
	require.Equal(t, refresh, f.token(t, store.CredentialVirtuousRefreshToken))
	require.Equal(t, given, f.token(t, store.CredentialVirtuousRefreshGiven))
}

// requireNoSecrets checks that nothing of a request, an event or a log has a token.
func (f *givingFixture) requireNoSecrets(t *testing.T) {
	t.Helper()
	for _, secret := range []string{"g1ven", "acc3ss", "n3xt"} {
		require.Zero(t, f.count(t, `SELECT count(*) FROM onboarding_requests WHERE request::text LIKE '%`+secret+`%' OR errors::text LIKE '%`+secret+`%'`))
		require.Zero(t, f.count(t, `SELECT count(*) FROM outbox WHERE convert_from(payload, 'UTF8') LIKE '%`+secret+`%'`))
	}
}

func TestRefreshTokenSetsGivingUp(t *testing.T) {
	t.Parallel()
	f := newRefreshFixture(t)
	f.request(t, withRefresh)
	f.requireOutcome(t, "applied")
	f.requireTokens(t, "acc3ss", "n3xt", "g1ven")
	require.Equal(t, "Example Relief", f.config(t).OrganizationName)
	f.requireNoSecrets(t)
	require.Zero(t, f.count(t, `SELECT count(*) FROM onboarding_requests WHERE sealed_secrets IS NOT NULL`))

	shown, err := report.ConfigOf(t.Context(), f.store.Conn, "acme")
	require.NoError(t, err)
	now := f.now(t)
	require.WithinDuration(t, now.Add(1295999*time.Second), shown.Virtuous.OAuth.AccessTokenExpiresAt, time.Minute)
	require.WithinDuration(t, now, shown.Virtuous.OAuth.RefreshedAt, time.Minute)
}

func TestSameRequestWithARefreshTokenTwiceIsOneOnboarding(t *testing.T) {
	t.Parallel()
	f := newRefreshFixture(t)
	f.request(t, withRefresh)
	f.request(t, withRefresh)
	f.requireOutcome(t, "duplicate")
	f.request(t, strings.Replace(withRefresh, "g1ven", "n3xt", 1))
	f.requireOutcome(t, "duplicate")
	require.Equal(t, []string{"g1ven"}, f.virtuous.refreshes())

	f.request(t, strings.Replace(withRefresh, `"Acme`, `"Other`, 1))
	f.requireOutcome(t, "applied")
	require.Equal(t, "OtherGive", f.config(t).TransactionSource)
	f.requireTokens(t, "acc3ss", "n3xt", "g1ven")
	require.Equal(t, []string{"g1ven"}, f.virtuous.refreshes(), "other settings need no other tokens")
}

func TestRejectedRefreshToken(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		status int
		body   string
		text   string
		asked  int
	}{
		"unknown":      {http.StatusBadRequest, `{"error":"invalid_grant"}`, "obtain a new one with POST /Token", 2},
		"verification": {http.StatusAccepted, `{"error":"awaiting_verification"}`, "two-step verification", 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newGivingFixture(t)
			f.request(t, withVirtuous)
			f.virtuous.grantAnswer("g1ven", c.status, c.body)
			f.request(t, `{"customerId":"acme","virtuous":{"refreshToken":"g1ven"}}`)
			state, errs := f.outcome(t)
			require.Equal(t, "rejected", state)
			require.Len(t, errs, 1)
			require.Contains(t, strings.ToLower(errs[fieldRefreshToken][0]), strings.ToLower(c.text))
			require.Len(t, f.virtuous.refreshes(), c.asked)
			require.Equal(t, "k3y", f.token(t, store.CredentialVirtuousToken), "the key that there is stays")
			f.requireNoSecrets(t)
		})
	}
}

func TestOutageOfTheTokenEndpointDelays(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]virtuousAnswer{
		"outage": {http.StatusServiceUnavailable, "<html>"}, "broken": {http.StatusOK, `{"access_token":`}, "busy": {http.StatusTooManyRequests, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newRefreshFixture(t)
			f.virtuous.grantAnswer("g1ven", c.status, c.body)
			f.request(t, withRefresh)
			f.requireOutcome(t, "pending")
			f.virtuous.grant("g1ven", "acc3ss", "n3xt")
			f.sql(t, `UPDATE onboarding_requests SET next_attempt_at = rollcall_now()`)
			f.settleAll(t)
			f.requireOutcome(t, "applied")
		})
	}
}

// Virtuous gives tokens once. The process dies, or Virtuous or VOMO cannot test the rest, after they came.
func TestObtainedTokensOutliveTheAttempt(t *testing.T) {
	t.Parallel()
	f := newRefreshFixture(t)
	f.virtuous.answer("acc3ss", http.StatusServiceUnavailable, "")
	f.request(t, withRefresh)
	f.requireOutcome(t, "pending")
	f.requireNoSecrets(t)
	require.Zero(t, f.count(t, `SELECT count(*) FROM credentials`))

	f.virtuous.answer("acc3ss", http.StatusOK, relief)
	f.sql(t, `UPDATE onboarding_requests SET next_attempt_at = rollcall_now()`)
	f.settleAll(t)
	f.requireOutcome(t, "applied")
	f.requireTokens(t, "acc3ss", "n3xt", "g1ven")
	require.Equal(t, []string{"g1ven"}, f.virtuous.refreshes())
}

func TestRefreshTokenOfARejectedRequest(t *testing.T) {
	t.Parallel()
	f := newRefreshFixture(t)
	f.vomo.status.Store(http.StatusUnauthorized)
	f.request(t, strings.Replace(both, `"token":"k3y"`, `"refreshToken":"g1ven"`, 1))
	_, errs := f.outcome(t)
	require.Len(t, errs, 1)
	require.Contains(t, errs, "vomoToken")
	require.Empty(t, f.virtuous.refreshes(), "it is not used for nothing")

	f.virtuous.answer("acc3ss", http.StatusOK, notEnabled)
	f.request(t, withRefresh)
	_, errs = f.outcome(t)
	require.Len(t, errs[fieldRefreshToken], 2)
	require.Contains(t, errs[fieldRefreshToken][1], "was used for this request: obtain a new one")
}

func TestKeyAndRefreshTokenReplaceEachOther(t *testing.T) {
	t.Parallel()
	f := newRefreshFixture(t)
	oauthRows := func() int { return f.count(t, `SELECT count(*) FROM virtuous_oauth`) }
	credentials := func() int { return f.count(t, `SELECT count(*) FROM credentials`) }
	f.request(t, withVirtuous)
	require.Zero(t, oauthRows())

	f.request(t, `{"customerId":"acme","virtuous":{"refreshToken":"g1ven"}}`)
	f.requireOutcome(t, "applied")
	require.Equal(t, "AcmeGive", f.config(t).TransactionSource, "only the credential is another one")
	f.requireTokens(t, "acc3ss", "n3xt", "g1ven")
	require.Equal(t, 1, oauthRows())

	f.virtuous.grant("an0ther", "acc3ss-2", "n3xt-2")
	f.request(t, `{"customerId":"acme","virtuous":{"refreshToken":"an0ther"}}`)
	f.requireOutcome(t, "applied")
	f.requireTokens(t, "acc3ss-2", "n3xt-2", "an0ther")

	f.request(t, `{"customerId":"acme","virtuous":{"token":"k3y"}}`)
	f.requireOutcome(t, "applied")
	require.Equal(t, "k3y", f.token(t, store.CredentialVirtuousToken))
	require.Equal(t, 1, credentials())
	require.Zero(t, oauthRows())
}

func TestRemovalAndOffboardingDeleteTheRefreshToken(t *testing.T) {
	t.Parallel()
	f := newRefreshFixture(t)
	f.request(t, strings.Replace(both, `"token":"k3y"`, `"refreshToken":"g1ven"`, 1))
	f.requireOutcome(t, "applied")
	f.request(t, `{"customerId":"acme","virtuous":{"remove":true}}`)
	f.requireOutcome(t, "applied")
	require.Zero(t, f.count(t, `SELECT count(*) FROM virtuous_oauth`))
	require.Zero(t, f.count(t, `SELECT count(*) FROM credentials WHERE name LIKE 'virtuous%'`))

	f.virtuous.grant("g1ven", "acc3ss", "n3xt")
	f.request(t, withRefresh)
	f.requireOutcome(t, "applied")
	require.ErrorIs(t, f.offboard(t, `{"customerId":"acme"}`), worker.ErrSettled)
	f.work(t)
	require.Zero(t, f.count(t, `SELECT (SELECT count(*) FROM virtuous_oauth) + (SELECT count(*) FROM credentials)`))
}

// The refresh token that was given before is used again if giving is off: Virtuous may accept it, and a person expects an answer.
func TestSameRefreshTokenAfterARejectionIsAskedAbout(t *testing.T) {
	t.Parallel()
	f := newRefreshFixture(t)
	f.request(t, withRefresh)
	f.rejectKeys(t, "acme")
	f.sql(t, `UPDATE virtuous_configs SET organization_id = '67890'`) // rejectKeys has none
	f.request(t, withRefresh)
	state, errs := f.outcome(t)
	require.Equal(t, "rejected", state)
	require.Contains(t, errs, fieldRefreshToken)

	f.virtuous.grant("g1ven", "acc3ss-2", "n3xt-2")
	f.request(t, withRefresh)
	f.requireOutcome(t, "applied")
	f.requireTokens(t, "acc3ss-2", "n3xt-2", "g1ven")
	require.True(t, f.config(t).Enabled)
	require.Zero(t, f.count(t, `SELECT count(*) FROM alerts WHERE cleared_at IS NULL`))
}

func TestRefreshTokenThatIsSealed(t *testing.T) {
	t.Parallel()
	f := newRefreshFixture(t)
	public, err := f.vault.PublicXKey(t.Context())
	require.NoError(t, err)
	sealed, err := vault.SealToken(public, "g1ven")
	require.NoError(t, err)
	f.request(t, strings.Replace(withRefresh, `"refreshToken":"g1ven"`, `"refreshTokenSealed":"`+sealed+`"`, 1))
	f.requireOutcome(t, "applied")
	f.requireTokens(t, "acc3ss", "n3xt", "g1ven")
}

func TestRejectedTokensAreRetriedHourly(t *testing.T) {
	t.Parallel()
	f := newRefreshFixture(t)
	f.request(t, withRefresh)
	watch := keyRejections(f.settler)
	f.advance(t, "15 days")
	_, err := f.settler.virtuous.Open(t.Context(), f.config(t), nil, "test")
	require.Error(t, err)
	require.Len(t, f.virtuous.refreshes(), 3, "the first, and a rejection that was asked about twice")
	f.rejectKeys(t, "acme")

	f.advance(t, "61 minutes")
	require.NoError(t, watch.tryRejected(t.Context()))
	require.False(t, f.config(t).Enabled)
	require.Len(t, f.virtuous.refreshes(), 5)

	f.virtuous.grant("n3xt", "acc3ss-2", "n3xt-2")
	f.advance(t, "61 minutes")
	require.NoError(t, watch.tryRejected(t.Context()))
	require.True(t, f.config(t).Enabled)
	f.requireTokens(t, "acc3ss-2", "n3xt-2", "g1ven")
}

// A rejection that was the fault of Virtuous is forgotten with it: the refresh token is tried at the next request.
func TestRejectionsOfManyAreForgottenWithThem(t *testing.T) {
	t.Parallel()
	f := newRefreshFixture(t)
	f.request(t, withRefresh)
	f.rejectKeys(t, "acme")
	f.sql(t, `UPDATE virtuous_oauth SET failure = 'refused', retry_at = rollcall_now() + interval '30 minutes'`)
	require.NoError(t, f.store.InTx(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		_, err := tx.SwitchGivingOn(ctx, "acme", false)
		return err
	}))
	require.Zero(t, f.count(t, `SELECT count(*) FROM virtuous_oauth WHERE failure IS NOT NULL`))
}
