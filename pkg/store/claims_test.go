package store_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/store"
)

const (
	pollStep   = 200 * time.Millisecond
	grantSlack = 100 * time.Millisecond
)

// due adds a customer with a poll that waits for a worker.
func (f *fixture) due(t testing.TB, customer string) {
	t.Helper()
	f.exec(t, `INSERT INTO sync_configs (customer_id, external_system_url, destination, onboarded_at, updated_at, backfill_completed_at)
		VALUES ($1, '', '{"kind":"rest"}', rollcall_now(), rollcall_now(), rollcall_now())`, customer)
	f.exec(t, `INSERT INTO sync_checkpoints VALUES ($1, 'user_sync', rollcall_now(), rollcall_now())`, customer)
	f.do(t, func(ctx context.Context, tx *store.Tx) error {
		_, err := tx.StartRuns(ctx, store.RunStart{Kind: store.KindPoll, Job: store.JobPoll, Customers: []string{customer}, TraceIDs: []string{"trace"}})
		return err
	})
}

func pollOf(customer string) store.RunClaim {
	return store.RunClaim{
		Customer: customer, Kind: store.KindPoll, Holder: "poller", LeaseFor: 30 * time.Second,
		Grant: &store.GrantClaim{Job: store.JobPoll, Step: pollStep, Patience: time.Second},
	}
}

func (f *fixture) spent(t testing.TB, customer string) int64 {
	t.Helper()
	spent, err := f.Spent(t.Context(), customer)
	require.NoError(t, err)
	return spent.Ever[store.JobPoll]
}

func TestClaimTakesLaneRunAndGrantAndReadsTheCustomer(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.due(t, "acme")
	f.exec(t, `INSERT INTO credentials VALUES ('acme', 'vomo_token', 'sealed', now())`)
	f.exec(t, `INSERT INTO alerts (customer_id, type, severity, raised_at) VALUES ('acme', 'auth_failed', 'warning', now()),
		('_installation', 'keeper_unavailable', 'warning', now()), ('other', 'destination_down', 'warning', now())`)

	claimed, err := f.TakeRun(t.Context(), pollOf("acme"))

	require.NoError(t, err)
	require.Equal(t, store.RunRunning, claimed.Run.State)
	require.Equal(t, 1, claimed.Run.Attempts)
	require.Equal(t, claimed.Lease.Epoch, value[int64](t, f, `SELECT epoch FROM runs`))
	require.True(t, f.taken(t, "acme"))
	require.NoError(t, claimed.Lease.Outlasts(29*time.Second))
	require.True(t, claimed.Customer.Steady())
	require.Equal(t, "sealed", string(claimed.Sides.VomoToken))
	require.ElementsMatch(t, []string{"auth_failed", "keeper_unavailable"}, claimed.Sides.Alerts)
	require.Nil(t, claimed.Sides.DestinationToken)
	require.EqualValues(t, 1, f.spent(t, "acme"))
	require.NotNil(t, claimed.Grant)
}

func TestClaimWithoutLaneChangesNothingAndMarksItAsWanted(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.due(t, "acme")
	lease := f.lease(t, "acme")

	_, err := f.TakeRun(t.Context(), pollOf("acme"))

	require.ErrorIs(t, err, store.ErrLaneTaken)
	require.Equal(t, "queued 0", value[string](t, f, `SELECT state || ' ' || attempts FROM runs`))
	require.Zero(t, f.spent(t, "acme"))
	require.NoError(t, lease.Renew(t.Context()))
	require.True(t, lease.Wanted())
}

func TestClaimOfACustomerWithoutARunHasTheLaneAlone(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.due(t, "acme")
	f.exec(t, `UPDATE runs SET state = 'paused'`)

	claimed, err := f.TakeRun(t.Context(), pollOf("acme"))

	require.NoError(t, err)
	require.Nil(t, claimed.Run)
	require.NoError(t, claimed.Lease.Release(t.Context()))
	require.False(t, f.taken(t, "acme"))
}

func TestGrantOfAClaimKeepsTheNextOneAStepAwayFromItsLastMoment(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.due(t, "acme")
	before := time.Now()

	claimed, err := f.TakeRun(t.Context(), pollOf("acme"))

	require.NoError(t, err)
	wait, ok := claimed.Grant.Use(before)
	require.True(t, ok)
	require.Positive(t, wait, "it is not used before its moment")
	_, ok = claimed.Grant.Use(time.Now().Add(grantSlack))
	require.False(t, ok, "it is over when the time has passed by which the budget has moved on")
	next, granted, err := f.TakeGrant(t.Context(), "acme", store.JobPoll, pollStep, time.Minute)
	require.NoError(t, err)
	require.True(t, granted)
	require.Equal(t, pollStep+grantSlack, next)
}

func TestClaimTakesNoGrantThatIsTooFarAway(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.due(t, "acme")
	_, _, err := f.TakeGrant(t.Context(), "acme", "other", 2*time.Second, time.Minute)
	require.NoError(t, err)

	claimed, err := f.TakeRun(t.Context(), pollOf("acme"))

	require.NoError(t, err)
	require.NotNil(t, claimed.Run)
	require.Nil(t, claimed.Grant)
	require.Zero(t, f.spent(t, "acme"))
}

func TestForgottenClaimCountsNoAttemptAndFreesTheLane(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.due(t, "acme")
	claimed, err := f.TakeRun(t.Context(), pollOf("acme"))
	require.NoError(t, err)
	claimed.Lease.Epoch = 0 // the answer was lost

	require.NoError(t, f.ForgetClaim(t.Context(), claimed, store.KindPoll))

	require.Equal(t, 0, value[int](t, f, `SELECT attempts FROM runs`))
	again, err := f.TakeRun(t.Context(), pollOf("acme"))
	require.NoError(t, err)
	require.Equal(t, 1, again.Run.Attempts)
	require.NoError(t, f.ForgetClaim(t.Context(), claimed, store.KindPoll))
	require.Equal(t, 1, value[int](t, f, `SELECT attempts FROM runs`), "another holder's claim counts")
	require.NoError(t, again.Lease.Renew(t.Context()))
}

func TestLaneIsFreeWithTheCommitThatReleasesIt(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	lease := f.lease(t, "acme")
	held, done := lease.Hold(t.Context())

	require.NoError(t, f.InLane(t.Context(), lease, func(ctx context.Context, tx *store.Tx) error { return tx.ReleaseLane(ctx) }))

	next := f.lease(t, "acme")
	require.ErrorIs(t, lease.Outlasts(0), store.ErrLaneLost, "it sends nothing more")
	require.NoError(t, held.Err())
	require.NoError(t, done(t.Context()))
	require.NoError(t, next.Renew(t.Context()), "the next holder keeps the lane")
}

func TestFencedLaneIsNotReleasedByATransaction(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	lease := f.lease(t, "acme")
	f.fence(t, "acme")

	err := f.InLane(t.Context(), lease, func(ctx context.Context, tx *store.Tx) error { return tx.ReleaseLane(ctx) })

	require.ErrorIs(t, err, store.ErrLaneLost)
	require.True(t, f.taken(t, "acme"), "its requests may be on their way")
	require.NoError(t, lease.Release(t.Context()))
	require.False(t, f.taken(t, "acme"))
}
