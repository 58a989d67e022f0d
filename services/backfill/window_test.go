package main

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"rollcall.dev/pkg/fault"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/testkit"
	"rollcall.dev/pkg/window"
	"rollcall.dev/pkg/worker"
)

// office is a backfiller without a way to VOMO, on a database whose clock stands still until the test moves it:
// a call of VOMO would panic.
type office struct {
	*backfiller
	pool *pgxpool.Pool
	t    *testing.T
}

func newOffice(t *testing.T, now string) *office {
	t.Helper()
	url := testkit.Database(t)
	opened, err := store.Open(t.Context(), url, store.Options{MaxConns: 4})
	require.NoError(t, err)
	t.Cleanup(opened.Close)
	pool, err := pgxpool.New(t.Context(), url)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	o := &office{t: t, pool: pool, backfiller: &backfiller{
		store: opened, logger: zap.NewNop(), holder: "worker", leaseFor: 30 * time.Second, turn: time.Minute, tries: 10,
		metrics: newMetrics(prometheus.NewRegistry()),
	}}
	o.exec(`CREATE TABLE test_clock (at timestamptz NOT NULL)`)
	o.exec(`INSERT INTO test_clock VALUES ($1::text::timestamptz)`, now)
	o.exec(`CREATE OR REPLACE FUNCTION rollcall_now() RETURNS timestamptz LANGUAGE sql STABLE AS 'SELECT at FROM test_clock'`)
	return o
}

func (o *office) exec(statement string, arguments ...any) {
	o.t.Helper()
	_, err := o.pool.Exec(o.t.Context(), statement, arguments...)
	require.NoError(o.t, err)
}

func (o *office) timeIs(now string) { o.exec(`UPDATE test_clock SET at = $1::text::timestamptz`, now) }

const (
	openHours  = ""
	workHours  = `{"from":"08:00","to":"18:00","zone":"America/Chicago"}` // 14:00Z to 00:00Z in winter
	noSuchZone = `{"from":"08:00","to":"18:00","zone":"Mars/Olympus"}`
)

// onboard sets a customer up with a queued run.
func (o *office) onboard(notBefore *time.Time, quietHours string) int64 {
	o.t.Helper()
	customer := store.Customer{
		ID: "acme", ExternalSystemURL: "https://crm.example", Destination: []byte(`{"kind":"rest"}`), PollCadenceMinutes: 30,
		BackfillNotBefore: notBefore,
	}
	if quietHours != openHours {
		customer.QuietHours = []byte(quietHours)
	}
	var id int64
	require.NoError(o.t, o.store.InTx(o.t.Context(), func(ctx context.Context, tx *store.Tx) error {
		if _, err := tx.SaveCustomer(ctx, customer); err != nil {
			return err
		}
		run, _, err := tx.StartRun(ctx, "acme", jobInitialBackfill, "trace")
		id = run
		return err
	}))
	return id
}

func (o *office) run(id int64) store.Run {
	o.t.Helper()
	run, err := o.store.Run(o.t.Context(), id)
	require.NoError(o.t, err)
	return run
}

func (o *office) receives(body string) error {
	return o.handle(o.t.Context(), &worker.Delivery{Subject: "rollcall.backfill.request.acme", Data: []byte(body)})
}

const byHand = `{"customerId":"acme"}`

func TestARequestInTheQuietHoursIsParkedUntilTheyEndAndCountsAsNoFailure(t *testing.T) {
	t.Parallel()
	o := newOffice(t, "2026-01-14T20:00:00Z")
	id := o.onboard(nil, workHours)

	require.NoError(t, o.receives(byHand), "the message is done with: no slot is held")

	run := o.run(id)
	require.Equal(t, store.RunParked, run.State)
	require.Equal(t, window.ReasonQuietHours, run.ParkReason)
	require.Equal(t, "2026-01-15T00:00:00Z", run.DueAt.UTC().Format(time.RFC3339))
	require.Zero(t, run.Parks)
	require.Zero(t, run.Attempts)
	require.Nil(t, run.StartedAt)
	lease, err := o.store.TakeLease(t.Context(), "acme", "somebody else", time.Second)
	require.NoError(t, err, "nor is the lane")
	require.Equal(t, int64(1), lease.Epoch, "and nobody took it before")
}

func TestARequestBeforeTheDayIsParkedUntilThen(t *testing.T) {
	t.Parallel()
	o := newOffice(t, "2026-01-14T20:00:00Z")
	day := time.Date(2026, 2, 1, 6, 0, 0, 0, time.UTC)
	id := o.onboard(&day, openHours)

	require.NoError(t, o.receives(byHand))

	run := o.run(id)
	require.Equal(t, store.RunParked, run.State)
	require.Equal(t, window.ReasonNotBefore, run.ParkReason)
	require.True(t, day.Equal(run.DueAt))
}

func TestTheRunOfADeadWorkerIsPutOffWithItsCursorAndItsAttempts(t *testing.T) {
	t.Parallel()
	o := newOffice(t, "2026-01-14T13:59:00Z")
	id := o.onboard(nil, workHours)
	dead, err := o.store.TakeLease(t.Context(), "acme", "dead", 30*time.Second)
	require.NoError(t, err)
	_, err = o.store.ClaimRun(t.Context(), id, dead.Epoch)
	require.NoError(t, err)
	require.NoError(t, o.store.InLane(t.Context(), dead, func(ctx context.Context, tx *store.Tx) error {
		return tx.AdvanceRun(ctx, id, dead.Epoch, store.Advance{Cursor: store.Cursor{NextPage: 7}, Processed: 90})
	}))
	o.timeIs("2026-01-14T14:00:00Z")

	require.NoError(t, o.receives(byHand))

	run := o.run(id)
	require.Equal(t, store.RunParked, run.State)
	require.Equal(t, window.ReasonQuietHours, run.ParkReason)
	require.Equal(t, 7, run.NextPage)
	require.Zero(t, run.Attempts, "the claim is given back")
	require.Zero(t, run.Parks)
}

func TestAPutOffKeepsTheParksOfADestinationThatIsDown(t *testing.T) {
	t.Parallel()
	o := newOffice(t, "2026-01-14T13:59:00Z")
	id := o.onboard(nil, workHours)
	o.exec(`UPDATE backfill_runs SET parks = 3, park_reason = 'destination_down'`)
	o.timeIs("2026-01-14T14:00:00Z")

	require.NoError(t, o.receives(byHand))

	run := o.run(id)
	require.Equal(t, window.ReasonQuietHours, run.ParkReason)
	require.Equal(t, 3, run.Parks, "whoever goes on still probes, with one record")
}

func TestATurnEndsWhereTheQuietHoursBegin(t *testing.T) {
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
			o := newOffice(t, c.now)
			o.onboard(nil, c.hours)
			customer, err := o.store.Customer(t.Context(), "acme")
			require.NoError(t, err)
			turn := &turn{backfiller: o.backfiller, customer: customer, log: zap.NewNop()}
			length, err := turn.openFor(t.Context())
			require.NoError(t, err)
			require.Equal(t, c.length, length)
			require.False(t, turn.closed(t.Context()))

			o.timeIs("2026-01-14T14:00:00Z")
			require.Equal(t, c.hours != openHours, turn.closed(t.Context()), "after a page, the clock is asked again")
		})
	}
}

func TestATurnThatIsOverIsPutOffInTheQuietHoursAndHandedBackOutsideThem(t *testing.T) {
	t.Parallel()
	for now, state := range map[string]store.RunState{
		"2026-01-14T13:59:59Z": store.RunQueued, "2026-01-14T14:00:00Z": store.RunParked,
	} {
		o := newOffice(t, "2026-01-14T13:59:00Z")
		id := o.onboard(nil, workHours)
		customer, err := o.store.Customer(t.Context(), "acme")
		require.NoError(t, err)
		lease, err := o.store.TakeLease(t.Context(), "acme", "worker", time.Hour)
		require.NoError(t, err)
		run, err := o.store.ClaimRun(t.Context(), id, lease.Epoch)
		require.NoError(t, err)
		turn := &turn{backfiller: o.backfiller, customer: customer, run: run, lease: lease, log: zap.NewNop()}
		_, err = turn.openFor(t.Context())
		require.NoError(t, err)
		o.timeIs(now)

		require.NoError(t, turn.settle(t.Context(), t.Context(), errTurnOver))

		require.Equal(t, state, o.run(id).State, now)
		require.Zero(t, o.run(id).Attempts)
	}
}

func TestHoursThatThisVersionCannotKeepEndTheRunInsteadOfBreakingThem(t *testing.T) {
	t.Parallel()
	o := newOffice(t, "2026-01-14T20:00:00Z")
	id := o.onboard(nil, noSuchZone)

	err := o.receives(byHand)

	require.Equal(t, fault.KindPermanent, fault.KindOf(err))
	require.Equal(t, "quiet_hours_unreadable", fault.CodeOf(err))
	require.Equal(t, store.RunFailed, o.run(id).State)
}
