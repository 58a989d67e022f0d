package inbound_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/pkg/store"
)

const (
	canonical = `{}`
	recent    = `{"policy":"most_recent_wins"}`
	owners    = `{"policy":"owners"}`
)

func (f *fixture) ruled(t *testing.T, rules string) {
	t.Helper()
	f.addCustomer(t, customer)
	f.exec(t, `UPDATE virtuous_configs SET resolution = $1`, rules)
	f.addDonation(t, customer, "don-1", "submitted")
}

// conflictState returns the state of the only gift, and those of its review items.
func (f *fixture) conflictState(t *testing.T) string {
	t.Helper()
	var state string
	require.NoError(t, f.pool.QueryRow(t.Context(), `SELECT concat_ws(' ', g.sync_state, (SELECT string_agg(r.state, ' ' ORDER BY r.id) FROM review_items r
		WHERE r.kind = 'gift' AND r.record_id = g.virtuous_gift_id::text AND r.source_id = (SELECT d.id FROM virtuous_donation_queue d)))
		FROM partner_gifts g`).Scan(&state))
	return state
}

func TestGiftThatDiffersIsDecidedByTheCustomersRules(t *testing.T) {
	t.Parallel()
	for rules, want := range map[string]string{
		canonical: "in_sync", `{"policy":"virtuous_canonical","owners":{"name":"partner"}}`: "in_sync",
		recent: "conflict open", owners: "conflict open", `{"policy":"of a later version"}`: "conflict open",
	} {
		for _, amount := range []string{"120", "125.00"} {
			t.Run(rules+" "+amount, func(t *testing.T) {
				t.Parallel()
				f := newFixture(t)
				f.ruled(t, rules)
				outcomes := f.apply(t, giftEvent("create", gift(10, 7, amount, "don-1", modified), 0).the(t))
				require.Equal(t, "don-1", outcomes[0].Confirmed, "it is confirmed in any case")
				want := want
				if amount == "125.00" {
					want = "in_sync"
				}
				require.Equal(t, want, f.conflictState(t))
				outcomes = f.apply(t, giftEvent("create", gift(10, 7, amount, "don-1", modified), 0).the(t)) // delivered again
				require.Empty(t, outcomes[0].Confirmed)
				require.Equal(t, want, f.conflictState(t))
			})
		}
	}
}

func TestConflictOfAGiftHasBothValuesSealed(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.ruled(t, owners)
	f.apply(t, giftEvent("create", gift(10, 7, "120", "don-1", modified), 0).the(t))
	var sealed []byte
	var decisions []string
	var reason string
	require.NoError(t, f.pool.QueryRow(t.Context(), `SELECT details_sealed, decisions, reason FROM review_items`).Scan(&sealed, &decisions, &reason))
	require.Equal(t, []string{"take-virtuous", "dismiss"}, decisions)
	require.Equal(t, "gift_differs", reason)
	plain, err := f.applier.Vault.Open(t.Context(), customer, store.PurposeReviewDetails, sealed)
	require.NoError(t, err)
	var details []operatorapi.ReviewDetail
	require.NoError(t, json.Unmarshal(plain, &details))
	byField := map[string][2]string{}
	for _, one := range details {
		byField[one.Field] = [2]string{one.Partner, one.Virtuous}
	}
	require.Equal(t, [2]string{"125", "120"}, byField["amount"], "%s", plain)
}

func TestConflictOfAGiftEndsWhenTheGiftIsRightOrGone(t *testing.T) {
	t.Parallel()
	later := modified.Add(time.Hour)
	for name, c := range map[string]struct {
		apply func(t *testing.T, f *fixture)
		want  string
	}{
		"staff correct the gift": {func(t *testing.T, f *fixture) {
			t.Helper()
			f.apply(t, giftEvent("update", gift(10, 7, "125.00", "don-1", later), 61).the(t))
		}, "in_sync superseded"},
		"staff change it to another wrong amount": {func(t *testing.T, f *fixture) {
			t.Helper()
			f.apply(t, giftEvent("update", gift(10, 7, "119", "don-1", later), 61).the(t))
		}, "conflict superseded open"},
		"an older version comes late": {func(t *testing.T, f *fixture) {
			t.Helper()
			f.apply(t, giftEvent("update", gift(10, 7, "125.00", "don-1", modified.Add(-time.Hour)), 61).the(t))
		}, "conflict open"},
		"the gift is deleted": {func(t *testing.T, f *fixture) {
			t.Helper()
			f.apply(t, giftEvent("delete", map[string]any{"id": int64(10)}, 61).the(t))
		}, "in_sync superseded"},
		"the rules have changed": {func(t *testing.T, f *fixture) {
			t.Helper()
			f.exec(t, `UPDATE virtuous_configs SET resolution = '{}'`)
			f.apply(t, giftEvent("update", gift(10, 7, "119", "don-1", later), 61).the(t))
		}, "in_sync superseded"},
		"it was decided, and staff change it again": {func(t *testing.T, f *fixture) {
			t.Helper()
			f.exec(t, `UPDATE partner_gifts SET sync_state = 'in_sync'`)
			f.exec(t, `UPDATE review_items SET state = 'decided', decision = 'dismiss', settled_at = now(), details_sealed = NULL`)
			f.apply(t, giftEvent("update", gift(10, 7, "119", "don-1", later), 61).the(t))
		}, "in_sync decided"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			f.ruled(t, recent)
			f.apply(t, giftEvent("create", gift(10, 7, "120", "don-1", modified), 0).the(t))
			require.Equal(t, "conflict open", f.conflictState(t))
			c.apply(t, f)
			require.Equal(t, c.want, f.conflictState(t), name)
		})
	}
}
