package vomo

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

// whole returns a user with every field that a list has; changes replaces some, nil removes one.
func whole(id any, changes map[string]any) map[string]any {
	user := map[string]any{
		"type": "user", "id": id, "first_name": "Ana", "last_name": nil, "email": "Ana@Example.org", "phone": nil,
		"user_status": "VERIFIED", "membership_role": "VOLUNTEER", "created_at": "2026-01-04T08:00:00+00:00",
		"updated_at": "2026-02-19T10:15:00+00:00", "participations": []any{},
	}
	for name, value := range changes {
		if value == nil {
			delete(user, name)
			continue
		}
		user[name] = value
	}
	return user
}

func detailServer(t *testing.T, answers func(w http.ResponseWriter, r *http.Request)) *Client {
	t.Helper()
	client, _ := serve(t, answers)
	return client
}

func TestDetailReadsUserByID(t *testing.T) {
	t.Parallel()
	for id, path := range map[string]string{"8205": "/v1/users/8205", "a/b?c d%": "/v1/users/a%2Fb%3Fc%20d%25"} {
		var asked, bearer string
		client := detailServer(t, func(w http.ResponseWriter, r *http.Request) {
			asked, bearer = r.RequestURI, r.Header.Get("Authorization")
			write(w, map[string]any{"data": whole(id, nil)})
		})
		detail, err := client.Detail(t.Context(), id)
		require.NoError(t, err)
		require.Equal(t, "Bearer "+testToken, bearer)
		require.Equal(t, path, asked, "the path must have no query and lead to no other address")
		require.Nil(t, detail.Bad)
		require.Equal(t, id, detail.User.ID)
		require.Equal(t, "Ana@Example.org", *detail.User.Email)
		require.Equal(t, []User{*detail.User}, detail.Page().Users)
	}
}

func TestNumberAndTextAreTheSameID(t *testing.T) {
	t.Parallel()
	client := detailServer(t, func(w http.ResponseWriter, _ *http.Request) { write(w, map[string]any{"data": whole(8205, nil)}) })
	detail, err := client.Detail(t.Context(), "8205")
	require.NoError(t, err)
	require.Equal(t, "8205", detail.User.ID)
}

func TestMissingUserIsNotFound(t *testing.T) {
	t.Parallel()
	client := detailServer(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) })
	_, err := client.Detail(t.Context(), "1")
	require.ErrorIs(t, err, ErrNotFound)
}

func TestIncompleteDetailIsPartialOrBroken(t *testing.T) {
	t.Parallel()
	bodies := map[string]any{
		"another user":  map[string]any{"data": whole("2", nil)},
		"a list":        map[string]any{"data": []any{whole("1", nil)}},
		"null":          map[string]any{"data": nil},
		"not an object": []any{},
	}
	for name, body := range bodies {
		client := detailServer(t, func(w http.ResponseWriter, _ *http.Request) { write(w, body) })
		_, err := client.Detail(t.Context(), "1")
		require.ErrorIs(t, err, ErrBrokenDetail, name)
	}
	for _, field := range wholeUser() {
		client := detailServer(t, func(w http.ResponseWriter, _ *http.Request) {
			write(w, map[string]any{"data": whole("1", map[string]any{field: nil})})
		})
		_, err := client.Detail(t.Context(), "1")
		require.ErrorIs(t, err, ErrPartialDetail, field)
	}
	client := detailServer(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{"data":{"id":`)) })
	_, err := client.Detail(t.Context(), "1")
	require.ErrorIs(t, err, ErrBrokenDetail, "truncated answer")
}

func TestInvalidUserIsBadAndNoError(t *testing.T) {
	t.Parallel()
	client := detailServer(t, func(w http.ResponseWriter, _ *http.Request) {
		write(w, map[string]any{"data": whole("1", map[string]any{"updated_at": "yesterday"})})
	})
	detail, err := client.Detail(t.Context(), "1")
	require.NoError(t, err)
	require.Equal(t, &BadUser{ID: "1", Reason: "updated_at: not a time"}, detail.Bad)
	require.Empty(t, detail.Page().Users)
}

func TestInvalidIDIsNotRequested(t *testing.T) {
	t.Parallel()
	client := detailServer(t, func(http.ResponseWriter, *http.Request) { t.Error("asked") })
	for _, id := range []string{"", " ", ".", "..", "a\nb", string(make([]byte, 200))} {
		_, err := client.Detail(t.Context(), id)
		require.Error(t, err, id)
	}
}

func FuzzDetail(f *testing.F) {
	seed, err := json.Marshal(map[string]any{"data": whole("1", nil)})
	require.NoError(f, err)
	f.Add(seed)
	f.Add([]byte(`{"code":"200","message":"OK","data":{"participations":[],"profile_field_values":[]}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		a, err := decodeDetail(body, "1")
		if err == nil && len(a.page.Users)+len(a.page.Bad) != 1 {
			t.Error("an answer is one user, or one that cannot be mirrored")
		}
	})
}
