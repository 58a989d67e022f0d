package mirror_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/mirror"
)

func (h *house) shared(t *testing.T) []string {
	t.Helper()
	return values[string](t, h, `SELECT concat_ws(' ', customer_id, vomo_user_id, other_vomo_user_id) FROM shared_contacts`)
}

func TestTwoUsersWhomTheDestinationGivesOneIDAreNoted(t *testing.T) { // testdata/one-contact-two-users.md
	t.Parallel()
	for name, pages := range map[string][][]string{"on one page": {{"1", "2", "3"}}, "on two pages": {{"1", "3"}, {"2"}}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t)
			h.crm.says(200, `{"id":"contact-77"}`, "1", "2")
			for i, ids := range pages {
				require.Empty(t, h.shared(t))
				brought := page(i + 1)
				for _, id := range ids {
					brought.Users = append(brought.Users, user(id))
				}
				_, err := h.apply(t, brought, mirror.ApplyOptions{})
				require.NoError(t, err)
			}
			require.Len(t, h.shared(t), 1)
			require.Contains(t, []string{"acme 1 2", "acme 2 1"}, h.shared(t)[0])
			require.Equal(t, []int64{3}, values[int64](t, h, `SELECT count(*) FROM user_mappings`), "both stay mirrored")

			h.crm.says(200, `{"id":"contact-2"}`, "2")
			h.applied(t, user("2", after(time.Second)))
			require.NoError(t, h.Store.RefreshSharedContacts(t.Context()))
			require.Empty(t, h.shared(t))
		})
	}
}

func TestAnotherSharedPairTakesTheNotesPlace(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.crm.says(200, `{"id":"contact-77"}`, "1", "2", "3")
	h.applied(t, users(3)...)
	require.Len(t, h.shared(t), 1)
	noted := values[string](t, h, `SELECT vomo_user_id FROM shared_contacts`)[0]
	h.crm.says(200, `{"id":"contact-own"}`, noted)
	h.applied(t, user(noted, after(time.Second)))
	require.NoError(t, h.Store.RefreshSharedContacts(t.Context()))
	require.Len(t, h.shared(t), 1, "the other two share it still")
	require.NotContains(t, values[string](t, h, `SELECT vomo_user_id || other_vomo_user_id FROM shared_contacts`)[0], noted)
}

func TestIDsOfTheSystemBeforeAreSharedByChance(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.crm.says(200, `{"id":"5"}`, "1")
	h.applied(t, user("1"))
	h.crm.says(200, `{"id":"5"}`, "2")
	_, err := h.apply(t, page(2, user("2")), mirror.ApplyOptions{NewSystem: true, RewriteBefore: time.Now().Add(time.Minute)})
	require.NoError(t, err)
	require.Empty(t, h.shared(t))
}

func TestUsersWithoutAnIDOfTheDestinationShareNothing(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.crm.says(200, ``)
	h.applied(t, users(3)...)
	require.Empty(t, h.shared(t))
}
