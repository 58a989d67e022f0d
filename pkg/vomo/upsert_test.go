package vomo

import (
	"encoding/json"
	"io"
	"net/http"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/fault"
)

func profile() Profile {
	return Profile{Email: "nia@example.org", FirstName: "Nia", LastName: "O'Dell", Birthday: "1990-04-02", Gender: "F", Phone: new("555-0100")}
}

// upsertedUser is an answer as the vendor documents it: wrapped, and with the id as text.
const upsertedUser = `{"code":"200","message":"User updated.","data":{"type":"user","id":"4101","first_name":"Nia","last_name":"O'Dell",
	"email":"Nia@example.org","phone":"555-0100","birthday":"1990-04-02","gender":"F","user_status":null,"membership_role":"VOLUNTEER",
	"created_at":"2026-01-04T08:00:00+00:00","updated_at":"2026-02-19T10:15:00+00:00","participations":[],"profile_field_values":[]}}`

func TestUpsertPostsTheProfileAndReturnsTheUserAsVOMOHasIt(t *testing.T) {
	t.Parallel()
	client, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if r.Method != http.MethodPost || r.URL.Path != "/v1/users" || r.URL.RawQuery != "" || r.Header.Get("Content-Type") != "application/json" ||
			r.Header.Get("Authorization") != "Bearer "+testToken {
			t.Errorf("unexpected request: %s %s", r.Method, r.URL)
		}
		if string(body) != `{"email":"nia@example.org","first_name":"Nia","last_name":"O'Dell","birthday":"1990-04-02","gender":"F","phone":"555-0100"}` {
			t.Errorf("unexpected body: %s", body)
		}
		w.WriteHeader(http.StatusCreated)
		_, _ = io.WriteString(w, upsertedUser)
	})

	got, err := client.Upsert(t.Context(), profile())

	require.NoError(t, err)
	require.True(t, got.Created)
	require.Equal(t, "4101", got.Detail.User.ID)
	require.Equal(t, "555-0100", *got.Detail.User.Phone)
	require.Equal(t, "1990-04-02", *got.Detail.Birthday)
	require.Equal(t, "F", *got.Detail.Gender)
}

func TestUpsertWithoutPhoneSendsNone(t *testing.T) {
	t.Parallel()
	client, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
		var sent map[string]any
		_ = json.NewDecoder(r.Body).Decode(&sent)
		if _, found := sent["phone"]; found {
			t.Error("a phone was sent")
		}
		_, _ = io.WriteString(w, upsertedUser)
	})
	without := profile()
	without.Phone = nil
	got, err := client.Upsert(t.Context(), without)
	require.NoError(t, err)
	require.False(t, got.Created)
}

func TestUpsertWhoseAnswerCannotBeReadIsASuccessWithoutUser(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]string{"empty": "", "no JSON": "<html>", "partial": `{"data":{"id":"4101"}}`} {
		client, naps := serve(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, body) })
		got, err := client.Upsert(t.Context(), profile())
		require.NoError(t, err, name)
		require.Nil(t, got.Detail.User, name)
		require.Empty(t, naps.all(), "the write has happened and is not repeated")
	}
}

func TestRejectedUpsertIsPermanentAndNamesOnlyKnownFields(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	client, _ := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		w.WriteHeader(http.StatusUnprocessableEntity)
		_, _ = io.WriteString(w, `{"message":"nia@example.org is odd","errors":{"birthday":["1990 is odd"],"nia@example.org":["x"],"gender":["y"]}}`)
	})

	_, err := client.Upsert(t.Context(), profile())

	var rejection *UpsertRejection
	require.ErrorAs(t, err, &rejection)
	require.Equal(t, []string{"birthday", "gender"}, rejection.Fields)
	require.Equal(t, fault.KindPermanent, fault.KindOf(err))
	require.Equal(t, "vomo_http_422", fault.CodeOf(err))
	require.NotContains(t, err.Error(), "nia@")
	require.NotContains(t, err.Error(), "1990")
	require.EqualValues(t, 1, asked.Load())
}

func TestUpsertIsRepeatedAfterAFaultOfVOMO(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	client, _ := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		if asked.Add(1) < 3 {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		_, _ = io.WriteString(w, upsertedUser)
	})
	_, err := client.Upsert(t.Context(), profile())
	require.NoError(t, err)
	require.EqualValues(t, 3, asked.Load())
}

func TestOtherAnswersToAnUpsertSayNothingAboutTheUser(t *testing.T) {
	t.Parallel()
	for status, want := range map[int]error{
		http.StatusUnauthorized: ErrUnauthorized, http.StatusForbidden: ErrForbidden, http.StatusNotFound: ErrNotFound,
		http.StatusTooManyRequests: ErrThrottled, http.StatusMovedPermanently: ErrTooManyRedirects, http.StatusTeapot: ErrRejected,
	} {
		client, _ := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "/v1/elsewhere")
			w.WriteHeader(status)
		})
		_, err := client.Upsert(t.Context(), profile())
		require.ErrorIs(t, err, want, status)
		require.NotEqual(t, fault.KindPermanent, fault.KindOf(err), status)
	}
}

func TestWithEmailFindsWholeAddressesOnly(t *testing.T) {
	t.Parallel()
	others := map[string][]string{
		"none": {"annia@example.org", "nia@example.org.uk"}, "one": {"annia@example.org", "NIA@Example.org "},
		"several": {"nia@example.org", "Nia@example.org", "nIa@example.org"},
	}
	for name, want := range map[string]int{"none": 0, "one": 1, "several": 2} {
		client, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Query().Get("email_like") != "nia@example.org" {
				t.Errorf("unexpected query: %s", r.URL.RawQuery)
			}
			entries := []any{}
			for i, email := range others[name] {
				one := entry(i + 1)
				one["email"] = email
				entries = append(entries, one)
			}
			write(w, map[string]any{"data": entries, "links": map[string]any{"next": nil}, "meta": map[string]any{"total": len(entries)}})
		})
		found, err := client.WithEmail(t.Context(), "nia@example.org")
		require.NoError(t, err)
		require.Len(t, found, want, name)
	}
}
