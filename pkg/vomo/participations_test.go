package vomo

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func participationsOf(t *testing.T, body string) (UserParticipations, error) {
	t.Helper()
	client := detailServer(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(body)) })
	return client.Participations(t.Context(), "1")
}

func TestParticipationsAreReadInEveryForm(t *testing.T) {
	t.Parallel()
	checkedIn := time.Date(2026, time.January, 2, 10, 0, 0, 0, time.UTC)
	one := func(key string, hours float64, at time.Time) Participation {
		return Participation{Key: key, Hours: hours, At: at}
	}
	for form, want := range map[string][]Participation{
		`[]`:          {},
		`{"data":[]}`: {},
		`[{"id":7,"hours":1.5,"signed_up_at":"2026-01-01T00:00:00Z","checked_in_at":"2026-01-02T10:00:00+00:00"}]`: {one("7", 1.5, checkedIn)},
		`[{"id":"7","hours":" 1.50 ","checked_in_at":null,"checked_out_at":"2026-01-02 10:00:00"}]`:                {one("7", 1.5, checkedIn)},
		`{"data":[{"id":7,"signed_up_at":1767348000}]}`:                                                            {one("7", 0, checkedIn)},
		`{"0":{"id":7},"4":{"id":8}}`:                            {one("7", 0, time.Time{}), one("8", 0, time.Time{})},
		`[{"id":null,"project_date_id":3}]`:                      {one("project_date-3", 0, time.Time{})},
		`[{"project_date":{"id":"3"}},{"projectDate":{"id":4}}]`: {one("project_date-3", 0, time.Time{}), one("project_date-4", 0, time.Time{})},
		`[{"project_date":5}]`:                                   {one("project_date-5", 0, time.Time{})},
		`[{"hours":"many","checked_in_at":"soon"}]`:              {one("", 0, time.Time{})},
		`[{"hours":1e300},{"hours":"NaN"},{"hours":[1]}]`:        {one("", 0, time.Time{}), one("", 0, time.Time{}), one("", 0, time.Time{})},
		`[7,"8",null]`: {one("7", 0, time.Time{}), one("8", 0, time.Time{}), one("", 0, time.Time{})},
	} {
		read, err := participationsOf(t, `{"data":{"id":1,"participations":`+form+`}}`)
		require.NoError(t, err, form)
		require.True(t, read.Known, form)
		require.Len(t, read.Entries, len(want), form)
		for i, entry := range read.Entries {
			entry.Content = nil
			require.Equal(t, want[i], entry, form)
		}
		require.Nil(t, read.User, "the answer is not a whole user")
	}
}

func TestMissingParticipationsAreUnknown(t *testing.T) {
	t.Parallel()
	for _, body := range []string{`{"data":{"id":1}}`, `{"participations":null}`, `{"data":{"id":"1","participations":null,"profile_field_values":null}}`} {
		read, err := participationsOf(t, body)
		require.NoError(t, err, body)
		require.False(t, read.Known, body)
		require.Nil(t, read.Fields, body)
	}
}

func TestParticipationsOfTheSpecificationAndOfAWholeUserAreBothRead(t *testing.T) {
	t.Parallel()
	read, err := participationsOf(t, `{"code":"200","data":{"participations":[{"b":{"d":1,"c":2},"a":1}],"profile_field_values":[{"z":1,"a":2}]}}`)
	require.NoError(t, err)
	require.Equal(t, `content {"a":1,"b":{"c":2,"d":1}}`, "content "+string(read.Entries[0].Content), "the names are in order")
	require.Equal(t, `fields [{"a":2,"z":1}]`, "fields "+string(read.Fields))
	require.Nil(t, read.User)

	client := detailServer(t, func(w http.ResponseWriter, _ *http.Request) { write(w, map[string]any{"data": whole(1, nil)}) })
	read, err = client.Participations(t.Context(), "1")
	require.NoError(t, err)
	require.True(t, read.Known)
	require.Equal(t, "Ana@Example.org", *read.User.Email)
}

func TestAnswersThatAreNoParticipationsOfTheUserAreErrors(t *testing.T) {
	t.Parallel()
	for _, body := range []string{
		`[]`, `{"data":[]}`, `{"data":{"id":2,"participations":[]}}`, `{"data":{"id":1,"participations":"none"}}`, `{"data":{"id":1,"partici`,
		`{"data":{"id":1,"participations":[` + strings.Repeat("1,", maxEntries) + `1]}}`,
	} {
		_, err := participationsOf(t, body)
		require.ErrorIs(t, err, ErrBrokenDetail, body)
	}
	client := detailServer(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) })
	_, err := client.Participations(t.Context(), "1")
	require.ErrorIs(t, err, ErrNotFound)
}

func FuzzParticipations(f *testing.F) {
	f.Add([]byte(`{"data":{"id":1,"participations":[{"id":7,"hours":"1"}],"profile_field_values":{"a":[1]}}}`))
	f.Add([]byte(`{"participations":{"data":[1,null]}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		a, err := decodeParticipations(body, "1")
		if err == nil && a.participations == nil {
			t.Error("neither an error nor an answer")
		}
	})
}
