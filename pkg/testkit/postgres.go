package testkit

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/localserver"
	"rollcall.dev/pkg/store"
	schema "rollcall.dev/sql"
)

// PostgresVariable names the environment variable with the URL of a Postgres in which the tests may create databases.
// Without it each test process starts its own server, which takes a second or two.
const PostgresVariable = "ROLLCALL_TEST_POSTGRES"

const (
	serverWithin   = 90 * time.Second
	databaseWithin = 60 * time.Second
)

// Database returns the URL of a new database with rollcall's schema for this test only; it is dropped with the test.
func Database(t testing.TB) string {
	t.Helper()
	require.NoError(t, requireMain())
	server, err := migratedServer()
	require.NoError(t, err)
	return server.create(t, " TEMPLATE "+server.template)
}

// EmptyDatabase returns the URL of a new, empty database, which is dropped with the test.
func EmptyDatabase(t testing.TB) string {
	t.Helper()
	require.NoError(t, requireMain())
	url, err := postgresServer()
	require.NoError(t, err)
	return testServer{url: url}.create(t, "")
}

// testServer is a Postgres and, optionally, a template database to copy.
type testServer struct {
	url      string
	template string
}

// postgresServer returns the URL of this process's Postgres.
var postgresServer = sync.OnceValues(func() (string, error) {
	if url := os.Getenv(PostgresVariable); url != "" {
		return url, nil
	}
	dir, err := os.MkdirTemp("", "rollcall-postgres-")
	if err != nil {
		return "", fmt.Errorf("make a folder for the test Postgres: %w", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), serverWithin)
	defer cancel()
	server, err := localserver.StartPostgres(ctx, localserver.PostgresConfig{Dir: dir})
	if err != nil {
		_ = os.RemoveAll(dir) // the first error is returned
		return "", err
	}
	atEnd(func() {
		server.Stop()
		_ = os.RemoveAll(server.Dir()) // if this fails, the folder stays in the temporary folder
		_ = os.RemoveAll(dir)
	})
	return server.URL("rollcall"), nil
})

// migratedServer returns this process's Postgres with a template of the current schema.
var migratedServer = sync.OnceValues(func() (testServer, error) {
	url, err := postgresServer()
	if err != nil {
		return testServer{}, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), serverWithin)
	defer cancel()
	name, err := template(ctx, url, schema.Migrations, store.Migrate)
	if err != nil {
		return testServer{}, fmt.Errorf("prepare the template database: %w", err)
	}
	return testServer{url: url, template: name}, nil
})

func (s testServer) create(t testing.TB, from string) string {
	t.Helper()
	name := "rollcall_test_" + strings.ToLower(rand.Text())
	require.NoError(t, administer(s.url, "CREATE DATABASE "+name+from))
	t.Cleanup(func() {
		// FORCE: the database is dropped even if the test left a connection open.
		if err := administer(s.url, "DROP DATABASE IF EXISTS "+name+" WITH (FORCE)"); err != nil {
			t.Errorf("drop the test's database: %v", err)
		}
	})
	address, err := inDatabase(s.url, name)
	require.NoError(t, err)
	return address
}

// administer runs one statement on its own connection, without the test's context, which has ended when the test
// cleans up.
func administer(url, statement string) error {
	ctx, cancel := context.WithTimeout(context.Background(), databaseWithin)
	defer cancel()
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return fmt.Errorf("connect to the test Postgres: %w", err)
	}
	defer func() { _ = conn.Close(ctx) }()
	_, err = conn.Exec(ctx, statement)
	return err
}

// inDatabase returns the URL of another database of the same server.
func inDatabase(server, name string) (string, error) {
	u, err := url.Parse(server)
	if err != nil {
		// The parser's own error would print the URL with its password.
		return "", fmt.Errorf("%s is not a postgres:// URL", PostgresVariable)
	}
	u.Path = "/" + name
	return u.String(), nil
}
