package vomo

import (
	"encoding/json"
	"io"
	"log"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func quiet() *log.Logger { return log.New(io.Discard, "", 0) }

func TestCompleteEntryIsRead(t *testing.T) {
	t.Parallel()
	user, reason := decodeUser(json.RawMessage(`{
		"type":"user","id":4101,"first_name":"Ana","last_name":"Ruiz","full_name":"Ana Ruiz","email":" Ana.Ruiz@Example.org ",
		"address":"9 Elm St","phone":"(555) 010-0199","birthday":"1990-04-02","gender":"F",
		"created_at":"2026-01-04T08:00:00+00:00","updated_at":"2026-02-19T12:15:00+02:00",
		"user_status":"SOMETHING_NEW","membership_status":"ACCEPTED","membership_role":"VOLUNTEER","brand_new":{"a":[1]}}`))
	require.Empty(t, reason)
	text := func(s string) *string { return &s }
	require.Equal(t, User{
		ID: "4101", FirstName: text("Ana"), LastName: text("Ruiz"), Email: text(" Ana.Ruiz@Example.org "),
		Phone: text("(555) 010-0199"), UserStatus: text("SOMETHING_NEW"), MembershipRole: text("VOLUNTEER"),
		CreatedAt: time.Date(2026, 1, 4, 8, 0, 0, 0, time.UTC), UpdatedAt: time.Date(2026, 2, 19, 10, 15, 0, 0, time.UTC),
	}, user)
}

func TestOptionalFieldsMayBeNullOrMissing(t *testing.T) {
	t.Parallel()
	want := User{ID: "5", UpdatedAt: at("2026-02-19T10:15:00Z")}
	for _, raw := range []string{
		`{"id":"5","updated_at":"2026-02-19T10:15:00Z"}`,
		`{"id":5,"updated_at":"2026-02-19T10:15:00Z","first_name":null,"last_name":null,"full_name":null,"email":null,"address":null,
		  "phone":null,"birthday":null,"gender":null,"user_status":null,"membership_status":null,"membership_role":null,"created_at":null}`,
		`{"id":5,"updated_at":"2026-02-19T10:15:00Z","created_at":""}`,
	} {
		user, reason := decodeUser(json.RawMessage(raw))
		require.Empty(t, reason)
		require.Equal(t, want, user)
	}
}

func TestIDs(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]struct{ id, reason string }{
		`8205`:                               {"8205", ""},
		`"8205"`:                             {"8205", ""},
		`9007199254740993`:                   {"9007199254740993", ""},
		`123456789012345678901234567890`:     {"123456789012345678901234567890", ""},
		`"c0ffee-ü"`:                         {"c0ffee-ü", ""},
		`"` + strings.Repeat("x", 128) + `"`: {strings.Repeat("x", 128), ""},
		`"` + strings.Repeat("x", 129) + `"`: {"", "id: longer than 128 bytes"},
		strings.Repeat("1", 129):             {"", "id: longer than 128 bytes"},
		`null`:                               {"", "id: missing"},
		`""`:                                 {"", "id: empty"},
		`"  "`:                               {"", "id: empty"},
		`"a\u0000b"`:                         {"", "id: holds a control or broken character"},
		`"a\nb"`:                             {"", "id: holds a control or broken character"},
		`"a\u0085b"`:                         {"", "id: holds a control or broken character"},
		"\"a\xffb\"":                         {"", "id: holds a control or broken character"},
		`1.5`:                                {"", "id: neither a text nor a whole number"},
		`1e3`:                                {"", "id: neither a text nor a whole number"},
		`true`:                               {"", "id: neither a text nor a whole number"},
		`{}`:                                 {"", "id: neither a text nor a whole number"},
	} {
		user, reason := decodeUser(json.RawMessage(`{"id":` + raw + `,"updated_at":"2026-02-19T10:15:00Z"}`))
		require.Equal(t, want.reason, reason, raw)
		require.Equal(t, want.id, user.ID, raw)
	}
}

func TestReasonOfBadEntryNamesFieldAndNotItsValue(t *testing.T) {
	t.Parallel()
	for fields, want := range map[string]string{
		`"email":{"a":"b"}`:         "email: not a text",
		`"first_name":["secret"]`:   "first_name: not a text",
		`"updated_at":"yesterday"`:  "updated_at: not a time",
		`"phone":[]`:                "phone: not a text",
		`"updated_at":true`:         "updated_at: not a time",
		`"updated_at":[]`:           "updated_at: not a time",
		`"updated_at":{}`:           "updated_at: not a time",
		`"updated_at":17`:           "updated_at: not a time",
		`"updated_at":1e400`:        "updated_at: not a time",
		`"created_at":"19/02/2026"`: "created_at: not a time",
		`"last_name":"a\u0000b"`:    "last_name: holds a NUL character",
	} {
		user, reason := decodeUser(json.RawMessage(`{"updated_at":"2026-02-19T10:15:00Z",` + fields + `,"id":77}`))
		require.Equal(t, want, reason, fields)
		require.Equal(t, User{ID: "77"}, user, "the id must be set although another field is wrong")
	}
}

func TestTimes(t *testing.T) {
	t.Parallel()
	want := time.Date(2025, 11, 19, 10, 15, 0, 0, time.UTC)
	for _, value := range []string{
		`"2025-11-19T10:15:00+00:00"`, `"2025-11-19T10:15:00Z"`, `"2025-11-19T12:15:00+02:00"`, `"2025-11-19T04:45:00-05:30"`,
		`"2025-11-19T10:15:00.123Z"`, `"2025-11-19T10:15:00.999999999+00:00"`, `"2025-11-19T12:15:00+0200"`, `"2025-11-19 10:15:00"`,
		`" 2025-11-19 10:15:00 "`, `"2025-11-19T10:15:00"`, `"2025-11-19 10:15"`, `"2025-11-19 12:15:00+02"`, `"2025-11-19 12:15:00 +0200"`,
		`"2025-11-19 12:15:00 +02:00"`, `"2025-11-19 10:15:00.5 GMT"`, `"Wed, 19 Nov 2025 10:15:00 GMT"`, `"Wed, 19 Nov 2025 12:15:00 +0200"`,
		`1763547300`, `1763547300.75`, `1763547300999`, `1763547300999999`, `"1763547300"`, `"1763547300.5"`, `1.7635473e9`,
		`{"date":"2025-11-19 12:15:00.000000","timezone_type":1,"timezone":"+02:00"}`,
		`{"date":"2025-11-19 11:15:00.000000","timezone_type":3,"timezone":"Europe/Berlin"}`, `{"date":"2025-11-19 10:15:00"}`,
	} {
		at, ok := readTime([]byte(value))
		require.True(t, ok, value)
		require.Equal(t, want, at, value)
	}
	for _, value := range []string{
		``, `null`, `""`, `" "`, `0`, `"0"`, `"0000-00-00 00:00:00"`, `"0000-00-00"`, `"-0001-11-30T00:00:00+00:00"`, `"0001-01-01T00:00:00Z"`,
		`-62169984000`, `{"date":"-0001-11-30 00:00:00.000000","timezone_type":3,"timezone":"UTC"}`, `"0000-06-01T00:00:00Z"`,
	} {
		at, ok := readTime([]byte(value))
		require.True(t, ok, value)
		require.Zero(t, at, value)
	}
	for _, value := range []string{
		`"10:15"`, `"9999-12-31T23:59:59-01:00"`, `"2025-11-19 10:15:00 EST"`, `"19.11.2025"`, `"-5"`, `1e17`, `"2025"`, `true`, `[]`,
		`{"date":"2025-11-19 10:15:00","timezone":"Atlantis/Capital"}`, `{"date":"2025-11-19 10:15:00","timezone":"Local"}`, `{"date":7}`,
	} {
		_, ok := readTime([]byte(value))
		require.False(t, ok, value)
	}
}
