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

func TestAPauseUnderAWorkerLetsNothingBeCommittedAndAResumptionGoesOnFromTheCursor(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.world.change(checkpoint.Add(time.Minute), "x", ids(40)...)
	h.world.set(func(w *world) {
		w.crm = func(id string) int {
			if id == "20" {
				require.NoError(t, h.store.InTx(t.Context(), func(ctx context.Context, tx *store.Tx) error {
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

	require.ErrorIs(t, h.poll(), store.ErrLaneLost)

	require.Equal(t, ids(15), h.mapped(), "the page in hand was not committed")
	h.world.set(func(w *world) { w.crm = nil })
	h.world.saw()
	h.polled()
	asked, _ := h.world.saw()
	require.Empty(t, asked, "the message comes once more, and is settled")
	require.Equal(t, "running pages 1 attempts 0 parks 0", h.run(), "the run stays open")

	require.NoError(t, h.store.InTx(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		if err := job.Requeue(ctx, tx, "acme"); err != nil {
			return err
		}
		_, err := tx.ResumeCustomer(ctx, "acme")
		return err
	}))
	require.Equal(t, []string{"rollcall.poll.request.acme"}, values[string](h, `SELECT subject FROM outbox WHERE subject LIKE 'rollcall.poll.%'`))
	h.polled()
	require.Equal(t, ids(40), h.mapped())
	require.Equal(t, []string{"user_sync_poll success 40 0"}, h.jobs(), "one line for one poll")
}

func TestARefusalThatBecomesAnotherIsNoConfirmation(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.world.set(func(w *world) {
		w.vomo = func(int) int { return map[int]int{1: http.StatusForbidden, 2: http.StatusUnauthorized}[len(w.asked)] }
	})

	h.polled()

	require.Equal(t, "parked vomo_unavailable pages 0 attempts 0 parks 1", h.run())
	require.Equal(t, []bool{true}, values[bool](h, `SELECT enabled FROM sync_configs`), "a token is called bad after it was refused as such twice")
}
