package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func env(values map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		value, set := values[name]
		return value, set
	}
}

func TestSandboxServesUntilStoppedAndEndsWithStatusZero(t *testing.T) {
	t.Parallel()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	logs, written := io.Pipe()
	ended := make(chan int, 1)
	go func() {
		ended <- start(ctx, []string{"-org", "acme:30"}, env(map[string]string{"HTTP_ADDR": "127.0.0.1:0", "LOG_LEVEL": "info"}), written)
		_ = written.Close()
	}()

	lines := bufio.NewScanner(logs)
	var addr string
	for addr == "" && lines.Scan() {
		var line struct{ Msg, Addr string }
		require.NoError(t, json.Unmarshal(lines.Bytes(), &line))
		require.NotContains(t, lines.Text(), "sandbox-acme-token")
		addr = line.Addr
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 10 * time.Second}
	for _, path := range []string{"/livez", "/readyz", "/healthz"} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+addr+path, nil)
		require.NoError(t, err)
		response, err := client.Do(request)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		require.Equal(t, http.StatusOK, response.StatusCode)
	}

	stop()
	for lines.Scan() { // the log must be read for it to be written
		continue
	}
	require.Zero(t, <-ended)
}

func TestInvalidSettingsStopTheStartWithOneLine(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		args []string
		env  map[string]string
		want string
		code int
	}{
		"log level":     {nil, map[string]string{"LOG_LEVEL": "loud"}, "LOG_LEVEL", 2},
		"log format":    {nil, map[string]string{"LOG_FORMAT": "xml"}, "LOG_FORMAT", 2},
		"page size":     {[]string{"-per-page", "0"}, nil, "-per-page", 2},
		"latency":       {[]string{"-latency", "-1s"}, nil, "-latency", 2},
		"an argument":   {[]string{"surplus"}, nil, "surplus", 2},
		"organisation":  {[]string{"-org", "acme"}, nil, "name:users", 2},
		"name":          {[]string{"-org", "Acme Inc:3"}, nil, "is not valid", 1},
		"too many":      {[]string{"-org", "acme:1000001"}, nil, "users 1000001", 1},
		"twice":         {[]string{"-org", "acme:1", "-org", "acme:1:x"}, nil, "is taken already", 1},
		"shared tokens": {[]string{"-org", "acme:1:x", "-org", "beta:1:x"}, nil, "is taken already", 1},
		"fault":         {[]string{"-fault", `{"target":"moon"}`}, nil, "not a valid fault", 1},
		"address":       {nil, map[string]string{"HTTP_ADDR": "nowhere"}, "listen", 1},
	} {
		var stderr bytes.Buffer
		require.Equal(t, c.code, start(t.Context(), c.args, env(c.env), &stderr), name)
		require.Contains(t, stderr.String(), c.want, name)
	}
}

func TestPageSizeIsTheOperatorsChoice(t *testing.T) {
	t.Parallel()
	s := newFixture(t, "-org", "acme:47", "-per-page", "20")
	page := s.page("?page=3&per_page=5")
	require.Len(t, page.Data, 7)
	require.Equal(t, 20, page.Meta.PerPage)
}

func TestOrganisationsAreMadeOnceAndListedWithTheirTokens(t *testing.T) {
	t.Parallel()
	s := newFixture(t, "-org", "acme:3")
	made := s.control(http.MethodPost, "/orgs", `{"name":"beta","token":"chosen","users":2,"seed":9,"ids":"mixed"}`, http.StatusCreated)
	require.Equal(t, "chosen", made["token"])
	s.control(http.MethodPost, "/orgs", `{"name":"beta","users":2}`, http.StatusConflict)
	s.control(http.MethodPost, "/orgs", `{"name":"gamma","token":"chosen"}`, http.StatusConflict)
	s.control(http.MethodPost, "/orgs", `{"name":"gamma","ids":"roman"}`, http.StatusUnprocessableEntity)
	s.control(http.MethodPost, "/orgs", `{"name":"gamma","order":"random"}`, http.StatusUnprocessableEntity)
	s.control(http.MethodPost, "/orgs", `{"name":"gamma","users":-1}`, http.StatusUnprocessableEntity)

	orgs, _ := s.control(http.MethodGet, "/orgs", "", http.StatusOK)["orgs"].([]any)
	require.Len(t, orgs, 2)
	acme, _ := orgs[0].(map[string]any)
	require.Equal(t, "acme", acme["name"])
	require.Equal(t, "sandbox-acme-token", acme["token"])
	require.EqualValues(t, 3, acme["users"])
	for _, path := range []string{"/orgs/none/revoke", "/orgs/none/restore"} {
		s.control(http.MethodPost, path, "", http.StatusNotFound)
	}
	s.control(http.MethodDelete, "/orgs/acme/users/7", "", http.StatusNotFound)
	require.Equal(t, http.StatusNotFound, s.do(http.MethodGet, "/control/orgs/none/users", "", "").status)
}

func TestSameSeedMakesTheSamePeopleWhateverTheSize(t *testing.T) {
	t.Parallel()
	a, b := newFixture(t, "-org", "acme:50", "-seed", "3"), newFixture(t, "-org", "acme:500", "-seed", "3")
	c := newFixture(t, "-org", "acme:50", "-seed", "4")

	first := dump[user](a, "/orgs/acme/users")
	require.Equal(t, first, dump[user](b, "/orgs/acme/users")[:50])
	require.NotEqual(t, first, dump[user](c, "/orgs/acme/users"))
}

func TestHealthCheckFailsWithoutARunningSandbox(t *testing.T) {
	t.Parallel()
	status := http.StatusOK
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/readyz" {
			http.NotFound(w, r)
			return
		}
		w.WriteHeader(status)
	}))
	t.Cleanup(server.Close)
	port := server.URL[strings.LastIndexByte(server.URL, ':')+1:]
	ask := func(address string) int {
		return start(t.Context(), []string{"-healthcheck"}, func(string) (string, bool) { return address, true }, &bytes.Buffer{})
	}
	require.Zero(t, ask("127.0.0.1:"+port))
	require.Zero(t, ask("0.0.0.0:"+port), "a wildcard is asked on this machine")
	require.Zero(t, ask(":"+port))
	status = http.StatusServiceUnavailable
	require.Equal(t, 1, ask("127.0.0.1:"+port))
	server.Close()
	require.Equal(t, 1, ask("127.0.0.1:"+port))
	require.Equal(t, 1, ask("nonsense"))
}
