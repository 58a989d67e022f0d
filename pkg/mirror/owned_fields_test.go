package mirror_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/mirror"
	"rollcall.dev/pkg/vomo"
)

func withPhone(phone string) func(*vomo.User) { return func(u *vomo.User) { u.Phone = &phone } }

func TestChangeOfOwnedFieldsIsAdoptedWithoutWriteOrEvent(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.Events, f.Owned = true, []string{"phone", "birthday"}
	f.mustApply(t, users(2)...)
	events := len(queryColumn[string](t, f, `SELECT subject FROM outbox`))
	f.crm.forgetRequests()

	echo := user("1", withPhone("555-0199"), updatedAfter(time.Minute))
	unseen := user("2", updatedAfter(time.Minute)) // a field that no destination gets has changed
	outcome := f.mustApply(t, echo, unseen)

	require.Zero(t, outcome.Written)
	require.Equal(t, 2, outcome.Skipped)
	require.Empty(t, f.crm.requests())
	require.Len(t, queryColumn[string](t, f, `SELECT subject FROM outbox`), events)
	require.Equal(t, []time.Time{noon.Add(time.Minute), noon.Add(time.Minute)},
		inUTC(queryColumn[time.Time](t, f, `SELECT last_synced_updated_at FROM user_mappings ORDER BY vomo_user_id`)))
	require.Equal(t, []time.Time{noon, noon},
		inUTC(queryColumn[time.Time](t, f, `SELECT sent_updated_at FROM user_mappings ORDER BY vomo_user_id`)), "the destination got no later one")
	require.Equal(t, 2, f.mustApply(t, echo, unseen).Skipped, "the version is the mapped one now")
}

func TestOlderValueOfAnOwnedFieldIsNotSentToTheDestination(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.Events, f.Owned = true, []string{"phone"}
	f.mustApply(t, user("1"))

	outcome := f.mustApply(t, user("1", withFirstName("Nina"), updatedAfter(time.Minute)))

	require.Equal(t, 1, outcome.Written)
	require.NotContains(t, f.crm.body("1"), "phone")
	require.Equal(t, "Nina", f.crm.body("1")["first_name"])
	changed := queryColumn[string](t, f, `SELECT convert_from(payload, 'UTF8')::jsonb->>'changedFields' FROM outbox
		WHERE subject LIKE '%.user.updated.%' ORDER BY id`)
	require.Equal(t, []string{`["first_name"]`}, changed)

	f.mustApply(t, user("1", withFirstName("Nora"), withPhone("VOMO's"), updatedAfter(2*time.Minute)))
	require.NotContains(t, f.crm.body("1"), "phone", "the external system owns it, whatever VOMO has")
	changed = queryColumn[string](t, f, `SELECT convert_from(payload, 'UTF8')::jsonb->>'changedFields' FROM outbox
		WHERE subject LIKE '%.user.updated.%' ORDER BY id`)
	require.Equal(t, `["first_name"]`, changed[1])
}

func TestNewUserAndNewSystemGetOwnedFields(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.Owned = []string{"first_name", "last_name", "phone"}
	f.mustApply(t, user("1"))
	require.Equal(t, "+44 20 7946 0000", f.crm.body("1")["phone"], "the destination has no value of its own yet")

	options := f.rewriteOptions(t)
	_, err := f.apply(t, page(1, user("1")), options)
	require.NoError(t, err)
	require.NotContains(t, f.crm.body("1"), "phone", "written again, and the destination still owns it")
	options.NewSystem = true
	options.RewriteBefore = f.rewriteOptions(t).RewriteBefore
	_, err = f.apply(t, page(1, user("1")), options)
	require.NoError(t, err)
	require.Contains(t, f.crm.body("1"), "phone")
}

func TestNothingIsAdoptedWhileARewriteIsOwed(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.Owned = []string{"phone"}
	f.mustApply(t, user("1"))

	outcome, err := f.apply(t, page(1, user("1", withPhone("555-0199"), updatedAfter(time.Minute))), mirror.ApplyOptions{RewriteOwed: true})

	require.NoError(t, err)
	require.Equal(t, 1, outcome.Written)
}

func TestAdoptOnlyWritesNothing(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.Owned = []string{"phone"}
	f.mustApply(t, user("1"), user("2"))
	f.crm.forgetRequests()

	later := updatedAfter(time.Minute)
	outcome, err := f.apply(t, page(1, user("1", withPhone("555-0199"), later), user("2", withFirstName("Nina"), later), user("3")),
		mirror.ApplyOptions{AdoptOnly: true})

	require.NoError(t, err)
	require.Zero(t, outcome.Written)
	require.Empty(t, f.crm.requests())
	require.Equal(t, []string{"1"}, queryColumn[string](t, f, `SELECT vomo_user_id FROM user_mappings WHERE last_synced_updated_at > $1`, noon))
	require.Equal(t, 2, f.mustApply(t, user("2", withFirstName("Nina"), later), user("3")).Written, "the next poll writes them")
}
