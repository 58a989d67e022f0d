package vomo

import (
	"encoding/json"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/fault"
)

func TestMoreIsDecidedByNextLinkOrTotal(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		body string
		more bool
	}{
		"a link":                            {`{"data":[{}],"links":{"next":"https://elsewhere.example/?page=9"}}`, true},
		"null":                              {`{"data":[{}],"links":{"next":null},"meta":{"total":99}}`, false},
		"the word null":                     {`{"data":[{}],"links":{"next":"null"},"meta":{"total":99}}`, false},
		"an empty text":                     {`{"data":[{}],"links":{"next":""},"meta":{"total":99}}`, false},
		"no next, total beyond":             {`{"data":[{}],"links":{"prev":null},"meta":{"total":16,"per_page":15}}`, true},
		"no next, total reached":            {`{"data":[{}],"links":{},"meta":{"total":15,"per_page":15}}`, false},
		"pages of another size":             {`{"data":[{}],"meta":{"total":11,"per_page":10}}`, true},
		"no links, texts":                   {`{"data":[{}],"meta":{"total":"16","per_page":"15"}}`, true},
		"links null":                        {`{"data":[{}],"links":null,"meta":{"total":15,"per_page":15}}`, false},
		"links an empty list":               {`{"data":[{}],"links":[ ],"meta":{"total":16,"per_page":15}}`, true},
		"no links, no page size, more left": {`{"data":[{},{}],"meta":{"total":3}}`, true},
		"no links, no page size, all read":  {`{"data":[{},{}],"meta":{"total":2}}`, false},
		"neither links nor total":           {`{"data":[{}]}`, true},
		"neither, and empty":                {`{"data":[]}`, false},
		"empty in spite of a link":          {`{"data":[],"links":{"next":"https://h/?page=2"},"meta":{"total":99}}`, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, err := decodePage([]byte(c.body), 1)
			require.NoError(t, err)
			require.Equal(t, c.more, a.page.More)
		})
	}
}

func TestMetaNumbersMayBeTextsOrMissing(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]struct{ total, perPage, last int }{
		`{"data":[],"meta":{"current_page":2,"total":31,"per_page":10}}`:        {31, 10, 4},
		`{"data":[],"meta":{"current_page":"2","total":"31","per_page":"15"}}`:  {31, 15, 3},
		`{"data":[],"meta":{"current_page":null,"total":null,"per_page":null}}`: {-1, 15, 0},
		`{"data":[],"meta":{"current_page":"x","total":-4,"per_page":0}}`:       {-1, 15, 0},
		`{"data":[],"meta":{"total":9223372036854775807}}`:                      {9223372036854775807, 15, 614891469123651721},
		`{"data":[],"meta":null}`: {-1, 15, 0},
		`{"data":[],"meta":[]}`:   {-1, 15, 0},
		`{"data":[]}`:             {-1, 15, 0},
	} {
		a, err := decodePage([]byte(body), 2)
		require.NoError(t, err)
		require.Equal(t, want.total, a.page.Total, body)
		require.Equal(t, want.perPage, a.perPage, body)
		require.Equal(t, want.last, a.lastPage(), body)
	}
}

func TestPageOtherThanRequestedIsMismatch(t *testing.T) {
	t.Parallel()
	for _, current := range []any{1, "1"} {
		org := &organisation{first: func(w http.ResponseWriter, _ *http.Request) bool {
			page := wire(2, 60)
			page["meta"] = map[string]any{"current_page": current}
			write(w, page)
			return true
		}}
		client, _ := serve(t, org.serve)
		_, err := client.Page(t.Context(), Query{}, 2)
		require.ErrorIs(t, err, ErrPageMismatch)
		require.Equal(t, "vomo_page_mismatch", fault.CodeOf(err))
		require.Equal(t, fault.KindUnknown, fault.KindOf(err))
	}
}

func TestBadEntryDoesNotFailItsPage(t *testing.T) {
	t.Parallel()
	a, err := decodePage([]byte(`{"data":[
		{"id":1,"updated_at":"2026-02-19T10:15:00Z"},
		{"id":2,"updated_at":"yesterday"},
		"text", null, 7,
		{"id":3,"updated_at":"2026-02-19T10:15:00Z"}]}`), 1)
	require.NoError(t, err)
	require.Len(t, a.page.Users, 2)
	require.Equal(t, BadUser{ID: "2", Reason: "updated_at: not a time", Key: "2"}, a.page.Bad[0])
	keys := map[string]bool{}
	for _, bad := range a.page.Bad[1:] {
		require.Empty(t, bad.ID)
		require.Equal(t, "entry: not an object", bad.Reason)
		keys[bad.Key] = true
	}
	require.Len(t, keys, 3, "each entry must have its own key")
}

func FuzzDecodePage(f *testing.F) {
	page, err := json.Marshal(wire(1, 40))
	require.NoError(f, err)
	f.Add(page, 1)
	f.Add([]byte(`{"data":[],"links":{"next":"null"},"meta":{"current_page":"2","total":"0"}}`), 2)
	f.Add([]byte(`{"data":[{"id":"8205","updated_at":"2025-11-19 10:15:00","email":null}],"links":[],"meta":[]}`), 1)
	f.Add([]byte(`{"data":[{"id":1.5},{"id":"\u0000"},{"id":[]},{"ID":2,"email":3},null]}`), 3)
	f.Add([]byte(`{"data":[{"id":123456789012345678901234567890,"updated_at":"2026-02-19T10:15:00.123456+02:00"}]}`), 1)
	f.Add([]byte(`{"data":{"16":{"id":2,"updated_at":1771496100},"15":{"id":1,"updated_at":{"date":"2026-02-19 10:15:00","timezone":"UTC"}}}}`), 2)
	f.Add([]byte("\ufeff"+` {"\u0064ata":[{"id":1,"phone":true,"email":[]}],"Data":4} `), 1)
	f.Add([]byte("{\"data\":[{\"id\":\"\xff\",\"updated_at\":\"0001-01-01T00:00:00Z\"}]}"), 1)
	f.Fuzz(func(t *testing.T, body []byte, number int) {
		a, err := decodePage(body, number)
		if err != nil {
			require.Contains(t, []string{"vomo_broken_page", "vomo_page_mismatch"}, fault.CodeOf(err))
			return
		}
		require.Equal(t, number, a.page.Number)
		require.Len(t, a.keys, len(a.page.Users)+len(a.page.Bad))
		require.GreaterOrEqual(t, a.page.Total, -1)
		require.Positive(t, a.perPage)
		require.False(t, a.page.More && len(a.keys) == 0)
		for _, user := range a.page.Users {
			require.NotEmpty(t, user.ID)
			require.LessOrEqual(t, len(user.ID), maxIDBytes)
			require.False(t, user.UpdatedAt.IsZero())
			require.Zero(t, user.UpdatedAt.Nanosecond())
		}
		for _, bad := range a.page.Bad {
			require.Regexp(t, `^[a-z_]+: [a-zA-Z0-9 ]+$`, bad.Reason, "the reason must have our own words only")
			require.LessOrEqual(t, len(bad.ID), maxIDBytes)
		}
	})
}

func BenchmarkDecodePage(b *testing.B) {
	entries := wire(1, 1_000_000)
	for _, e := range entries["data"].([]any) {
		for _, name := range []string{
			"first_name", "last_name", "full_name", "address", "phone", "birthday", "gender",
			"user_status", "membership_status", "membership_role",
		} {
			e.(map[string]any)[name] = "some text of usual length"
		}
		e.(map[string]any)["created_at"] = "2026-01-04T08:00:00+00:00"
	}
	body, err := json.Marshal(entries)
	require.NoError(b, err)
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := decodePage(body, 1); err != nil {
			b.Fatal(err)
		}
	}
}

// reasonForm matches the reason of a bad entry: a field's name and our own words, nothing of the entry.
var reasonForm = regexp.MustCompile(`^(entry|[a-z_]{2,32}(\.[a-z_]+)*): [a-zA-Z0-9 ]+$`)

// FuzzPage checks that decodePage returns for any input, that each entry becomes a user that can be mirrored or a bad
// entry with a reason that does not quote it, and that an empty page is the last.
func FuzzPage(f *testing.F) {
	f.Fuzz(func(t *testing.T, body []byte, number int) {
		a, err := decodePage(body, number)
		if err != nil {
			require.Equal(t, fault.KindUnknown, fault.KindOf(err))
			require.Contains(t, []string{"vomo_broken_page", "vomo_page_mismatch"}, fault.CodeOf(err))
			require.Less(t, len(err.Error()), 200)
			return
		}
		again, err := decodePage(body, number)
		require.NoError(t, err)
		require.Equal(t, a, again)
		require.Equal(t, number, a.page.Number)
		require.GreaterOrEqual(t, a.page.Total, -1)
		require.Positive(t, a.perPage)
		require.Len(t, a.keys, len(a.page.Users)+len(a.page.Bad))
		require.False(t, len(a.keys) == 0 && a.page.More)
		for _, user := range a.page.Users {
			requireStorable(t, user)
		}
		for _, bad := range a.page.Bad {
			require.LessOrEqual(t, len(bad.ID), maxIDBytes)
			require.Regexp(t, reasonForm, bad.Reason)
		}
	})
}

// requireStorable is what the mirror and Postgres rely on.
func requireStorable(t *testing.T, user User) {
	t.Helper()
	require.NotEmpty(t, strings.TrimSpace(user.ID))
	require.LessOrEqual(t, len(user.ID), maxIDBytes)
	require.False(t, user.UpdatedAt.IsZero())
	require.Zero(t, user.UpdatedAt.Nanosecond())
	if user.Email != nil {
		require.LessOrEqual(t, len(*user.Email), maxEmailBytes)
	}
	for _, text := range []*string{
		user.FirstName, user.LastName, user.Email, user.Phone, user.UserStatus, user.MembershipRole, &user.ID,
	} {
		if text != nil {
			require.NotContains(t, *text, "\x00")
			require.LessOrEqual(t, len(*text), maxTextBytes)
			require.Equal(t, strings.ToValidUTF8(*text, "?"), *text)
		}
	}
}
