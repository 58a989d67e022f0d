package service

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
)

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
