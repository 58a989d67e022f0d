package store_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/store"
)

// The statements of a service of the version before.
const (
	oldBackfill = `WITH job AS (INSERT INTO job_log (customer_id, job, started_at) VALUES ($1, 'initial_backfill', rollcall_now()) RETURNING id)
		INSERT INTO backfill_runs (customer_id, job_id, trace_id, state, due_at, created_at, updated_at)
		SELECT $1, id, 'trace-' || $1, 'queued', at AS due, at AS created, at FROM job, test_clock RETURNING id`
	oldPoll = `WITH job AS (INSERT INTO job_log (customer_id, job, started_at) VALUES ($1, 'user_sync_poll', rollcall_now()) RETURNING id)
		INSERT INTO sync_runs (customer_id, kind, job_id, trace_id, state, updated_after, covered_until, due_at, created_at, updated_at)
		SELECT $1, 'poll', id, 'trace-' || $1, 'queued', at - interval '1 hour', at AS covered, at AS due, at AS created, at FROM job, test_clock RETURNING id`
	oldAdvance = `WITH advanced AS (UPDATE backfill_runs SET next_page = next_page + 1, pages = pages + 1
		WHERE customer_id = $1 AND state = 'running' AND epoch = $2 RETURNING id)
		SELECT CASE count(*) WHEN 1 THEN 1 ELSE lane_lost() END FROM advanced`
)

func (f *fixture) moveAll(t testing.TB) {
	t.Helper()
	for _, kind := range append(store.ScheduledKinds(), store.KindBackfill) {
		require.NoError(t, f.MoveRuns(t.Context(), kind))
	}
}

func (f *fixture) open(t testing.TB, customer, kind string) store.Run {
	t.Helper()
	run, err := f.OpenRun(t.Context(), customer, kind)
	require.NoError(t, err)
	return run
}

func TestMovedBackfillKeepsAllThatItHas(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	id := value[int64](t, f, oldBackfill, "acme")
	f.exec(t, `UPDATE backfill_runs SET state = 'parked', phase = 'windows', next_page = 7, last_total = 310, furthest_page = 21, steps_back = 2,
		reread_pages = 3, stale_pages = 1, doubt = true, window_from = '2025-01-02 03:04:05Z', window_to = '2025-02-02 03:04:05Z', window_unit = 'day',
		window_reading = true, window_total = 12, window_tries = 2, unsettled = 1, pass = 4, scan_started_at = '2026-03-02 09:00:00Z',
		highest_seen = '2026-03-01 10:00:00Z', pages = 22, processed = 300, written = 200, skipped = 90, failures = 10, recovered = 5, attempts = 2,
		parks = 3, park_reason = 'vomo_unavailable', park_detail = 'VOMO answered 502', park_since = '2026-03-02 09:10:00Z', refusals = 2,
		due_at = '2026-03-02 09:40:00Z', active_seconds = 12.5, epoch = 6, started_at = '2026-03-02 08:59:00Z', rewrite_before = '2026-03-02 08:00:00Z',
		new_system = true`)
	before := f.open(t, "acme", store.KindBackfill)
	require.Equal(t, id, before.ID)
	require.Equal(t, []any{7, 21, 4, "windows"}, []any{before.NextPage, before.FurthestPage, before.Pass, string(before.Phase)}, "it is shown before it is moved")

	f.moveAll(t)
	f.moveAll(t) // again changes nothing

	require.Equal(t, before, f.open(t, "acme", store.KindBackfill))
	require.Equal(t, before, f.run(t, id), "and by its id")
	require.Zero(t, value[int](t, f, `SELECT count(*) FROM backfill_runs`))
	require.Equal(t, int64(6), value[int64](t, f, `SELECT epoch FROM runs`))
}

func TestMovedPollKeepsAllThatItHasAndGetsAnIDOfItsOwn(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	backfill := value[int64](t, f, oldBackfill, "globex")
	poll := value[int64](t, f, oldPoll, "acme")
	require.Equal(t, backfill, poll, "each table of the version before counts by itself")
	f.exec(t, `UPDATE sync_runs SET cursor = '{"nextPage":4,"pass":1}', pages = 3, processed = 45, written = 40, failures = 5, attempts = 1, parks = 2,
		park_reason = 'vomo_throttled', park_detail = 'slower', park_since = '2026-03-02 09:00:00Z', refusals = 1, scan_started_at = '2026-03-02 09:00:00Z',
		highest_seen = '2026-03-02 08:00:00Z', epoch = 3`)
	before := f.open(t, "acme", store.KindPoll)

	f.moveAll(t)

	after := f.open(t, "acme", store.KindPoll)
	require.Greater(t, after.ID, poll)
	before.ID = after.ID
	require.Equal(t, before, after)
	require.Equal(t, backfill, f.open(t, "globex", store.KindBackfill).ID, "a backfill keeps the id that people saw")
	require.Zero(t, value[int](t, f, `SELECT count(*) FROM sync_runs`))
}

func TestRunsOfAWorkerOfTheVersionBeforeAreMovedWhenItsLeaseEnded(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	value[int64](t, f, oldBackfill, "acme")
	slept := f.lease(t, "acme")
	f.exec(t, `UPDATE backfill_runs SET state = 'running', attempts = 1, epoch = $1, next_page = 5`, slept.Epoch)
	commit := func(ctx context.Context, tx *store.Tx) error {
		_, err := tx.Statements().Exec(ctx, oldAdvance, "acme", slept.Epoch)
		return err
	}

	f.moveAll(t)
	require.Equal(t, 1, value[int](t, f, `SELECT count(*) FROM backfill_runs`), "its worker is at work")
	require.NoError(t, f.InLane(t.Context(), slept, commit), "and commits its pages")

	f.advance(t, time.Minute) // it sleeps past its lease
	f.moveAll(t)

	require.Equal(t, 6, f.open(t, "acme", store.KindBackfill).NextPage, "after its last committed page")
	require.ErrorIs(t, f.InLane(t.Context(), slept, commit), store.ErrLaneLost, "it commits nothing more")
	require.ErrorIs(t, f.InTx(t.Context(), commit), store.ErrLaneLost, "also because its run is gone")
	present := f.lease(t, "acme")
	require.Greater(t, present.Epoch, slept.Epoch+1, "the move had an epoch of its own")
	claimed, err := f.claim(t, "acme", present.Epoch)
	require.NoError(t, err)
	require.Equal(t, 6, claimed.NextPage)
	require.Equal(t, 2, claimed.Attempts)
}

func TestClaimMovesARunThatWasAddedByTheVersionBefore(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.moveAll(t)
	id := value[int64](t, f, oldBackfill, "acme") // after the service of this version has started
	lease := f.lease(t, "acme")

	run, err := f.claim(t, "acme", lease.Epoch)

	require.NoError(t, err)
	require.Equal(t, id, run.ID)
	require.NoError(t, f.InLane(t.Context(), lease, func(ctx context.Context, tx *store.Tx) error {
		return tx.AdvanceRun(ctx, run.ID, lease.Epoch, store.Advance{Cursor: store.Cursor{NextPage: 2}})
	}))
}

func TestRunOfTheVersionBeforeIsDroppedBesideAnUnfinishedOne(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.exec(t, `INSERT INTO sync_checkpoints VALUES ('acme', 'user_sync', now(), now())`)
	value[int64](t, f, oldPoll, "acme")
	value[int64](t, f, oldBackfill, "acme")
	f.moveAll(t)
	poll, backfill := f.open(t, "acme", store.KindPoll), f.open(t, "acme", store.KindBackfill)
	f.do(t, func(ctx context.Context, tx *store.Tx) error {
		started, err := tx.StartRuns(ctx, store.RunStart{Kind: store.KindPoll, Job: store.JobPoll, Customers: []string{"acme"}, TraceIDs: []string{"t"}})
		require.Empty(t, started)
		return err
	})
	value[int64](t, f, oldPoll, "acme") // the version before does not see that one is unfinished
	value[int64](t, f, oldBackfill, "acme")
	require.Equal(t, poll, f.open(t, "acme", store.KindPoll))

	f.moveAll(t)

	require.Equal(t, poll, f.open(t, "acme", store.KindPoll))
	require.Equal(t, backfill, f.open(t, "acme", store.KindBackfill))
	require.Equal(t, "initial_backfill,user_sync_poll", value[string](t, f, `SELECT string_agg(job, ',' ORDER BY job) FROM job_log
		WHERE outcome = 'failed' AND error_code = 'superseded' AND completed_at IS NOT NULL`))
	require.Equal(t, 2, value[int](t, f, `SELECT count(*) FROM job_log WHERE completed_at IS NULL`))
}

func TestRewriteThatTheVersionBeforeStartedReplacesTheUnfinishedRun(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	value[int64](t, f, oldBackfill, "acme")
	f.exec(t, `UPDATE backfill_runs SET next_page = 9, processed = 120`)
	f.moveAll(t)
	rewrite := value[int64](t, f, oldBackfill, "acme")
	f.exec(t, `UPDATE backfill_runs SET rewrite_before = rollcall_now(), new_system = true WHERE id = $1`, rewrite)

	f.moveAll(t)

	open := f.open(t, "acme", store.KindBackfill)
	require.Equal(t, rewrite, open.ID)
	require.Equal(t, 1, open.NextPage)
	require.True(t, open.Rewrite.NewSystem)
	require.Equal(t, "cancelled 120", value[string](t, f, `SELECT state || ' ' || processed FROM backfill_runs`))
	require.Equal(t, "superseded 120", value[string](t, f, `SELECT error_code || ' ' || processed_count FROM job_log WHERE completed_at IS NOT NULL`))
}

func TestFinishedBackfillIsWhereTheVersionBeforeLooksForIt(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	finished := value[int64](t, f, oldBackfill, "acme")
	f.exec(t, `UPDATE backfill_runs SET state = 'completed', verified = true, completed_at = rollcall_now(), last_total = 12`)
	f.moveAll(t)
	require.Equal(t, "completed", value[string](t, f, `SELECT state FROM backfill_runs WHERE id = $1`, finished))

	run, lease := f.claimed(t, "acme")
	total := int64(31)
	f.do(t, func(ctx context.Context, tx *store.Tx) error {
		return tx.AdvanceRun(ctx, run.ID, lease.Epoch, store.Advance{Cursor: store.Cursor{NextPage: 3, LastTotal: &total}, Processed: 30})
	})
	run.Verified, run.Processed = new(true), 30
	f.do(t, func(ctx context.Context, tx *store.Tx) error {
		return tx.FinishRun(ctx, run, lease.Epoch, store.RunCompleted, "")
	})

	require.Greater(t, run.ID, finished)
	require.Equal(t, "completed t 31 3 30", value[string](t, f, `SELECT concat_ws(' ', state, verified, last_total, next_page, processed)
		FROM backfill_runs WHERE id = $1`, run.ID))
	latest, err := f.LatestBackfill(t.Context(), "acme")
	require.NoError(t, err)
	require.Equal(t, run.ID, latest.ID)
	listed, err := f.Backfills(t.Context(), run.ID+1, 10)
	require.NoError(t, err)
	require.Len(t, listed, 2)
	require.Zero(t, value[int](t, f, `SELECT count(*) FROM runs`))
}

// A move that fails at any of its statements leaves every run in one table, and is made good by the next one.
func TestMoveThatFailsBetweenAnyTwoStatementsLosesNothing(t *testing.T) {
	t.Parallel()
	for _, event := range []string{"INSERT ON runs", "DELETE ON backfill_runs", "DELETE ON sync_runs", "UPDATE ON job_log", "UPDATE ON customer_leases"} {
		t.Run(event, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			for _, customer := range []string{"acme", "globex"} {
				require.NoError(t, f.lease(t, customer).Release(t.Context()))
				value[int64](t, f, oldBackfill, customer)
				value[int64](t, f, oldPoll, customer)
			}
			f.do(t, func(ctx context.Context, tx *store.Tx) error {
				_, err := tx.UnparkRuns(ctx, "acme", store.KindBackfill, store.KindPoll)
				return err
			})
			value[int64](t, f, oldBackfill, "acme") // are dropped
			value[int64](t, f, oldPoll, "acme")
			f.exec(t, `CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'the server went away'; END $$`)
			f.exec(t, fmt.Sprintf(`CREATE TRIGGER failing BEFORE %s FOR EACH ROW EXECUTE FUNCTION fail()`, event))
			unfinished := `SELECT count(*) FROM all_runs WHERE state IN ('queued', 'running', 'parked', 'paused')`
			before := value[int](t, f, unfinished)

			err := errors.Join(f.MoveRuns(t.Context(), store.KindBackfill), f.MoveRuns(t.Context(), store.KindPoll))

			require.ErrorContains(t, err, "the server went away")
			require.GreaterOrEqual(t, value[int](t, f, unfinished), before-1, "what one kind moved is moved")
			f.exec(t, `DROP FUNCTION fail CASCADE`)
			f.moveAll(t)
			require.Equal(t, 4, value[int](t, f, `SELECT count(*) FROM runs`))
			require.Equal(t, 4, value[int](t, f, `SELECT count(*) FROM job_log WHERE completed_at IS NULL`))
			require.Equal(t, 2, value[int](t, f, `SELECT count(*) FROM job_log WHERE error_code = 'superseded'`))
			require.Zero(t, value[int](t, f, `SELECT count(*) FROM backfill_runs`)+value[int](t, f, `SELECT count(*) FROM sync_runs`))
		})
	}
}

func TestManyRunsAreMovedInBatchesByMoversSideBySide(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	customers := 1000
	if wanted := os.Getenv(scaleVariable); wanted != "" {
		var err error
		customers, err = strconv.Atoi(wanted)
		require.NoError(t, err)
	}
	f.exec(t, `INSERT INTO job_log (customer_id, job, started_at) SELECT 'c' || n, 'initial_backfill', now() FROM generate_series(1, $1::int) n`, customers)
	f.exec(t, `INSERT INTO backfill_runs (customer_id, job_id, trace_id, state, due_at, created_at, updated_at)
		SELECT customer_id, id, 't', 'parked', now() AS due, now() AS created, now() FROM job_log`)
	f.exec(t, `INSERT INTO sync_runs (customer_id, kind, job_id, trace_id, state, updated_after, covered_until, due_at, created_at, updated_at)
		SELECT customer_id, 'poll', id, 't', 'queued', now() AS since, now() AS covered, now() AS due, now() AS created, now() FROM job_log`)
	began := time.Now()

	atOnce(3, func(int) {
		if err := errors.Join(f.MoveRuns(t.Context(), store.KindBackfill), f.MoveRuns(t.Context(), store.KindPoll)); err != nil {
			t.Errorf("move: %v", err)
		}
	})

	t.Logf("three movers moved %d runs in %s", 2*customers, time.Since(began).Round(time.Millisecond))
	require.Equal(t, 2*customers, value[int](t, f, `SELECT count(*) FROM runs`))
	require.Equal(t, 2*customers, value[int](t, f, `SELECT count(DISTINCT id) FROM runs`))
	require.Zero(t, value[int](t, f, `SELECT count(*) FROM job_log WHERE completed_at IS NOT NULL`))
	began = time.Now()
	f.moveAll(t)
	t.Logf("an idle round takes %s", time.Since(began).Round(time.Microsecond))
}
