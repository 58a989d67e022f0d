package dev

import (
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestSecondRunInOneFolderIsRefusedAndNamesTheFirst(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), ".rollcall")
	first, err := openFolder(dir, 1_000)
	require.NoError(t, err)

	_, err = openFolder(dir, 1_000)
	require.ErrorIs(t, err, errLocked)
	require.ErrorContains(t, err, "another `rollcall dev` runs in "+dir)
	require.ErrorContains(t, err, strconv.Itoa(os.Getpid()))

	require.NoError(t, first.lock.release())
	again, err := openFolder(dir, 1_000)
	require.NoError(t, err, "the folder is free again")
	require.NoError(t, again.lock.release())
}

func TestSecondStartUsesTheChoicesOfTheFirst(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), ".rollcall")
	first, err := openFolder(dir, 300)
	require.NoError(t, err)
	first.memory.SandboxPort = 9_191
	require.NoError(t, first.remember())
	key, err := first.natsKey()
	require.NoError(t, err)
	require.NoError(t, first.lock.release())

	second, err := openFolder(dir, 1_000)
	require.NoError(t, err)
	require.Equal(t, first.memory, second.memory)
	require.Equal(t, 300, second.memory.DemoUsers, "an organisation that exists keeps its size")
	require.Equal(t, first.postgres(), second.postgres())
	same, err := second.natsKey()
	require.NoError(t, err)
	require.Equal(t, key, same)
	require.NoError(t, second.lock.release())
}

func TestOnlyTheOwnerCanReadTheKeyOfTheStreams(t *testing.T) {
	t.Parallel()
	f, err := openFolder(t.TempDir(), 1_000)
	require.NoError(t, err)
	_, err = f.natsKey()
	require.NoError(t, err)
	info, err := os.Stat(f.in("nats.key"))
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	require.NoError(t, f.lock.release())
}

func TestMissingKeyOfExistingStreamsIsNotReplaced(t *testing.T) {
	t.Parallel()
	f, err := openFolder(t.TempDir(), 1_000)
	require.NoError(t, err)
	require.NoError(t, os.Mkdir(filepath.Join(f.in("nats"), "jetstream"), 0o700))
	_, err = f.natsKey()
	require.ErrorContains(t, err, "the streams cannot be read without it")
	require.NoFileExists(t, f.in("nats.key"))
	require.NoError(t, f.lock.release())
}

func TestDamagedMemoryIsReportedAndNotOverwritten(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "dev.json"), []byte(`{"id":`), 0o600))
	_, err := openFolder(dir, 1_000)
	require.ErrorContains(t, err, "is damaged")
	kept, err := os.ReadFile(filepath.Join(dir, "dev.json"))
	require.NoError(t, err)
	require.Equal(t, `{"id":`, string(kept))
}

func TestPostgresInAnotherFolderIsFoundAfterTheFolderWasRenamed(t *testing.T) {
	t.Parallel()
	f, err := openFolder(t.TempDir(), 1_000)
	require.NoError(t, err)
	own := f.postgres()
	require.NoError(t, os.Mkdir(own, 0o700))
	require.NoError(t, os.Symlink("/var/lib/rollcall-dev/0123", filepath.Join(own, "postgres-is-in")))
	require.Equal(t, "/var/lib/rollcall-dev/0123", f.postgres())
	require.NoError(t, f.lock.release())
}
