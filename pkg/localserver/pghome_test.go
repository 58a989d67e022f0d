package localserver

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestPostgresNeverRunsAsRoot(t *testing.T) {
	t.Parallel()
	server := newPostgres(t, PostgresConfig{Dir: openFolder(t)})

	uid, _, ok := ownerOf(filepath.Join(server.Dir(), "data"))

	require.True(t, ok)
	require.NotZero(t, uid)
	if os.Geteuid() != 0 {
		require.EqualValues(t, os.Geteuid(), uid)
		return
	}
	running, _, ok := ownerOf(filepath.Join("/proc", strconv.Itoa(server.PID())))
	require.True(t, ok)
	require.Equal(t, uid, running)
}

func TestFolderUnderClosedParentWorks(t *testing.T) {
	t.Parallel()
	parent := openFolder(t)
	require.NoError(t, os.Chmod(parent, 0o700))
	dir := filepath.Join(parent, "deep", "inside")
	first := newPostgres(t, PostgresConfig{Dir: dir})
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(first.Dir())) })
	if os.Geteuid() == 0 { // root can enter the folder only because it is root; other users cannot
		require.NotEqual(t, dir, first.Dir())
		to, err := os.Readlink(filepath.Join(dir, movedLink))
		require.NoError(t, err)
		require.Equal(t, first.Dir(), to, "a link in the folder must lead to the data")
	}
	execute(t, first, `CREATE TABLE kept AS SELECT 'still here' AS word`)
	first.Stop()

	second := newPostgres(t, PostgresConfig{Dir: dir})

	require.Equal(t, first.Dir(), second.Dir())
	require.Equal(t, "still here", ask(t, second, `SELECT word FROM kept`))
}

func TestErrorWithoutPostgresSaysWhatToInstall(t *testing.T) {
	t.Parallel()
	nowhere := func(string) (string, error) { return "", exec.ErrNotFound }

	_, err := findPostgres(t.Context(), t.TempDir(), nowhere)

	require.ErrorIs(t, err, ErrNoPostgres)
	require.ErrorContains(t, err, "apt-get install postgresql")
}

func TestNewestPostgresOfDebianIsUsed(t *testing.T) {
	t.Parallel()
	debian := t.TempDir()
	for _, version := range []string{"9.6", "14", "15", "17"} {
		fakePrograms(t, filepath.Join(debian, version, "bin"), "")
	}
	require.NoError(t, os.MkdirAll(filepath.Join(debian, "18", "bin"), 0o755)) // only the client is installed

	bin, err := findPostgres(t.Context(), debian, exec.LookPath)

	require.NoError(t, err)
	require.Equal(t, filepath.Join(debian, "17", "bin"), bin)
}

func TestPostgresOnPathMustBeNewEnough(t *testing.T) {
	t.Parallel()
	for version, accepted := range map[string]bool{
		"14.2": false, "15.1": true, "17.0 (Homebrew)": true, "9.6.24": false,
	} {
		dir := t.TempDir()
		fakePrograms(t, dir, "postgres (PostgreSQL) "+version)
		onPath := func(name string) (string, error) { return filepath.Join(dir, name), nil }

		bin, err := findPostgres(t.Context(), t.TempDir(), onPath)

		if accepted {
			require.NoError(t, err, version)
			require.Equal(t, dir, bin)
			continue
		}
		require.ErrorIs(t, err, ErrNoPostgres, version)
	}
}

func fakePrograms(t *testing.T, dir, version string) {
	t.Helper()
	require.NoError(t, os.MkdirAll(dir, 0o755))
	for _, name := range []string{"initdb", "postgres"} {
		script := "#!/bin/sh\necho '" + version + "'\n"
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(script), 0o755))
	}
}
