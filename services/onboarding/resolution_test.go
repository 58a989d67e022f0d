package main

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/giving/resolution"
	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/pkg/report"
	"rollcall.dev/pkg/service"
)

const (
	withRules = `{"customerId":"acme","virtuous":{"token":"k3y","transactionSource":"AcmeGive",
		"resolution":{"policy":"most_recent_wins","owners":{"email":"partner","phone":"virtuous"}}}}`
	otherKey = `{"customerId":"acme","virtuous":{"token":"n3wk3y"}}`
)

// rules returns the customer's rules as they are shown, after it was checked that they are the ones by which is decided.
func (f *givingFixture) rules(t *testing.T) operatorapi.Resolution {
	t.Helper()
	shown, err := report.ConfigOf(t.Context(), f.store.Conn, "acme")
	require.NoError(t, err)
	rules := resolution.Parse(f.config(t).Resolution)
	if rules.Policy != "" {
		require.Equal(t, rules.Policy, shown.Virtuous.Resolution.Policy)
	}
	require.Len(t, shown.Virtuous.Resolution.Owners, len(rules.Owners))
	for field, owner := range rules.Owners {
		require.Equal(t, owner, shown.Virtuous.Resolution.Owners[field])
	}
	return shown.Virtuous.Resolution
}

// change has the operator change the rules.
func (f *givingFixture) change(t *testing.T, change string) (operatorapi.ConfigChanged, error) {
	t.Helper()
	asked := operatorapi.ConfigChange{CustomerID: "acme"}
	require.NoError(t, json.Unmarshal([]byte(`{"resolution":`+change+`}`), &asked.Virtuous))
	return f.operators().setConfig(t.Context(), asked)
}

func TestRulesOfAMessageAreStoredAndShown(t *testing.T) {
	t.Parallel()
	f := newGivingFixture(t)
	f.request(t, withVirtuous)
	byDefault := operatorapi.Resolution{Policy: resolution.VirtuousCanonical, Owners: map[string]string{}}
	require.Equal(t, byDefault, f.rules(t), "a message without rules")

	f.request(t, withRules)
	f.requireOutcome(t, "applied")
	given := operatorapi.Resolution{Policy: resolution.MostRecentWins, Owners: map[string]string{"email": "partner", "phone": "virtuous"}}
	require.Equal(t, given, f.rules(t))
	f.request(t, withRules)
	f.requireOutcome(t, "duplicate")
	f.request(t, otherKey)
	f.requireOutcome(t, "applied")
	require.Equal(t, given, f.rules(t), "a key alone keeps them")

	f.request(t, withVirtuous)
	f.requireOutcome(t, "applied")
	require.Equal(t, byDefault, f.rules(t), "a message with settings replaces all")
	f.request(t, `{"customerId":"acme","virtuous":{"token":"k3y","transactionSource":"AcmeGive","resolution":{"policy":"virtuous_canonical","owners":{}}}}`)
	f.requireOutcome(t, "duplicate")
}

func TestWrongRulesOfAMessageAreRejectedByTheirFields(t *testing.T) {
	t.Parallel()
	f := newGivingFixture(t)
	f.receive(t, `{"customerId":"acme","virtuous":{"token":"k3y","transactionSource":"AcmeGive",
		"resolution":{"policy":"newest","owners":{"email":"both","birthday":"partner"}}}}`)
	state, errs := f.outcome(t)
	require.Equal(t, "rejected", state)
	require.Equal(t, map[string][]string{
		"virtuous.resolution.policy":       {"must be virtuous_canonical, most_recent_wins or owners, or left out for virtuous_canonical"},
		"virtuous.resolution.owners.email": {"must be partner or virtuous, or left out"},
		"virtuous.resolution.owners":       {"must have no other fields than name, email, phone, address"},
	}, errs)
}

func TestChangeOfRulesLeavesTheOthers(t *testing.T) {
	t.Parallel()
	f := newGivingFixture(t)
	f.request(t, withRules)
	for _, step := range []struct {
		change string
		policy string
		owners map[string]string
		fields []string
	}{
		{
			`{"owners":{"address":"virtuous"}}`, "most_recent_wins", map[string]string{"email": "partner", "phone": "virtuous", "address": "virtuous"},
			[]string{"virtuous.resolution.owners.address"},
		},
		{
			`{"owners":{"email":"virtuous","phone":""}}`, "most_recent_wins", map[string]string{"email": "virtuous", "address": "virtuous"},
			[]string{"virtuous.resolution.owners.email", "virtuous.resolution.owners.phone"},
		},
		{`{"policy":"owners"}`, "owners", map[string]string{"email": "virtuous", "address": "virtuous"}, []string{"virtuous.resolution.policy"}},
		{`{"owners":{"name":""}}`, "owners", map[string]string{"email": "virtuous", "address": "virtuous"}, []string{}},
		{
			`{"policy":"","owners":{"address":"","email":""}}`, "virtuous_canonical", map[string]string{},
			[]string{"virtuous.resolution.policy", "virtuous.resolution.owners.address", "virtuous.resolution.owners.email"},
		},
	} {
		done, err := f.change(t, step.change)
		require.NoError(t, err, step.change)
		require.Equal(t, step.fields, fieldsOf(done.Changes), step.change)
		want := operatorapi.Resolution{Policy: step.policy, Owners: step.owners}
		require.Equal(t, want, done.Config.Virtuous.Resolution, step.change)
		require.Equal(t, want, f.rules(t), step.change)
	}
	require.JSONEq(t, `{}`, string(f.config(t).Resolution), "the default has one form")
}

func TestOtherSettingsKeepTheRules(t *testing.T) {
	t.Parallel()
	f := newGivingFixture(t)
	f.request(t, withRules)
	before := f.config(t).Resolution
	done, err := f.operators().setConfig(t.Context(), operatorapi.ConfigChange{
		CustomerID: "acme", Virtuous: &operatorapi.VirtuousChange{StuckAfterHours: new(int32(12))},
	})
	require.NoError(t, err)
	require.Equal(t, []string{"virtuous.stuckAfterHours"}, fieldsOf(done.Changes))
	require.Equal(t, before, f.config(t).Resolution)
}

func TestWrongChangesOfRulesAreRejectedByTheirFields(t *testing.T) {
	t.Parallel()
	f := newGivingFixture(t)
	f.request(t, withRules)
	before := f.config(t)
	for change, field := range map[string]string{
		`{"policy":"newest"}`:                             "virtuous.resolution.policy",
		`{"owners":{"email":"both"}}`:                     "virtuous.resolution.owners.email",
		`{"owners":{"emial":"partner"}}`:                  "virtuous.resolution.owners",
		`{"owners":{"emial":""}}`:                         "virtuous.resolution.owners",
		`{"policy":"owners","owners":{"phone":"owners"}}`: "virtuous.resolution.owners.phone",
	} {
		_, err := f.change(t, change)
		var wrong *service.FieldsError
		require.ErrorAs(t, err, &wrong, change)
		require.Len(t, wrong.Errors, 1, change)
		require.Contains(t, wrong.Errors, field, change)
		require.Equal(t, before, f.config(t), change)
	}
}

// A service of this version must not lose what one of a later version stored.
func TestRulesOfALaterVersionStayUntilTheyAreReplaced(t *testing.T) {
	t.Parallel()
	for _, later := range []string{`{"policy": "longest_wins"}`, `{"policy": "owners", "except": ["email"]}`, `{"owners": {"birthday": "partner"}}`} {
		f := newGivingFixture(t)
		f.request(t, withRules)
		f.sql(t, `UPDATE virtuous_configs SET resolution = '`+later+`'`)
		_, err := f.operators().setConfig(t.Context(), operatorapi.ConfigChange{
			CustomerID: "acme", Virtuous: &operatorapi.VirtuousChange{StuckAfterHours: new(int32(12))},
		})
		require.NoError(t, err, later)
		f.request(t, otherKey)
		f.requireOutcome(t, "applied")
		require.JSONEq(t, later, string(f.config(t).Resolution))
		_, err = f.change(t, `{"owners":{"email":"partner"}}`)
		var wrong *service.FieldsError
		require.ErrorAs(t, err, &wrong, "a part of rules that it cannot read is not changed: %s", later)
		f.request(t, withRules)
		f.requireOutcome(t, "applied")
		require.Equal(t, resolution.MostRecentWins, f.rules(t).Policy)
	}
}
