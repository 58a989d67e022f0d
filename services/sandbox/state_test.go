package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// syncedText is a log that may be read while it is written.
type syncedText struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (s *syncedText) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(p)
}

func (s *syncedText) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// stateFixture is a sandbox with a state file. The test decides when a pause ends.
type stateFixture struct {
	*fixture
	pass   chan struct{}
	pauses chan time.Duration
	log    *syncedText
	stop   func() error
}

func newStateFixture(t *testing.T, file string, args ...string) *stateFixture {
	t.Helper()
	opts, err := parseOptions(append(args, "--state-file", file), env(nil), io.Discard)
	require.NoError(t, err)
	k := &stateFixture{pass: make(chan struct{}), pauses: make(chan time.Duration, 100), log: &syncedText{}}
	clock := &testClock{now: time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)}
	made, err := newSandbox(opts, realTime{nowFunc: clock.Now, waitFunc: k.wait}, newLogger(opts.logLevel, "json", k.log))
	require.NoError(t, err)
	server := httptest.NewServer(made.handler)
	t.Cleanup(server.Close)
	ctx, signal := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- made.state.While(ctx, func(ctx context.Context) error { <-ctx.Done(); return nil })
	}()
	k.stop = sync.OnceValue(func() error { signal(); return <-ended })
	t.Cleanup(func() { _ = k.stop() })
	k.fixture = &fixture{t: t, url: server.URL, clock: clock, client: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}}
	return k
}

func (k *stateFixture) wait(ctx context.Context, pause time.Duration) error {
	k.pauses <- pause
	select {
	case <-k.pass:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// period ends one pause, and returns after the snapshot that followed it.
func (k *stateFixture) period() {
	k.pass <- struct{}{}
	k.pass <- struct{}{}
}

func TestKilledSandboxLosesOnlyTheChangesOfTheLastPause(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "state.json")
	first := newStateFixture(t, file, "--org", "acme:20")
	first.live()
	first.period()
	before := first.seen()
	first.control(http.MethodPost, "/orgs/acme/users", "", http.StatusCreated)
	require.NotEqual(t, before, first.seen())
	require.Equal(t, 2*time.Second, <-first.pauses)

	// The first one is not stopped, so the file is as if it had been killed now, during a snapshot.
	require.NoError(t, os.WriteFile(file+".tmp", []byte("half"), 0o600))
	second := newStateFixture(t, file)
	require.Equal(t, before, second.seen())
	second.control(http.MethodPost, "/orgs/acme/users", "", http.StatusCreated)
	require.NoError(t, second.stop(), "the half-written file that the killed one left does no harm")
	require.Len(t, dump[user](newStateFixture(t, file).fixture, "/orgs/acme/users"), 19)
}

func TestDeletedUsersCanBeRestoredAfterARestart(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "state.json")
	first := newStateFixture(t, file, "--org", "acme:20")
	first.control(http.MethodPut, "/orgs/acme/users/1005", `{"first_name":"Nia"}`, http.StatusOK)
	first.control(http.MethodPost, "/orgs/acme/users", `{"first_name":"Zoe"}`, http.StatusCreated)
	before := dump[user](first.fixture, "/orgs/acme/users")
	first.batch(`{"delete":[1005,1006,1021]}`)
	require.NoError(t, first.stop())

	second := newStateFixture(t, file)

	require.Len(t, dump[user](second.fixture, "/orgs/acme/users"), 18)
	for _, id := range []string{"1005", "1006", "1021"} {
		second.control(http.MethodPost, "/orgs/acme/users/"+id+"/restore", "", http.StatusOK)
	}
	require.Equal(t, before, dump[user](second.fixture, "/orgs/acme/users"))
}

func TestFileIsWrittenOnlyAfterAChange(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "state.json")
	s := newStateFixture(t, file, "--org", "acme:20")
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

func TestFailedSnapshotLeavesTheOldFileAndIsLoggedOnceAndRepeated(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "state.json")
	s := newStateFixture(t, file, "--org", "acme:20")
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
	require.Equal(t, s.seen(), newStateFixture(t, file).seen())
}

func TestStateThatCannotBeSavedAtTheEndIsAnError(t *testing.T) {
	t.Parallel()
	folder := filepath.Join(t.TempDir(), "folder")
	require.NoError(t, os.Mkdir(folder, 0o700))
	s := newStateFixture(t, filepath.Join(folder, "state.json"), "--org", "acme:20")
	s.period()
	s.control(http.MethodPost, "/orgs/acme/users", "", http.StatusCreated)
	require.NoError(t, os.Rename(folder, folder+".gone")) // at one stroke, also while the state is saved
	require.ErrorIs(t, s.stop(), os.ErrNotExist)
}

func TestDamagedStateFileStopsTheStartIsNamedAndLeftAsItIs(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	whole := filepath.Join(folder, "whole.json")
	s := newStateFixture(t, whole, "--org", "acme:20")
	s.live()
	require.NoError(t, s.stop())
	content, err := os.ReadFile(whole)
	require.NoError(t, err)

	const acme = `{"name":"acme","users":3,"ids":"int","order":"id"`
	organisation := func(text string) []byte { return []byte(`{"organisations":[` + text + `],"tenants":[]}`) }
	record := func(text string) []byte {
		return []byte(`{"organisations":[],"tenants":[{"name":"acme","token":"","records":[` + text + `]}]}`)
	}
	for name, damaged := range map[string][]byte{
		"empty":                      {},
		"no JSON":                    []byte("users"),
		"cut short":                  content[:len(content)/2],
		"without its end":            content[:len(content)-3],
		"something behind":           append(bytes.Clone(content), "more"...),
		"a later version":            []byte(`{"organisations":[],"tenants":[],"cats":[]}`),
		"no external id":             record(`{"id":"a"}`),
		"a record twice":             record(`{"id":"a","external_id":"b"},{"id":"a","external_id":"b"}`),
		"fewer writes than possible": record(`{"id":"a","external_id":"b","unchangedWrites":1}`),
		"half an organisation":       organisation(acme + `}`),
		"a bad name":                 organisation(`{"name":"No Name","nextId":1001}`),
		"an organisation twice":      organisation(acme + `,"nextId":1004},` + acme + `,"nextId":1004}`),
		"ids that go back":           organisation(acme + `,"nextId":1001}`),
		"a user from nowhere":        organisation(acme + `,"nextId":1004,"edited":[{"id":5}]}`),
		"a user twice":               organisation(acme + `,"nextId":1004,"edited":[{"id":1001},{"id":1001}]}`),
		"an older version":           packed(t, `{"sandboxState":2}{"tenant":{"name":"acme","token":""}}`),
	} {
		file := filepath.Join(folder, strings.ReplaceAll(name, " ", "-"))
		require.NoError(t, os.WriteFile(file, damaged, 0o600))
		var stderr syncedText
		require.Equal(t, 1, start(t.Context(), []string{"--state-file", file}, env(nil), &stderr), name)
		require.Contains(t, stderr.String(), file+" is damaged, or an older sandbox wrote it: move it away", name)
		left, err := os.ReadFile(file)
		require.NoError(t, err)
		require.Equal(t, damaged, left, name)
	}
}

func TestStateFileThatCannotBeWrittenStopsTheStart(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "missing", "state.json")
	var stderr syncedText
	require.Equal(t, 1, start(t.Context(), []string{"--state-file", file}, env(map[string]string{"HTTP_ADDR": "127.0.0.1:0"}), &stderr))
	require.Contains(t, stderr.String(), file)
}

// packed is the form that state files had before they were one JSON document.
func packed(t *testing.T, text string) []byte {
	t.Helper()
	var out bytes.Buffer
	writer := gzip.NewWriter(&out)
	_, err := writer.Write([]byte(text))
	require.NoError(t, err)
	require.NoError(t, writer.Close())
	return out.Bytes()
}
