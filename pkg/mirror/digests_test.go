package mirror_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/vomo"
)

// shared is a value that every user of these tests has.
func shared(u *vomo.User) {
	u.Email, u.FirstName, u.LastName = new("family@example.org"), new("Sam"), new("Shared")
}

func TestDigestsOfTwoUsersDoNotShowWhichValuesTheyShare(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.applied(t, user("1", shared), user("2", shared))

	digests := values[[]byte](t, h, `SELECT field_digests FROM user_mappings ORDER BY vomo_user_id`)

	require.Len(t, digests, 2)
	const form, size = 1, 4
	require.Equal(t, digests[0][:form], digests[1][:form])
	for at := form; at < len(digests[0]); at += size { // all seven fields of the two users are equal
		require.NotEqual(t, digests[0][at:at+size], digests[1][at:at+size], "field %d", at/size)
	}
}

func TestDigestsOfAnotherFormNameNoFieldAndAreReplacedByTheNextWrite(t *testing.T) {
	t.Parallel()
	for name, before := range map[string]string{
		"the first form":  `substr(field_digests, 2)`,
		"a later form":    `set_byte(field_digests, 0, 3)`,
		"as long as ours": `substr(field_digests, 2) || '\x00'::bytea`,
		"none":            `NULL`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := steady(t)
			h.applied(t, user("1"))
			h.told(t)
			_, err := h.pool.Exec(t.Context(), `UPDATE user_mappings SET field_digests = `+before)
			require.NoError(t, err)

			h.applied(t, user("1", named("Second"), after(time.Second)))
			told := h.told(t)
			require.Len(t, told, 1)
			require.NotContains(t, told[0], "changedFields")

			h.applied(t, user("1", named("Third"), after(2*time.Second)))
			told = h.told(t)
			require.Len(t, told, 1)
			require.Equal(t, []any{"first_name"}, told[0]["changedFields"])
		})
	}
}
