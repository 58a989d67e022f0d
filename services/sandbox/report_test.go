package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

type pageTimes struct{ Page, Times int }

type recordTimes struct {
	ExternalID string `json:"externalId"`
	Times      int
}

// report is the sandbox's report as a test reads it.
type report struct {
	VOMO map[string]struct {
		Requests          int
		FirstAt           time.Time `json:"firstAt"`
		LastAt            time.Time `json:"lastAt"`
		MaxPerSecond      int       `json:"maxPerSecond"`
		MaxPer10Seconds   int       `json:"maxPer10Seconds"`
		MaxPerMinute      int       `json:"maxPerMinute"`
		Pages             int
		PagesFetchedAgain []pageTimes `json:"pagesFetchedAgain"`
		Statuses          map[string]int
	}
	CRM map[string]struct {
		Records, Writes, Refused, UnchangedWrites, StaleWrites int
		MaxWritesPerRecord                                     int           `json:"maxWritesPerRecord"`
		WrittenAgain                                           []recordTimes `json:"writtenAgain"`
		Statuses                                               map[string]int
	}
}

func (s *fixture) report() report {
	s.t.Helper()
	var decoded report
	require.NoError(s.t, json.Unmarshal([]byte(s.do(http.MethodGet, "/control/report", "", "").body), &decoded))
	return decoded
}

func TestReportCountsRequestsInTheBusiestWindows(t *testing.T) {
	t.Parallel()
	s := newFixture(t, "-org", "acme:100")
	began := s.clock.Now()
	// Twelve requests, 250 ms apart: each second has four of them, because its end is not included.
	for range 12 {
		s.page("")
		s.clock.Advance(250 * time.Millisecond)
	}
	// Twenty more, three seconds apart, from 30 s on.
	s.clock.Advance(27 * time.Second)
	for range 20 {
		s.page("")
		s.clock.Advance(3 * time.Second)
	}

	seen := s.report().VOMO["acme"]
	require.Equal(t, 32, seen.Requests)
	require.Equal(t, 4, seen.MaxPerSecond)
	require.Equal(t, 12, seen.MaxPer10Seconds)
	require.Equal(t, 12+10, seen.MaxPerMinute, "the twelve, and those of 30 s to 57 s")
	require.Equal(t, began, seen.FirstAt)
	require.Equal(t, began.Add(87*time.Second), seen.LastAt)
}

func TestReportNamesPagesThatWereFetchedAgain(t *testing.T) {
	t.Parallel()
	s := newFixture(t, "-org", "acme:100")
	for _, query := range []string{"", "?page=2", "?page=3", "?page=2", "?page=2", "?page=3&name_like=a"} {
		s.page(query)
	}
	s.vomo(http.MethodGet, "/users/1001", "")
	s.control(http.MethodPost, "/faults", `{"target":"vomo","kind":"status","status":503,"count":1}`, http.StatusCreated)
	require.Equal(t, http.StatusServiceUnavailable, s.vomo(http.MethodGet, "/users?page=3", "").status)

	seen := s.report().VOMO["acme"]
	require.Equal(t, 3, seen.Pages)
	require.Equal(t, []pageTimes{{Page: 2, Times: 3}}, seen.PagesFetchedAgain, "neither a filtered nor a failed request delivers a page")
	require.Equal(t, map[string]int{"200": 7, "503": 1}, seen.Statuses)
}

func TestReportCountsUnknownTokensApart(t *testing.T) {
	t.Parallel()
	s := newFixture(t, "-org", "acme:1")
	s.do(http.MethodGet, "/vomo/v1/users", "", "unknown")
	s.do(http.MethodGet, "/vomo/v1/users", "", "")
	s.control(http.MethodPost, "/orgs/acme/revoke", "", http.StatusNoContent)
	s.vomo(http.MethodGet, "/users", "")

	seen := s.report().VOMO
	require.Equal(t, map[string]int{"401": 2}, seen["_unknown"].Statuses)
	require.Equal(t, map[string]int{"401": 1}, seen["acme"].Statuses)
	require.Zero(t, seen["acme"].Pages)
}

func TestReportCountsWritesPerRecordUntilItIsReset(t *testing.T) {
	t.Parallel()
	s := newFixture(t)
	put := func(id, at string) {
		s.do(http.MethodPut, "/crm/users/"+id, record(id, at), "")
	}
	put("vomo-1", "2026-02-01T00:00:00Z")
	put("vomo-2", "2026-02-01T00:00:00Z")
	put("vomo-2", "2026-02-01T00:00:00Z")
	put("vomo-2", "2026-02-01T00:00:01Z")
	put("vomo-2", "2026-01-01T00:00:00Z") // stale

	seen := s.report().CRM["_default"]
	require.Equal(t, 2, seen.Records)
	require.Equal(t, 4, seen.Writes)
	require.Equal(t, 1, seen.Refused)
	require.Equal(t, 3, seen.MaxWritesPerRecord)
	require.Equal(t, []recordTimes{{ExternalID: "vomo-2", Times: 3}}, seen.WrittenAgain)
	require.Equal(t, map[string]int{"201": 2, "200": 2, "409": 1}, seen.Statuses)

	s.control(http.MethodPost, "/report/reset", "", http.StatusNoContent)
	put("vomo-1", "2026-02-01T00:00:00Z")
	seen = s.report().CRM["_default"]
	require.Equal(t, 2, seen.Records, "the records stay")
	require.Equal(t, 1, seen.Writes)
	require.Equal(t, 1, seen.MaxWritesPerRecord)
	require.Empty(t, seen.WrittenAgain)
}

// mirror writes every user of acme to the CRM, as a mirror would.
func (s *fixture) mirror() {
	s.t.Helper()
	for _, u := range dump[user](s, "/orgs/acme/users") {
		id := fmt.Sprintf("vomo-%v", u.ID)
		body, err := json.Marshal(map[string]any{
			"external_id": id, "email": u.Email, "first_name": u.FirstName, "last_name": u.LastName, "phone": u.Phone,
			"custom_fields": map[string]any{
				"user_status": u.UserStatus, "membership_role": u.MembershipRole,
				"vomo_created_at": strings.Replace(u.CreatedAt, "+00:00", "Z", 1), // the same instant in another dress
			},
			"source_updated_at": u.UpdatedAt,
		})
		require.NoError(s.t, err)
		require.Less(s.t, s.do(http.MethodPut, "/crm/acme/users/"+id, string(body), "").status, 300)
	}
}

func TestCompareFindsNoDifferenceInACompleteMirror(t *testing.T) {
	t.Parallel()
	s := newFixture(t, "-org", "acme:300")
	s.mirror()

	got := s.control(http.MethodGet, "/compare?org=acme&tenant=acme", "", http.StatusOK)
	require.EqualValues(t, 300, got["source"])
	require.EqualValues(t, 300, got["destination"])
	require.EqualValues(t, 300, got["same"])
	for _, wrong := range []string{"missing", "extra", "different"} {
		require.Zero(t, got[wrong])
	}
	require.Equal(t, []any{}, got["differences"])
}

func TestCompareNamesWhatIsMissingExtraAndDifferent(t *testing.T) {
	t.Parallel()
	s := newFixture(t, "-org", "acme:20")
	s.mirror()
	s.do(http.MethodPut, "/crm/acme/users/vomo-1001", record("vomo-1001", "2030-01-01T00:00:00Z"), "") // another person
	s.do(http.MethodPut, "/crm/acme/users/vomo-7", record("vomo-7", "2026-01-01T00:00:00Z"), "")
	s.do(http.MethodPut, "/crm/acme/users/vomo-01002", record("vomo-01002", "2026-01-01T00:00:00Z"), "")
	s.do(http.MethodDelete, "/crm/acme/users/vomo-1003", "", "")
	s.control(http.MethodDelete, "/orgs/acme/users/1004", "", http.StatusNoContent)

	got := s.control(http.MethodGet, "/compare?org=acme&tenant=acme", "", http.StatusOK)
	require.EqualValues(t, 19, got["source"])
	require.EqualValues(t, 21, got["destination"])
	require.EqualValues(t, 17, got["same"])
	require.EqualValues(t, 1, got["missing"])
	require.Equal(t, []any{"vomo-1003"}, got["missingIds"])
	require.EqualValues(t, 3, got["extra"])
	require.Equal(t, []any{"vomo-01002", "vomo-1004", "vomo-7"}, got["extraIds"])
	require.EqualValues(t, 1, got["different"])
	differences, _ := got["differences"].([]any)
	require.Len(t, differences, 1)
	difference, _ := differences[0].(map[string]any)
	require.Equal(t, "vomo-1001", difference["externalId"])
	require.Subset(t, difference["fields"], []any{"email", "first_name", "last_name", "phone", "custom_fields.vomo_created_at", "source_updated_at"})
}

func TestCompareOfAnUnusedTenantFindsAllUsersMissing(t *testing.T) {
	t.Parallel()
	s := newFixture(t, "-org", "acme:150")
	got := s.control(http.MethodGet, "/compare?org=acme", "", http.StatusOK)
	require.EqualValues(t, 150, got["missing"])
	require.Len(t, got["missingIds"], 100)
	s.control(http.MethodGet, "/compare?org=unknown", "", http.StatusNotFound)
}

// counted has the counts of a record in the records' dump.
type counted struct {
	ExternalID                           string `json:"external_id"`
	Writes, UnchangedWrites, StaleWrites int
}

func TestWriteOfTheStoredRecordIsCountedAsUnchanged(t *testing.T) {
	t.Parallel()
	s := newFixture(t)
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
	s := newFixture(t)
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
