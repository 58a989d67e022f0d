package mirror_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/mirror"
	"rollcall.dev/pkg/vomo"
)

func TestProbeRewritesAnUnchangedRecordAndStoresNothing(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.mustApply(t, user("1"))
	sent := len(f.crm.requested)
	before := queryColumn[time.Time](t, f, `SELECT last_synced_at FROM user_mappings`)

	result, err := f.ProbeDestination(t.Context(), user("1"))
	require.NoError(t, err)
	require.Equal(t, mirror.ProbeAccepted, result)
	require.Len(t, f.crm.requested, sent+1)
	require.Equal(t, before, queryColumn[time.Time](t, f, `SELECT last_synced_at FROM user_mappings`), "the mapping does not change")

	f.crm.respond(unprocessable, "")
	result, err = f.ProbeDestination(t.Context(), user("1"))
	require.NoError(t, err, "a rejection is an answer")
	require.Equal(t, mirror.ProbeRejected, result)
	f.crm.respond(http.StatusServiceUnavailable, "")
	_, err = f.ProbeDestination(t.Context(), user("1"))
	require.ErrorIs(t, err, mirror.ErrDestinationDown)
	f.crm.respond(http.StatusUnauthorized, "")
	_, err = f.ProbeDestination(t.Context(), user("1"))
	require.ErrorIs(t, err, mirror.ErrDestinationAuth)
}

func TestProbeOfAVersionThatIsNotMappedIsInconclusive(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	changed := user("1")
	f.mustApply(t, changed)
	sent := len(f.crm.requested)
	changed.UpdatedAt = changed.UpdatedAt.Add(time.Second)
	older := user("1")
	older.UpdatedAt = older.UpdatedAt.Add(-time.Second)

	for name, user := range map[string]vomo.User{
		"no mapping": user("2"), "newer than the mapping": changed, "older than the mapping": older,
	} {
		result, err := f.ProbeDestination(t.Context(), user)
		require.NoError(t, err)
		require.Equal(t, mirror.ProbeInconclusive, result, name)
	}
	require.Len(t, f.crm.requested, sent)
}
