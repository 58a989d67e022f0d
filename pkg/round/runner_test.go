package round

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"rollcall.dev/pkg/job"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// within bounds what a test waits for.
const within = 30 * time.Second

// ended is a round that is over.
type ended struct {
	customer string
	end      End
}

// fixture is a runner whose kind does what a test wants, with its own database.
type fixture struct {
	runner *Runner
	pool   *pgxpool.Pool
	ends   *testkit.Signal[ended]
}

// newFixture returns a runner for these customers, who always have something due.
func newFixture(t *testing.T, work func(ctx context.Context, r *Round) (more bool, err error), customers ...string) *fixture {
	t.Helper()
	database := testkit.Database(t)
	from, err := store.Open(t.Context(), database, store.Options{MaxConns: 6})
	require.NoError(t, err)
	t.Cleanup(from.Close)
	f := &fixture{ends: testkit.NewSignal[ended]()}
	f.pool, err = pgxpool.New(t.Context(), database)
	require.NoError(t, err)
	t.Cleanup(f.pool.Close)
	var due []Customer
	for _, id := range customers {
		due = append(due, Customer{ID: id})
		_, err := f.pool.Exec(t.Context(), `INSERT INTO sync_configs (customer_id, external_system_url, destination, onboarded_at, updated_at)
			VALUES ($1, 'https://crm.example', '{}', now(), now())`, id)
		require.NoError(t, err)
	}
	f.runner = New(Config{
		Store: from, Logger: zap.NewNop(), Holder: "test", LeaseFor: time.Minute, Slots: 1, Kind: Kind{
			Job: "test", Work: work,
			Look:       func(context.Context) ([]Customer, error) { return due, nil },
			StoreHold:  func(context.Context, *store.Tx, string, job.Park, string) error { return nil },
			DeleteHold: func(context.Context, string) error { return nil },
			Ended:      func(customer string, end End) { f.ends.Send(ended{customer, end}) },
		},
	})
	return f
}

// start runs the runner until stop is called, which waits for its end.
func (f *fixture) start(t *testing.T) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { f.runner.Run(ctx) })
	stop = func() {
		cancel()
		running.Wait()
	}
	t.Cleanup(stop)
	return stop
}

func TestPanicHoldsTheCustomerAndFreesTheLaneForOthers(t *testing.T) {
	t.Parallel()
	f := newFixture(t, func(_ context.Context, r *Round) (bool, error) {
		if r.Customer.ID == "acme" {
			panic("odd")
		}
		return false, nil
	}, "acme", "globex")
	f.start(t)
	f.ends.Require(t, within, ended{"acme", End{Hold: 2 * time.Second, Reason: HeldInternal, Counts: true}})
	f.ends.Require(t, within, ended{"globex", End{}})
	lease, err := f.runner.Store.TakeLease(t.Context(), "acme", "another", time.Minute)
	require.NoError(t, err)
	require.NoError(t, lease.Release(t.Context()))
}

func TestRowThatBecomesDueDuringARoundIsWorkedAtOnce(t *testing.T) {
	t.Parallel()
	var f *fixture
	began := testkit.NewSignal[bool]()
	f = newFixture(t, func(context.Context, *Round) (bool, error) {
		began.Send(true)
		f.runner.Wake()
		return false, nil
	}, "acme")
	f.runner.lookEvery = time.Hour // no round but the first is due to the clock
	f.start(t)
	for range 5 {
		began.Wait(t, within)
	}
}

func TestStopLetsARoundComeToItsEnd(t *testing.T) {
	t.Parallel()
	working := testkit.NewSignal[bool]()
	f := newFixture(t, func(ctx context.Context, r *Round) (bool, error) {
		if err := r.StartJob(ctx); err != nil {
			return false, err
		}
		working.Send(true)
		<-r.draining
		r.Worked = 3
		return r.MustEnd(ctx), nil
	}, "acme")
	stop := f.start(t)
	working.Wait(t, within)
	stop()
	f.ends.Require(t, within, ended{"acme", End{More: true}})
	require.Equal(t, "success 3", f.job(t))
}

func TestHoldsOfAKindAreLongerInARowAndKeepTheMemo(t *testing.T) {
	t.Parallel()
	f := newFixture(t, func(ctx context.Context, r *Round) (bool, error) {
		r.Memo += "x"
		return false, errors.Join(r.StartJob(ctx), &HoldError{
			Park: job.Park{Reason: "odd", Delay: time.Duration(r.Holds+1) * time.Millisecond}, Err: errors.New("it is odd"),
		})
	}, "acme")
	f.start(t)
	f.ends.Require(t, within, ended{"acme", End{Hold: time.Millisecond, Reason: "odd", Counts: true, Memo: "x"}})
	f.ends.Require(t, within, ended{"acme", End{Hold: 2 * time.Millisecond, Reason: "odd", Counts: true, Memo: "xx"}})
	require.Equal(t, "failed 0", f.job(t))
}

func TestRoundWithoutALaneWorksBesideTheLanesHolder(t *testing.T) {
	t.Parallel()
	var fault error
	f := newFixture(t, func(ctx context.Context, r *Round) (bool, error) {
		require.Nil(t, r.Lease)
		return r.MustEnd(ctx), fault
	}, "acme")
	f.runner.Kind.TakesNoLane, f.runner.Kind.StoreHold = true, nil
	lease, err := f.runner.Store.TakeLease(t.Context(), "acme", "another", time.Minute)
	require.NoError(t, err)
	require.Equal(t, End{}, f.runner.Work(t.Context(), Next{Customer: "acme"}, nil))
	fault = &HoldError{Park: job.Park{Reason: "odd", Delay: time.Second}, Err: errors.New("it is odd")}
	require.Equal(t, End{Hold: time.Second, Reason: "odd", Counts: true}, f.runner.Work(t.Context(), Next{Customer: "acme"}, nil))
	require.False(t, lease.Wanted())
	require.NoError(t, lease.Renew(t.Context()))
	require.False(t, lease.Wanted(), "no job waits for the lane")
}

// job returns the outcome and the count of the oldest line in job_log.
func (f *fixture) job(t *testing.T) string {
	t.Helper()
	var line string
	require.NoError(t, f.pool.QueryRow(t.Context(), `SELECT outcome || ' ' || processed_count FROM job_log ORDER BY id LIMIT 1`).Scan(&line))
	return line
}

func TestManyWakesLeadToFewLooksAndTheLastIsHeeded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var looks []time.Time
		runner := New(Config{Logger: zap.NewNop(), Slots: 1, Kind: Kind{Job: "test", Look: func(context.Context) ([]Customer, error) {
			looks = append(looks, time.Now())
			return nil, nil
		}}})
		runner.lookEvery = time.Hour
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			runner.Run(ctx)
		}()
		for range 100 {
			synctest.Wait()
			<-time.After(time.Millisecond)
			runner.Wake()
		}
		last := time.Now()
		<-time.After(lookAgainAfter)
		cancel()
		<-ended
		require.LessOrEqual(t, len(looks), 1+int(100*time.Millisecond/lookAgainAfter)+1)
		require.False(t, looks[len(looks)-1].Before(last))
	})
}
