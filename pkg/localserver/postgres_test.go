package localserver

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
)

func TestRestartedPostgresKeepsDataPasswordAndPort(t *testing.T) {
	t.Parallel()
	dir := openFolder(t)
	first := newPostgres(t, PostgresConfig{Dir: dir, Durable: true})
	execute(t, first, `CREATE TABLE kept AS SELECT 'still here' AS word`)
	require.Equal(t, "on", ask(t, first, `SHOW fsync`))
	require.Equal(t, "600", ask(t, first, `SHOW max_connections`))
	first.Stop()
	first.Stop()

	second := newPostgres(t, PostgresConfig{Dir: dir, Durable: false})

	require.Equal(t, first.URL("rollcall"), second.URL("rollcall"))
	require.Equal(t, "still here", ask(t, second, `SELECT word FROM kept`))
	require.Equal(t, "off", ask(t, second, `SHOW fsync`))
}

func TestPostgresUsesAnotherPortIfItsLastPortIsInUse(t *testing.T) {
	t.Parallel()
	dir := openFolder(t)
	first := newPostgres(t, PostgresConfig{Dir: dir})
	port := first.port
	first.Stop()
	squatter, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	require.NoError(t, err)
	defer func() { require.NoError(t, squatter.Close()) }()

	second := newPostgres(t, PostgresConfig{Dir: dir})

	require.NotEqual(t, port, second.port)
	second.Stop()
	_, err = StartPostgres(t.Context(), PostgresConfig{Dir: dir, Port: port})
	require.ErrorContains(t, err, "address already in use", "a requested port must not be replaced")
}

func TestSecondServerInFolderFailsWithErrInUse(t *testing.T) {
	t.Parallel()
	dir := openFolder(t)
	first := newPostgres(t, PostgresConfig{Dir: dir})

	_, err := StartPostgres(t.Context(), PostgresConfig{Dir: dir})

	require.ErrorIs(t, err, ErrInUse)
	require.Equal(t, "1", ask(t, first, `SELECT '1'`), "the first server must keep running")
}

func TestConnectionWithoutPasswordIsRejected(t *testing.T) {
	t.Parallel()
	server := newPostgres(t, PostgresConfig{Dir: openFolder(t)})
	cfg, err := pgx.ParseConfig(server.URL("rollcall"))
	require.NoError(t, err)
	cfg.Password = "a guess"

	_, err = pgx.ConnectConfig(t.Context(), cfg)

	require.ErrorContains(t, err, "28P01")
	info, err := os.Stat(filepath.Join(server.Dir(), "password"))
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
}

func TestLogContainsNoPersonalData(t *testing.T) {
	t.Parallel()
	server := newPostgres(t, PostgresConfig{Dir: openFolder(t)})
	execute(t, server, `CREATE TABLE people (email text PRIMARY KEY)`)
	execute(t, server, `INSERT INTO people VALUES ('someone@example.org')`)

	_, err := connectPostgres(t, server).Exec(t.Context(), `INSERT INTO people VALUES ('someone@example.org')`)

	require.ErrorContains(t, err, "23505")
	server.Stop()
	log, err := os.ReadFile(filepath.Join(server.Dir(), "postgres.log"))
	require.NoError(t, err)
	require.Contains(t, string(log), "duplicate key value")
	require.NotContains(t, string(log), "someone@example.org")
}

func TestFailedStartReturnsLogLines(t *testing.T) {
	t.Parallel()
	dir := openFolder(t)
	server := newPostgres(t, PostgresConfig{Dir: dir})
	server.Stop()
	conf := filepath.Join(server.Dir(), "data", "postgresql.conf")
	require.NoError(t, os.WriteFile(conf, []byte("this is no setting\n"), 0o600))

	_, err := StartPostgres(t.Context(), PostgresConfig{Dir: dir})

	require.ErrorContains(t, err, "syntax error in file")
}

func TestInterruptedInitdbIsRepeated(t *testing.T) {
	t.Parallel()
	dir := openFolder(t)
	half := filepath.Join(dir, "data.new")
	require.NoError(t, os.MkdirAll(half, 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(half, "PG_VERSION"), []byte("15\n"), 0o600))

	server := newPostgres(t, PostgresConfig{Dir: dir})

	require.Equal(t, "rollcall", ask(t, server, `SELECT current_database()::text`))
}

func TestLostPasswordFileIsAnErrorAndNotReplaced(t *testing.T) {
	t.Parallel()
	dir := openFolder(t)
	server := newPostgres(t, PostgresConfig{Dir: dir})
	server.Stop()
	require.NoError(t, os.Remove(filepath.Join(server.Dir(), "password")))

	_, err := StartPostgres(t.Context(), PostgresConfig{Dir: dir})

	require.ErrorContains(t, err, "password file is gone")
}

func TestCanceledStartLeavesNoServer(t *testing.T) {
	t.Parallel()
	dir := openFolder(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()

	_, err := StartPostgres(ctx, PostgresConfig{Dir: dir})

	require.ErrorIs(t, err, context.Canceled)
	newPostgres(t, PostgresConfig{Dir: dir})
}

// openFolder returns a temporary folder that other users can reach; they cannot reach that of t.TempDir.
func openFolder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "localserver-") //nolint:usetesting // t.TempDir's parent shuts other users out
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	return dir
}

func newPostgres(t *testing.T, cfg PostgresConfig) *Postgres {
	t.Helper()
	server, err := StartPostgres(t.Context(), cfg)
	require.NoError(t, err)
	t.Cleanup(server.Stop)
	return server
}

func connectPostgres(t *testing.T, server *Postgres) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), server.URL("rollcall"))
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

func execute(t *testing.T, server *Postgres, statement string) {
	t.Helper()
	_, err := connectPostgres(t, server).Exec(t.Context(), statement)
	require.NoError(t, err)
}

func ask(t *testing.T, server *Postgres, query string) string {
	t.Helper()
	var answer string
	require.NoError(t, connectPostgres(t, server).QueryRow(t.Context(), query).Scan(&answer))
	return answer
}
