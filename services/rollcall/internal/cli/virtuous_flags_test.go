package cli

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/nkeys"
	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/pkg/report"
	"rollcall.dev/pkg/service"
	rollcallv1 "rollcall.dev/proto/rollcall/v1"
)

// secretFile returns a file with a secret.
func secretFile(t *testing.T, secret string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "secret")
	require.NoError(t, os.WriteFile(file, []byte(secret+"\n"), 0o600))
	return file
}

// answersForVirtuous has the onboarding service answer for a customer with these settings, nil if it is not known, and apply requests.
func (f *fixture) answersForVirtuous(virtuous *operatorapi.Virtuous) {
	f.t.Helper()
	key, err := nkeys.CreateCurveKeys()
	require.NoError(f.t, err)
	public, err := key.PublicKey()
	require.NoError(f.t, err)
	f.answers("key", "get", always(operatorapi.KeyReply{PublicKey: public}))
	f.answers("config", "get", func(int, []byte) (any, string) {
		if virtuous == nil {
			return "unknown", service.CodeNotFound
		}
		return operatorapi.Config{CustomerID: "acme", Virtuous: virtuous}, noCode
	})
	f.answers("requests", "get", always(operatorapi.Request{CustomerID: "acme", State: "applied"}))
}

// publishedRequest returns the request that was published as message n. token and secret say whether it has these, sealed.
func (f *fixture) publishedRequest(n uint64, token, secret bool) *rollcallv1.OnboardingRequest {
	f.t.Helper()
	stream, err := f.nats.JetStream(f.t).Stream(f.t.Context(), "ROLLCALL_ONBOARDING")
	require.NoError(f.t, err)
	request := &rollcallv1.OnboardingRequest{}
	require.NoError(f.t, rollcallv1.Read(f.message(stream, n).Data, request))
	virtuous := request.GetVirtuous()
	require.Empty(f.t, virtuous.GetToken()+virtuous.GetWebhookSecret(), "secrets are sealed")
	require.Equal(f.t, token, virtuous.GetTokenSealed() != "")
	require.Equal(f.t, secret, virtuous.GetWebhookSecretSealed() != "")
	return request
}

func TestKeyOfVirtuousSetsUpACustomer(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.onboardingStream()
	f.answersForVirtuous(nil)
	got := f.run("config", "set", "acme", "--virtuous-token-file", secretFile(t, "k3y"), "--virtuous-source", "AcmeGive", "--admin-email", "it@acme.example",
		"--virtuous-webhook-secret-file", secretFile(t, "wh-s3cret"), "--virtuous-defaults", `{"batch":"Acme"}`, "--virtuous-webhook",
		"--virtuous-needs-review-hours", "96", "--virtuous-gifts-since", "2025-12-31", "--virtuous-imports-url", "https://app.example.org/imports",
		"--virtuous-designations-field", "giftDesignations", "--virtuous-stuck-hours", "12")
	require.Zero(t, got.code, got.stderr)
	require.Contains(t, got.stdout, "Virtuous accepted the API key")
	request := f.publishedRequest(1, true, true)
	require.Equal(t, "it@acme.example", request.GetAdminEmail())
	virtuous := request.GetVirtuous()
	require.Equal(t, "AcmeGive giftDesignations https://app.example.org/imports 2025-12-31",
		virtuous.GetTransactionSource()+" "+virtuous.GetDesignationsField()+" "+virtuous.GetImportsUrl()+" "+virtuous.GetGiftsSince())
	require.Equal(t, []int32{96, 12}, []int32{virtuous.GetNeedsReviewAfterHours(), virtuous.GetStuckAfterHours()})
	require.True(t, virtuous.GetCreateWebhook())
	require.Equal(t, "Acme", virtuous.GetDefaults().GetFields()["batch"].GetStringValue())
}

func TestRefreshTokenOfVirtuousIsGivenSealedInsteadOfAKey(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.onboardingStream()
	f.answersForVirtuous(&operatorapi.Virtuous{Enabled: true, DesignationsField: "designations", Defaults: json.RawMessage(`{}`)})
	got := f.run("config", "set", "acme", "--virtuous-refresh-token-file", secretFile(t, "r3fresh"))
	require.Zero(t, got.code, got.stderr)
	require.Contains(t, got.stdout, "Virtuous accepted the refresh token")
	virtuous := f.publishedRequest(1, false, false).GetVirtuous()
	require.True(t, virtuous.KeyOnly())
	require.Empty(t, virtuous.GetRefreshToken())
	require.NotEmpty(t, virtuous.GetRefreshTokenSealed())

	got = f.run("config", "set", "acme", "--virtuous-refresh-token-file", secretFile(t, "r3fresh"), "--virtuous-token-file", secretFile(t, "k3y"))
	require.Equal(t, exitUsage, got.code)
}

func TestShownCredentialHasNoToken(t *testing.T) {
	t.Parallel()
	require.Equal(t, "API key", shownCredential(nil))
	ends := time.Date(2026, time.December, 14, 10, 0, 0, 0, time.UTC)
	require.Equal(t, "OAuth; the access token ends 2026-12-14T10:00:00Z, and is refreshed before",
		shownCredential(&operatorapi.VirtuousOAuth{AccessTokenExpiresAt: ends}))
}

func TestNewKeyOfVirtuousKeepsSettings(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.onboardingStream()
	f.answersForVirtuous(&operatorapi.Virtuous{
		Enabled: true, TransactionSource: new("AcmeGive"), DesignationsField: "designations", Defaults: json.RawMessage(`{"batch":"Acme"}`),
		NeedsReviewAfterHours: 96, StuckAfterHours: 24, ImportsURL: new("https://app.example.org/imports"),
	})
	got := f.run("config", "set", "acme", "--virtuous-token-file", secretFile(t, "n3wk3y"), "--virtuous-webhook-secret-file", secretFile(t, "wh-s3cret"))
	require.Zero(t, got.code, got.stderr)
	require.True(t, f.publishedRequest(1, true, true).GetVirtuous().KeyOnly())

	got = f.run("config", "set", "acme", "--virtuous-token-file", secretFile(t, "n3wk3y"), "--virtuous-stuck-hours", "12",
		"--virtuous-accept-other-organization")
	require.Zero(t, got.code, got.stderr)
	virtuous := f.publishedRequest(2, true, false).GetVirtuous()
	require.Equal(t, "AcmeGive", virtuous.GetTransactionSource(), "settings without a flag stay")
	require.Equal(t, []int32{96, 12}, []int32{virtuous.GetNeedsReviewAfterHours(), virtuous.GetStuckAfterHours()})
	require.Equal(t, "Acme", virtuous.GetDefaults().GetFields()["batch"].GetStringValue())
	require.True(t, virtuous.GetAcceptOtherOrganization())

	got = f.run("config", "set", "acme", "--no-virtuous")
	require.Zero(t, got.code, got.stderr)
	require.Contains(t, got.stdout, "giving has ended")
	require.True(t, f.publishedRequest(3, false, false).GetVirtuous().GetRemove())
}

func TestSettingsOfVirtuousAreChangedWithoutAKey(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.answersForVirtuous(&operatorapi.Virtuous{})
	var asked operatorapi.ConfigChange
	f.answers("config", "set", func(_ int, question []byte) (any, string) {
		if err := json.Unmarshal(question, &asked); err != nil {
			return err.Error(), service.CodeBadRequest
		}
		return operatorapi.ConfigChanged{CustomerID: "acme", Changes: []operatorapi.Change{
			{Field: "virtuous.needsReviewAfterHours", From: 72, To: 96}, {Field: "virtuous.webhookSecret"},
		}}, noCode
	})
	got := f.run("config", "set", "acme", "--virtuous-needs-review-hours", "96", "--virtuous-source", "", "--virtuous-webhook=false",
		"--virtuous-webhook-secret-file", secretFile(t, "wh-s3cret"))
	require.Zero(t, got.code, got.stderr)
	require.Equal(t, "acme: virtuous.needsReviewAfterHours 72 -> 96\nacme: virtuous.webhookSecret changed\n", got.stdout)
	require.NotEmpty(t, asked.Virtuous.WebhookSecretSealed)
	asked.Virtuous.WebhookSecretSealed = ""
	require.Equal(t, &operatorapi.VirtuousChange{TransactionSource: new(""), NeedsReviewAfterHours: new(int32(96)), CreateWebhook: new(false)}, asked.Virtuous)

	one := secretFile(t, "both")
	got = f.run("config", "set", "acme", "--destination-token-file", one, "--virtuous-webhook-secret-file", one)
	require.Zero(t, got.code, got.stderr)
	require.NotEmpty(t, asked.DestinationTokenSealed)
	require.NotEmpty(t, asked.Virtuous.WebhookSecretSealed)
	for _, args := range [][]string{
		{"--virtuous-defaults", "batch"}, {"--no-virtuous", "--virtuous-source", "x"}, {"--virtuous-token-file", "f", "--cadence", "5"},
		{"--no-virtuous", "--vomo-token-file", "f"}, {"--virtuous-owner", "email"}, {"--no-virtuous", "--virtuous-owner", "email=partner"},
		{"--vomo-token-file", "f", "--virtuous-resolution", "owners"},
	} {
		require.Equal(t, exitUsage, f.run(append([]string{"config", "set", "acme"}, args...)...).code, args)
	}
}

func TestOffboardingNamesDonationsAndNeedsForce(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	stream := f.onboardingStream()
	f.answers("status", "get", always(report.Status{CustomerID: "acme"}))
	f.answers("offboardings", "get", func(n int, _ []byte) (any, string) {
		giving := operatorapi.OffboardingGiving{Pending: 1, Submitted: 2, Donations: []string{"don-1", "don-2", "don-3"}}
		if n == 1 {
			giving.Queued = 1 // it is captured a moment later
		}
		return operatorapi.Offboarding{CustomerID: "acme", Giving: giving}, noCode
	})
	f.process.StdinTerminal = true
	got := f.run("offboard", "acme")
	require.Equal(t, 1, got.code)
	require.Contains(t, got.stderr, "1 donations are pending, 2 are submitted and 0 are not captured yet: don-1, don-2, don-3")
	require.Len(t, f.waits, 1)
	got = f.run("offboard", "acme", "--force")
	require.Zero(t, got.code, got.stderr)
	require.JSONEq(t, `{"customerId":"acme","force":true}`, string(f.message(stream, 1).Data))
}

func TestRulesOfResolutionAreChangedFieldByField(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	var asked []string
	f.answers("config", "set", func(_ int, question []byte) (any, string) {
		var change struct {
			Virtuous json.RawMessage `json:"virtuous"`
		}
		if err := json.Unmarshal(question, &change); err != nil {
			return err.Error(), service.CodeBadRequest
		}
		asked = append(asked, string(change.Virtuous))
		return operatorapi.ConfigChanged{CustomerID: "acme", Changes: []operatorapi.Change{
			{Field: "virtuous.resolution.policy", From: "virtuous_canonical", To: "most_recent_wins"},
			{Field: "virtuous.resolution.owners.email", To: "partner"}, {Field: "virtuous.resolution.owners.phone", From: "virtuous"},
		}}, noCode
	})
	for _, args := range [][]string{
		{"--virtuous-resolution", "most_recent_wins", "--virtuous-owner", "email=partner", "--virtuous-owner", "phone=none"},
		{"--virtuous-owner", "email=partner,phone=", "--virtuous-stuck-hours", "12"}, {"--virtuous-resolution", ""},
	} {
		got := f.run(append([]string{"config", "set", "acme"}, args...)...)
		require.Zero(t, got.code, got.stderr)
		require.Equal(t, "acme: virtuous.resolution.policy virtuous_canonical -> most_recent_wins\n"+
			"acme: virtuous.resolution.owners.email none -> partner\nacme: virtuous.resolution.owners.phone virtuous -> none\n", got.stdout)
	}
	require.Equal(t, []string{
		`{"resolution":{"policy":"most_recent_wins","owners":{"email":"partner","phone":""}}}`,
		`{"stuckAfterHours":12,"resolution":{"owners":{"email":"partner","phone":""}}}`, `{"resolution":{"policy":""}}`,
	}, asked)
}

func TestRulesOfResolutionGoWithAKeyAndStayWithoutFlags(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.onboardingStream()
	f.answersForVirtuous(&operatorapi.Virtuous{
		Enabled: true, TransactionSource: new("AcmeGive"), Defaults: json.RawMessage(`{}`),
		Resolution: operatorapi.Resolution{Policy: "owners", Owners: map[string]string{"email": "partner"}},
	})
	for i, c := range []struct {
		args   []string
		policy string
		owners map[string]string
	}{
		{[]string{"--virtuous-stuck-hours", "12"}, "owners", map[string]string{"email": "partner"}},
		{[]string{"--virtuous-owner", "name=virtuous"}, "owners", map[string]string{"email": "partner", "name": "virtuous"}},
		{[]string{"--virtuous-resolution", "virtuous_canonical", "--virtuous-owner", "email=none"}, "", nil},
	} {
		got := f.run(append([]string{"config", "set", "acme", "--virtuous-token-file", secretFile(t, "k3y")}, c.args...)...)
		require.Zero(t, got.code, got.stderr)
		rules := f.publishedRequest(uint64(i+1), true, false).GetVirtuous().GetResolution()
		require.Equal(t, c.policy, rules.GetPolicy(), c.args)
		require.Equal(t, c.owners, rules.GetOwners(), c.args)
	}
	got := f.run("config", "set", "acme", "--virtuous-token-file", secretFile(t, "k3y"), "--virtuous-resolution", "newest", "--virtuous-owner", "fax=partner")
	require.Equal(t, exitUsage, got.code)
	require.Contains(t, got.stderr, "virtuous.resolution.policy: must be virtuous_canonical, most_recent_wins or owners")
	require.Contains(t, got.stderr, "virtuous.resolution.owners: must have no other fields than name, email, phone, address")
}

func TestConfigShowPrintsTheRulesOfResolution(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		rules operatorapi.Resolution
		want  string
	}{
		{operatorapi.Resolution{Policy: "virtuous_canonical"}, `(?m)resolution +virtuous_canonical$(\n|.)+owners of fields +none$`},
		{
			operatorapi.Resolution{Policy: "most_recent_wins", Owners: map[string]string{"phone": "virtuous", "email": "partner"}},
			`(?m)resolution +most_recent_wins$(\n|.)+owners of fields +email=partner,phone=virtuous$`,
		},
	} {
		f := newFixture(t)
		f.answersForVirtuous(&operatorapi.Virtuous{Enabled: true, Resolution: c.rules})
		got := f.run("config", "show", "acme")
		require.Zero(t, got.code, got.stderr)
		require.Regexp(t, c.want, got.stdout)
	}
}
