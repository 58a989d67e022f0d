package main

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

func record(externalID, updatedAt string) string {
	return fmt.Sprintf(`{"external_id":%q,"email":"Nia@example.org","first_name":"Nia","last_name":null,"phone":null,`+
		`"custom_fields":{"user_status":"VERIFIED","membership_role":null,"vomo_created_at":"2026-01-01T00:00:00Z"},`+
		`"source_updated_at":%q}`, externalID, updatedAt)
}

// stored is what the tests read of a stored record.
type stored struct {
	ID              string         `json:"id"`
	ExternalID      string         `json:"external_id"`
	Email           *string        `json:"email"`
	LastName        *string        `json:"last_name"`
	CustomFields    map[string]any `json:"custom_fields"`
	SourceUpdatedAt string         `json:"source_updated_at"`
	Writes          int            `json:"writes"`
	Deleted         bool           `json:"deleted"`
}

func TestRecordIsCreatedThenUpdatedUnderOneID(t *testing.T) {
	t.Parallel()
	s := newFixture(t)

	first := s.do(http.MethodPut, "/crm/acme/users/vomo-1", record("vomo-1", "2026-02-01T00:00:00Z"), "")
	require.Equal(t, http.StatusCreated, first.status, first.body)
	require.Regexp(t, `^crm-`, first.json(t)["id"])
	again := s.do(http.MethodPut, "/crm/acme/users/vomo-1", record("vomo-1", "2026-02-01T00:00:00Z"), "")
	require.Equal(t, http.StatusOK, again.status)
	require.Equal(t, first.body, again.body)

	all := dump[stored](s, "/crm/acme/users")
	require.Len(t, all, 1)
	require.Equal(t, first.json(t)["id"], all[0].ID)
	require.Equal(t, "Nia@example.org", *all[0].Email)
	require.Nil(t, all[0].LastName)
	require.Equal(t, "VERIFIED", all[0].CustomFields["user_status"])
	require.Equal(t, 2, all[0].Writes)
}

func TestOlderVersionIsStaleAndLeavesTheNewerOne(t *testing.T) {
	t.Parallel()
	s := newFixture(t)
	s.do(http.MethodPut, "/crm/users/vomo-1", record("vomo-1", "2026-02-02T00:00:00Z"), "")

	got := s.do(http.MethodPut, "/crm/users/vomo-1", record("vomo-1", "2026-02-01T23:59:59+00:00"), "")
	require.Equal(t, http.StatusConflict, got.status)
	require.Equal(t, "stale", got.json(t)["code"])
	all := dump[stored](s, "/crm/_default/users")
	require.Equal(t, "2026-02-02T00:00:00Z", all[0].SourceUpdatedAt)
	require.Equal(t, 1, all[0].Writes)
}

func TestTenantsDoNotSeeEachOther(t *testing.T) {
	t.Parallel()
	s := newFixture(t)
	for _, base := range []string{"/crm", "/crm/acme", "/crm/beta"} {
		got := s.do(http.MethodPut, base+"/users/vomo-1", record("vomo-1", "2026-02-01T00:00:00Z"), "")
		require.Equal(t, http.StatusCreated, got.status)
	}
	require.Equal(t, http.StatusOK, s.do(http.MethodDelete, "/crm/beta/users/vomo-1", "", "").status)

	require.False(t, dump[stored](s, "/crm/acme/users")[0].Deleted)
	require.False(t, dump[stored](s, "/crm/_default/users")[0].Deleted)
	require.True(t, dump[stored](s, "/crm/beta/users")[0].Deleted)
	require.Empty(t, dump[stored](s, "/crm/unknown/users"))
	require.Equal(t, http.StatusNotFound, s.do(http.MethodPut, "/crm/Not%20A%20Tenant/users/vomo-1", "", "").status)
}

func TestDeletionMarksARecordAndAWriteRestoresIt(t *testing.T) {
	t.Parallel()
	s := newFixture(t)
	created := s.do(http.MethodPut, "/crm/users/vomo-1", record("vomo-1", "2026-02-01T00:00:00Z"), "")
	id, _ := created.json(t)["id"].(string)

	require.Equal(t, http.StatusOK, s.do(http.MethodDelete, "/crm/users/"+id, "", "").status)
	require.True(t, dump[stored](s, "/crm/_default/users")[0].Deleted)
	require.Equal(t, http.StatusNotFound, s.do(http.MethodDelete, "/crm/users/vomo-1", "", "").status)
	require.Equal(t, http.StatusNotFound, s.do(http.MethodDelete, "/crm/users/vomo-2", "", "").status)

	back := s.do(http.MethodPut, "/crm/users/vomo-1", record("vomo-1", "2026-02-01T00:00:00Z"), "")
	require.Equal(t, http.StatusOK, back.status)
	require.Equal(t, id, back.json(t)["id"])
	require.False(t, dump[stored](s, "/crm/_default/users")[0].Deleted)
}

func TestInvalidRecordIsRejectedWithACode(t *testing.T) {
	t.Parallel()
	s := newFixture(t)
	good := record("vomo-1", "2026-02-01T00:00:00Z")

	for name, c := range map[string]struct {
		body, code string
		status     int
	}{
		"no JSON":             {`{"external_id":`, "bad_json", 400},
		"no object":           {`[]`, "invalid", 422},
		"no external id":      {strings.Replace(good, `"external_id"`, `"other"`, 1), "invalid", 422},
		"another external id": {record("vomo-2", "2026-02-01T00:00:00Z"), "invalid", 422},
		"no time":             {strings.Replace(good, `"source_updated_at"`, `"other"`, 1), "invalid", 422},
		"no such time":        {record("vomo-1", "yesterday"), "invalid", 422},
		"a number for a name": {strings.Replace(good, `"Nia"`, `7`, 1), "invalid", 422},
		"a list of fields": {strings.Replace(good,
			`{"user_status":"VERIFIED","membership_role":null,"vomo_created_at":"2026-01-01T00:00:00Z"}`, `[1]`, 1), "invalid", 422},
		"a far too long id":     {record(strings.Repeat("v", 300), "2026-02-01T00:00:00Z"), "invalid", 422},
		"something behind it":   {good + good, "bad_json", 400},
		"an empty body":         {"", "bad_json", 400},
		"a time as a number":    {strings.Replace(good, `"2026-02-01T00:00:00Z"`, `7`, 1), "invalid", 422},
		"null and not a record": {"null", "invalid", 422},
	} {
		got := s.do(http.MethodPut, "/crm/users/vomo-1", c.body, "")
		require.Equal(t, c.status, got.status, name)
		require.Equal(t, c.code, got.json(t)["code"], name)
		require.NotEmpty(t, got.json(t)["message"], name)
		require.NotContains(t, got.body, "Nia", name)
	}
	require.Empty(t, dump[stored](s, "/crm/_default/users"))
}

func TestBatchAnswersForEachRecord(t *testing.T) {
	t.Parallel()
	s := newFixture(t)
	s.do(http.MethodPut, "/crm/users/vomo-2", record("vomo-2", "2026-03-01T00:00:00Z"), "")
	s.control(http.MethodPost, "/faults", `{"target":"crm","kind":"status","status":422,"code":"blocked","records":["vomo-4"]}`, http.StatusCreated)

	batch := []string{record("vomo-1", "2026-02-01T00:00:00Z"), record("vomo-2", "2026-02-01T00:00:00Z"), `{"email":3}`, record("vomo-4", "2026-02-01T00:00:00Z")}
	got := s.do(http.MethodPost, "/crm/users:batchUpsert", `{"users":[`+strings.Join(batch, ",")+`]}`, "")
	require.Equal(t, http.StatusOK, got.status, got.body)
	results, _ := got.json(t)["results"].([]any)
	require.Len(t, results, 4)
	require.Contains(t, results[0], "id")
	for i, code := range map[int]string{1: "stale", 2: "invalid", 3: "blocked"} {
		result, _ := results[i].(map[string]any)
		refusal, _ := result["error"].(map[string]any)
		require.Equal(t, code, refusal["code"])
		require.NotEmpty(t, refusal["message"])
	}
	require.Len(t, dump[stored](s, "/crm/_default/users"), 2)
	require.Equal(t, 3, s.report().CRM["_default"].Refused)
	require.Equal(t, http.StatusBadRequest, s.do(http.MethodPost, "/crm/users:batchUpsert", `{`, "").status)
	many := `{"users":[` + strings.Repeat("{},", 1000) + `{}]}`
	require.Equal(t, http.StatusUnprocessableEntity, s.do(http.MethodPost, "/crm/acme/users:batchUpsert", many, "").status)
}

func TestTenantWithATokenRequiresIt(t *testing.T) {
	t.Parallel()
	s := newFixture(t)
	s.control(http.MethodPut, "/crm/acme/token", `{"token":"crm-key"}`, http.StatusNoContent)
	body := record("vomo-1", "2026-02-01T00:00:00Z")

	require.Equal(t, http.StatusUnauthorized, s.do(http.MethodPut, "/crm/acme/users/vomo-1", body, "").status)
	require.Equal(t, http.StatusUnauthorized, s.do(http.MethodPut, "/crm/acme/users/vomo-1", body, "another").status)
	require.Equal(t, http.StatusCreated, s.do(http.MethodPut, "/crm/acme/users/vomo-1", body, "crm-key").status)
	require.Equal(t, http.StatusCreated, s.do(http.MethodPut, "/crm/beta/users/vomo-1", body, "").status)
	s.control(http.MethodPut, "/crm/acme/token", `{"token":""}`, http.StatusNoContent)
	require.Equal(t, http.StatusOK, s.do(http.MethodPut, "/crm/acme/users/vomo-1", body, "").status)
}

func TestConcurrentWritesAreAllStored(t *testing.T) {
	t.Parallel()
	s := newFixture(t, "-org", "acme:100")

	var writers sync.WaitGroup
	for writer := range 8 {
		writers.Go(func() {
			for i := range 20 {
				id := fmt.Sprintf("vomo-%d", i)
				got, err := s.try(http.MethodPut, "/crm/users/"+id, record(id, fmt.Sprintf("2026-02-01T00:00:%02dZ", writer)), "")
				if err != nil || got.status > 201 && got.status != http.StatusConflict {
					t.Errorf("write %s: status %d, %v", id, got.status, err)
				}
				if _, err := s.try(http.MethodGet, "/vomo/v1/users?page=3", "", "sandbox-acme-token"); err != nil {
					t.Error(err)
				}
			}
		})
	}
	writers.Wait()

	all := dump[stored](s, "/crm/_default/users")
	require.Len(t, all, 20)
	for _, r := range all {
		require.Equal(t, "2026-02-01T00:00:07Z", r.SourceUpdatedAt)
	}
	report := s.report()
	require.Equal(t, 160, report.VOMO["acme"].Requests)
	crm := report.CRM["_default"]
	require.Equal(t, 160, crm.Writes+crm.Refused)
	require.Equal(t, crm.Refused, crm.Statuses["409"])
}

func TestFieldsThatAWriteLeavesOutKeepTheirValues(t *testing.T) {
	t.Parallel()
	s := newFixture(t)
	s.do(http.MethodPut, "/crm/acme/users/vomo-1", record("vomo-1", "2026-02-01T00:00:00Z"), "")
	s.control(http.MethodPut, "/crm/acme/users/vomo-1", `{"last_name":"Owned"}`, http.StatusOK)

	partial := strings.Replace(record("vomo-1", "2026-02-02T00:00:00Z"), `"last_name":null,`, "", 1)
	require.Equal(t, http.StatusOK, s.do(http.MethodPut, "/crm/acme/users/vomo-1", partial, "").status)
	all := dump[stored](s, "/crm/acme/users")
	require.Equal(t, "Owned", *all[0].LastName)
	require.Equal(t, "2026-02-02T00:00:00Z", all[0].SourceUpdatedAt)
	require.Equal(t, 2, all[0].Writes)

	s.do(http.MethodPut, "/crm/acme/users/vomo-1", record("vomo-1", "2026-02-03T00:00:00Z"), "")
	require.Nil(t, dump[stored](s, "/crm/acme/users")[0].LastName, "null is a value")
	s.control(http.MethodPut, "/crm/acme/users/vomo-2", `{"last_name":"Odell"}`, http.StatusNotFound)
}
