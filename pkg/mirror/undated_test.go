package mirror_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/vomo"
)

// undated is how a user is read that VOMO shows without updated_at.
func undated(u *vomo.User) { u.UpdatedAt, u.Undated = u.CreatedAt, true }

func TestAChangeOfAUserThatLostItsTimeArrives(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.applied(t, user("1"), user("2", undated))

	outcome := h.applied(t, user("1", undated, named("Rosa")), user("2", undated, named("Mei")))
	require.Equal(t, 2, outcome.Written)
	require.Equal(t, "Rosa", *h.crm.record("1").FirstName)
	require.Equal(t, "Mei", *h.crm.record("2").FirstName)
	require.Equal(t, noon, h.storedAt(t)[0], "the stored time does not go back")

	h.crm.forget()
	outcome = h.applied(t, user("1", undated, named("Rosa")), user("2", undated, named("Mei")))
	require.Equal(t, 2, outcome.Skipped)
	require.Empty(t, h.crm.saw())

	outcome = h.applied(t, user("1", after(time.Minute), named("Ana")))
	require.Equal(t, 1, outcome.Written, "a time that comes back counts")
	outcome = h.applied(t, user("1", named("Rosa")))
	require.Equal(t, 1, outcome.Skipped, "an older version that has a time still loses")
}
