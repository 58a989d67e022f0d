package main

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestHealthCheckTellsARunningSandboxFromNone(t *testing.T) {
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
