package retry

import (
	"errors"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/job"
	"rollcall.dev/pkg/round"
	"rollcall.dev/pkg/store"
)

func TestWriteWithoutCommitIsRepeated(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	id := f.letter(t, "acme", "1", true)
	f.set(func() {
		f.crm = func(string, string) (int, string) {
			// As after a kill or a sleep, another job takes the lane before the page is committed.
			_, err := f.pool.Exec(t.Context(), `UPDATE customer_leases SET epoch = epoch + 1, expires_at = rollcall_now()`)
			if err != nil {
				t.Error(err)
			}
			return http.StatusOK, `{"id":"crm"}`
		}
	})
	require.Equal(t, round.End{Hold: round.LaneLostPause, Reason: round.HeldLaneLost}, f.round(t, "acme", 0, ""))
	require.Equal(t, "waiting", f.state(t, id))
	require.Equal(t, 1, f.attempts(t, id))
	require.Zero(t, value[int](t, f, `SELECT count(*) FROM user_mappings`))

	f.crmSays(http.StatusOK, `{"id":"crm"}`)
	require.Equal(t, round.End{}, f.round(t, "acme", 0, ""))
	require.Equal(t, "retried", f.state(t, id))
	require.Equal(t, f.wrote()[0], f.wrote()[1], "idempotent by the record's version")
}

func TestRoundYieldsLaneAndWritesWhatItHasRead(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	for i := range lettersPerPage {
		f.letter(t, "acme", strconv.Itoa(i), true)
	}
	f.set(func() {
		f.vomo = func(string) int {
			if _, err := f.store.TakeLease(t.Context(), "acme", "poller", claimTimeout); !errors.Is(err, store.ErrLaneTaken) {
				t.Error(err)
			}
			<-time.After(time.Second) // a slow VOMO
			return 0
		}
	})

	require.Equal(t, round.End{Hold: job.WantedPause}, f.round(t, "acme", 0, ""))

	require.Equal(t, 1, value[int](t, f, `SELECT count(*) FROM dead_letters WHERE settled_how = 'retried'`))
	require.Equal(t, lettersPerPage-1, value[int](t, f, `SELECT count(*) FROM dead_letters WHERE state = 'waiting' AND attempts = 1`))
	lease, err := f.store.TakeLease(t.Context(), "acme", "poller", claimTimeout)
	require.NoError(t, err)
	require.NoError(t, lease.Release(t.Context()))
}
