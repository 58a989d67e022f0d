package main

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/pkg/service"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/vault"
)

// operators returns operators of the fixture.
func (f *givingFixture) operators() *operators {
	return &operators{store: f.store, vault: f.vault, logger: f.logger, holder: "onboarding-1", leaseFor: probeTimeout, patience: probeTimeout}
}

func TestSettingsForGivingAreChanged(t *testing.T) {
	t.Parallel()
	f := newGivingFixture(t)
	f.request(t, withVirtuous)
	public, err := f.vault.PublicXKey(t.Context())
	require.NoError(t, err)
	sealed, err := vault.SealToken(public, "wh-s3cret")
	require.NoError(t, err)
	change := &operatorapi.VirtuousChange{
		NeedsReviewAfterHours: new(int32(96)), Defaults: json.RawMessage(`{"batch":"Acme"}`), ImportsURL: new("https://app.example.org/imports"),
		WebhookSecretSealed: sealed,
	}
	done, err := f.operators().setConfig(t.Context(), operatorapi.ConfigChange{CustomerID: "acme", AdminEmail: new("it@acme.example"), Virtuous: change})
	require.NoError(t, err)
	require.Equal(t, []string{
		"adminEmail", "virtuous.defaults", "virtuous.needsReviewAfterHours", "virtuous.importsUrl", "virtuous.webhookSecret",
	}, fieldsOf(done.Changes))
	require.Equal(t, 96, done.Config.Virtuous.NeedsReviewAfterHours)
	require.Equal(t, "AcmeGive", *done.Config.Virtuous.TransactionSource)
	require.True(t, done.Config.Virtuous.HasWebhookSecret)
	require.Equal(t, "wh-s3cret", f.token(t, store.CredentialWebhookSecret))
	require.Equal(t, 1, f.count(t, `SELECT count(*) FROM outbox WHERE subject = 'rollcall.events.config.changed.acme'`))

	f.sql(t, `UPDATE virtuous_configs SET enabled = false, disabled_reason = 'auth_failed'`)
	done, err = f.operators().setConfig(t.Context(), operatorapi.ConfigChange{CustomerID: "acme", Virtuous: &operatorapi.VirtuousChange{ImportsURL: new("")}})
	require.NoError(t, err)
	require.Len(t, done.Changes, 1)
	require.False(t, done.Config.Virtuous.Enabled, "a setting switches nothing on")
}

func TestWrongSettingsForGivingAreRejected(t *testing.T) {
	t.Parallel()
	f := newGivingFixture(t)
	f.request(t, withVirtuous)
	for field, change := range map[string]operatorapi.VirtuousChange{
		"virtuous.transactionSource":     {TransactionSource: new("a/b")},
		"virtuous.designationsField":     {DesignationsField: new("designation")},
		"virtuous.needsReviewAfterHours": {NeedsReviewAfterHours: new(int32(-1))},
		"virtuous.stuckAfterHours":       {StuckAfterHours: new(int32(73))},
		"virtuous.importsUrl":            {ImportsURL: new("javascript:alert(1)")},
		"virtuous.giftsSince":            {GiftsSince: new("2026-02-30")},
		"virtuous.defaults":              {Defaults: json.RawMessage(`{"amount":"1.00"}`)},
		fieldWebhookSecret:               {WebhookSecretSealed: "x.y"},
	} {
		_, err := f.operators().setConfig(t.Context(), operatorapi.ConfigChange{CustomerID: "acme", Virtuous: &change})
		var wrong *service.FieldsError
		require.ErrorAs(t, err, &wrong, field)
		require.Contains(t, wrong.Errors, field)
	}
	_, err := f.operators().setConfig(t.Context(), operatorapi.ConfigChange{CustomerID: "acme", Virtuous: &operatorapi.VirtuousChange{TransactionSource: new("")}})
	var wrong *service.FieldsError
	require.ErrorAs(t, err, &wrong)
	require.Contains(t, wrong.Errors, fieldSource, "the installation has none")
	_, err = f.operators().setConfig(t.Context(), operatorapi.ConfigChange{CustomerID: "acme", PollCadenceMinutes: new(int32(15))})
	require.ErrorAs(t, err, &wrong)
	require.Contains(t, wrong.Errors["body"][0], "the customer has none")
	_, err = f.operators().startBackfill(t.Context(), acme)
	var conflict *service.ConflictError
	require.ErrorAs(t, err, &conflict)
	require.Contains(t, conflict.Text, "has no mirror")
}

func TestSettingsForGivingNeedAKeyFirst(t *testing.T) {
	t.Parallel()
	f := newGivingFixture(t)
	f.request(t, everySetting)
	_, err := f.operators().setConfig(t.Context(), operatorapi.ConfigChange{CustomerID: "acme", Virtuous: &operatorapi.VirtuousChange{ImportsURL: new("")}})
	var conflict *service.ConflictError
	require.ErrorAs(t, err, &conflict)
	require.Contains(t, conflict.Text, "--virtuous-token-file")
}

func TestSealedWebhookSecretObeysTheRuleOfOnboarding(t *testing.T) {
	t.Parallel()
	f := newGivingFixture(t)
	f.request(t, withVirtuous)
	public, err := f.vault.PublicXKey(t.Context())
	require.NoError(t, err)
	sealed, err := vault.SealToken(public, "wh s3cret\n")
	require.NoError(t, err)
	_, err = f.operators().setConfig(t.Context(), operatorapi.ConfigChange{CustomerID: "acme", Virtuous: &operatorapi.VirtuousChange{WebhookSecretSealed: sealed}})
	var rejected *service.FieldsError
	require.ErrorAs(t, err, &rejected)
	require.Contains(t, rejected.Errors, fieldWebhookSecret)
}

func TestChangeKeepsTheStoredDestinationAsItIs(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		stored string
		asked  operatorapi.ConfigChange
		want   string
	}{
		"without a mirror": {stored: `{}`, want: `{}`},
		"of a later version": {
			stored: `{"kind":"rest","url":"http://a","limit":9007199254740993}`, asked: operatorapi.ConfigChange{DestinationParticipations: new(true)},
			want: `{"kind":"rest","limit":9007199254740993,"participations":true,"url":"http://a"}`,
		},
	} {
		next := store.Customer{Destination: []byte(c.stored)}
		if c.stored != "{}" {
			next.ExternalSystemURL = "http://a"
		}
		_, _, err := planDestination(&next, c.asked)
		require.NoError(t, err, name)
		require.Equal(t, c.want, string(next.Destination), name)
	}
}
