package dev

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func plain(text string) string { return text }

func TestBoxSaysHowToOnboardWithTheRealPorts(t *testing.T) {
	t.Parallel()
	text := guide{program: "bin/rollcall", natsURL: "nats://127.0.0.1:4223", sandboxURL: "http://127.0.0.1:9091",
		webhooks: "http://127.0.0.1:9191", console: "http://127.0.0.1:8088", folder: "/d/.rollcall"}.box(plain)
	for _, line := range []string{
		"  export NATS_URL=nats://127.0.0.1:4223\n",
		`  nats req rollcall.onboarding.request.acme '{"customerId":"acme","vomoToken":"sandbox-acme-token",` +
			`"externalSystemUrl":"http://127.0.0.1:9091/crm/acme"}'` + "\n",
		"  bin/rollcall status acme\n",
	} {
		require.Contains(t, text, line)
	}
	var widths []int
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "|") || strings.HasPrefix(line, "+") {
			widths = append(widths, len(line))
		}
	}
	require.Len(t, widths, 7)
	require.Equal(t, slices.Repeat(widths[:1], 7), widths, "its sides are straight")
}

func TestUsualNATSPortNeedsNoExport(t *testing.T) {
	t.Parallel()
	text := guide{program: "rollcall", usualNATS: true, natsURL: "nats://127.0.0.1:4222", dir: "/elsewhere"}.afterDemo()
	require.NotContains(t, text, "export")
	require.Contains(t, text, "  rollcall dev --dir /elsewhere\n")
}

func TestShellCanReadTheServicesSettingsUntilTheEnd(t *testing.T) {
	t.Parallel()
	f, err := openFolder(filepath.Join(t.TempDir(), "a folder; that's odd"), 1_000)
	require.NoError(t, err)
	ours := own{
		databaseURL: "postgres://me:p'w@127.0.0.1:5433/rollcall?sslmode=disable&x=$HOME", natsURL: "nats://127.0.0.1:4222",
		sandbox: "http://127.0.0.1:9090", keyFile: f.in("secrets.key"),
	}
	require.NoError(t, os.WriteFile(f.in(envName), []byte("of an earlier start"), 0o600))
	require.NoError(t, f.writeEnv(ours))

	about, err := os.Stat(f.in(envName))
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), about.Mode().Perm())
	line := guide{program: "env #", dir: f.path}.doctor() // env, in the place of the doctor
	command := exec.CommandContext(t.Context(), "sh", "-c", line)
	command.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=/h"}
	said, err := command.Output()
	require.NoError(t, err)
	require.Subset(t, strings.Split(string(said), "\n"), environment(nil, ours))

	require.NoError(t, f.removeEnv())
	require.NoFileExists(t, f.in(envName))
	require.NoError(t, f.removeEnv(), "a start that failed before it was written ends as well")
	require.NoError(t, f.lock.release())
}

func TestBoxSaysHowToRunTheDoctor(t *testing.T) {
	t.Parallel()
	require.Contains(t, guide{program: "bin/rollcall"}.box(plain), "\n  set -a; . .rollcall/env; set +a; bin/rollcall doctor\n")
	require.Contains(t, guide{program: "rollcall", dir: "/else/where"}.box(plain), "\n  set -a; . /else/where/env; set +a; rollcall doctor\n")
	require.Contains(t, guide{program: "rollcall", dir: "."}.box(plain), "\n  set -a; . ./env; set +a; rollcall doctor\n")
	require.NotContains(t, guide{program: "rollcall"}.afterDemo(), "doctor", "nothing runs then that it could look at")
}
