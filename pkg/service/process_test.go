package service

import (
	"bytes"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/testkit"
)

// process returns this test binary as a service, with its own environment.
func process(t *testing.T, args []string, environment ...string) (*exec.Cmd, *bytes.Buffer) {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.CommandContext(t.Context(), self, args...)
	cmd.Dir = t.TempDir()
	cmd.Env = append([]string{asServiceVariable + "=backfill"}, environment...)
	out := &bytes.Buffer{}
	cmd.Stderr = out
	return cmd, out
}

func TestProcessAnswersHealthcheckAndEndsOnSignal(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	environment := []string{
		"NATS_URL=" + f.settings.NATSURL, "DATABASE_URL=" + f.settings.DatabaseURL, "HTTP_ADDR=" + f.settings.HTTPAddr,
	}
	cmd, out := process(t, nil, environment...)
	require.NoError(t, cmd.Start())
	testkit.WaitReady(t, "http://"+f.settings.HTTPAddr+"/readyz")

	probe, said := process(t, []string{"-healthcheck"}, "HTTP_ADDR="+f.settings.HTTPAddr) // without DATABASE_URL
	require.NoError(t, probe.Run(), said.String())

	require.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
	require.NoError(t, cmd.Wait(), out.String())
	require.Contains(t, out.String(), `"drained"`)
	_, _, err := httpGet(t.Context(), "http://"+f.settings.HTTPAddr+"/livez")
	require.Error(t, err)

	probe, said = process(t, []string{"healthcheck"}, "HTTP_ADDR="+f.settings.HTTPAddr)
	require.Error(t, probe.Run())
	require.Equal(t, 1, probe.ProcessState.ExitCode(), said.String())
}

func TestFailedStartPrintsReasonInOneLine(t *testing.T) {
	t.Parallel()
	for name, one := range map[string]struct {
		setting string
		says    string
	}{
		"no database":       {"LOG_LEVEL=info", "backfill: DATABASE_URL is missing: postgres://user:password@host:port/database\n"},
		"an unreadable one": {"BACKFILL_SLOTS=many", "backfill: BACKFILL_SLOTS cannot be read: expected a whole number, 1 to 256\n"},
	} {
		cmd, out := process(t, nil, one.setting)
		require.Error(t, cmd.Run(), name)
		require.Equal(t, one.says, out.String(), name)
		require.Equal(t, 1, cmd.ProcessState.ExitCode(), name)
	}
}
