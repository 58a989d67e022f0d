package cli

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

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
		{"--no-virtuous", "--vomo-token-file", "f"},
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
