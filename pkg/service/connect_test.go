package service

import (
	"context"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"rollcall.dev/pkg/config"
)

// containerNATS starts a server with the configuration of the containers. The configuration takes secrets from
// variables, which the file itself may also define, so the test needs no environment variables.
func containerNATS(t *testing.T, password string) *server.Server {
	t.Helper()
	shipped, err := os.ReadFile("../../deploy/nats/nats.conf")
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "nats.conf")
	require.NoError(t, os.WriteFile(file, append([]byte("NATS_PASSWORD: "+password+"\nNATS_JETSTREAM_KEY: k1\n"), shipped...), 0o600))
	options, err := server.ProcessConfigFile(file)
	require.NoError(t, err)
	options.Host, options.Port, options.HTTPPort, options.StoreDir, options.NoLog, options.NoSigs = "127.0.0.1", server.RANDOM_PORT, 0, t.TempDir(), true, true
	running, err := server.NewServer(options)
	require.NoError(t, err)
	running.Start()
	t.Cleanup(func() { running.Shutdown(); running.WaitForShutdown() })
	require.True(t, running.ReadyForConnections(30*time.Second))
	return running
}

func TestContainersNATSAcceptsOnlyServicesWithPassword(t *testing.T) {
	t.Parallel()
	address := containerNATS(t, "n0ne").ClientURL()
	file := filepath.Join(t.TempDir(), "nats-password")
	require.NoError(t, os.WriteFile(file, []byte("n0ne\n"), 0o600))

	conn, err := Connect(config.Config{NATSURL: address, NATSUser: "rollcall", NATSPasswordFile: file}, "test", zap.NewNop())
	require.NoError(t, err)
	conn.Close()
	_, err = Connect(config.Config{NATSURL: address}, "test", zap.NewNop())
	require.ErrorIs(t, err, nats.ErrAuthorization)
	require.NoError(t, os.WriteFile(file, []byte("wrong"), 0o600))
	_, err = Connect(config.Config{NATSURL: address, NATSUser: "rollcall", NATSPasswordFile: file}, "test", zap.NewNop())
	require.ErrorIs(t, err, nats.ErrAuthorization)
}

// See testdata postgres/read-only-connections.md: a service is ready only if it can write, and becomes ready again
// without a restart.
func TestServiceIsNotReadyIfDatabaseIsReadOnly(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	conn, err := pgx.Connect(t.Context(), f.settings.DatabaseURL)
	require.NoError(t, err)
	exec := func(statement string) {
		t.Helper()
		_, err := conn.Exec(context.WithoutCancel(t.Context()), statement)
		require.NoError(t, err)
	}
	address, err := url.Parse(f.settings.DatabaseURL)
	require.NoError(t, err)
	role := "app" + strings.TrimPrefix(address.Path, "/rollcall_test")
	exec(`CREATE ROLE ` + role + ` LOGIN SUPERUSER PASSWORD 'app'`)
	t.Cleanup(func() {
		exec(`DROP ROLE ` + role)
		require.NoError(t, conn.Close(context.WithoutCancel(t.Context())))
	})
	address.User = url.UserPassword(role, "app")
	settings := f.settings
	settings.DatabaseURL = address.String()
	s, _ := serveIdle(t, "backfill", settings)

	exec(`ALTER ROLE ` + role + ` SET default_transaction_read_only = on`)
	exec(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '` + role + `'`)

	s.becomes("/readyz", http.StatusServiceUnavailable)
	require.Eventually(t, func() bool {
		_, body := s.get("/readyz")
		return body == "Postgres: takes no writes\n"
	}, 30*time.Second, 30*time.Millisecond)

	exec(`ALTER ROLE ` + role + ` RESET default_transaction_read_only`)
	s.becomes("/readyz", http.StatusOK)
}
