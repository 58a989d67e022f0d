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

func TestVOMOShowsAnEditByControl(t *testing.T) {
	t.Parallel()
	s := newFixture(t, "-org", "acme:20")
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

func TestEditMaySetTheTimesAndWithoutFieldsSetsTheTimeOfUpdate(t *testing.T) {
	t.Parallel()
	s := newFixture(t, "-org", "acme:20")
	set := s.control(http.MethodPut, "/orgs/acme/users/1001", `{"created_at":"2020-01-01T00:00:00Z","updated_at":"2026-11-19T10:00:00.9+02:00"}`, http.StatusOK)
	require.Equal(t, "2020-01-01T00:00:00+00:00", set["created_at"])
	require.Equal(t, "2026-11-19T08:00:00+00:00", set["updated_at"])
	require.Equal(t, 1, s.page("?created_before=2020-01-01&created_after=2020-01-01&updated_after=2026-11-19").Meta.Total)

	touched := s.control(http.MethodPut, "/orgs/acme/users/1001", "", http.StatusOK)
	require.Equal(t, "2026-11-20T12:00:00+00:00", touched["updated_at"])
	require.Equal(t, set["email"], touched["email"])
}

func TestUserAddedByControlIsInventedExceptForTheGivenFields(t *testing.T) {
	t.Parallel()
	s := newFixture(t, "-org", "acme:20")
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
	require.Equal(t, "2025-05-05T00:00:00+00:00", given["created_at"], "no user is created after their update")

	later := s.control(http.MethodPost, "/orgs/acme/users", `{"created_at":"2027-01-01T00:00:00Z"}`, http.StatusCreated)
	require.Equal(t, later["created_at"], later["updated_at"])
	require.Equal(t, 23, s.page("").Meta.Total)
	require.Equal(t, "Nia", s.page("?page=2").Data[6].FirstName)
}

func TestEditsByControlAreNotCountedAsTrafficOfVOMO(t *testing.T) {
	t.Parallel()
	s := newFixture(t, "-org", "acme:20")
	s.control(http.MethodPost, "/orgs/acme/users", "", http.StatusCreated)
	s.control(http.MethodPut, "/orgs/acme/users/1001", "", http.StatusOK)
	require.Empty(t, s.control(http.MethodGet, "/report", "", http.StatusOK)["vomo"])
}

func TestInvalidEditsAreRejectedAndChangeNothing(t *testing.T) {
	t.Parallel()
	s := newFixture(t, "-org", "acme:20")
	s.control(http.MethodPut, "/orgs/acme/users/1002", `{"email":"taken@example.org"}`, http.StatusOK)
	before := dump[user](s, "/orgs/acme/users")

	for _, path := range []string{"/orgs/none/users/1001", "/orgs/acme/users/9999", "/orgs/acme/users/none"} {
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

// batched is the control API's answer to a batch.
type batched struct {
	At                     string
	Edited, Deleted, Added []int64
}

func (s *fixture) batch(body string) batched {
	s.t.Helper()
	got := s.do(http.MethodPost, "/control/orgs/acme/users:batch", body, "")
	require.Equal(s.t, http.StatusOK, got.status, got.body)
	var decoded batched
	require.NoError(s.t, json.Unmarshal([]byte(got.body), &decoded))
	return decoded
}

func TestBatchEditsDeletesAndAddsAtOneInstantOfTheClock(t *testing.T) {
	t.Parallel()
	s := newFixture(t, "-org", "acme:20")
	s.moved(`{"offsetSeconds":3600.7}`)
	before := dump[user](s, "/orgs/acme/users")

	got := s.batch(`{"edits":[{"id":1003,"first_name":"Nia","phone":null},{"id":"1004","updated_at":"2026-11-19T10:00:00+02:00"},{"id":1003,"last_name":"ODell"}],
		"delete":[1001,"1020"],"add":2}`)
	require.Equal(t, batched{
		At: "2026-11-20T13:00:00Z", Edited: []int64{1003, 1004}, Deleted: []int64{1001, 1020}, Added: []int64{1021, 1022},
	}, got)

	after := dump[user](s, "/orgs/acme/users")
	require.Len(t, after, 20)
	require.Equal(t, before[1], after[0], "who is not named stays as they are")
	require.Equal(t, "Nia ODell", after[1].FullName)
	require.Nil(t, after[1].Phone)
	require.Equal(t, "2026-11-19T08:00:00+00:00", after[2].UpdatedAt)
	for _, u := range []user{after[1], after[18], after[19]} {
		require.Equal(t, "2026-11-20T13:00:00+00:00", u.UpdatedAt)
	}
	require.Equal(t, after[19].UpdatedAt, after[19].CreatedAt)
	require.Equal(t, 3, s.page("?updated_after=2026-11-20T13:00:00Z&updated_before=2026-11-20T13:00:00Z").Meta.Total)
}

func TestLaterEditOfABatchSeesWhatTheEarlierOneDid(t *testing.T) {
	t.Parallel()
	s := newFixture(t, "-org", "acme:20")
	s.batch(`{"edits":[{"id":1001,"email":"one@example.org"},{"id":1002,"email":"two@example.org"}]}`)
	s.batch(`{"edits":[{"id":1001,"email":null},{"id":1002,"email":"one@example.org"},{"id":1001,"email":"two@example.org"}],"delete":[1002],
		"add":[{"email":"One@example.org","first_name":"Nia"},{}]}`)

	all := dump[user](s, "/orgs/acme/users")
	require.Equal(t, "two@example.org", *all[0].Email)
	require.Equal(t, "Nia", all[19].FirstName, "the address of one who was deleted is free")
	require.Len(t, all, 21)
}

func TestHundredsOfChangesAreOneRequest(t *testing.T) {
	t.Parallel()
	s := newFixture(t, "-org", "acme:3000", "-order", "acme:updated")
	edits := make([]string, 0, 900)
	for i := range 900 {
		edits = append(edits, fmt.Sprintf(`{"id":%d,"last_name":"Edited %d"}`, 1001+i%700, i))
	}
	got := s.batch(`{"edits":[` + strings.Join(edits, ",") + `],"add":300}`)
	require.Len(t, got.Edited, 700)
	require.Len(t, got.Added, 300)
	require.Equal(t, 1000, s.page("?updated_after="+got.At).Meta.Total)
	require.Equal(t, "Edited 700", dump[user](s, "/orgs/acme/users")[0].LastName)
	require.Empty(t, s.batch(`{}`).Edited)
}

func TestBatchWithAnInvalidChangeChangesNothing(t *testing.T) {
	t.Parallel()
	s := newFixture(t, "-org", "acme:20", "-order", "acme:updated")
	s.batch(`{"edits":[{"id":1002,"email":"taken@example.org"},{"id":1005,"phone":null}]}`)
	before, list := dump[user](s, "/orgs/acme/users"), s.page("?page=2")

	const fine = `"edits":[{"id":1003,"email":"new@example.org"},{"id":1002,"email":"other@example.org"}`
	for body, status := range map[string]int{
		`{` + fine + `,{"id":9999}]}`:                                                                       http.StatusNotFound,
		`{` + fine + `,{"last_name":"ODell"}]}`:                                                             http.StatusNotFound,
		`{` + fine + `],"delete":[1004,1004]}`:                                                              http.StatusNotFound,
		`{` + fine + `,{"id":1004,"email":"New@example.org"}]}`:                                             http.StatusConflict,
		`{` + fine + `],"delete":[1005,1006],"add":[{},{"email":"new@example.org"}]}`:                       http.StatusConflict,
		`{` + fine + `,{"id":1004,"first_name":null}]}`:                                                     http.StatusUnprocessableEntity,
		`{` + fine + `],"add":[{"membership_role":null}]}`:                                                  http.StatusUnprocessableEntity,
		`{` + fine + `],"add":[{"updated_at":"2020-01-01T00:00:00Z","created_at":"2021-01-01T00:00:00Z"}]}`: http.StatusUnprocessableEntity,
		`{` + fine + `],"delete":[` + strings.Repeat("1,", 10_000) + `1]}`:                                  http.StatusUnprocessableEntity,
		`{` + fine + `],"add":10001}`:                                                                       http.StatusBadRequest,
		`{` + fine + `],"add":-1}`:                                                                          http.StatusBadRequest,
		`{` + fine + `],"add":[{"nickname":"Nia"}]}`:                                                        http.StatusBadRequest,
		`{` + fine + `,{"id":"x"}]}`:                                                                        http.StatusBadRequest,
		`{` + fine + `,{"id":1004,"nickname":"Nia"}]}`:                                                      http.StatusBadRequest,
		`{` + fine + `],"remove":[1004]}`:                                                                   http.StatusBadRequest,
	} {
		refused := s.control(http.MethodPost, "/orgs/acme/users:batch", body, status)
		require.NotContains(t, refused["message"], "example.org")
	}
	s.control(http.MethodPost, "/orgs/none/users:batch", `{}`, http.StatusNotFound)

	require.Equal(t, before, dump[user](s, "/orgs/acme/users"))
	require.Equal(t, list, s.page("?page=2"))
	require.Equal(t, []int64{1021}, s.batch(`{"edits":[{"id":1003,"email":"new@example.org"}],"add":1}`).Added, "a refused user costs no id")
	s.control(http.MethodPut, "/orgs/acme/users/1004", `{"email":"taken@example.org"}`, http.StatusConflict)
}

func TestRestoredUserIsAsBeforeTheDeletion(t *testing.T) {
	t.Parallel()
	for _, order := range []string{"id", "newest", "updated"} {
		s := newFixture(t, "-org", "acme:20", "-order", "acme:"+order)
		s.control(http.MethodPut, "/orgs/acme/users/1005", `{"email":"nia@example.org","first_name":"Nia"}`, http.StatusOK)
		before, page := dump[user](s, "/orgs/acme/users"), s.page("")
		s.batch(`{"delete":[1005,1006]}`)
		require.Equal(t, http.StatusNotFound, s.vomo(http.MethodGet, "/users/1005", "").status)
		require.Zero(t, s.page("?email_like=nia@example.org").Meta.Total)
		s.clock.Advance(time.Hour)

		restored := s.control(http.MethodPost, "/orgs/acme/users/1005/restore", "", http.StatusOK)
		require.Equal(t, "Nia", restored["first_name"])
		s.control(http.MethodPost, "/orgs/acme/users/1006/restore", "", http.StatusOK)

		require.Equal(t, before, dump[user](s, "/orgs/acme/users"))
		require.Equal(t, page, s.page(""))
		require.Equal(t, 1, s.page("?email_like=nia@example.org").Meta.Total)
	}
}

func TestOnlyDeletedUsersWhoseEmailIsFreeAreRestored(t *testing.T) {
	t.Parallel()
	s := newFixture(t, "-org", "acme:20")
	s.control(http.MethodPut, "/orgs/acme/users/1005", `{"email":"nia@example.org"}`, http.StatusOK)
	s.batch(`{"delete":[1005],"add":[{"email":"Nia@example.org"}]}`)
	before := dump[user](s, "/orgs/acme/users")

	for path, status := range map[string]int{
		"/orgs/none/users/1005": http.StatusNotFound, "/orgs/acme/users/none": http.StatusNotFound, "/orgs/acme/users/1": http.StatusNotFound,
		"/orgs/acme/users/1004": http.StatusNotFound, "/orgs/acme/users/1022": http.StatusNotFound, "/orgs/acme/users/1005": http.StatusConflict,
	} {
		s.control(http.MethodPost, path+"/restore", "", status)
	}
	require.Equal(t, before, dump[user](s, "/orgs/acme/users"))
}
