package store_test

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/localserver"
	"rollcall.dev/pkg/store"
)

// pooled starts a PgBouncer before the database and returns the database's URL through it.
func (b *bed) pooled(t *testing.T, mode string) string {
	t.Helper()
	direct, err := url.Parse(b.url)
	require.NoError(t, err)
	password, _ := direct.User.Password()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	port := listener.Addr().(*net.TCPAddr).Port
	require.NoError(t, listener.Close())
	folder, err := os.MkdirTemp("", "rollcall-pgbouncer-") //nolint:usetesting // t.TempDir is closed to the user that PgBouncer runs as
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(folder)) })
	require.NoError(t, os.Chmod(folder, 0o755))
	config := fmt.Sprintf(`[databases]
* = host=%s port=%s user=%s password=%s
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = %d
unix_socket_dir =
auth_type = any
pool_mode = %s
default_pool_size = 20
`, direct.Hostname(), direct.Port(), direct.User.Username(), password, port, mode)
	file := filepath.Join(folder, "pgbouncer.ini")
	require.NoError(t, os.WriteFile(file, []byte(config), 0o644))
	program, err := exec.LookPath("pgbouncer")
	if err != nil {
		program = "/usr/sbin/pgbouncer" // which is not on everybody's PATH
	}
	arguments := []string{"--quiet", file}
	if os.Geteuid() == 0 { // as which it does not run
		arguments = append([]string{"--user=nobody"}, arguments...)
	}
	child, err := localserver.StartChild(exec.CommandContext(context.WithoutCancel(t.Context()), program, arguments...), syscall.SIGINT)
	require.NoError(t, err, "PgBouncer is missing: run make deps")
	t.Cleanup(func() {
		_ = child.Signal(syscall.SIGKILL)
		<-child.Done()
	})
	through := *direct
	through.Host = net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	require.Eventually(t, func() bool {
		conn, err := pgx.Connect(t.Context(), through.String())
		if err != nil {
			return false
		}
		return conn.Close(t.Context()) == nil
	}, within, within/1000)
	return through.String()
}

// Case postgres/pooler.md.
func TestAPoolerOfTransactionsIsRefusedInOneLine(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"transaction", "statement"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			b := newBed(t)

			_, err := store.Open(t.Context(), b.pooled(t, mode), store.Options{})

			require.ErrorIs(t, err, store.ErrTransactionPooler)
			require.NotContains(t, err.Error(), "\n")
		})
	}
}

func TestAPoolerOfSessionsWorks(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	address := b.pooled(t, "session")

	pooled := openStore(t, address, store.Options{})

	require.NoError(t, store.CheckSchema(t.Context(), address))
	require.NoError(t, store.Migrate(t.Context(), address))
	for _, setting := range []struct{ name, value string }{
		{"statement_timeout", "1min"}, {"idle_in_transaction_session_timeout", "10s"}, {"transaction_isolation", "read committed"},
	} {
		got, err := pooled.Setting(t.Context(), setting.name)
		require.NoError(t, err)
		require.Equal(t, setting.value, got)
	}
	lease, err := pooled.TakeLease(t.Context(), "acme", "holder", within)
	require.NoError(t, err)
	for range 10 { // more often than a statement is sent without a plan of its own
		require.NoError(t, lease.Renew(t.Context()))
		require.NoError(t, pooled.InLane(t.Context(), lease, aPage("acme")))
	}
}
