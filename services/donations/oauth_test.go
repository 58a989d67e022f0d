package main

import (
	"context"
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/store"
)

// oauth changes how the sandbox's Virtuous gives tokens, and returns how they stand.
func (f *fixture) oauth(t *testing.T, change map[string]any) (refresh string, grants int) {
	t.Helper()
	var state struct {
		RefreshToken string
		Grants       int
	}
	require.NoError(t, json.Unmarshal(f.control(t, http.MethodPut, "/virtuous/orgs/acme/oauth", change), &state))
	return state.RefreshToken, state.Grants
}

// giveRefreshToken replaces the customer's key by tokens, as an onboarding does, and switches giving on.
func (f *fixture) giveRefreshToken(t *testing.T, refresh string) {
	t.Helper()
	f.submitter.virtuous.Sleep = func(ctx context.Context, _ time.Duration) error { return context.Cause(ctx) }
	grant, err := f.submitter.virtuous.Refresh(t.Context(), customer, refresh, "test")
	require.NoError(t, err)
	pair := store.OAuthPair{Times: store.OAuthTimes{Life: grant.Life, RefreshAfter: grant.RefreshAfter()}}
	for name, one := range map[string]struct {
		plain string
		into  *[]byte
	}{
		store.CredentialVirtuousToken: {grant.Access, &pair.AccessSealed}, store.CredentialVirtuousRefreshToken: {grant.Refresh, &pair.RefreshSealed},
		store.CredentialVirtuousRefreshGiven: {refresh, &pair.GivenSealed},
	} {
		*one.into, err = f.vault.Seal(t.Context(), customer, name, []byte(one.plain))
		require.NoError(t, err)
	}
	require.NoError(t, f.store.InTx(t.Context(), func(ctx context.Context, tx *store.Tx) error { return tx.SaveOAuth(ctx, customer, pair) }))
	f.exec(t, `UPDATE virtuous_configs SET enabled = true, disabled_reason = NULL, updated_at = rollcall_now()`)
}

func TestDonationsGoOnWithRefreshedTokens(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "{}")
	refresh, _ := f.oauth(t, nil)
	f.giveRefreshToken(t, refresh)
	f.control(t, http.MethodPut, "/virtuous/orgs/acme/key", map[string]any{"key": "v_not-the-customers"})

	for day, id := range []string{"don-1", "don-2", "don-3"} { // each access token has ended when the next donation comes
		f.give(t, id, nil)
		f.settle(t)
		require.Equal(t, id+" submitted", f.states(t)[day])
		f.advance(t, 16*24*time.Hour)
	}
	_, grants := f.oauth(t, map[string]any{"revokeAccess": true})
	require.Equal(t, 3, grants)

	f.give(t, "don-4", nil)
	f.settle(t)
	_, grants = f.oauth(t, map[string]any{"revokeAccess": true})
	require.Equal(t, 4, grants)
	f.advance(t, time.Hour)
	f.give(t, "don-5", nil)
	f.settle(t)
	_, grants = f.oauth(t, nil)
	require.Equal(t, 5, grants, "a token that Virtuous rejects is replaced, and the donation goes in the same round")
	require.Len(t, f.transactions(t), 5)
	require.Empty(t, column[string](t, f, `SELECT type FROM alerts`))
	require.Empty(t, column[string](t, f, `SELECT reason FROM giving_holds`))
}

func TestRejectedRefreshTokenSwitchesGivingOffOnceUntilAnotherComes(t *testing.T) {
	t.Parallel()
	for name, revoke := range map[string]func(*fixture){
		"revoked": func(f *fixture) { f.oauth(t, map[string]any{"revokeRefresh": true}) },
		"code":    func(f *fixture) { f.oauth(t, map[string]any{"verification": true}) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, "{}")
			refresh, _ := f.oauth(t, nil)
			f.giveRefreshToken(t, refresh)
			revoke(f)
			f.advance(t, 15*24*time.Hour)
			f.give(t, "don-1", nil)
			_, ran := f.round(t)
			require.True(t, ran)
			require.Equal(t, []string{"auth_failed"}, column[string](t, f, `SELECT disabled_reason FROM virtuous_configs WHERE NOT enabled`))
			require.Equal(t, []string{"virtuous_auth_failed"}, column[string](t, f, `SELECT type FROM alerts WHERE cleared_at IS NULL`))
			require.Equal(t, []string{"rollcall.alerts.high.virtuous_auth_failed.acme"},
				column[string](t, f, `SELECT subject FROM outbox WHERE subject LIKE 'rollcall.alerts.%'`))
			require.Equal(t, []string{"don-1 pending"}, f.states(t))
			_, ran = f.round(t)
			require.False(t, ran)

			f.oauth(t, map[string]any{"verification": false})
			refresh, _ = f.oauth(t, map[string]any{"newRefresh": true})
			f.giveRefreshToken(t, refresh)
			f.settle(t)
			require.Equal(t, []string{"don-1 submitted"}, f.states(t))
			require.Empty(t, column[string](t, f, `SELECT type FROM alerts WHERE cleared_at IS NULL`))
		})
	}
}

func TestOutageOfTheTokenEndpointIsOneOfVirtuous(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "{}")
	refresh, _ := f.oauth(t, nil)
	f.giveRefreshToken(t, refresh)
	f.fault(t, map[string]any{"operation": "token", "kind": "status", "status": 503})
	f.advance(t, 14*24*time.Hour+time.Hour)
	f.give(t, "don-1", nil)
	f.settle(t)
	require.Equal(t, []string{"don-1 submitted"}, f.states(t), "the access token works for a day")

	f.advance(t, 24*time.Hour)
	f.give(t, "don-2", nil)
	_, ran := f.round(t)
	require.True(t, ran)
	require.Equal(t, []string{"don-1 submitted", "don-2 pending"}, f.states(t))
	require.Equal(t, []string{"virtuous_unavailable"}, column[string](t, f, `SELECT reason FROM giving_holds`))
	require.Empty(t, column[string](t, f, `SELECT type FROM alerts WHERE cleared_at IS NULL`))

	f.control(t, http.MethodDelete, "/faults", nil)
	f.advance(t, time.Minute)
	f.settle(t)
	require.Equal(t, []string{"don-1 submitted", "don-2 submitted"}, f.states(t))
}
