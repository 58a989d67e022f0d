package job_test

import (
	"context"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"rollcall.dev/pkg/job"
	"rollcall.dev/pkg/mappingarchive"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/worker"
)

func TestPollReadsChangedUsersAndMovesCheckpointWithLastPage(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.sides.change(checkpoint.Add(-time.Hour), "before", "98", "99")
	f.sides.change(checkpoint.Add(time.Minute), "now", ids(40)...)
	f.sides.set(func(w *sides) {
		w.onPage = func(page int) {
			if page == 3 {
				require.Equal(t, checkpoint, f.checkpoint(), "not before the last page is committed")
			}
		}
	})

	f.polled()

	require.Equal(t, ids(40), f.mapped())
	require.True(t, f.checkpoint().After(checkpoint))
	require.Equal(t, []string{"user_sync_poll success 40 0"}, f.jobs())
	require.Empty(t, f.run())
	require.Len(t, values[time.Time](f, `SELECT last_polled_at FROM sync_configs WHERE caught_up_at IS NOT NULL`), 1)
	asked, written := f.sides.saw()
	require.Len(t, written, 40)
	for _, query := range asked {
		require.Contains(t, query, "updated_after=2026-03-01T12%3A00%3A00Z")
	}
}

func TestUsersAtTheCheckpointAreReadAgainAndWrittenOnce(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.sides.change(checkpoint, "a", "1", "2")
	f.polled()
	f.exec(`UPDATE sync_checkpoints SET checkpoint = $1`, checkpoint) // the overlap
	f.sides.change(checkpoint, "edited in the same second", "2")
	f.sides.saw()

	f.polled()

	_, written := f.sides.saw()
	require.Equal(t, []string{"2"}, written)
}

func TestPollRequestForInactiveCustomerIsAckedWithoutCallingVOMO(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]string{
		"unknown":                   `UPDATE sync_configs SET customer_id = 'another'`,
		"paused":                    `UPDATE sync_configs SET paused_at = now()`,
		"switched off":              `UPDATE sync_configs SET enabled = false`,
		"offboarded":                `UPDATE sync_configs SET offboarded_at = now()`,
		"not backfilled":            `UPDATE sync_configs SET backfill_completed_at = NULL`,
		"with an old wake-up alone": `DELETE FROM runs`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			f.exec(change)
			run := int64(0)
			if name == "with an old wake-up alone" {
				run = 17
			}

			require.NoError(t, f.runner.Work(t.Context(), &worker.Delivery{}, "acme", run))

			asked, _ := f.sides.saw()
			require.Empty(t, asked)
			require.Empty(t, f.run())
			audited := values[string](f, `SELECT outcome || ' ' || code FROM operator_audit`)
			switch name {
			case "unknown":
				require.Equal(t, []string{"rejected unknown_customer"}, audited)
			case "with an old wake-up alone":
				require.Empty(t, audited)
			default:
				require.Equal(t, []string{"rejected customer_not_served"}, audited)
			}
		})
	}
}

func TestRequestPublishedByHandIsAuditedOnce(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.sides.change(checkpoint.Add(time.Minute), "now", ids(3)...)
	byHand := &worker.Delivery{
		Subject: "rollcall.poll.request.acme", Stream: "ROLLCALL_POLL", Sequence: 7, Published: checkpoint,
		Header: map[string][]string{"Rollcall-Operator": {"ana@ops-1"}},
	}
	require.NoError(t, f.runner.Work(t.Context(), byHand, "acme", 0))
	require.NoError(t, f.runner.Work(t.Context(), byHand, "acme", 0))
	require.NoError(t, f.runner.Work(t.Context(), &worker.Delivery{Stream: "ROLLCALL_POLL", Sequence: 8}, "acme", 17))
	require.Equal(t, []string{"ana@ops-1 message poll.request acme done"},
		values[string](f, `SELECT concat_ws(' ', operator, via, verb, customer_id, outcome, code) FROM operator_audit`))
}

func TestLetterIsCommittedBeforeCheckpointPassesItsRecord(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.sides.change(checkpoint.Add(time.Minute), "x", ids(3)...)
	f.sides.set(func(w *sides) {
		w.crm = func(id string) int {
			if id == "2" {
				require.Equal(t, checkpoint, f.checkpoint())
				return http.StatusUnprocessableEntity
			}
			return 0
		}
	})

	f.polled()

	require.Equal(t, []string{"2 review"}, values[string](f, `SELECT record_id || ' ' || state FROM dead_letters`))
	require.Equal(t, []bool{true}, values[bool](f, `SELECT d.xmin = p.xmin FROM dead_letters d, sync_checkpoints p`), "of one page, at once")
	require.Equal(t, []string{"user_sync_poll success 3 1"}, f.jobs())
}

func TestInterruptedPollContinuesAfterLastCommittedPage(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.runner.Connect.Concurrency = 1 // a killed write that the other side hears of later would be counted as one of the successor's
	f.sides.change(checkpoint.Add(time.Minute), "x", ids(45)...)
	ctx, kill := context.WithCancel(t.Context())
	f.sides.set(func(w *sides) {
		w.crm = func(id string) int {
			if id == "40" {
				kill()
			}
			return 0
		}
	})

	require.NoError(t, f.runner.Work(ctx, &worker.Delivery{}, "acme", 0), "handed back")

	require.Equal(t, "parked pages 2 attempts 0 parks 0", f.run(), "due in a moment, at no cost")
	f.sides.set(func(w *sides) { w.crm = nil })
	f.sides.saw()
	f.polled()
	require.Equal(t, ids(45), f.mapped())
	_, written := f.sides.saw()
	require.LessOrEqual(t, len(written), 15, "no committed page is written again")
	require.Subset(t, ids(45)[30:], written)
	require.Equal(t, []string{"user_sync_poll success 45 0"}, f.jobs(), "one line for one poll")
}

func TestDestinationThatIsDownParksPollAndOpensNoLetter(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.sides.change(checkpoint.Add(time.Minute), "x", ids(12)...)
	f.sides.set(func(w *sides) { w.crm = func(string) int { return http.StatusUnauthorized } })

	f.polled()

	require.Equal(t, "parked destination_auth_failed pages 0 attempts 0 parks 1", f.run())
	require.Equal(t, checkpoint, f.checkpoint())
	require.Empty(t, values[string](f, `SELECT record_id FROM dead_letters`))
	require.Equal(t, []string{"destination_auth_failed"}, values[string](f, `SELECT type FROM alerts WHERE cleared_at IS NULL`))

	require.NoError(t, f.runner.Work(t.Context(), &worker.Delivery{}, "acme", values[int64](f, `SELECT id FROM runs`)[0]))
	require.Equal(t, "parked destination_auth_failed pages 0 attempts 0 parks 1", f.run(), "an old wake-up does not try before its time")

	f.sides.set(func(w *sides) { w.crm = nil })
	f.polled()
	require.Empty(t, f.run())
	require.Equal(t, ids(12), f.mapped())
	require.Empty(t, values[string](f, `SELECT type FROM alerts WHERE cleared_at IS NULL`))
	require.Equal(t, []string{"user_sync_poll success 12 0"}, f.jobs())
}

func TestFailingVOMOParksPollForLongerEachTimeAndNeverEndsIt(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.sides.set(func(w *sides) { w.vomo = func(int) int { return http.StatusNotFound } })
	for parks := range 12 {
		f.polled()
		require.Contains(t, f.run(), "parked vomo_unavailable pages 0 attempts 0 parks ", parks)
	}
	require.InDelta(t, 300, values[float64](f, `SELECT extract(epoch FROM due_at - updated_at)::float8 FROM runs`)[0], 1)
	require.Empty(t, values[string](f, `SELECT type FROM alerts`), "poll_stalled is raised for polls that do not finish")
}

func TestAnotherJobGetsLaneWhenPagesInFlightAreCommitted(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.sides.change(checkpoint.Add(time.Minute), "x", ids(150)...)
	f.sides.set(func(w *sides) {
		w.crm = func(id string) int {
			if id == "1" {
				_, err := f.store.TakeLease(t.Context(), "acme", "another", time.Minute)
				require.ErrorIs(t, err, store.ErrLaneTaken)
			}
			return 0
		}
	})

	f.polled()

	require.Contains(t, f.run(), "parked lane_wanted")
	require.LessOrEqual(t, values[int](f, `SELECT pages FROM runs`)[0], 4, "those that were paid for are not thrown away")
	lease, err := f.store.TakeLease(t.Context(), "acme", "another", time.Minute)
	require.NoError(t, err)
	require.Error(t, f.poll(), "the lane is the other's now; the message comes back")
	require.NoError(t, lease.Release(t.Context()))
	f.sides.set(func(w *sides) { w.crm = nil })
	f.polled()
	require.Equal(t, ids(150), f.mapped())
}

func TestWorkerThatLostLaneCommitsNothing(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.sides.change(checkpoint.Add(time.Minute), "x", ids(5)...)
	f.sides.set(func(w *sides) {
		w.crm = func(id string) int {
			if id == "5" {
				f.exec(`UPDATE customer_leases SET epoch = epoch + 1`)
			}
			return 0
		}
	})

	require.ErrorIs(t, f.poll(), store.ErrLaneLost)

	require.Empty(t, f.mapped())
	require.Equal(t, checkpoint, f.checkpoint())
}

func TestUserThatDeletionMovesToReadPageIsNotMissed(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.sides.change(checkpoint.Add(time.Minute), "x", ids(400)...)
	f.sides.set(func(w *sides) {
		w.onPage = func(page int) {
			if page == 12 {
				w.remove(3)
			}
		}
	})

	f.polled()

	require.Subset(t, f.mapped(), append(ids(2), ids(400)[3:]...))
}

func TestPollClaimedTooOftenWithoutPageIsGivenUpAndNextStartsAtSameCheckpoint(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.sides.change(checkpoint.Add(time.Minute), "x", "1")
	f.sides.set(func(w *sides) { w.vomo = func(int) int { return http.StatusNotFound } })
	f.polled()
	f.exec(`UPDATE runs SET attempts = 10`)

	f.polled()

	require.Empty(t, f.run())
	require.Equal(t, []string{"user_sync_poll failed 0 0 too_many_attempts"}, f.jobs())
	require.Equal(t, checkpoint, f.checkpoint())
	f.sides.set(func(w *sides) { w.vomo = nil })
	f.polled()
	require.Equal(t, []string{"1"}, f.mapped())
}

func TestNewTokenMakesParkedRunsDueAtOnce(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.sides.set(func(w *sides) { w.token = "another" })
	f.polled()
	require.Equal(t, "parked auth_failed pages 0 attempts 0 parks 1", f.run())
	require.Equal(t, []string{"auth_failed"}, values[string](f, `SELECT disabled_reason FROM sync_configs WHERE NOT enabled`))

	require.NoError(t, f.store.InTx(t.Context(), func(ctx context.Context, tx *store.Tx) error { return job.Unpark(ctx, tx, "acme") }))

	require.Equal(t, "queued auth_failed pages 0 attempts 0 parks 0", f.run())
	require.Equal(t, []string{"rollcall.poll.request.acme"}, values[string](f, `SELECT subject FROM outbox WHERE subject LIKE 'rollcall.poll.%'`))
}

func TestUnconfirmedTokenRejectionDoesNotSwitchCustomerOff(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.sides.set(func(w *sides) { w.revoked = 1 })

	f.polled()

	require.Equal(t, "parked vomo_unavailable pages 0 attempts 0 parks 1", f.run())
	require.Equal(t, []bool{true}, values[bool](f, `SELECT enabled FROM sync_configs`))
	require.Empty(t, values[string](f, `SELECT type FROM alerts`))
}

func TestAnotherJobGetsLaneWhileWindowsAreCounted(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	for i := range 45 { // three windows, by when they joined
		f.sides.join(20, founded.Add(time.Duration(i)*time.Hour), checkpoint.Add(time.Minute))
	}
	counting, pages := false, 0
	f.sides.set(func(w *sides) {
		w.onQuery = func(query url.Values) {
			if query.Get("created_before") == "" && query.Get("created_after") == "" {
				return
			}
			if !counting {
				_, err := f.store.TakeLease(t.Context(), "acme", "another", time.Minute)
				require.ErrorIs(t, err, store.ErrLaneTaken)
				counting = true
			}
			pages++
		}
	})

	f.polled()

	require.True(t, counting, "there were windows to count")
	require.Contains(t, f.run(), "parked lane_wanted")
	require.LessOrEqual(t, pages, 2, "the page in hand, and no other window")
	f.sides.set(func(w *sides) { w.onQuery = nil })
	f.polled()
	require.Empty(t, f.run())
	require.Len(t, f.mapped(), 900)
}

func TestPollOfAReturnedCustomerRestoresItsArchiveAndWritesOnlyWhatChanged(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.sides.change(checkpoint.Add(time.Minute), "before", ids(40)...)
	f.polled()
	f.exec(`UPDATE sync_configs SET paused_at = now() - interval '40 days', updated_at = now() - interval '40 days', last_polled_at = now() - interval '41 days'`)
	archiver := &mappingarchive.Archiver{
		Store: f.store, Vault: f.runner.Connect.Vault, Logger: zap.NewNop(), Holder: "archiver", LeaseFor: time.Minute, After: 30 * 24 * time.Hour,
	}
	require.NoError(t, archiver.Round(t.Context()))
	require.Empty(t, f.mapped())

	f.exec(`UPDATE sync_configs SET paused_at = NULL, updated_at = now()`)
	f.exec(`UPDATE sync_checkpoints SET checkpoint = $1`, checkpoint) // all users are read again
	f.sides.change(checkpoint.Add(2*time.Minute), "meanwhile", "7")
	f.sides.saw()
	f.polled()

	require.Equal(t, ids(40), f.mapped())
	_, written := f.sides.saw()
	require.Equal(t, []string{"7"}, written, "the others are known")
	require.Equal(t, []int{0}, values[int](f, `SELECT count(*) FROM mapping_archives`))
}
