package mirror_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/mirror"
	"rollcall.dev/pkg/vomo"
)

func TestADestinationIsTriedByARecordThatItHas(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.applied(t, user("1"))
	asked := len(h.crm.asked)
	before := values[time.Time](t, h, `SELECT last_synced_at FROM user_mappings`)

	trial, err := h.Works(t.Context(), user("1"))
	require.NoError(t, err)
	require.Equal(t, mirror.Taken, trial)
	require.Len(t, h.crm.asked, asked+1)
	require.Equal(t, before, values[time.Time](t, h, `SELECT last_synced_at FROM user_mappings`), "nothing is remembered")

	h.crm.says(unprocessable, "")
	trial, err = h.Works(t.Context(), user("1"))
	require.NoError(t, err, "it refuses this one")
	require.Equal(t, mirror.Refused, trial)
	h.crm.says(http.StatusServiceUnavailable, "")
	_, err = h.Works(t.Context(), user("1"))
	require.ErrorIs(t, err, mirror.ErrDestinationDown)
	h.crm.says(http.StatusUnauthorized, "")
	_, err = h.Works(t.Context(), user("1"))
	require.ErrorIs(t, err, mirror.ErrDestinationAuth)
}

func TestADestinationIsNotTriedByARecordThatItHasNot(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	changed := user("1")
	h.applied(t, changed)
	asked := len(h.crm.asked)
	changed.UpdatedAt = changed.UpdatedAt.Add(time.Second)
	older := user("1")
	older.UpdatedAt = older.UpdatedAt.Add(-time.Second)

	for why, one := range map[string]vomo.User{
		"nobody knows it": user("2"), "a newer version is a page's to bring": changed, "an older one nobody's": older,
	} {
		trial, err := h.Works(t.Context(), one)
		require.NoError(t, err)
		require.Equal(t, mirror.Untried, trial, why)
	}
	require.Len(t, h.crm.asked, asked)
}
