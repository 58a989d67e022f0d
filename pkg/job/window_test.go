package job

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"rollcall.dev/pkg/fault"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/testkit"
	"rollcall.dev/pkg/window"
	"rollcall.dev/pkg/worker"
)

// windowFixture is a runner of backfills on a database whose clock stands still until the test moves it. Work on a run panics: no
// run may be worked while its window is closed.
type windowFixture struct {
	*Runner
	pool *pgxpool.Pool
	t    *testing.T
}

func newWindowFixture(t *testing.T, now string) *windowFixture {
	t.Helper()
	url := testkit.Database(t)
	opened, err := store.Open(t.Context(), url, store.Options{MaxConns: 4})
	require.NoError(t, err)
	t.Cleanup(opened.Close)
	pool, err := pgxpool.New(t.Context(), url)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	f := &windowFixture{t: t, pool: pool, Runner: &Runner{
		Store: opened, Logger: zap.NewNop(), Holder: "worker", LeaseFor: 30 * time.Second,
		Kind: Kind{
			Name: store.KindBackfill, Job: Always("initial_backfill"), Serves: store.Customer.Active, Message: BackfillMessage,
			Window: func(customer store.Customer) (window.Window, error) {
				return window.Of(customer.BackfillNotBefore, customer.QuietHours)
			},
			Work: func(context.Context, *Execution) error { panic("the window is closed") }, LetterOnGiveUp: true,
		},
	}}
	f.exec(`CREATE TABLE test_clock (at timestamptz NOT NULL)`)
	f.exec(`INSERT INTO test_clock VALUES ($1::text::timestamptz)`, now)
	f.exec(`CREATE OR REPLACE FUNCTION rollcall_now() RETURNS timestamptz LANGUAGE sql STABLE AS 'SELECT at FROM test_clock'`)
	return f
}

func (f *windowFixture) exec(statement string, arguments ...any) {
	f.t.Helper()
	_, err := f.pool.Exec(f.t.Context(), statement, arguments...)
	require.NoError(f.t, err)
}

func (f *windowFixture) timeIs(now string) {
	f.exec(`UPDATE test_clock SET at = $1::text::timestamptz`, now)
}

const (
	openHours  = ""
	workHours  = `{"from":"08:00","to":"18:00","zone":"America/Chicago"}` // 14:00Z to 00:00Z in winter
	noSuchZone = `{"from":"08:00","to":"18:00","zone":"Mars/Olympus"}`
)

// onboard sets a customer up with a queued run.
func (f *windowFixture) onboard(notBefore *time.Time, quietHours string) int64 {
	f.t.Helper()
	customer := store.Customer{
		ID: "acme", ExternalSystemURL: "https://crm.example", Destination: []byte(`{"kind":"rest"}`), PollCadenceMinutes: 30,
		BackfillNotBefore: notBefore,
	}
	if quietHours != openHours {
		customer.QuietHours = []byte(quietHours)
	}
	var id int64
	require.NoError(f.t, f.Store.InTx(f.t.Context(), func(ctx context.Context, tx *store.Tx) error {
		if _, err := tx.SaveCustomer(ctx, customer); err != nil {
			return err
		}
		run, _, err := tx.StartBackfill(ctx, "acme", "initial_backfill", "trace")
		id = run
		return err
	}))
	return id
}

func (f *windowFixture) run(id int64) store.Run {
	f.t.Helper()
	run, err := f.Store.Backfill(f.t.Context(), id)
	require.NoError(f.t, err)
	return run
}

// receivesByHand does what a worker does with a request that was published by hand.
func (f *windowFixture) receivesByHand() error {
	return f.Work(f.t.Context(), &worker.Delivery{}, "acme", 0)
}

func TestRequestInQuietHoursIsParkedUntilTheyEndAndCountsNoFailure(t *testing.T) {
	t.Parallel()
	f := newWindowFixture(t, "2026-01-14T20:00:00Z")
	id := f.onboard(nil, workHours)

	require.NoError(t, f.receivesByHand(), "the message is acked: no slot is held")

	run := f.run(id)
	require.Equal(t, store.RunParked, run.State)
	require.Equal(t, window.ReasonQuietHours, run.ParkReason)
	require.Equal(t, "2026-01-15T00:00:00Z", run.DueAt.UTC().Format(time.RFC3339))
	require.Zero(t, run.Parks)
	require.Zero(t, run.Attempts)
	require.Nil(t, run.StartedAt)
	lease, err := f.Store.TakeLease(t.Context(), "acme", "another worker", time.Second)
	require.NoError(t, err, "nor is the lane taken")
	require.Equal(t, int64(1), lease.Epoch, "and no worker took it before")
}

func TestRequestBeforeNotBeforeIsParkedUntilThen(t *testing.T) {
	t.Parallel()
	f := newWindowFixture(t, "2026-01-14T20:00:00Z")
	day := time.Date(2026, 2, 1, 6, 0, 0, 0, time.UTC)
	id := f.onboard(&day, openHours)

	require.NoError(t, f.receivesByHand())

	run := f.run(id)
	require.Equal(t, store.RunParked, run.State)
	require.Equal(t, window.ReasonNotBefore, run.ParkReason)
	require.True(t, day.Equal(run.DueAt))
}

func TestRunOfDeadWorkerIsPutOffWithItsCursorAndAttempts(t *testing.T) {
	t.Parallel()
	f := newWindowFixture(t, "2026-01-14T13:59:00Z")
	id := f.onboard(nil, workHours)
	dead, err := f.Store.TakeLease(t.Context(), "acme", "dead", 30*time.Second)
	require.NoError(t, err)
	require.NoError(t, f.Store.InLane(t.Context(), dead, func(ctx context.Context, tx *store.Tx) error {
		if _, err := tx.ClaimRun(ctx, "acme", store.KindBackfill, dead.Epoch); err != nil {
			return err
		}
		return tx.AdvanceRun(ctx, id, dead.Epoch, store.Advance{Cursor: store.Cursor{NextPage: 7}, Processed: 90})
	}))
	f.timeIs("2026-01-14T14:00:00Z")

	require.NoError(t, f.receivesByHand())

	run := f.run(id)
	require.Equal(t, store.RunParked, run.State)
	require.Equal(t, window.ReasonQuietHours, run.ParkReason)
	require.Equal(t, 7, run.NextPage)
	require.Zero(t, run.Attempts, "the claim is given back")
	require.Zero(t, run.Parks)
}

func TestPutOffKeepsParksForDestinationThatIsDown(t *testing.T) {
	t.Parallel()
	f := newWindowFixture(t, "2026-01-14T13:59:00Z")
	id := f.onboard(nil, workHours)
	f.exec(`UPDATE backfill_runs SET parks = 3, park_reason = 'destination_down'`)
	f.timeIs("2026-01-14T14:00:00Z")

	require.NoError(t, f.receivesByHand())

	run := f.run(id)
	require.Equal(t, window.ReasonQuietHours, run.ParkReason)
	require.Equal(t, 3, run.Parks, "the next worker still probes with one record")
}

func TestTurnEndsWhenQuietHoursBegin(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		now, hours string
		length     time.Duration
	}{
		"none":           {"2026-01-14T13:59:45Z", openHours, time.Minute},
		"far away":       {"2026-01-14T12:00:00Z", workHours, time.Minute},
		"in 15 seconds":  {"2026-01-14T13:59:45Z", workHours, 15 * time.Second},
		"they are over":  {"2026-01-15T00:00:00Z", workHours, time.Minute},
		"a minute early": {"2026-01-14T13:59:00Z", workHours, time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newWindowFixture(t, c.now)
			f.onboard(nil, c.hours)
			customer, err := f.Store.Customer(t.Context(), "acme")
			require.NoError(t, err)
			execution := &Execution{Runner: f.Runner, Customer: customer, Log: zap.NewNop()}
			length, err := execution.openFor(t.Context())
			require.NoError(t, err)
			require.Equal(t, c.length, length)
			require.False(t, execution.closed(t.Context()))

			f.timeIs("2026-01-14T14:00:00Z")
			require.Equal(t, c.hours != openHours, execution.closed(t.Context()), "after a page, the clock is asked again")
		})
	}
}

func TestRunWhoseTurnIsOverIsPutOffInQuietHoursAndHandedBackOutsideThem(t *testing.T) {
	t.Parallel()
	for now, reason := range map[string]string{"2026-01-14T13:59:59Z": "", "2026-01-14T14:00:00Z": window.ReasonQuietHours} {
		f := newWindowFixture(t, "2026-01-14T13:59:00Z")
		id := f.onboard(nil, workHours)
		customer, err := f.Store.Customer(t.Context(), "acme")
		require.NoError(t, err)
		lease, err := f.Store.TakeLease(t.Context(), "acme", "worker", time.Hour)
		require.NoError(t, err)
		execution := &Execution{Runner: f.Runner, Customer: customer, Lease: lease, Log: zap.NewNop()}
		require.NoError(t, f.Store.InLane(t.Context(), lease, func(ctx context.Context, tx *store.Tx) error {
			execution.Run, err = tx.ClaimRun(ctx, "acme", store.KindBackfill, lease.Epoch)
			return err
		}))
		_, err = execution.openFor(t.Context())
		require.NoError(t, err)
		f.timeIs(now)

		require.NoError(t, execution.settle(t.Context(), t.Context(), errTurnOver))

		require.Equal(t, reason, f.run(id).ParkReason, now)
		due := map[string]string{"": "2026-01-14T13:59:59.5Z", window.ReasonQuietHours: "2026-01-15T00:00:00Z"}[reason]
		require.Equal(t, due, f.run(id).DueAt.UTC().Format(time.RFC3339Nano))
		require.Zero(t, f.run(id).Attempts)
	}
}

func TestUnreadableQuietHoursEndTheRun(t *testing.T) {
	t.Parallel()
	f := newWindowFixture(t, "2026-01-14T20:00:00Z")
	id := f.onboard(nil, noSuchZone)

	err := f.receivesByHand()

	require.Equal(t, fault.KindPermanent, fault.KindOf(err))
	require.Equal(t, "quiet_hours_unreadable", fault.CodeOf(err))
	require.Equal(t, store.RunFailed, f.run(id).State)
}
