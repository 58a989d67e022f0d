package cli

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/report"
)

func TestOffboardingIsPublishedWhenTheCustomersIDIsTyped(t *testing.T) {
	t.Parallel()
	i := newInstallation(t)
	stream := i.onboardingStream()
	i.answers("status", "get", always(report.Status{CustomerID: "acme"}))
	i.process.StdinTerminal = true
	for _, typed := range []string{"\n", "y\n", "globex\n"} {
		i.process.Stdin = strings.NewReader(typed)
		got := i.run("offboard", "acme")
		require.Equal(t, 1, got.code)
		require.Contains(t, got.stderr, "not offboarded")
	}
	i.process.Stdin = strings.NewReader("acme\n")
	got := i.run("offboard", "acme", "--json")
	require.Zero(t, got.code, got.stderr)
	require.Equal(t, uint64(1), document[published](t, got).Sequence)
	message := i.message(stream, 1)
	require.Equal(t, "rollcall.onboarding.offboard.acme", message.Subject)
	require.JSONEq(t, `{"customerId":"acme"}`, string(message.Data))
}

func TestOffboardingWithoutATerminalNeedsForce(t *testing.T) {
	t.Parallel()
	i := newInstallation(t)
	stream := i.onboardingStream()
	i.answers("status", "get", always(report.Status{CustomerID: "acme"}))
	got := i.run("offboard", "acme")
	require.Equal(t, 2, got.code)
	require.Contains(t, got.stderr, "--force")
	require.Equal(t, result{stdout: "acme: published as message 1 of ROLLCALL_ONBOARDING\n"}, i.run("offboard", "acme", "--force"))
	i.message(stream, 1)
}

func TestOffboardingIsTakenWhileTheServiceIsAway(t *testing.T) {
	t.Parallel()
	i := newInstallation(t)
	stream := i.onboardingStream()
	got := i.run("offboard", "acme", "--force")
	require.Zero(t, got.code)
	require.Contains(t, got.stderr, `whether "acme" is known could not be asked`)
	i.message(stream, 1)
}
