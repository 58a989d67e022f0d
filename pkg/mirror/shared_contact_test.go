package mirror_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/mirror"
)

func (f *fixture) sharedContacts(t *testing.T) []string {
	t.Helper()
	return queryColumn[string](t, f, `SELECT concat_ws(' ', customer_id, vomo_user_id, other_vomo_user_id) FROM shared_contacts`)
}

func TestTwoUsersWithTheSameExternalIDAreStoredAsASharedContact(t *testing.T) { // testdata/one-contact-two-users.md
	t.Parallel()
	for name, pages := range map[string][][]string{"on one page": {{"1", "2", "3"}}, "on two pages": {{"1", "3"}, {"2"}}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			f.crm.respond(200, `{"id":"contact-77"}`, "1", "2")
			for i, ids := range pages {
				require.Empty(t, f.sharedContacts(t))
				read := page(i + 1)
				for _, id := range ids {
					read.Users = append(read.Users, user(id))
				}
				_, err := f.apply(t, read, mirror.ApplyOptions{})
				require.NoError(t, err)
			}
			require.Len(t, f.sharedContacts(t), 1)
			require.Contains(t, []string{"acme 1 2", "acme 2 1"}, f.sharedContacts(t)[0])
			require.Equal(t, []int64{3}, queryColumn[int64](t, f, `SELECT count(*) FROM user_mappings`), "both users stay mirrored")

			f.crm.respond(200, `{"id":"contact-2"}`, "2")
			f.mustApply(t, user("2", updatedAfter(time.Second)))
			require.NoError(t, f.Store.RefreshSharedContacts(t.Context()))
			require.Empty(t, f.sharedContacts(t))
		})
	}
}

func TestAnotherSharedPairReplacesTheStoredOne(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.crm.respond(200, `{"id":"contact-77"}`, "1", "2", "3")
	f.mustApply(t, users(3)...)
	require.Len(t, f.sharedContacts(t), 1)
	stored := queryColumn[string](t, f, `SELECT vomo_user_id FROM shared_contacts`)[0]
	f.crm.respond(200, `{"id":"contact-own"}`, stored)
	f.mustApply(t, user(stored, updatedAfter(time.Second)))
	require.NoError(t, f.Store.RefreshSharedContacts(t.Context()))
	require.Len(t, f.sharedContacts(t), 1, "the other two users still share the contact")
	require.NotContains(t, queryColumn[string](t, f, `SELECT vomo_user_id || other_vomo_user_id FROM shared_contacts`)[0], stored)
}

func TestExternalIDsOfThePreviousSystemAreNotCompared(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.crm.respond(200, `{"id":"5"}`, "1")
	f.mustApply(t, user("1"))
	f.crm.respond(200, `{"id":"5"}`, "2")
	_, err := f.apply(t, page(2, user("2")), mirror.ApplyOptions{NewSystem: true, RewriteBefore: time.Now().Add(time.Minute)})
	require.NoError(t, err)
	require.Empty(t, f.sharedContacts(t))
}

func TestUsersWithoutAnExternalIDShareNoContact(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.crm.respond(200, ``)
	f.mustApply(t, users(3)...)
	require.Empty(t, f.sharedContacts(t))
}
