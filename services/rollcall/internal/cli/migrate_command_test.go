package cli

import (
	"testing"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/config"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/testkit"
)

func TestMigrateMakesWhatServicesNeedAndMayBeRunAgain(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	database := testkit.EmptyDatabase(t)
	f.process.Environ = append(f.process.Environ, "DATABASE_URL="+database)
	require.ErrorIs(t, store.CheckSchema(t.Context(), database), store.ErrSchemaOlder)

	first := f.run("migrate")
	require.Zero(t, first.code, first.stderr)
	require.Regexp(t, `^database: .*\nstreams: \d+ streams and \d+ consumers are current, 1 replica each\n$`, first.stdout)

	settings, err := config.Load(f.process.Environ)
	require.NoError(t, err)
	require.NoError(t, store.CheckSchema(t.Context(), database))
	require.NoError(t, bus.Verify(t.Context(), f.nats.JetStream(t), settings.ClaimTimeout))

	again := f.run("migrate", "--json")
	require.Zero(t, again.code, again.stderr)
	require.Contains(t, document[migrated](t, again).Streams, bus.StreamOnboarding)
}

func TestMigrateWithoutADatabaseSaysWhatIsMissing(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	got := f.run("migrate")
	require.Equal(t, 1, got.code)
	require.Contains(t, got.stderr, "DATABASE_URL is missing")

	f.process.Environ = append(f.process.Environ, "DATABASE_URL=postgres://rollcall:hunter2@127.0.0.1:1/rollcall")
	got = f.run("migrate", "--wait", "10ms")
	require.Equal(t, 1, got.code)
	require.Contains(t, got.stderr, "Postgres is not ready")
	require.NotContains(t, got.stderr, "hunter2")
}

func TestMigrateSaysThatNATSIsNotReadyAndKeepsTheDatabase(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.nats.Stop()
	database := testkit.EmptyDatabase(t)
	f.process.Environ = append(f.process.Environ, "DATABASE_URL="+database)
	got := f.run("migrate", "--wait", "10ms")
	require.Equal(t, 1, got.code)
	require.Contains(t, got.stderr, "NATS is not ready")
	require.NoError(t, store.CheckSchema(t.Context(), database))
}

func TestMoreReplicasThanServersFailsAtOnceWithTheServersError(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.process.Environ = append(f.process.Environ, "DATABASE_URL="+testkit.Database(t), "NATS_REPLICAS=3")
	got := f.run("migrate")
	require.Equal(t, 1, got.code)
	require.Contains(t, got.stderr, "replicas")
	require.NotContains(t, got.stderr, "waiting for")
}

func TestMigrateSaysWhatItLoweredAndWhatCannotBeRepaired(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	server := testkit.NATS(t, testkit.WithMaxStore(112<<20))
	f.process.Environ = []string{"NATS_URL=" + server.URL, "DATABASE_URL=" + testkit.Database(t)}
	got := f.run("migrate")
	require.Zero(t, got.code, got.stderr)
	require.Contains(t, got.stdout, "stream ROLLCALL_EVENTS is limited to 32 MiB instead of 2 GiB: all limits together stay below half of the server's 112 MiB\n")

	js := server.JetStream(t)
	stream, err := js.Stream(t.Context(), bus.StreamOnboarding)
	require.NoError(t, err)
	config := stream.CachedInfo().Config
	config.DenyDelete = true
	_, err = js.UpdateStream(t.Context(), config)
	require.NoError(t, err)
	got = f.run("migrate")
	require.Equal(t, 1, got.code)
	require.Contains(t, got.stderr, "ROLLCALL_ONBOARDING: denies deletions")
	require.NotContains(t, got.stderr, "waiting for")
}
