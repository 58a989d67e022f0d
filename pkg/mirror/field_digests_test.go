package mirror_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/vomo"
)

// sharedValues gives a user the same field values as the other users of a test.
func sharedValues(u *vomo.User) {
	u.Email, u.FirstName, u.LastName = new("family@example.org"), new("Sam"), new("Shared")
}

func TestEqualValuesOfTwoUsersHaveDifferentDigests(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.mustApply(t, user("1", sharedValues), user("2", sharedValues))

	digests := queryColumn[[]byte](t, f, `SELECT field_digests FROM user_mappings ORDER BY vomo_user_id`)

	require.Len(t, digests, 2)
	const header, size = 1, 4
	require.Equal(t, digests[0][:header], digests[1][:header])
	for at := header; at < len(digests[0]); at += size { // all seven fields of the two users have equal values
		require.NotEqual(t, digests[0][at:at+size], digests[1][at:at+size], "field %d", at/size)
	}
}

func TestDigestsOfAnotherFormatNameNoFieldUntilTheNextWriteReplacesThem(t *testing.T) {
	t.Parallel()
	for name, before := range map[string]string{
		"the first format":            `substr(field_digests, 2)`,
		"a later format":              `set_byte(field_digests, 0, 3)`,
		"another format, same length": `substr(field_digests, 2) || '\x00'::bytea`,
		"none":                        `NULL`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newPollFixture(t)
			f.mustApply(t, user("1"))
			f.published(t)
			_, err := f.pool.Exec(t.Context(), `UPDATE user_mappings SET field_digests = `+before)
			require.NoError(t, err)

			f.mustApply(t, user("1", withFirstName("Second"), updatedAfter(time.Second)))
			messages := f.published(t)
			require.Len(t, messages, 1)
			require.NotContains(t, messages[0], "changedFields")

			f.mustApply(t, user("1", withFirstName("Third"), updatedAfter(2*time.Second)))
			messages = f.published(t)
			require.Len(t, messages, 1)
			require.Equal(t, []any{"first_name"}, messages[0]["changedFields"])
		})
	}
}
