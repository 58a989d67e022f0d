package main

import (
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestSlowBodyComesByteByByteAndWhole(t *testing.T) {
	t.Parallel()
	s := newSandbox(t, "-org", "acme:1")
	honest := s.vomo(http.MethodGet, "/users", "").body
	s.fault(`{"target":"vomo","kind":"slow_body","delayMs":20,"count":1}`)

	require.Equal(t, honest, s.vomo(http.MethodGet, "/users", "").body)
	require.Len(t, s.clock.Waited(), len(honest))
	require.Equal(t, 20*time.Millisecond, s.clock.Waited()[0])
}

func TestBodyCutInItsMiddleIsAnErrorThoughTheWriteWasDone(t *testing.T) {
	t.Parallel()
	s := newSandbox(t)
	s.fault(`{"target":"crm","kind":"cut_body","count":1}`)

	_, err := s.try(http.MethodPut, "/crm/acme/users/vomo-1", record("vomo-1", "2026-02-01T00:00:00Z"), "")
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	require.Len(t, dump[stored](s, "/crm/acme/users"), 1)
	require.Equal(t, map[string]int{"broken_body": 1}, s.report().CRM["acme"].Statuses)
}

func TestEndlessBodyGoesOnUntilTheClientStopsReading(t *testing.T) {
	t.Parallel()
	s := newSandbox(t, "-org", "acme:1")
	s.fault(`{"target":"vomo","kind":"endless_body"}`)
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url+"/vomo/v1/users", http.NoBody)
	require.NoError(t, err)
	request.Header.Set("Authorization", "Bearer sandbox-acme-token")
	response, err := s.client.Do(request)
	require.NoError(t, err)
	require.EqualValues(t, -1, response.ContentLength)

	read, err := io.CopyN(io.Discard, response.Body, 20<<20)
	require.NoError(t, err)
	require.EqualValues(t, 20<<20, read)
	require.NoError(t, response.Body.Close()) // the server's end waits for the handler, which therefore has ended
}
