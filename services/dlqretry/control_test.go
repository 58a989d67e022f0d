package main

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// alone has acme a letter that waits for a destination that was down, and one user by whom it can be tried.
func alone(t *testing.T) *desk {
	t.Helper()
	d := newDesk(t)
	d.user(t, "acme", "known", march)
	d.letter(t, "acme", "1", true)
	return d
}

func TestARefusalOfTheUserByWhomADestinationIsTriedIsConfirmed(t *testing.T) {
	t.Parallel()
	for _, status := range []int{http.StatusUnauthorized, http.StatusForbidden} {
		d := alone(t)
		d.set(func() {
			d.vomo = func(path string) int {
				if path == "/known" {
					return status
				}
				return 0
			}
		})

		d.turn(t, "acme", 0, "destination_down")

		require.True(t, value[bool](t, d, `SELECT enabled FROM sync_configs`), "the token is good: a second request was not refused")
		require.Zero(t, value[int](t, d, `SELECT count(*) FROM alerts`))
		require.Equal(t, 1, value[int](t, d, `SELECT count(*) FROM dead_letters WHERE settled_how = 'retried'`))
	}
}

func TestAUserWhomVomoCannotGiveIsNotWhatADestinationIsTriedBy(t *testing.T) {
	t.Parallel()
	d := alone(t)
	d.set(func() {
		d.vomo = func(path string) int {
			if path == "/known" {
				return http.StatusUnprocessableEntity
			}
			return 0
		}
	})

	d.turn(t, "acme", 0, "destination_down")

	require.Equal(t, 1, value[int](t, d, `SELECT count(*) FROM dead_letters WHERE settled_how = 'retried'`))
}

func TestOneRecordThatNobodyCanWriteAnyMoreIsNoDestinationThatIsDown(t *testing.T) {
	t.Parallel()
	d := alone(t)
	d.user(t, "acme", "aged", march) // before the other in every order
	d.crmSays(http.StatusInternalServerError, "", "1", "aged")

	require.Eventually(t, func() bool {
		d.turn(t, "acme", 1, "destination_down")
		return value[int](t, d, `SELECT attempts FROM dead_letters`) == 2
	}, within, 50*time.Millisecond, "it is tried by another one, too")
}
