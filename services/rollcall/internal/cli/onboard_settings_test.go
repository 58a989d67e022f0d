package cli

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/pkg/service"
)

const everythingGoes = `acme is known: the request replaces all of its settings, and so changes
  destination.batchSize: 100 -> one by one
  destination.token: given -> none
  pollCadenceMinutes: 15 -> 30
  adminEmail: it@acme.example -> none
  limits.requestsPerSecond: 2.5 -> as the installation
  limits.requestsPerMinute: 0 -> as the installation
  backfillNotBefore: 2026-11-20T08:00:00Z -> none
  quietHours: 08:00-18:00 UTC -> none
`

// again onboards acme with an address and no other setting.
func (s *onboardingService) again(more ...string) result {
	s.t.Helper()
	return s.run(append([]string{"onboard", "acme", "--vomo-token", vomoToken, "--url", "https://crm.example/api"}, more...)...)
}

func (s *onboardingService) published() uint64 {
	s.t.Helper()
	info, err := s.stream.Info(s.t.Context())
	require.NoError(s.t, err)
	return info.State.Msgs
}

func TestOnboardListsReplacedSettingsBeforePublishing(t *testing.T) {
	t.Parallel()
	s := newOnboardingService(t)
	s.configAnswer = always(fullConfig())

	got := s.again()
	require.Equal(t, exitUsage, got.code)
	require.Equal(t, everythingGoes, got.stderr[:min(len(got.stderr), len(everythingGoes))])
	require.Contains(t, got.stderr, "--force publishes it all the same")
	require.Contains(t, got.stderr, "rollcall config set acme")
	require.Zero(t, s.published())

	got = s.again("--force", "--json")
	require.Zero(t, got.code, got.stderr)
	require.Equal(t, everythingGoes, got.stderr[:min(len(got.stderr), len(everythingGoes))])
	require.EqualValues(t, 1, document[onboardedDocument](t, got).Sequence)
}

func TestOnboardOnATerminalAsksBeforeReplacingSettings(t *testing.T) {
	t.Parallel()
	s := newOnboardingService(t)
	s.configAnswer = always(fullConfig())
	s.process.StdinTerminal = true
	s.process.Stdin = strings.NewReader("y\nacme\n")
	got := s.again()
	require.Equal(t, exitFailed, got.code)
	require.Contains(t, got.stderr, "not published")
	require.Zero(t, s.published())
	got = s.again()
	require.Zero(t, got.code, got.stderr)
	require.EqualValues(t, 1, s.published())
}

func TestOnboardWithTheSameSettingsAsksForNoConfirmation(t *testing.T) {
	t.Parallel()
	s := newOnboardingService(t)
	shown := fullConfig()
	shown.BatchSize, shown.QuietHours.Weekdays = nil, []string{"mon", "fri"}
	s.configAnswer = always(shown)
	same := []string{
		"onboard", "acme", "--vomo-token", vomoToken, "--destination-url", "https://crm.example/api", "--destination-token-file",
		tokenFile(t, "crm-secret"), "--cadence", "15", "--admin-email", "it@acme.example", "--rps", "2.5", "--rpm", "0",
		"--not-before", "2026-11-20T09:00:00+01:00", "--quiet-hours", "08:00-18:00 UTC", "--quiet-days", "fri,mon",
	}
	got := s.run(same...)
	require.Equal(t, result{stdout: "acme: published as message 1 of ROLLCALL_ONBOARDING\n"}, got)

	got = s.run(append(same, "--cadence", "30")...)
	require.Equal(t, exitUsage, got.code)
	require.Contains(t, got.stderr, "  pollCadenceMinutes: 15 -> 30\n  destination.token: replaced by the given one\n")
	require.NotContains(t, got.stderr, "crm-secret")
}

func TestOnboardWithOnlyATokenKeepsTheSettings(t *testing.T) {
	t.Parallel()
	s := newOnboardingService(t)
	s.configAnswer = always(fullConfig())
	got := s.run("onboard", "acme", "--vomo-token-file", tokenFile(t, vomoToken))
	require.Equal(t, result{
		stdout: "acme: published as message 1 of ROLLCALL_ONBOARDING\n", stderr: "acme: the request replaces the token; all settings stay\n",
	}, got)
	require.True(t, s.request().TokenOnly())
}

func TestOnboardOfAnOffboardedCustomerAsksForNoConfirmation(t *testing.T) {
	t.Parallel()
	s := newOnboardingService(t)
	left := fullConfig()
	left.OffboardedAt = &testTime
	s.configAnswer = always(left)
	require.Equal(t, result{stdout: "acme: published as message 1 of ROLLCALL_ONBOARDING\n"}, s.again())
}

func TestOnboardPublishesWhileTheServiceIsAway(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	stream := f.onboardingStream()
	for n, more := range [][]string{{"--url", "https://crm.example/api"}, nil} {
		got := f.run(append([]string{"onboard", "acme", "--clear", "--vomo-token", vomoToken}, more...)...)
		require.Zero(t, got.code)
		require.Contains(t, got.stderr, `which settings of "acme" the request changes could not be asked`)
		f.message(stream, uint64(n)+1)
	}
}

func TestOnboardDoesNotPublishIfTheSettingsCannotBeRead(t *testing.T) {
	t.Parallel()
	s := newOnboardingService(t)
	s.configAnswer = func(int, []byte) (any, string) { return "the database is away", service.CodeInternal }
	got := s.again()
	require.Equal(t, exitFailed, got.code)
	require.Contains(t, got.stderr, "the database is away")
	require.Zero(t, s.published())
}

func TestQuietHoursAreShownAsTheFlagsAcceptThem(t *testing.T) {
	t.Parallel()
	require.Equal(t, "none", shownHours(nil))
	require.Equal(t, "22:00-06:00 UTC sat,sun", shownHours(&operatorapi.QuietHours{From: "22:00", To: "06:00", Zone: "UTC", Weekdays: []string{"sat", "sun"}}))
}
