package main

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// counted is how often a record was written, as the records' dump says.
type counted struct {
	ExternalID                           string `json:"external_id"`
	Writes, UnchangedWrites, StaleWrites int
}

func TestWriteOfWhatStoodThereIsCountedAsUnchanged(t *testing.T) {
	t.Parallel()
	s := newSandbox(t)
	first := record("vomo-1", "2026-02-01T00:00:00Z")
	put := func(body string) {
		s.t.Helper()
		require.Less(t, s.do(http.MethodPut, "/crm/acme/users/vomo-1", body, "").status, 300)
	}
	unchanged := func() int { return s.report().CRM["acme"].UnchangedWrites }

	put(first)
	require.Zero(t, unchanged(), "the first one makes the record")
	put(first)
	put(strings.Replace(first, `"2026-02-01T00:00:00Z"`, `"2026-02-01T02:00:00+02:00"`, 1)) // the same instant
	put(strings.Replace(first, `"user_status":"VERIFIED","membership_role":null`, `"membership_role": null, "user_status":"VERIFIED"`, 1))
	require.Equal(t, 3, unchanged())

	for _, changed := range []string{
		strings.Replace(first, `"first_name":"Nia"`, `"first_name":"Mia"`, 1),
		strings.Replace(first, `"last_name":null`, `"last_name":""`, 1),
		strings.Replace(first, `"membership_role":null`, `"membership_role":"ADMIN"`, 1),
		strings.Replace(first, `"membership_role":null`, `"membership_role":12345678901234567890`, 1),
		strings.Replace(first, `"membership_role":null`, `"membership_role":12345678901234567891`, 1),
		strings.Replace(first, `2026-02-01`, `2026-02-02`, 1), // only the time
	} {
		put(changed)
	}
	require.Equal(t, 3, unchanged())
	require.Equal(t, 10, s.report().CRM["acme"].Writes, "the unchanged are among them")

	require.Equal(t, http.StatusOK, s.do(http.MethodDelete, "/crm/acme/users/vomo-1", "", "").status)
	put(strings.Replace(first, `2026-02-01`, `2026-02-02`, 1))
	require.Equal(t, 3, unchanged(), "a record that comes back is changed by that")
}

func TestUnchangedAndStaleWritesAreCountedByRecordUntilTheReset(t *testing.T) {
	t.Parallel()
	s := newSandbox(t)
	newer, older := "2026-02-02T00:00:00Z", "2026-02-01T00:00:00Z"
	batch := []string{record("vomo-1", newer), record("vomo-1", newer), record("vomo-1", older), record("vomo-2", newer), record("vomo-2", older)}
	require.Equal(t, http.StatusOK, s.do(http.MethodPost, "/crm/acme/users:batchUpsert", `{"users":[`+strings.Join(batch, ",")+`]}`, "").status)
	require.Equal(t, http.StatusConflict, s.do(http.MethodPut, "/crm/acme/users/vomo-2", record("vomo-2", older), "").status)
	require.Equal(t, http.StatusCreated, s.do(http.MethodPut, "/crm/beta/users/vomo-2", record("vomo-2", older), "").status)

	require.Equal(t, []counted{{"vomo-1", 2, 1, 1}, {"vomo-2", 1, 0, 2}}, dump[counted](s, "/crm/acme/users"))
	acme, beta := s.report().CRM["acme"], s.report().CRM["beta"]
	require.Equal(t, []int{3, 1, 3, 3}, []int{acme.Writes, acme.UnchangedWrites, acme.StaleWrites, acme.Refused})
	require.Equal(t, []int{1, 0, 0, 0}, []int{beta.Writes, beta.UnchangedWrites, beta.StaleWrites, beta.Refused})

	s.control(http.MethodPost, "/report/reset", "", http.StatusNoContent)
	require.Equal(t, []counted{{"vomo-1", 0, 0, 0}, {"vomo-2", 0, 0, 0}}, dump[counted](s, "/crm/acme/users"))
	acme = s.report().CRM["acme"]
	require.Equal(t, []int{0, 0, 0}, []int{acme.Writes, acme.UnchangedWrites, acme.StaleWrites})
}
