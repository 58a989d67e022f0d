package main

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// launched is a sandbox that was started as an operator does: with flags, a port and signals.
type launched struct {
	*fixture
	signal func()
	ended  chan int
	logs   chan string // what it wrote after its address
}

// launch starts a sandbox and waits for its address.
func launch(t *testing.T, args ...string) *launched {
	t.Helper()
	ctx, signal := context.WithCancel(t.Context())
	read, written := io.Pipe()
	l := &launched{signal: signal, ended: make(chan int, 1), logs: make(chan string, 1)}
	go func() {
		l.ended <- start(ctx, args, env(map[string]string{"HTTP_ADDR": "127.0.0.1:0"}), written)
		_ = written.Close()
	}()
	t.Cleanup(func() { signal(); _ = read.Close() })
	lines := bufio.NewScanner(read)
	var addr, all string
	for addr == "" {
		require.True(t, lines.Scan(), "no address, but: %s", all)
		var line struct{ Addr string }
		require.NoError(t, json.Unmarshal(lines.Bytes(), &line))
		addr, all = line.Addr, all+lines.Text()
	}
	go func() { // the log must be read for it to be written
		var rest strings.Builder
		for lines.Scan() {
			rest.WriteString(lines.Text())
		}
		l.logs <- all + rest.String()
	}()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	l.fixture = &fixture{t: t, url: "http://" + addr, client: client}
	return l
}

// stop ends it as a signal does, and returns its exit status and its log.
func (l *launched) stop() (int, string) {
	l.t.Helper()
	l.signal()
	return <-l.ended, <-l.logs
}

// seen returns everything of its state that a sandbox shows.
func (s *fixture) seen() map[string]string {
	s.t.Helper()
	all := map[string]string{}
	for _, path := range []string{
		"/orgs", "/orgs/acme/users", "/orgs/beta/users", "/crm/acme/users", "/crm/_default/users", "/compare?org=acme&tenant=acme",
	} {
		got := s.do(http.MethodGet, "/control"+path, "", "")
		require.Equal(s.t, http.StatusOK, got.status, path)
		all[path] = got.body
	}
	return all
}

// live makes every kind of change that the state file has.
func (s *fixture) live() {
	s.t.Helper()
	s.control(http.MethodPost, "/orgs", `{"name":"beta","token":"chosen","users":300,"seed":9,"ids":"mixed","order":"newest"}`, http.StatusCreated)
	s.control(http.MethodPost, "/orgs/beta/revoke", "", http.StatusNoContent)
	require.Equal(s.t, http.StatusCreated, s.vomo(http.MethodPost, "/users", newUser).status)
	s.control(http.MethodPut, "/orgs/acme/users/1003", `{"email":null,"last_name":"<Ó'Dell & Søn>"}`, http.StatusOK)
	s.control(http.MethodPut, "/orgs/acme/users/1004", `{"birthday":null}`, http.StatusOK)
	s.control(http.MethodPost, "/orgs/acme/users", `{"first_name":"Gone"}`, http.StatusCreated)
	for _, id := range []string{"1001", "1002", "1010", "1022"} {
		s.control(http.MethodDelete, "/orgs/acme/users/"+id, "", http.StatusNoContent)
	}
	for _, id := range []string{"vomo-1003", "vomo-1003", "vomo-1004", "vomo-7"} {
		s.do(http.MethodPut, "/crm/acme/users/"+id, record(id, "2026-02-01T00:00:00+02:00"), "")
	}
	require.Equal(s.t, http.StatusOK, s.do(http.MethodDelete, "/crm/acme/users/vomo-1004", "", "").status)
	s.do(http.MethodPut, "/crm/users/bare", `{"external_id":"bare","source_updated_at":"2026-02-01T00:00:00.5Z"}`, "")
	s.control(http.MethodPut, "/crm/acme/token", `{"token":"crm-secret"}`, http.StatusNoContent)
}

func TestOrganisationsPeopleAndRecordsSurviveARestart(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "state.json")
	first := launch(t, "--org", "acme:20", "--state-file", file)
	first.live()
	before, report := first.seen(), first.control(http.MethodGet, "/report", "", http.StatusOK)["crm"]
	code, logs := first.stop()
	require.Zero(t, code, logs)
	require.NotContains(t, logs, "token")

	info, err := os.Stat(file)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	require.NoFileExists(t, file+".tmp")

	second := launch(t, "--org", "acme:20", "--state-file", file)
	require.Equal(t, before, second.seen())
	require.Equal(t, http.StatusUnauthorized, second.do(http.MethodGet, "/vomo/v1/users", "", "chosen").status)
	require.Equal(t, http.StatusUnauthorized, second.do(http.MethodDelete, "/crm/acme/users/vomo-7", "", "").status)
	crm, _ := second.control(http.MethodGet, "/report", "", http.StatusOK)["crm"].(map[string]any)
	for name, was := range report.(map[string]any) {
		for _, count := range []string{"records", "writes", "unchangedWrites", "staleWrites", "maxWritesPerRecord", "writtenAgain"} {
			require.Equal(t, was.(map[string]any)[count], crm[name].(map[string]any)[count], name+" "+count)
		}
	}
	own := dump[stored](second.fixture, "/crm/acme/users")[0].ID
	require.Equal(t, http.StatusOK, second.do(http.MethodDelete, "/crm/acme/users/"+own, "", "crm-secret").status, "the CRM's own id is still known")
	again := second.vomo(http.MethodPost, "/users", newUser)
	require.Equal(t, http.StatusOK, again.status, "the user who was added is still found by email")
	added := second.control(http.MethodPost, "/orgs/acme/users", "", http.StatusCreated)
	require.EqualValues(t, 1023, added["id"], "the id of a user who was deleted does not come again")
	code, logs = second.stop()
	require.Zero(t, code, logs)
}

func TestOrganisationsOfTheFlagsAreAddedOnlyIfTheStateFileDoesNotHaveThem(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "state.json")
	launch(t, "--org", "acme:20", "--state-file", file).stop()

	second := launch(t, "--org", "acme:500:other", "--org", "beta:7", "--seed", "5", "--state-file", file)
	orgs, _ := second.control(http.MethodGet, "/orgs", "", http.StatusOK)["orgs"].([]any)
	require.Len(t, orgs, 2)
	require.EqualValues(t, 20, orgs[0].(map[string]any)["users"])
	require.Equal(t, "sandbox-acme-token", orgs[0].(map[string]any)["token"])
	require.Equal(t, dump[user](newFixture(t, "-org", "acme:20"), "/orgs/acme/users"), dump[user](second.fixture, "/orgs/acme/users"))
	code, logs := second.stop()
	require.Zero(t, code, logs)
	require.Contains(t, logs, "organisation kept as the state file has it")
}

func TestOrganisationAddedTwiceByFlagsIsRejected(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "state.json")
	var stderr syncedText
	require.Equal(t, 1, start(t.Context(), []string{"--org", "acme:1", "--org", "acme:2", "--state-file", file}, env(nil), &stderr))
	require.Contains(t, stderr.String(), "is taken already")
	require.NoFileExists(t, file)
}
