package main

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestSandboxThatIsKilledLosesOnlyTheLastPeriod(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "state.gz")
	first := newKept(t, file, "--org", "acme:20")
	first.live()
	first.period()
	before := first.seen()
	first.control(http.MethodPost, "/orgs/acme/users", "", http.StatusCreated)
	require.NotEqual(t, before, first.seen())
	require.Equal(t, 2*time.Second, <-first.pauses)

	// It is not stopped: to the file it is as if it had been killed now, in the middle of a saving.
	require.NoError(t, os.WriteFile(file+".tmp", []byte("half"), 0o600))
	second := newKept(t, file)
	require.Equal(t, before, second.seen())
	second.control(http.MethodPost, "/orgs/acme/users", "", http.StatusCreated)
	require.NoError(t, second.stop(), "what the killed one left half written is in nobody's way")
	require.Len(t, dump[user](newKept(t, file).sandbox, "/orgs/acme/users"), 19)
}

func TestNothingIsWrittenWhileNothingChanges(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "state.gz")
	s := newKept(t, file, "--org", "acme:20")
	s.period()
	written, err := os.Stat(file)
	require.NoError(t, err)

	s.page("") // reading changes nothing
	s.period()
	same, err := os.Stat(file)
	require.NoError(t, err)
	require.Equal(t, written.ModTime(), same.ModTime())

	for _, change := range []func(){
		func() { s.control(http.MethodPost, "/orgs/acme/revoke", "", http.StatusNoContent) },
		func() { s.control(http.MethodPut, "/orgs/acme/users/1001", "", http.StatusOK) },
		func() { s.control(http.MethodDelete, "/orgs/acme/users/1001", "", http.StatusNoContent) },
		func() { s.do(http.MethodPut, "/crm/users/vomo-1", record("vomo-1", "2026-02-01T00:00:00Z"), "") },
		func() { s.control(http.MethodPost, "/report/reset", "", http.StatusNoContent) },
		func() { s.do(http.MethodDelete, "/crm/users/vomo-1", "", "") },
		func() { s.control(http.MethodPut, "/crm/_default/token", `{"token":"x"}`, http.StatusNoContent) },
	} {
		change()
		s.period()
		changed, err := os.Stat(file)
		require.NoError(t, err)
		require.False(t, os.SameFile(same, changed)) // times may be too coarse to tell
		same = changed
	}
}

func TestSavingThatFailsLeavesTheOldFileIsSaidOnceAndMadeAgain(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "state.gz")
	s := newKept(t, file, "--org", "acme:20")
	s.period()
	old, err := os.ReadFile(file)
	require.NoError(t, err)

	require.NoError(t, os.MkdirAll(filepath.Join(file+".tmp", "in the way"), 0o700))
	s.live()
	s.period()
	now, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, old, now)
	require.Equal(t, 1, strings.Count(s.log.String(), "state is not saved"))

	require.NoError(t, os.RemoveAll(file+".tmp"))
	s.period()
	require.Contains(t, s.log.String(), "state is saved again")
	require.Equal(t, s.seen(), newKept(t, file).seen())
}

func TestStateThatCannotBeSavedAtTheEndIsAnError(t *testing.T) {
	t.Parallel()
	folder := filepath.Join(t.TempDir(), "folder")
	require.NoError(t, os.Mkdir(folder, 0o700))
	s := newKept(t, filepath.Join(folder, "state.gz"), "--org", "acme:20")
	s.period()
	s.control(http.MethodPost, "/orgs/acme/users", "", http.StatusCreated)
	require.NoError(t, os.RemoveAll(folder))
	require.ErrorIs(t, s.stop(), os.ErrNotExist)
}
