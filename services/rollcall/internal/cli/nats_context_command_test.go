package cli

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// passwordFile makes a file like one that `rollcall init` makes.
func passwordFile(t *testing.T, content string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "nats-password")
	require.NoError(t, os.WriteFile(file, []byte(content), 0o600))
	return file
}

func TestTheNATSContextIsAScriptThatGivesTheHostItsAccess(t *testing.T) {
	t.Parallel()
	f := &fixture{t: t}
	f.process.Environ = []string{"NATS_URL=nats://nats:4222", "NATS_PORT=24222", "NATS_USER=rollcall", "NATS_PASSWORD_FILE=" + passwordFile(t, "it's $HOME\n")}
	got := f.run("nats-context")
	require.Zero(t, got.code, got.stderr)

	home := t.TempDir()
	program := "#!/bin/sh\necho \"$@\" >" + filepath.Join(home, "chosen") + "\n"
	require.NoError(t, os.WriteFile(filepath.Join(home, "nats"), []byte(program), 0o700))
	shell := exec.CommandContext(t.Context(), "sh")
	shell.Env = []string{"HOME=" + home, "PATH=" + home + ":" + os.Getenv("PATH")}
	shell.Stdin = strings.NewReader(got.stdout)
	said, err := shell.CombinedOutput()
	require.NoError(t, err, string(said))

	file := filepath.Join(home, ".config", "nats", "context", "rollcall.json")
	written, err := os.ReadFile(file)
	require.NoError(t, err)
	want := natsContext{Description: "rollcall", URL: "nats://127.0.0.1:24222", User: "rollcall", Password: "it's $HOME"}
	var context natsContext
	require.NoError(t, json.Unmarshal(written, &context))
	require.Equal(t, want, context)
	info, err := os.Stat(file)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	selected, err := os.ReadFile(filepath.Join(home, "chosen"))
	require.NoError(t, err)
	require.Equal(t, "context select rollcall\n", string(selected))

	require.Equal(t, want, document[natsContext](t, f.run("nats-context", "--json")))
	require.Equal(t, "nats://broker:1", document[natsContext](t, f.run("nats-context", "--json", "--url", "nats://broker:1")).URL)
	require.Equal(t, 2, f.run("nats-context", "--name", "a;b").code)
}

func TestAPasswordFileThatCannotBeReadIsNamed(t *testing.T) {
	t.Parallel()
	f := &fixture{t: t}
	f.process.Environ = []string{"NATS_USER=rollcall", "NATS_PASSWORD_FILE=" + filepath.Join(t.TempDir(), "missing")}
	got := f.run("key")
	require.Equal(t, 1, got.code)
	require.Equal(t, "rollcall: NATS_PASSWORD_FILE names a file that cannot be read: no such file or directory\n", got.stderr)
}
