package testkit

import (
	"context"
	"crypto/rand"
	"errors"
	"sync/atomic"
	"testing"
	"testing/fstest"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"
)

func TestConcurrentProcessesMigrateTemplateOnce(t *testing.T) {
	t.Parallel()
	server, files := serverAndFiles(t)
	var migrated atomic.Int32
	migrate := func(context.Context, string) error { migrated.Add(1); return nil }
	var together errgroup.Group
	for range 4 {
		together.Go(func() error {
			_, err := template(t.Context(), server, files, migrate)
			return err
		})
	}
	require.NoError(t, together.Wait())
	require.EqualValues(t, 1, migrated.Load())
}

func TestFailedMigrationLeavesNoTemplate(t *testing.T) {
	t.Parallel()
	server, files := serverAndFiles(t)
	broken := errors.New("broken")
	_, err := template(t.Context(), server, files, func(ctx context.Context, url string) error {
		return errors.Join(broken, makeTable(ctx, url))
	})
	require.ErrorIs(t, err, broken)

	_, err = template(t.Context(), server, files, makeTable)
	require.NoError(t, err, "the second must start from an empty database")
}

func TestOtherMigrationsUseAnotherTemplate(t *testing.T) {
	t.Parallel()
	first, err := hashOf(fstest.MapFS{"1.sql": {Data: []byte("a")}, "2.sql": {Data: []byte("b")}})
	require.NoError(t, err)
	for _, other := range []fstest.MapFS{
		{"1.sql": {Data: []byte("a")}, "2.sql": {Data: []byte("c")}},
		{"1.sql": {Data: []byte("a")}, "3.sql": {Data: []byte("b")}},
		{"1.sql": {Data: []byte("a")}},
	} {
		second, err := hashOf(other)
		require.NoError(t, err)
		require.NotEqual(t, first, second)
	}
}

func makeTable(ctx context.Context, url string) error {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	_, err = conn.Exec(ctx, `CREATE TABLE once ()`)
	return errors.Join(err, conn.Close(ctx))
}

func serverAndFiles(t *testing.T) (string, fstest.MapFS) {
	t.Helper()
	server, err := postgresServer()
	require.NoError(t, err)
	files := fstest.MapFS{"1.sql": {Data: []byte(rand.Text())}}
	sum, err := hashOf(files)
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, administer(server, "DROP DATABASE IF EXISTS rollcall_template_"+sum))
		require.NoError(t, administer(server, "DROP DATABASE IF EXISTS rollcall_template_"+sum+"_half"))
	})
	return server, files
}
