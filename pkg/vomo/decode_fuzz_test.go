package vomo

import (
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/fault"
)

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
