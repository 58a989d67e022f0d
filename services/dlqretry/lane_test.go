package main

import (
	"errors"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/job"
	"rollcall.dev/pkg/store"
)

func TestAWriteThatWasNotCommittedLeavesTheLetterOpenAndIsMadeAgain(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	id := d.letter(t, "acme", "1", true)
	d.set(func() {
		d.crm = func(string, string) (int, string) {
			// As after a kill, or a sleep: somebody else has the lane before the page is committed.
			_, err := d.pool.Exec(t.Context(), `UPDATE customer_leases SET epoch = epoch + 1, expires_at = rollcall_now()`)
			if err != nil {
				t.Error(err)
			}
			return http.StatusOK, `{"id":"crm"}`
		}
	})
	require.Equal(t, ended{hold: laneLostPause, reason: heldLaneLost}, d.turn(t, "acme", 0, ""))
	require.Equal(t, "waiting", d.state(t, id))
	require.Equal(t, 1, d.attempts(t, id))
	require.Zero(t, value[int](t, d, `SELECT count(*) FROM user_mappings`))

	d.crmSays(http.StatusOK, `{"id":"crm"}`)
	require.Equal(t, ended{}, d.turn(t, "acme", 0, ""))
	require.Equal(t, "retried", d.state(t, id))
	require.Equal(t, d.wrote()[0], d.wrote()[1], "idempotent by the record's version")
}

func TestATurnYieldsTheLaneAndKeepsWhatItHasRead(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	for i := range atOnce {
		d.letter(t, "acme", strconv.Itoa(i), true)
	}
	d.set(func() {
		d.vomo = func(string) int {
			if _, err := d.store.TakeLease(t.Context(), "acme", "poller", claimTimeout); !errors.Is(err, store.ErrLaneTaken) {
				t.Error(err)
			}
			<-time.After(lookAtLaneEvery) // a slow VOMO
			return 0
		}
	})

	require.Equal(t, ended{hold: job.WantedPause}, d.turn(t, "acme", 0, ""))

	require.Equal(t, 1, value[int](t, d, `SELECT count(*) FROM dead_letters WHERE settled_how = 'retried'`))
	require.Equal(t, atOnce-1, value[int](t, d, `SELECT count(*) FROM dead_letters WHERE state = 'waiting' AND attempts = 1`))
	lease, err := d.store.TakeLease(t.Context(), "acme", "poller", claimTimeout)
	require.NoError(t, err)
	require.NoError(t, lease.Release(t.Context()))
}
