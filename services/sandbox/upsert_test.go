package main

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const newUser = `{"first_name":"Nia","last_name":"O'Dell","email":"Nia.ODell@example.org","birthday":"1990-04-02","gender":"F","phone":"555-0100"}`

func TestUpsertAddsAUserThatIsThenFoundByEmailInAnyCase(t *testing.T) {
	t.Parallel()
	s := newFixture(t, "-org", "acme:20")

	created := s.vomo(http.MethodPost, "/users", newUser)
	require.Equal(t, http.StatusCreated, created.status, created.body)
	require.Equal(t, "201", created.json(t)["code"])
	data, _ := created.json(t)["data"].(map[string]any)
	require.EqualValues(t, 1021, data["id"])
	require.Equal(t, "Nia.ODell@example.org", data["email"])
	require.Equal(t, "2026-11-20T12:00:00+00:00", data["updated_at"])

	s.clock.Advance(time.Hour + 300*time.Millisecond)
	updated := s.vomo(http.MethodPost, "/users", strings.NewReplacer("Nia.ODell@", "NIA.odell@", `"Nia"`, `"Nina"`).Replace(newUser))
	require.Equal(t, http.StatusOK, updated.status)
	require.Equal(t, "200", updated.json(t)["code"])
	data, _ = updated.json(t)["data"].(map[string]any)
	require.EqualValues(t, 1021, data["id"])
	require.Equal(t, "Nina", data["first_name"])
	require.Equal(t, "2026-11-20T12:00:00+00:00", data["created_at"])
	require.Equal(t, "2026-11-20T13:00:00+00:00", data["updated_at"])

	require.Equal(t, 21, s.page("").Meta.Total)
	require.Equal(t, 1, s.page("?updated_after=2026-11-20T13:00:00Z").Meta.Total)
}

func TestUpsertOfAnInventedUserChangesThatUser(t *testing.T) {
	t.Parallel()
	s := newFixture(t, "-org", "acme:500")
	var chosen user
	for _, u := range dump[user](s, "/orgs/acme/users") {
		if u.Email != nil && *u.Email != strings.ToLower(*u.Email) {
			chosen = u
			break
		}
	}
	require.NotNil(t, chosen.Email, "the test needs a mixed-case email")

	body := strings.Replace(newUser, "Nia.ODell@example.org", strings.ToLower(*chosen.Email), 1)
	got := s.vomo(http.MethodPost, "/users", body)
	require.Equal(t, http.StatusOK, got.status, got.body)
	data, _ := got.json(t)["data"].(map[string]any)
	require.Equal(t, chosen.ID, data["id"])
	require.Equal(t, chosen.CreatedAt, data["created_at"])
	require.Equal(t, 500, s.page("").Meta.Total)
	require.Equal(t, 1, s.page("?updated_after=2026-11-20").Meta.Total)
}

func TestUpsertThatChangesNothingKeepsTheTimeOfUpdate(t *testing.T) {
	t.Parallel()
	s := newFixture(t, "-org", "acme:1")
	require.Equal(t, http.StatusCreated, s.vomo(http.MethodPost, "/users", newUser).status)

	s.clock.Advance(time.Hour)
	again := s.vomo(http.MethodPost, "/users", newUser)
	require.Equal(t, http.StatusOK, again.status)
	require.Contains(t, again.body, `"updated_at":"2026-11-20T12:00:00+00:00"`)
}

func TestUpsertWithTheEmailOfARemovedUserAddsAUser(t *testing.T) {
	t.Parallel()
	s := newFixture(t, "-org", "acme:1")
	require.Equal(t, http.StatusCreated, s.vomo(http.MethodPost, "/users", newUser).status)
	s.control(http.MethodDelete, "/orgs/acme/users/1002", "", http.StatusNoContent)

	got := s.vomo(http.MethodPost, "/users", newUser)
	require.Equal(t, http.StatusCreated, got.status)
	require.Contains(t, got.body, `"id":1003`)
}

func TestUpsertReportsTheErrorOfEachField(t *testing.T) {
	t.Parallel()
	s := newFixture(t, "-org", "acme:1")
	required := []string{"first_name", "last_name", "email", "birthday", "gender"}

	for name, c := range map[string]struct {
		body   string
		fields []string
	}{
		"no JSON":         {`{"first_name"`, required},
		"an empty object": {`{}`, required},
		"null and empty":  {`{"first_name":null,"last_name":"  ","email":"a@example.org","birthday":"1990-01-01","gender":"N"}`, required[:2]},
		"values": {
			`{"first_name":"A","last_name":"B","email":"a@","birthday":"2.4.1990","gender":"X","role":"KING"}`,
			[]string{"email", "birthday", "gender", "role"},
		},
		"types":            {`{"first_name":1,"last_name":[],"email":"a@example.org","birthday":"1990-01-01","gender":"N"}`, required[:2]},
		"a weak password":  {strings.Replace(newUser, `"phone"`, `"password":"short1","phone"`, 1), []string{"password"}},
		"a very long name": {strings.Replace(newUser, `"Nia"`, `"`+strings.Repeat("n", 256)+`"`, 1), []string{"first_name"}},
	} {
		got := s.vomo(http.MethodPost, "/users", c.body)
		require.Equal(t, http.StatusUnprocessableEntity, got.status, name)
		require.Equal(t, "The given data was invalid.", got.json(t)["message"], name)
		errs, _ := got.json(t)["errors"].(map[string]any)
		require.ElementsMatch(t, c.fields, slices.Collect(maps.Keys(errs)), name)
	}
	require.Equal(t, 1, s.page("").Meta.Total)
}

func TestBodiesAboveOneMebibyteAreRejected(t *testing.T) {
	t.Parallel()
	s := newFixture(t, "-org", "acme:1")
	big := `{"first_name":"` + strings.Repeat("n", 1<<20) + `"}`

	require.Equal(t, http.StatusRequestEntityTooLarge, s.vomo(http.MethodPost, "/users", big).status)
	require.Equal(t, http.StatusRequestEntityTooLarge, s.do(http.MethodPut, "/crm/users/vomo-1", big, "").status)
	require.Equal(t, http.StatusRequestEntityTooLarge, s.do(http.MethodPost, "/control/faults", big, "").status)
}

func TestUpsertOfAMemberOfAnotherOrganisationSucceedsAndChangesNothing(t *testing.T) {
	t.Parallel()
	s := newFixture(t, "-org", "acme:1")
	require.Equal(t, http.StatusCreated, s.vomo(http.MethodPost, "/users", newUser).status)
	s.control(http.MethodPut, "/orgs/acme/users/1002", `{"belongs_elsewhere":true,"updated_at":"2026-11-20T12:00:00Z"}`, http.StatusOK)
	s.clock.Advance(time.Hour)

	got := s.vomo(http.MethodPost, "/users", strings.Replace(newUser, "555-0100", "555-0199", 1))
	require.Equal(t, http.StatusOK, got.status)
	require.Contains(t, got.body, `"phone":"555-0100"`)
	require.Contains(t, got.body, `"updated_at":"2026-11-20T12:00:00+00:00"`)
}
