package main

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestEditByControlIsWhatVOMOShowsFromThenOn(t *testing.T) {
	t.Parallel()
	s := newSandbox(t, "-org", "acme:20")
	before := dump[user](s, "/orgs/acme/users")[4]
	s.clock.Advance(700 * time.Millisecond)

	edited := s.control(http.MethodPut, "/orgs/acme/users/1005", `{"email":"New.Mail@example.org","phone":null,"user_status":"SUSPENDED"}`, http.StatusOK)
	require.Equal(t, "New.Mail@example.org", edited["email"])
	require.Equal(t, before.FirstName, edited["first_name"])
	require.Equal(t, before.CreatedAt, edited["created_at"])
	require.Equal(t, "2026-11-20T12:00:00+00:00", edited["updated_at"])

	changed := s.page("?updated_after=2026-11-20T12:00:00Z")
	require.Equal(t, 1, changed.Meta.Total)
	require.Nil(t, changed.Data[0].Phone)
	require.Equal(t, "SUSPENDED", *changed.Data[0].UserStatus)
	shown := s.vomo(http.MethodGet, "/users/1005", "")
	require.Contains(t, shown.body, "New.Mail@example.org")
	require.Equal(t, 1, s.page("?email_like=new.mail").Meta.Total)
	require.Equal(t, 20, s.page("").Meta.Total)

	upserted := s.vomo(http.MethodPost, "/users", strings.Replace(newUser, "Nia.ODell@", "new.mail@", 1))
	require.Equal(t, http.StatusOK, upserted.status, "the new email is the one that finds the user")
	require.Contains(t, upserted.body, `"id":1005`)
}

func TestEditMaySetTheTimesAndWithoutFieldsOnlyTouches(t *testing.T) {
	t.Parallel()
	s := newSandbox(t, "-org", "acme:20")
	set := s.control(http.MethodPut, "/orgs/acme/users/1001", `{"created_at":"2020-01-01T00:00:00Z","updated_at":"2026-11-19T10:00:00.9+02:00"}`, http.StatusOK)
	require.Equal(t, "2020-01-01T00:00:00+00:00", set["created_at"])
	require.Equal(t, "2026-11-19T08:00:00+00:00", set["updated_at"])
	require.Equal(t, 1, s.page("?created_before=2020-01-01&created_after=2020-01-01&updated_after=2026-11-19").Meta.Total)

	touched := s.control(http.MethodPut, "/orgs/acme/users/1001", "", http.StatusOK)
	require.Equal(t, "2026-11-20T12:00:00+00:00", touched["updated_at"])
	require.Equal(t, set["email"], touched["email"])
}

func TestUserAddedByControlIsInventedButForWhatIsGiven(t *testing.T) {
	t.Parallel()
	s := newSandbox(t, "-org", "acme:20")
	invented := s.control(http.MethodPost, "/orgs/acme/users", "", http.StatusCreated)
	require.EqualValues(t, 1021, invented["id"])
	require.NotEmpty(t, invented["last_name"])
	require.Equal(t, "2026-11-20T12:00:00+00:00", invented["created_at"])
	require.Equal(t, "2026-11-20T12:00:00+00:00", invented["updated_at"])

	given := s.control(http.MethodPost, "/orgs/acme/users",
		`{"first_name":"Nia","email":null,"membership_role":"ADMIN","updated_at":"2025-05-05T00:00:00Z"}`, http.StatusCreated)
	require.EqualValues(t, 1022, given["id"])
	require.Equal(t, "Nia", given["first_name"])
	require.Nil(t, given["email"])
	require.Equal(t, "ADMIN", given["membership_role"])
	require.Equal(t, "2025-05-05T00:00:00+00:00", given["created_at"], "nobody is created after their update")

	later := s.control(http.MethodPost, "/orgs/acme/users", `{"created_at":"2027-01-01T00:00:00Z"}`, http.StatusCreated)
	require.Equal(t, later["created_at"], later["updated_at"])
	require.Equal(t, 23, s.page("").Meta.Total)
	require.Equal(t, "Nia", s.page("?page=2").Data[6].FirstName)
}

func TestEditsByControlAreNoTrafficOfVOMO(t *testing.T) {
	t.Parallel()
	s := newSandbox(t, "-org", "acme:20")
	s.control(http.MethodPost, "/orgs/acme/users", "", http.StatusCreated)
	s.control(http.MethodPut, "/orgs/acme/users/1001", "", http.StatusOK)
	require.Empty(t, s.control(http.MethodGet, "/report", "", http.StatusOK)["vomo"])
}

func TestEditsThatCannotBeAreRefusedAndChangeNothing(t *testing.T) {
	t.Parallel()
	s := newSandbox(t, "-org", "acme:20")
	s.control(http.MethodPut, "/orgs/acme/users/1002", `{"email":"taken@example.org"}`, http.StatusOK)
	before := dump[user](s, "/orgs/acme/users")

	for _, path := range []string{"/orgs/none/users/1001", "/orgs/acme/users/9999", "/orgs/acme/users/nobody"} {
		s.control(http.MethodPut, path, `{}`, http.StatusNotFound)
	}
	s.control(http.MethodPost, "/orgs/none/users", `{}`, http.StatusNotFound)
	for body, status := range map[string]int{
		`{"email":"Taken@Example.org"}`: http.StatusConflict,
		`{"first_name":null}`:           http.StatusUnprocessableEntity,
		`{"updated_at":null}`:           http.StatusUnprocessableEntity,
		`{"created_at":"2027-01-01T00:00:00Z","updated_at":"2026-01-01T00:00:00Z"}`: http.StatusUnprocessableEntity,
		`{"updated_at":"yesterday"}`: http.StatusBadRequest,
		`{"email":7}`:                http.StatusBadRequest,
		`{"nickname":"Nia"}`:         http.StatusBadRequest,
		`{"id":5}`:                   http.StatusBadRequest,
		`[]`:                         http.StatusBadRequest,
	} {
		s.control(http.MethodPut, "/orgs/acme/users/1001", body, status)
		s.control(http.MethodPost, "/orgs/acme/users", body, status)
	}
	require.Equal(t, before, dump[user](s, "/orgs/acme/users"))
	s.control(http.MethodPost, "/orgs/acme/users", "", http.StatusCreated)
	require.EqualValues(t, 1021, dump[user](s, "/orgs/acme/users")[20].ID, "a refused user costs no id")
}
