package store

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// ErrReadOnly says that the server accepts no writes: it is a standby, perhaps since a failover, or its sessions are
// read-only by default.
var ErrReadOnly = errors.New("the server accepts no writes: it is a standby, or default_transaction_read_only is on")

// ErrTransactionPooler says that DATABASE_URL leads to a pooler that moves a session between connections. Timeouts, prepared
// statements and the lock of migrations belong to a session.
var ErrTransactionPooler = errors.New("DATABASE_URL leads to a pooler that gives each transaction another connection " +
	"(PgBouncer: pool_mode=transaction), which is not supported: use pool_mode=session, or connect to Postgres directly")

// setting is one parameter of a session.
type setting struct{ name, value string }

// parseURL parses databaseURL without the parameters of the pool. It hides pgx's own error, which repeats parts of the URL.
func parseURL(databaseURL string) (*pgx.ConnConfig, error) {
	config, err := pgx.ParseConfig(databaseURL)
	if err != nil {
		return nil, errNotPostgresURL
	}
	for name := range config.RuntimeParams {
		if strings.HasPrefix(name, "pool_") {
			delete(config.RuntimeParams, name)
		}
	}
	return config, nil
}

// prepareSessions sets these parameters when a session begins, and rejects a server that accepts no writes; if the URL has several
// hosts, pgx then tries the next one. Startup parameters would not do, because a pooler rejects a connection that has them.
// prepareSessions calls pooled if there is a pooler between this process and Postgres.
func prepareSessions(config *pgx.ConnConfig, pooled func(), settings ...setting) {
	settings = append(settings, setting{"timezone", "UTC"}, setting{"default_transaction_isolation", "read committed"})
	var statements strings.Builder
	for _, s := range settings {
		delete(config.RuntimeParams, s.name)
		fmt.Fprintf(&statements, "SET %s = '%s'; ", s.name, s.value)
	}
	statements.WriteString("SHOW transaction_read_only; SELECT pg_backend_pid()")
	config.ValidateConnect = func(ctx context.Context, conn *pgconn.PgConn) error {
		values, err := ask(ctx, conn, statements.String())
		if err != nil {
			return fmt.Errorf("begin session: %w", err)
		}
		if len(values) != 2 {
			return errors.New("begin session: the server does not answer as Postgres does")
		}
		if values[0] == "on" {
			return ErrReadOnly
		}
		if values[1] != strconv.FormatUint(uint64(conn.PID()), 10) {
			pooled()
		}
		return nil
	}
}

// ask sends statements in one message and returns the value of each that has one.
func ask(ctx context.Context, conn *pgconn.PgConn, statements string) (values []string, err error) {
	results, err := conn.Exec(ctx, statements).ReadAll()
	if err != nil {
		return nil, err
	}
	for _, result := range results {
		for _, row := range result.Rows {
			values = append(values, string(row[0]))
		}
	}
	return values, nil
}

// poolerTries is how often checkPooler compares connections: other clients of the pooler may take one in between.
const poolerTries = 5

// checkPooler returns ErrTransactionPooler if the pooler gives a session another connection for each transaction. It opens two
// sessions at once. If the second session's transaction runs on the first session's connection, or if the first session's
// connection changes, then connections belong to transactions.
func checkPooler(ctx context.Context, config *pgx.ConnConfig) (err error) {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	var sessions [2]*pgx.Conn
	defer func() {
		for _, session := range sessions {
			if session != nil {
				_ = session.Close(context.WithoutCancel(ctx)) // nothing was changed in it
			}
		}
	}()
	for i := range sessions {
		if sessions[i], err = pgx.ConnectConfig(ctx, config); err != nil {
			return fmt.Errorf("check the pooler: %w", err)
		}
	}
	backend := func(session *pgx.Conn, statements string) (pid string, err error) {
		values, err := ask(ctx, session.PgConn(), statements)
		if err != nil || len(values) != 1 {
			return "", fmt.Errorf("check the pooler: %w", errors.Join(err, ctx.Err()))
		}
		return values[0], nil
	}
	const pid = "SELECT pg_backend_pid()"
	for range poolerTries {
		var pids [3]string
		for i, step := range []struct {
			session    int
			statements string
		}{{0, pid}, {1, "BEGIN; " + pid}, {0, pid}} {
			pids[i], err = backend(sessions[step.session], step.statements)
			if codeOf(err) == codeProtocolViolation { // what PgBouncer says to BEGIN with pool_mode=statement
				return ErrTransactionPooler
			}
			if err != nil {
				return err
			}
		}
		if pids[0] == pids[1] || pids[0] != pids[2] {
			return ErrTransactionPooler
		}
		if _, err := ask(ctx, sessions[1].PgConn(), "ROLLBACK"); err != nil {
			return fmt.Errorf("check the pooler: %w", err)
		}
	}
	return nil
}
