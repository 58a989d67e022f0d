package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// batched is what the control API says of a batch.
type batched struct {
	At                     string
	Edited, Deleted, Added []int64
}

func (s *sandbox) batch(body string) batched {
	s.t.Helper()
	got := s.do(http.MethodPost, "/control/orgs/acme/users:batch", body, "")
	require.Equal(s.t, http.StatusOK, got.status, got.body)
	var decoded batched
	require.NoError(s.t, json.Unmarshal([]byte(got.body), &decoded))
	return decoded
}

func TestBatchEditsDeletesAndAddsAtOneInstantOfTheClock(t *testing.T) {
	t.Parallel()
	s := newSandbox(t, "-org", "acme:20")
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
	s := newSandbox(t, "-org", "acme:20")
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
	s := newSandbox(t, "-org", "acme:3000", "-order", "acme:updated")
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

func TestBatchWithAChangeThatCannotBeChangesNothing(t *testing.T) {
	t.Parallel()
	s := newSandbox(t, "-org", "acme:20", "-order", "acme:updated")
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
