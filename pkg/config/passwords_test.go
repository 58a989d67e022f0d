package config_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/config"
)

func passwordFile(t *testing.T, content string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "hunter2-folder")
	require.NoError(t, os.WriteFile(file, []byte(content), 0o600))
	return file
}

func TestPasswordsAreReadFromFiles(t *testing.T) {
	t.Parallel()
	loaded, err := config.Load([]string{
		"DATABASE_URL=postgres://rollcall@postgres:5432/rollcall?sslmode=disable", "DATABASE_PASSWORD_FILE=" + passwordFile(t, "p@ss/w%rd\n"),
		"NATS_USER=rollcall", "NATS_PASSWORD_FILE=" + passwordFile(t, "\ufeffword\r\n"),
	})
	require.NoError(t, err)
	require.Equal(t, "postgres://rollcall:p%40ss%2Fw%25rd@postgres:5432/rollcall?sslmode=disable", loaded.DatabaseURL)
	password, err := loaded.NATSPassword()
	require.NoError(t, err)
	require.Equal(t, "word", password)
}

func TestErrorForUnusablePasswordFileNamesSetting(t *testing.T) {
	t.Parallel()
	good := passwordFile(t, "hunter2")
	missing := filepath.Join(t.TempDir(), "hunter2-missing")
	const database = "DATABASE_URL=postgres://u@h/db"
	const withPassword = "DATABASE_URL=postgres://u:hunter2@h/db"
	for want, environ := range map[string][]string{
		"DATABASE_PASSWORD_FILE names a file that cannot be read: no such file or directory": {database, "DATABASE_PASSWORD_FILE=" + missing},
		"DATABASE_PASSWORD_FILE names an empty file":                                         {database, "DATABASE_PASSWORD_FILE=" + passwordFile(t, "\n")},
		"DATABASE_PASSWORD_FILE names a file with more than one line":                        {database, "DATABASE_PASSWORD_FILE=" + passwordFile(t, "hunter2\nx")},
		"DATABASE_PASSWORD_FILE needs a DATABASE_URL with a user":                            {"DATABASE_PASSWORD_FILE=" + good},
		"DATABASE_URL has a password and DATABASE_PASSWORD_FILE is set":                      {withPassword, "DATABASE_PASSWORD_FILE=" + good},
		"NATS_PASSWORD_FILE names a file that cannot be read: no such file or directory":     {"NATS_USER=u", "NATS_PASSWORD_FILE=" + missing},
		"NATS_PASSWORD_FILE needs NATS_USER":                                                 {"NATS_PASSWORD_FILE=" + good},
	} {
		text := loadError(t, environ...)
		require.Contains(t, text, want)
		require.NotContains(t, text, "hunter2")
		require.NotContains(t, text, "\n", "one clear line")
	}
}

func TestPrivateHostsNeedPorts(t *testing.T) {
	t.Parallel()
	loaded, err := config.Load([]string{"ALLOW_PRIVATE_HOSTS=Sandbox:9090, 10.0.0.7:80,[fd00::1]:443"})
	require.NoError(t, err)
	require.Equal(t, []string{"sandbox:9090", "10.0.0.7:80", "[fd00::1]:443"}, loaded.PrivateHosts())
	unset, err := config.Load(nil)
	require.NoError(t, err)
	require.Empty(t, unset.PrivateHosts())
	for _, value := range []string{"sandbox", "sandbox:", ":9090", "sandbox:0", "sandbox:65536", "*:9090", "http://sandbox:9090", "sandbox:9090,", "a b:1"} {
		require.Contains(t, loadError(t, "ALLOW_PRIVATE_HOSTS="+value), "ALLOW_PRIVATE_HOSTS must be hosts with their ports", value)
	}
}
