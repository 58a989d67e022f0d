package job_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/job"
	"rollcall.dev/pkg/store"
)

func TestPausedCustomersPageIsNotCommittedAndResumedRunContinuesFromCursor(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.sides.change(checkpoint.Add(time.Minute), "x", ids(40)...)
	f.sides.set(func(w *sides) {
		w.crm = func(id string) int {
			if id == "20" {
				require.NoError(t, f.store.InTx(t.Context(), func(ctx context.Context, tx *store.Tx) error {
					if err := tx.FenceLane(ctx, "acme"); err != nil {
						return err
					}
					_, err := tx.PauseCustomer(ctx, "acme")
					return err
				}))
			}
			return 0
		}
	})

	require.ErrorIs(t, f.poll(), store.ErrLaneLost)

	require.Equal(t, ids(15), f.mapped(), "the page in hand was not committed")
	f.sides.set(func(w *sides) { w.crm = nil })
	f.sides.saw()
	f.polled()
	asked, _ := f.sides.saw()
	require.Empty(t, asked, "the message comes once more, and is settled")
	require.Equal(t, "running pages 1 attempts 0 parks 0", f.run(), "the run stays open")

	require.NoError(t, f.store.InTx(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		if err := job.Requeue(ctx, tx, "acme"); err != nil {
			return err
		}
		_, err := tx.ResumeCustomer(ctx, "acme")
		return err
	}))
	require.Equal(t, []string{"rollcall.poll.request.acme"}, values[string](f, `SELECT subject FROM outbox WHERE subject LIKE 'rollcall.poll.%'`))
	f.polled()
	require.Equal(t, ids(40), f.mapped())
	require.Equal(t, []string{"user_sync_poll success 40 0"}, f.jobs(), "one line for one poll")
}

func TestTokenRejectionThatIsFollowedByAnotherStatusIsNotConfirmed(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.sides.set(func(w *sides) {
		w.vomo = func(int) int { return map[int]int{1: http.StatusForbidden, 2: http.StatusUnauthorized}[len(w.asked)] }
	})

	f.polled()

	require.Equal(t, "parked vomo_unavailable pages 0 attempts 0 parks 1", f.run())
	require.Equal(t, []bool{true}, values[bool](f, `SELECT enabled FROM sync_configs`), "a token is called bad after it was refused as such twice")
}
