package cli

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// volumes are the folders that `rollcall init` has in its container.
type volumes struct {
	*fixture
	secrets, nats, postgres string
}

func newVolumes(t *testing.T) *volumes {
	t.Helper()
	folder := t.TempDir()
	v := &volumes{
		fixture: &fixture{t: t},
		secrets: filepath.Join(folder, "secrets"), nats: filepath.Join(folder, "nats"), postgres: filepath.Join(folder, "postgres"),
	}
	for _, volume := range []string{v.secrets, v.nats, v.postgres} {
		require.NoError(t, os.Mkdir(volume, 0o750))
	}
	return v
}

func (v *volumes) fill(volume, entry string) {
	v.t.Helper()
	require.NoError(v.t, os.Mkdir(filepath.Join(volume, entry), 0o750))
}

func (v *volumes) init(environ ...string) result {
	v.t.Helper()
	v.process.Environ = environ
	return v.run("init", "--into", v.secrets, "--nats-data", v.nats, "--postgres-data", v.postgres)
}

func (v *volumes) read() map[string]string {
	v.t.Helper()
	read := map[string]string{}
	entries, err := os.ReadDir(v.secrets)
	require.NoError(v.t, err)
	for _, entry := range entries {
		content, err := os.ReadFile(filepath.Join(v.secrets, entry.Name()))
		require.NoError(v.t, err)
		read[entry.Name()] = string(content)
	}
	return read
}

func TestInitDrawsEachSecretOnce(t *testing.T) {
	t.Parallel()
	v := newVolumes(t)
	got := v.init()
	require.Zero(t, got.code, got.stderr)
	first := v.read()
	require.Len(t, first, 3, "nothing is left beside the secrets")
	require.Regexp(t, "^p[0-9a-f]{48}$", first["database-password"])
	require.Regexp(t, "^n[0-9a-f]{48}$", first["nats-password"])
	require.Regexp(t, "^k[0-9a-f]{48}$", first["nats-jetstream-key"])
	for _, value := range first {
		require.NotContains(t, got.stdout+got.stderr, value)
	}
	info, err := os.Stat(filepath.Join(v.secrets, "nats-password"))
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o444), info.Mode().Perm(), "the containers have different users")

	v.fill(v.postgres, "base")
	v.fill(v.nats, "jetstream")
	got = v.init()
	require.Zero(t, got.code, got.stderr)
	require.Equal(t, first, v.read())
	require.Contains(t, got.stdout, "database-password: kept")
}

func TestInitUsesTheEnvironmentsSecretsSoThatExistingDataOpens(t *testing.T) {
	t.Parallel()
	v := newVolumes(t)
	v.fill(v.postgres, "base")
	v.fill(v.nats, "jetstream")
	got := v.init("POSTGRES_PASSWORD=0old", "NATS_JETSTREAM_KEY=kold")
	require.Zero(t, got.code, got.stderr)
	read := v.read()
	require.Equal(t, "0old", read["database-password"])
	require.Equal(t, "kold", read["nats-jetstream-key"])
	require.Regexp(t, "^n[0-9a-f]{48}$", read["nats-password"], "no data depends on it")
	require.NotContains(t, got.stdout+got.stderr, "0old")

	got = v.init("NATS_PASSWORD=mine")
	require.Zero(t, got.code, got.stderr)
	read["nats-password"] = "mine"
	require.Equal(t, read, v.read(), "a value in the environment wins over a file, and the other files stay")
}

func TestInitDrawsNoNewSecretBesideDataThatItWouldNotOpen(t *testing.T) {
	t.Parallel()
	for server, variable := range map[string]string{"Postgres": "POSTGRES_PASSWORD", "NATS": "NATS_JETSTREAM_KEY"} {
		v := newVolumes(t)
		v.fill(map[string]string{"Postgres": v.postgres, "NATS": v.nats}[server], "something")
		got := v.init()
		require.Equal(t, 1, got.code)
		require.Contains(t, got.stderr, "the volume of "+server+" has data")
		require.Contains(t, got.stderr, "put "+variable+"=", "the remedy")
		require.Empty(t, v.read(), "nothing is written")
	}
}

func TestInitIgnoresTheFolderThatAFileSystemMakes(t *testing.T) {
	t.Parallel()
	v := newVolumes(t)
	v.fill(v.postgres, "lost+found")
	require.Zero(t, v.init().code)
}

func TestInitRefusesAPasswordThatNATSWouldReadDifferently(t *testing.T) {
	t.Parallel()
	v := newVolumes(t)
	got := v.init("NATS_PASSWORD=5e3 #x")
	require.Equal(t, 1, got.code)
	require.Contains(t, got.stderr, "NATS_PASSWORD must be letters, digits")
	require.NotContains(t, got.stderr, "5e3")
	require.Empty(t, v.read())
}

func TestInitSaysWhereEachSecretComesFromAsADocument(t *testing.T) {
	t.Parallel()
	v := newVolumes(t)
	v.process.Environ = []string{"POSTGRES_PASSWORD=pold"}
	got := document[initialised](t, v.run("init", "--json", "--into", v.secrets))
	require.Equal(t, "environment", got.Secrets[0].Source)
	require.Equal(t, "drawn", got.Secrets[1].Source)
}
