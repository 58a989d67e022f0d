package job_test

import (
	"context"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/job"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/worker"
)

func TestAPollReadsWhoChangedAndMovesTheCheckpointWithItsLastPage(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.world.change(checkpoint.Add(-time.Hour), "before", "98", "99")
	h.world.change(checkpoint.Add(time.Minute), "now", ids(40)...)
	h.world.set(func(w *world) {
		w.onPage = func(page int) {
			if page == 3 {
				require.Equal(t, checkpoint, h.checkpoint(), "not before the last page is committed")
			}
		}
	})

	h.polled()

	require.Equal(t, ids(40), h.mapped())
	require.True(t, h.checkpoint().After(checkpoint))
	require.Equal(t, []string{"user_sync_poll success 40 0"}, h.jobs())
	require.Empty(t, h.run())
	require.Len(t, values[time.Time](h, `SELECT last_polled_at FROM sync_configs WHERE caught_up_at IS NOT NULL`), 1)
	asked, written := h.world.saw()
	require.Len(t, written, 40)
	for _, query := range asked {
		require.Contains(t, query, "updated_after=2026-03-01T12%3A00%3A00Z")
	}
}

func TestUsersAtTheBoundaryComeBackAndAreWrittenOnce(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.world.change(checkpoint, "a", "1", "2")
	h.polled()
	h.exec(`UPDATE sync_checkpoints SET checkpoint = $1`, checkpoint) // the overlap
	h.world.change(checkpoint, "edited in the same second", "2")
	h.world.saw()

	h.polled()

	_, written := h.world.saw()
	require.Equal(t, []string{"2"}, written)
}

func TestWhatIsAskedForSomebodyWhoIsNotPolledIsSettledWithoutARequest(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]string{
		"unknown":                   `UPDATE sync_configs SET customer_id = 'another'`,
		"paused":                    `UPDATE sync_configs SET paused_at = now()`,
		"switched off":              `UPDATE sync_configs SET enabled = false`,
		"offboarded":                `UPDATE sync_configs SET offboarded_at = now()`,
		"not backfilled":            `UPDATE sync_configs SET backfill_completed_at = NULL`,
		"with an old wake-up alone": `DELETE FROM sync_runs`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t)
			h.exec(change)
			run := int64(0)
			if name == "with an old wake-up alone" {
				run = 17
			}

			require.NoError(t, h.runner.Work(t.Context(), &worker.Delivery{}, "acme", run))

			asked, _ := h.world.saw()
			require.Empty(t, asked)
			require.Empty(t, h.run())
		})
	}
}

func TestALetterIsDurableBeforeTheCheckpointPassesItsRecord(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.world.change(checkpoint.Add(time.Minute), "x", ids(3)...)
	h.world.set(func(w *world) {
		w.crm = func(id string) int {
			if id == "2" {
				require.Equal(t, checkpoint, h.checkpoint())
				return http.StatusUnprocessableEntity
			}
			return 0
		}
	})

	h.polled()

	require.Equal(t, []string{"2 review"}, values[string](h, `SELECT record_id || ' ' || state FROM dead_letters`))
	require.Equal(t, []bool{true}, values[bool](h, `SELECT d.xmin = p.xmin FROM dead_letters d, sync_checkpoints p`), "of one page, at once")
	require.Equal(t, []string{"user_sync_poll success 3 1"}, h.jobs())
}

func TestAPollThatWasInterruptedGoesOnAfterItsLastCommittedPage(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.runner.Connect.Concurrency = 1 // a killed write that the other side hears of later would be counted as one of the successor's
	h.world.change(checkpoint.Add(time.Minute), "x", ids(45)...)
	ctx, kill := context.WithCancel(t.Context())
	h.world.set(func(w *world) {
		w.crm = func(id string) int {
			if id == "40" {
				kill()
			}
			return 0
		}
	})

	require.NoError(t, h.runner.Work(ctx, &worker.Delivery{}, "acme", 0), "handed back")

	require.Equal(t, "parked pages 2 attempts 0 parks 0", h.run(), "due in a moment, at no cost")
	h.world.set(func(w *world) { w.crm = nil })
	h.world.saw()
	h.polled()
	require.Equal(t, ids(45), h.mapped())
	_, written := h.world.saw()
	require.LessOrEqual(t, len(written), 15, "no committed page is written again")
	require.Subset(t, ids(45)[30:], written)
	require.Equal(t, []string{"user_sync_poll success 45 0"}, h.jobs(), "one line for one poll")
}

func TestADestinationThatIsDownParksThePollAndMakesNoLetter(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.world.change(checkpoint.Add(time.Minute), "x", ids(12)...)
	h.world.set(func(w *world) { w.crm = func(string) int { return http.StatusUnauthorized } })

	h.polled()

	require.Equal(t, "parked destination_auth_failed pages 0 attempts 0 parks 1", h.run())
	require.Equal(t, checkpoint, h.checkpoint())
	require.Empty(t, values[string](h, `SELECT record_id FROM dead_letters`))
	require.Equal(t, []string{"destination_auth_failed"}, values[string](h, `SELECT type FROM alerts WHERE cleared_at IS NULL`))

	require.NoError(t, h.runner.Work(t.Context(), &worker.Delivery{}, "acme", values[int64](h, `SELECT id FROM sync_runs`)[0]))
	require.Equal(t, "parked destination_auth_failed pages 0 attempts 0 parks 1", h.run(), "an old wake-up does not try before its time")

	h.world.set(func(w *world) { w.crm = nil })
	h.polled()
	require.Empty(t, h.run())
	require.Equal(t, ids(12), h.mapped())
	require.Empty(t, values[string](h, `SELECT type FROM alerts WHERE cleared_at IS NULL`))
	require.Equal(t, []string{"user_sync_poll success 12 0"}, h.jobs())
}

func TestAVOMOThatFailsParksThePollForEverLongerAndNeverGivesItUp(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.world.set(func(w *world) { w.vomo = func(int) int { return http.StatusNotFound } })
	for parks := range 12 {
		h.polled()
		require.Contains(t, h.run(), "parked vomo_unavailable pages 0 attempts 0 parks ", parks)
	}
	require.InDelta(t, 300, values[float64](h, `SELECT extract(epoch FROM due_at - updated_at)::float8 FROM sync_runs`)[0], 1)
	require.Empty(t, values[string](h, `SELECT type FROM alerts`), "polls that do not end are told by another")
}

func TestAnotherJobGetsTheLaneWhenThePagesInHandAreCommitted(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.world.change(checkpoint.Add(time.Minute), "x", ids(150)...)
	h.world.set(func(w *world) {
		w.crm = func(id string) int {
			if id == "1" {
				_, err := h.store.TakeLease(t.Context(), "acme", "another", time.Minute)
				require.ErrorIs(t, err, store.ErrLaneTaken)
			}
			return 0
		}
	})

	h.polled()

	require.Contains(t, h.run(), "parked lane_wanted")
	require.LessOrEqual(t, values[int](h, `SELECT pages FROM sync_runs`)[0], 4, "those that were paid for are not thrown away")
	lease, err := h.store.TakeLease(t.Context(), "acme", "another", time.Minute)
	require.NoError(t, err)
	require.Error(t, h.poll(), "the lane is the other's now; the message comes back")
	require.NoError(t, lease.Release(t.Context()))
	h.world.set(func(w *world) { w.crm = nil })
	h.polled()
	require.Equal(t, ids(150), h.mapped())
}

func TestAWorkerThatLostItsLaneCommitsNothing(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.world.change(checkpoint.Add(time.Minute), "x", ids(5)...)
	h.world.set(func(w *world) {
		w.crm = func(id string) int {
			if id == "5" {
				h.exec(`UPDATE customer_leases SET epoch = epoch + 1`)
			}
			return 0
		}
	})

	require.ErrorIs(t, h.poll(), store.ErrLaneLost)

	require.Empty(t, h.mapped())
	require.Equal(t, checkpoint, h.checkpoint())
}

func TestNobodyIsMissedWhomADeletionMovesToAPageThatWasRead(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.world.change(checkpoint.Add(time.Minute), "x", ids(400)...)
	h.world.set(func(w *world) {
		w.onPage = func(page int) {
			if page == 12 {
				w.remove(3)
			}
		}
	})

	h.polled()

	require.Subset(t, h.mapped(), append(ids(2), ids(400)[3:]...))
}

func TestAPollThatIsClaimedTooOftenWithoutAPageIsGivenUpAndTheNextBeginsWhereItBegan(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.world.change(checkpoint.Add(time.Minute), "x", "1")
	h.world.set(func(w *world) { w.vomo = func(int) int { return http.StatusNotFound } })
	h.polled()
	h.exec(`UPDATE sync_runs SET attempts = 10`)

	h.polled()

	require.Empty(t, h.run())
	require.Equal(t, []string{"user_sync_poll failed 0 0 too_many_attempts"}, h.jobs())
	require.Equal(t, checkpoint, h.checkpoint())
	h.world.set(func(w *world) { w.vomo = nil })
	h.polled()
	require.Equal(t, []string{"1"}, h.mapped())
}

func TestWhatWaitsForATokenIsDueAtOnceWhenOneComes(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.world.set(func(w *world) { w.token = "another" })
	h.polled()
	require.Equal(t, "parked auth_failed pages 0 attempts 0 parks 1", h.run())
	require.Equal(t, []string{"auth_failed"}, values[string](h, `SELECT disabled_reason FROM sync_configs WHERE NOT enabled`))

	require.NoError(t, h.store.InTx(t.Context(), func(ctx context.Context, tx *store.Tx) error { return job.Unpark(ctx, tx, "acme") }))

	require.Equal(t, "queued auth_failed pages 0 attempts 0 parks 0", h.run())
	require.Equal(t, []string{"rollcall.poll.request.acme"}, values[string](h, `SELECT subject FROM outbox WHERE subject LIKE 'rollcall.poll.%'`))
}

func TestARefusalOfTheTokenThatIsNotConfirmedSwitchesNobodyOff(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.world.set(func(w *world) { w.revoked = 1 })

	h.polled()

	require.Equal(t, "parked vomo_unavailable pages 0 attempts 0 parks 1", h.run())
	require.Equal(t, []bool{true}, values[bool](h, `SELECT enabled FROM sync_configs`))
	require.Empty(t, values[string](h, `SELECT type FROM alerts`))
}

func TestAnotherJobGetsTheLaneWhileWindowsAreCounted(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	for i := range 45 { // three windows, by when they joined
		h.world.join(20, founded.Add(time.Duration(i)*time.Hour), checkpoint.Add(time.Minute))
	}
	counting, pages := false, 0
	h.world.set(func(w *world) {
		w.onQuery = func(query url.Values) {
			if query.Get("created_before") == "" && query.Get("created_after") == "" {
				return
			}
			if !counting {
				_, err := h.store.TakeLease(t.Context(), "acme", "another", time.Minute)
				require.ErrorIs(t, err, store.ErrLaneTaken)
				counting = true
			}
			pages++
		}
	})

	h.polled()

	require.True(t, counting, "there were windows to count")
	require.Contains(t, h.run(), "parked lane_wanted")
	require.LessOrEqual(t, pages, 2, "the page in hand, and no other window")
	h.world.set(func(w *world) { w.onQuery = nil })
	h.polled()
	require.Empty(t, h.run())
	require.Len(t, h.mapped(), 900)
}
