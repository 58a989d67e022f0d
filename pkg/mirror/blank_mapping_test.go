package mirror_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/mirror"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/vomo"
)

// newReturnFixture returns a fixture whose customer left with these users mirrored and returned: the mappings are blank, and the hash key
// is another one.
func newReturnFixture(t *testing.T, mirrored ...vomo.User) *fixture {
	t.Helper()
	f := newPollFixture(t)
	f.mustApply(t, mirrored...)
	require.NoError(t, f.Store.InTx(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		_, _, err := tx.BlankMappings(ctx, customer, "", 100)
		return err
	}))
	f.published(t)
	f.crm.forgetRequests()
	f.HashKey = []byte("the hash key after the return")
	return f
}

func TestBlankMappingAdoptsAnEqualTimeWithoutAWrite(t *testing.T) {
	t.Parallel()
	f := newReturnFixture(t, users(3)...)
	const lines, syncs = `SELECT count(*) FROM sync_audit`, `SELECT last_synced_at FROM user_mappings ORDER BY vomo_user_id`
	audited, synced := queryColumn[int64](t, f, lines), queryColumn[time.Time](t, f, syncs)

	outcome := f.mustApply(t, users(3)...)

	require.Equal(t, mirror.Outcome{Skipped: 3, HighestSeen: new(noon)}, withoutIDs(outcome))
	require.Empty(t, outcome.Unsynced, "a reconciliation finds no gap")
	require.Empty(t, f.crm.requests())
	require.Empty(t, f.published(t), "neither an event nor email_changed")
	require.Equal(t, audited, queryColumn[int64](t, f, lines))
	require.Equal(t, synced, queryColumn[time.Time](t, f, syncs), "a rewrite that is owed still writes them")
	require.Equal(t, []string{"u1@example.org", "u2@example.org", "u3@example.org"},
		queryColumn[string](t, f, `SELECT last_known_email FROM user_mappings ORDER BY vomo_user_id`))

	require.Equal(t, 1, f.mustApply(t, user("1", withFirstName("Same second"))).Written, "from now on the hash decides, too")
	require.Equal(t, []any{"first_name"}, f.published(t)[0]["changedFields"])
}

func TestBlankMappingIsWrittenForANewerTimeAndRaisesNoEmailChanged(t *testing.T) {
	t.Parallel()
	f := newReturnFixture(t, user("1"))

	require.Equal(t, 1, f.mustApply(t, user("1", withFirstName("New"), updatedAfter(time.Minute))).Written)

	messages := f.published(t)
	require.Len(t, messages, 1, "the address before is not known")
	require.Equal(t, "rollcall.events.user.updated.acme", messages[0]["subject"])
	require.NotContains(t, messages[0], "changedFields")
	f.mustApply(t, user("1", withFirstName("New"), withEmail("other@example.org"), updatedAfter(time.Hour)))
	require.Len(t, f.published(t), 2, "the address is known again")
}

func TestBlankMappingKeepsOutAnOlderTime(t *testing.T) {
	t.Parallel()
	f := newReturnFixture(t, user("1", updatedAfter(time.Hour)))

	require.Equal(t, 1, f.mustApply(t, user("1")).Skipped)

	require.Empty(t, f.crm.requests())
	require.Equal(t, []string{""}, queryColumn[string](t, f, `SELECT encode(version_hash, 'hex') FROM user_mappings`), "this version is not the one")
}

func TestBlankMappingIsWrittenForAUserWithoutATime(t *testing.T) {
	t.Parallel()
	f := newReturnFixture(t, user("1"))

	undated := user("1", func(u *vomo.User) { u.Undated, u.UpdatedAt = true, vomo.OldestTime() })

	require.Equal(t, 1, f.mustApply(t, undated).Written)
}

func TestRewriteWritesBlankMappingsWithoutEvents(t *testing.T) {
	t.Parallel()
	f := newReturnFixture(t, users(2)...)

	outcome, err := f.apply(t, page(1, users(2)...), f.rewriteOptions(t))

	require.NoError(t, err)
	require.Equal(t, 2, outcome.Written)
	require.Empty(t, f.published(t))
	require.Equal(t, 2, f.mustApply(t, users(2)...).Skipped)
}

func TestProbeRewritesTheVersionOfABlankMapping(t *testing.T) {
	t.Parallel()
	f := newReturnFixture(t, user("1"))

	result, err := f.ProbeDestination(t.Context(), user("1"))
	require.NoError(t, err)
	require.Equal(t, mirror.ProbeAccepted, result)

	result, err = f.ProbeDestination(t.Context(), user("1", updatedAfter(time.Minute)))
	require.NoError(t, err)
	require.Equal(t, mirror.ProbeInconclusive, result)
}
