package cli

import (
	"bytes"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/operatorapi"
)

func TestUsageErrorIsExitStatusTwo(t *testing.T) {
	t.Parallel()
	calls := map[string][]string{
		"an unknown command":           {"onbord"},
		"an unknown flag":              {"key", "--nonsense"},
		"a missing customer":           {"status"},
		"a customer too many":          {"status", "acme", "globex"},
		"a group without its command":  {"backfill"},
		"a group's unknown command":    {"backfill", "stop"},
		"a limit of nothing":           {"backfill", "ls", "--limit", "0"},
		"a certificate without key":    {"key", "--tlscert", "cert.pem"},
		"a timeout of nothing":         {"key", "--timeout", "0s"},
		"an id that names no customer": {"offboard", "ACME Ltd", "--force"},
	}
	for name, args := range calls {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var stdout, stderr bytes.Buffer
			code := Run(t.Context(), Process{Args: args, Stdout: &stdout, Stderr: &stderr})
			require.Equal(t, 2, code)
			require.Empty(t, stdout.String())
			require.Contains(t, stderr.String(), "--help")
		})
	}
}

func TestInvalidTimeoutInTheEnvironmentIsAUsageError(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.process.Environ = append(f.process.Environ, "NATS_TIMEOUT=soon")
	require.Equal(t, 2, f.run("key").code)
}

func TestHelpGoesToStandardOutputAndHidesTheEnvironmentsSecrets(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.process.Environ = append(f.process.Environ, "NATS_PASSWORD=hunter2")
	got := f.run("onboard", "--help")
	require.Zero(t, got.code)
	require.Contains(t, got.stdout, "--vomo-token-file")
	require.NotContains(t, got.stdout+got.stderr, "hunter2")
}

func TestMissingServiceIsNamed(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	for _, args := range [][]string{{"key"}, {"status", "acme"}, {"backfill", "ls"}, {"backfill", "watch", "acme"}} {
		got := f.run(append(args, "--json")...)
		require.Equal(t, 1, got.code, args)
		require.Empty(t, got.stdout)
		require.Regexp(t, `^rollcall: no service answers rollcall\.api\.[a-z]+\.[a-z]+: is the onboarding service running.*\n$`, got.stderr)
	}
}

func TestSlowServiceIsNamed(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	hold := make(chan struct{})
	stop := f.answers("key", "get", func(int, []byte) (any, string) { <-hold; return operatorapi.KeyReply{}, noCode })
	got := f.run("key", "--timeout", "50ms")
	close(hold)
	stop()
	require.Equal(t, 1, got.code)
	require.Contains(t, got.stderr, "the onboarding service did not answer rollcall.api.key.get within 50ms; rollcall doctor")
}

func TestInternalErrorIsPrintedInTheServicesWords(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.answers("key", "get", func(int, []byte) (any, string) { return "internal error; the service's log says more", "500" })
	got := f.run("key")
	require.Equal(t, 1, got.code)
	require.Equal(t, "rollcall: rollcall.api.key.get: internal error; the service's log says more\n", got.stderr)
}

func TestUnreachableServersAreNamedWithoutTheirSecrets(t *testing.T) {
	t.Parallel()
	for _, url := range []string{"nats://admin:hunter2@127.0.0.1:1", "nats://hunter2@127.0.0.1:1", "nats://admin:hunter2@127.0.0.1:no-port"} {
		var stdout, stderr bytes.Buffer
		code := Run(t.Context(), Process{Args: []string{"key", "-s", url}, Stdout: &stdout, Stderr: &stderr})
		require.Equal(t, 1, code)
		require.Contains(t, stderr.String(), "connect to NATS at")
		require.NotContains(t, stderr.String(), "hunter2")
	}
}

func TestFlagOverridesTheEnvironment(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.answers("key", "get", always(operatorapi.KeyReply{PublicKey: "XKEY"}))
	f.process.Environ = []string{"NATS_URL=nats://127.0.0.1:1"}
	require.Equal(t, 1, f.run("key").code)
	require.Zero(t, f.run("key", "--server", f.nats.URL).code)
}

func TestTheKeyIsPrintedAsALineOrAsADocument(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.answers("key", "get", always(operatorapi.KeyReply{PublicKey: "XKEY"}))
	require.Equal(t, result{stdout: "XKEY\n"}, f.run("key"))
	require.Equal(t, "XKEY", document[operatorapi.KeyReply](t, f.run("key", "-j")).PublicKey)
}

func TestVersionNeedsNoService(t *testing.T) {
	t.Parallel()
	var stdout, stderr bytes.Buffer
	require.Zero(t, Run(t.Context(), Process{Args: []string{"version"}, Stdout: &stdout, Stderr: &stderr}))
	require.Regexp(t, `^rollcall \d+\.\d+\.\d+ `, stdout.String())
	stdout.Reset()
	require.Zero(t, Run(t.Context(), Process{Args: []string{"version", "--json"}, Stdout: &stdout, Stderr: &stderr}))
	require.NotEmpty(t, document[versionDocument](t, result{stdout: stdout.String()}).Version)
}

// fullDisk fails every write.
type fullDisk struct{}

var errFull = errors.New("no space left")

func (fullDisk) Write([]byte) (int, error) { return 0, errFull }

func TestDocumentThatCannotBeWrittenIsAFailure(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"version"}, {"version", "--json"}} {
		var stderr bytes.Buffer
		require.Equal(t, 1, Run(t.Context(), Process{Args: args, Stdout: fullDisk{}, Stderr: &stderr}))
		require.Contains(t, stderr.String(), "no space left")
	}
}

func TestUnknownCustomerIsExitStatusOneInEveryCommand(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	for _, verb := range []string{"start", "pause", "cancel"} {
		f.answers("backfills", verb, unknown)
	}
	f.answers("config", "get", unknown)
	f.answers("config", "set", unknown)
	f.answers("users", "resync", unknown)
	for _, args := range [][]string{
		{"backfill", "start", "globex"}, {"backfill", "pause", "globex", "--json"}, {"backfill", "cancel", "globex", "--force"},
		{"config", "show", "globex", "--json"}, {"config", "set", "globex", "--cadence", "15"}, {"resync", "globex", "1", "--json"},
	} {
		require.Equal(t, unknownGlobex(), f.run(args...), args)
	}
}
