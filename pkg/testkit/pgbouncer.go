package testkit

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/localserver"
)

// PgBouncer starts a PgBouncer in the given pool mode in front of the database and returns the database's URL through
// it.
func PgBouncer(t *testing.T, database, mode string) string {
	t.Helper()
	const poolerWithin = time.Minute
	direct, err := url.Parse(database)
	require.NoError(t, err)
	password, _ := direct.User.Password()
	address := FreeAddr(t)
	host, port, err := net.SplitHostPort(address)
	require.NoError(t, err)
	folder, err := os.MkdirTemp("", "rollcall-pgbouncer-") //nolint:usetesting // PgBouncer's user cannot enter t.TempDir
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(folder)) })
	require.NoError(t, os.Chmod(folder, 0o755)) //nolint:gosec // G302: PgBouncer runs as another user
	config := fmt.Sprintf(`[databases]
* = host=%s port=%s user=%s password=%s
[pgbouncer]
listen_addr = %s
listen_port = %s
unix_socket_dir =
auth_type = any
pool_mode = %s
default_pool_size = 20
`, direct.Hostname(), direct.Port(), direct.User.Username(), password, host, port, mode)
	file := filepath.Join(folder, "pgbouncer.ini")
	require.NoError(t, os.WriteFile(file, []byte(config), 0o644)) //nolint:gosec // G306: as above; a test's password
	program, err := exec.LookPath("pgbouncer")
	if err != nil {
		program = "/usr/sbin/pgbouncer" // this folder is not on every user's PATH
	}
	arguments := []string{"--quiet", file}
	if os.Geteuid() == 0 { // PgBouncer does not run as root
		arguments = append([]string{"--user=nobody"}, arguments...)
	}
	command := exec.CommandContext(context.WithoutCancel(t.Context()), program, arguments...) //nolint:gosec // G204: found above
	child, err := localserver.StartChild(command, syscall.SIGINT)
	require.NoError(t, err, "PgBouncer is missing: run make deps")
	t.Cleanup(func() {
		_ = child.Signal(syscall.SIGKILL)
		<-child.Done()
	})
	through := *direct
	through.Host = address
	require.Eventually(t, func() bool {
		conn, err := pgx.Connect(t.Context(), through.String())
		if err != nil {
			return false
		}
		return conn.Close(t.Context()) == nil
	}, poolerWithin, 20*time.Millisecond)
	return through.String()
}
