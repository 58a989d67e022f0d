package vomo

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The files of testdata/cases are answers seen in practice.
func caseFile(t *testing.T, name string) []byte {
	t.Helper()
	body, err := os.ReadFile(filepath.Join("testdata", "cases", name))
	require.NoError(t, err)
	return body
}

// casePage reads a case's page, which must have no bad entry.
func casePage(t *testing.T, name string, number int) map[string]User {
	t.Helper()
	a, err := decodePage(caseFile(t, name), number)
	require.NoError(t, err)
	require.Empty(t, a.page.Bad)
	users := map[string]User{}
	for _, user := range a.page.Users {
		users[user.ID] = user
	}
	return users
}

func at(text string) time.Time {
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		panic(err)
	}
	return at
}

func TestUserWithoutUpdatedAtGetsCreatedAtOrOldestTime(t *testing.T) {
	t.Parallel()
	users := casePage(t, "updated-at-missing.json", 1)
	require.Len(t, users, 3)
	require.Equal(t, at("2026-02-19T10:15:00Z"), users["4101"].UpdatedAt)
	require.False(t, users["4101"].Undated)
	require.Equal(t, at("2026-01-04T08:00:00Z"), users["4102"].UpdatedAt)
	require.True(t, users["4102"].Undated)
	require.Equal(t, OldestTime(), users["4103"].UpdatedAt)
	require.True(t, users["4103"].Undated)
	require.Zero(t, users["4103"].CreatedAt)
}

func TestZeroCreatedAtMeansNone(t *testing.T) {
	t.Parallel()
	users := casePage(t, "created-at-year-zero.json", 1)
	require.Len(t, users, 3)
	for id, user := range users {
		require.Zero(t, user.CreatedAt, id)
		require.Equal(t, at("2026-02-19T10:15:00Z"), user.UpdatedAt, id)
	}
}

func TestUserWithUnusedFieldsOfWrongTypeIsRead(t *testing.T) {
	t.Parallel()
	users := casePage(t, "other-types.json", 1)
	require.Len(t, users, 5)
	require.Equal(t, "15550100199", *users["4104"].Phone)
	require.Equal(t, "3", *users["4105"].UserStatus)
	require.Equal(t, "false", *users["4105"].MembershipRole)
	require.Equal(t, "ana.ruiz@example.org", *users["4101"].Email)
}

func TestDataMayBeObjectWithNumericKeys(t *testing.T) {
	t.Parallel()
	users := casePage(t, "keyed-data.json", 2)
	require.Len(t, users, 3)
	a, err := decodePage([]byte(`{"data":{"10":{"id":3},"9":{"id":2},"8":{"id":1}}}`), 1)
	require.NoError(t, err)
	require.Equal(t, []string{"1", "2", "3"}, a.keys, "the entries must be in the order of the numbers")
	for _, body := range []string{`{"data":{"id":1}}`, `{"data":{"1":{},"x":{}}}`, `{"data":{"-1":{}}}`} {
		_, err := decodePage([]byte(body), 1)
		require.ErrorIs(t, err, ErrBrokenPage, body)
	}
}

func TestFieldNamesAreCaseSensitive(t *testing.T) {
	t.Parallel()
	users := casePage(t, "names-by-case.json", 1)
	require.Len(t, users, 2)
	require.Equal(t, "ana.ruiz@example.org", *users["4101"].Email)
	require.Equal(t, "Tomas", *users["4102"].FirstName)
	a, err := decodePage([]byte(`{"data":[{"id":1}],"Data":[],"meta":{"total":7,"Total":1,"current_page":1,"CURRENT_PAGE":9},
		"links":{"next":"https://h/","Next":null},"Links":null,"META":{}}`), 1)
	require.NoError(t, err)
	require.Equal(t, []string{"1"}, a.keys)
	require.Equal(t, 7, a.page.Total)
	require.True(t, a.page.More)
	detail, err := decodeDetail([]byte(`{"data":{"id":1,"first_name":null,"last_name":null,"email":null,"phone":null,"user_status":null,
		"membership_role":null,"created_at":null,"updated_at":null,"ID":2,"Email":"x"},"DATA":{}}`), "1")
	require.NoError(t, err)
	require.Equal(t, "1", detail.page.Users[0].ID)
	require.Nil(t, detail.page.Users[0].Email)
}

func TestByteOrderMarkIsSkipped(t *testing.T) {
	t.Parallel()
	require.Len(t, casePage(t, "bom.json", 1), 1)
	_, err := decodeDetail(append([]byte("\ufeff"), caseFile(t, "one-user-unwrapped.json")...), "4101")
	require.NoError(t, err)
}

func TestDetailIsReadWithAndWithoutWrapper(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"one-user-unwrapped.json", "one-user-enveloped.json"} {
		a, err := decodeDetail(caseFile(t, name), "4101")
		require.NoError(t, err, name)
		require.Len(t, a.page.Users, 1, name)
		require.Equal(t, "ana.ruiz@example.org", *a.page.Users[0].Email, name)
	}
}

func TestEveryFormOfTimeIsRead(t *testing.T) {
	t.Parallel()
	var forms []struct {
		UpdatedAt json.RawMessage `json:"updated_at"`
		Means     time.Time       `json:"means"`
	}
	require.NoError(t, json.Unmarshal(caseFile(t, "dates.json"), &forms))
	require.Len(t, forms, 10)
	for _, form := range forms {
		for _, field := range []string{"updated_at", "created_at"} {
			user, reason := decodeUser([]byte(`{"id":1,"` + field + `":` + string(form.UpdatedAt) + `}`))
			require.Empty(t, reason, string(form.UpdatedAt))
			require.Equal(t, form.Means, user.UpdatedAt, string(form.UpdatedAt))
		}
	}
}
