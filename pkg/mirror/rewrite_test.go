package mirror_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/mirror"
	"rollcall.dev/pkg/vomo"
)

// rewriteOptions returns options that rewrite all records written until now.
func (f *fixture) rewriteOptions(t testing.TB) mirror.ApplyOptions {
	t.Helper()
	now, err := f.Store.Now(t.Context())
	require.NoError(t, err)
	return mirror.ApplyOptions{RewriteBefore: now}
}

func TestRewriteWritesUnchangedUsersOnce(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.mustApply(t, users(5)...)
	require.Zero(t, f.mustApply(t, users(5)...).Written)
	options := f.rewriteOptions(t)

	outcome, err := f.apply(t, page(1, users(5)...), options)
	require.NoError(t, err)
	require.Equal(t, 5, outcome.Written)

	f.crm.forgetRequests()
	outcome, err = f.apply(t, page(2, append(users(5), user("6"))...), options)
	require.NoError(t, err)
	require.Equal(t, 5, outcome.Skipped, "a page read twice, or a user that moved to another page")
	require.Equal(t, []string{"6"}, f.crm.requests())
}

func TestRewriteWritesAnOlderVersionOnlyWithAllowOlder(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.mustApply(t, user("1", updatedAfter(time.Hour)))
	options := f.rewriteOptions(t)

	outcome, err := f.apply(t, page(1, user("1", withFirstName("Older"))), options)
	require.NoError(t, err)
	require.Equal(t, 1, outcome.Skipped)
	require.Len(t, f.crm.requests(), 1)

	options.AllowOlder = true
	outcome, err = f.apply(t, page(1, user("1", withFirstName("Older"))), options)
	require.NoError(t, err)
	require.Equal(t, 1, outcome.Written)
	require.Equal(t, "Older", *f.crm.record("1").FirstName)
	require.Equal(t, []time.Time{noon}, inUTC(queryColumn[time.Time](t, f, `SELECT last_synced_updated_at FROM user_mappings`)))

	outcome, err = f.apply(t, page(1, user("1")), options)
	require.NoError(t, err)
	require.Equal(t, 1, outcome.Written, "records written since are compared as usual: this is an edit in the same second")
	outcome, err = f.apply(t, page(1, user("1", updatedAfter(-time.Hour))), options)
	require.NoError(t, err)
	require.Equal(t, 1, outcome.Skipped, "older versions are skipped")
}

func TestRewriteRetriesRecordsWithALetter(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.crm.respond(http.StatusUnprocessableEntity, `{"code":"email_invalid"}`, "2")
	f.mustApply(t, users(3)...)
	options := f.rewriteOptions(t)

	rejected, err := f.apply(t, page(1, user("2")), options)
	require.NoError(t, err)
	require.Equal(t, 1, rejected.Failed, "rejected again: a new letter replaces the first")
	open := queryColumn[string](t, f, `SELECT error_code FROM dead_letters WHERE state <> 'settled'`)
	require.Equal(t, []string{"email_invalid"}, open)
	skipped, err := f.apply(t, page(1, user("2")), options)
	require.NoError(t, err)
	require.Equal(t, 1, skipped.Skipped, "the new letter was opened by this rewrite")

	f.crm.acceptAll()
	accepted, err := f.apply(t, page(1, user("2")), f.rewriteOptions(t))
	require.NoError(t, err)
	require.Equal(t, 1, accepted.Written)
	require.Empty(t, queryColumn[string](t, f, `SELECT error_code FROM dead_letters WHERE state <> 'settled'`))
}

func TestNewSystemDeletesTheExternalIDsOfTheOldOne(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.mustApply(t, user("1"))
	require.Equal(t, []string{"crm-1"}, queryColumn[string](t, f, `SELECT external_user_id FROM user_mappings`))
	f.crm.respond(http.StatusOK, `{}`)
	options := f.rewriteOptions(t)

	for _, newSystem := range []bool{false, true} {
		options.NewSystem = newSystem
		_, err := f.apply(t, vomo.Page{Number: 1, Users: []vomo.User{user("1")}, Total: -1}, options)
		require.NoError(t, err)
		want := map[bool]string{false: "crm-1", true: "vomo-1"}[newSystem]
		require.Equal(t, []string{want}, queryColumn[string](t, f, `SELECT external_user_id FROM user_mappings`))
		options = f.rewriteOptions(t)
	}
}
