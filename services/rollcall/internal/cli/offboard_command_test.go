package cli

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/report"
)

func TestOffboardingIsPublishedWhenTheCustomersIDIsTyped(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	stream := f.onboardingStream()
	f.answers("status", "get", always(report.Status{CustomerID: "acme"}))
	f.process.StdinTerminal = true
	for _, typed := range []string{"\n", "y\n", "globex\n"} {
		f.process.Stdin = strings.NewReader(typed)
		got := f.run("offboard", "acme")
		require.Equal(t, 1, got.code)
		require.Contains(t, got.stderr, "not offboarded")
	}
	f.process.Stdin = strings.NewReader("acme\n")
	got := f.run("offboard", "acme", "--json")
	require.Zero(t, got.code, got.stderr)
	require.Equal(t, uint64(1), document[published](t, got).Sequence)
	message := f.message(stream, 1)
	require.Equal(t, "rollcall.onboarding.offboard.acme", message.Subject)
	require.JSONEq(t, `{"customerId":"acme"}`, string(message.Data))
}

func TestOffboardingWithoutATerminalNeedsForce(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	stream := f.onboardingStream()
	f.answers("status", "get", always(report.Status{CustomerID: "acme"}))
	got := f.run("offboard", "acme")
	require.Equal(t, 2, got.code)
	require.Contains(t, got.stderr, "--force")
	require.Equal(t, result{stdout: "acme: published as message 1 of ROLLCALL_ONBOARDING\n"}, f.run("offboard", "acme", "--force"))
	f.message(stream, 1)
}

func TestOffboardPublishesWhileTheServiceIsAway(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	stream := f.onboardingStream()
	got := f.run("offboard", "acme", "--force")
	require.Zero(t, got.code)
	require.Contains(t, got.stderr, `whether "acme" is known could not be asked`)
	f.message(stream, 1)
}
