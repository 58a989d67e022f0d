package mirror_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/mirror"
	"rollcall.dev/pkg/vomo"
)

// rewriting is the option that writes again what was written until now.
func (h *house) rewriting(t testing.TB) mirror.ApplyOptions {
	t.Helper()
	now, err := h.Store.Now(t.Context())
	require.NoError(t, err)
	return mirror.ApplyOptions{RewriteBefore: now}
}

func TestARewriteWritesWhoIsKnownAgainAndOnlyOnce(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.applied(t, users(5)...)
	require.Zero(t, h.applied(t, users(5)...).Written)
	options := h.rewriting(t)

	outcome, err := h.apply(t, page(1, users(5)...), options)
	require.NoError(t, err)
	require.Equal(t, 5, outcome.Written)

	h.crm.forget()
	outcome, err = h.apply(t, page(2, append(users(5), user("6"))...), options)
	require.NoError(t, err)
	require.Equal(t, 5, outcome.Skipped, "a page that comes again, or a user that moved to another one")
	require.Equal(t, []string{"6"}, h.crm.saw())
}

func TestARewriteBringsAnOlderVersionOnlyIfItIsToWriteWhatVOMOShows(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.applied(t, user("1", after(time.Hour)))
	options := h.rewriting(t)

	outcome, err := h.apply(t, page(1, user("1", named("As shown"))), options)
	require.NoError(t, err)
	require.Equal(t, 1, outcome.Skipped)
	require.Len(t, h.crm.saw(), 1)

	options.AsShown = true
	outcome, err = h.apply(t, page(1, user("1", named("As shown"))), options)
	require.NoError(t, err)
	require.Equal(t, 1, outcome.Written)
	require.Equal(t, "As shown", *h.crm.record("1").FirstName)
	require.Equal(t, []time.Time{noon}, inUTC(values[time.Time](t, h, `SELECT last_synced_updated_at FROM user_mappings`)))

	outcome, err = h.apply(t, page(1, user("1")), options)
	require.NoError(t, err)
	require.Equal(t, 1, outcome.Written, "what was written since is compared as ever: another content in the same second")
	outcome, err = h.apply(t, page(1, user("1", after(-time.Hour))), options)
	require.NoError(t, err)
	require.Equal(t, 1, outcome.Skipped, "and older versions are left alone")
}

func TestARewriteTriesWhoHasALetterAgain(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.crm.says(http.StatusUnprocessableEntity, `{"code":"email_invalid"}`, "2")
	h.applied(t, users(3)...)
	options := h.rewriting(t)

	refused, err := h.apply(t, page(1, user("2")), options)
	require.NoError(t, err)
	require.Equal(t, 1, refused.Failed, "refused again: a letter takes the place of the other")
	open := values[string](t, h, `SELECT error_code FROM dead_letters WHERE state <> 'settled'`)
	require.Equal(t, []string{"email_invalid"}, open)
	left, err := h.apply(t, page(1, user("2")), options)
	require.NoError(t, err)
	require.Equal(t, 1, left.Skipped, "the new letter is the rewrite's own")

	h.crm.works()
	taken, err := h.apply(t, page(1, user("2")), h.rewriting(t))
	require.NoError(t, err)
	require.Equal(t, 1, taken.Written)
	require.Empty(t, values[string](t, h, `SELECT error_code FROM dead_letters WHERE state <> 'settled'`))
}

func TestInANewSystemTheOldOnesIDsAreForgotten(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.applied(t, user("1"))
	require.Equal(t, []string{"crm-1"}, values[string](t, h, `SELECT external_user_id FROM user_mappings`))
	h.crm.says(http.StatusOK, `{}`)
	options := h.rewriting(t)

	for _, newSystem := range []bool{false, true} {
		options.NewSystem = newSystem
		_, err := h.apply(t, vomo.Page{Number: 1, Users: []vomo.User{user("1")}, Total: -1}, options)
		require.NoError(t, err)
		want := map[bool]string{false: "crm-1", true: "vomo-1"}[newSystem]
		require.Equal(t, []string{want}, values[string](t, h, `SELECT external_user_id FROM user_mappings`))
		options = h.rewriting(t)
	}
}
