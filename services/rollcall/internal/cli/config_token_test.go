package cli

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/report"
)

// standingConfig is a customer's with every setting.
func standingConfig() report.Config {
	return report.Config{
		CustomerID: "acme", Enabled: true, ExternalSystemURL: "https://crm.example/api", DestinationKind: "rest", BatchSize: new(int32(100)),
		HasDestinationAuth: true, PollCadenceMinutes: 15, AdminEmail: new("it@acme.example"),
		Limits:            report.ConfigLimits{RequestsPerSecond: new(2.5), RequestsPerMinute: new(0.0)},
		BackfillNotBefore: &moment1, QuietHours: &report.QuietHours{From: "08:00", To: "18:00", Zone: "UTC"},
	}
}

func TestANewTokenIsGivenWhereSettingsAreChanged(t *testing.T) {
	t.Parallel()
	s := newOnboardingService(t)
	s.configAnswer = always(standingConfig())
	s.answers("requests", "get", inTurn(report.Request{CustomerID: "acme", State: "pending"}, report.Request{CustomerID: "acme", State: "applied"},
		report.Request{CustomerID: "acme", State: "duplicate"}, report.Request{CustomerID: "acme", State: "applied"}))

	got := s.run("config", "set", "acme", "--vomo-token-file", tokenFile(t, "\ufeff"+vomoToken)) // as some editors save it

	require.Equal(t, result{stdout: "acme: published as message 1 of ROLLCALL_ONBOARDING\nacme: VOMO token replaced; all settings stay\n"}, got)
	request := s.request()
	require.True(t, request.TokenOnly())
	require.Empty(t, request.GetVomoToken())
	require.Equal(t, vomoToken, s.open(request.GetVomoTokenSealed()))

	s.process.Stdin = strings.NewReader(vomoToken)
	got = s.run("config", "set", "acme", "--vomo-token-file", "-")
	require.Zero(t, got.code, got.stderr)
	require.Contains(t, got.stdout, "was in force already")
	whole := document[onboardedDocument](t, s.run("config", "set", "acme", "--vomo-token-file", tokenFile(t, vomoToken), "--json"))
	require.Equal(t, "applied", whole.Request.State)
}

func TestATokenThatVOMORefusesChangesNothing(t *testing.T) {
	t.Parallel()
	s := newOnboardingService(t)
	s.configAnswer = always(standingConfig())
	s.answers("requests", "get", inTurn(report.Request{CustomerID: "acme", State: "rejected", Errors: map[string][]string{
		"vomoToken": {"Token rejected by VOMO API"},
	}}, report.Request{CustomerID: "acme", State: "superseded"}))
	got := s.run("config", "set", "acme", "--vomo-token-file", tokenFile(t, vomoToken))
	require.Equal(t, 1, got.code)
	require.Equal(t, "rollcall: nothing was changed:\n  vomoToken: Token rejected by VOMO API\n", got.stderr)
	got = s.run("config", "set", "acme", "--vomo-token-file", tokenFile(t, vomoToken))
	require.Equal(t, 1, got.code)
	require.Contains(t, got.stderr, "superseded by a newer request")
}

func TestATokenAloneIsForWhoIsKnown(t *testing.T) {
	t.Parallel()
	s := newOnboardingService(t)
	left := standingConfig()
	left.OffboardedAt = &moment1
	for _, answer := range []func(int, []byte) (any, string){unknown, always(left)} {
		s.configAnswer = answer
		for _, command := range [][]string{{"onboard", "acme"}, {"config", "set", "acme"}} {
			got := s.run(append(command, "--vomo-token-file", tokenFile(t, vomoToken))...)
			require.Equal(t, 1, got.code)
			require.Contains(t, got.stderr, `customer "acme" is not mirrored`)
			require.Contains(t, got.stderr, "--url")
		}
	}
	info, err := s.stream.Info(t.Context())
	require.NoError(t, err)
	require.Zero(t, info.State.Msgs)
}

func TestANewTokenIsNoChangeAmongOthers(t *testing.T) {
	t.Parallel()
	i := newInstallation(t)
	for _, more := range [][]string{{"--cadence", "15"}, {"--destination-token-file", "x"}, {"--moved"}} {
		got := i.run(append([]string{"config", "set", "acme", "--vomo-token-file", tokenFile(t, vomoToken)}, more...)...)
		require.Equal(t, exitUsage, got.code)
		require.Contains(t, got.stderr, "vomo-token-file")
	}
	got := i.run("config", "set", "acme", "--vomo-token-file", tokenFile(t, "vomo secret"))
	require.Equal(t, exitUsage, got.code)
	require.Contains(t, got.stderr, "vomoToken: has spaces")
}
