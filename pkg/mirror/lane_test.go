package mirror_test

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/destination"
	"rollcall.dev/pkg/mirror"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/testkit"
	"rollcall.dev/pkg/vomo"
)

const signalTimeout = 15 * time.Second // bounds waits for events that normally happen at once

// duringFirstWrite makes the CRM call do once, while it handles the first record.
func (f *fixture) duringFirstWrite(t testing.TB, do func(ctx context.Context) error) {
	t.Helper()
	var once sync.Once
	f.crm.setAnswer(func(id string, r *http.Request) (int, string) {
		once.Do(func() {
			if err := do(r.Context()); err != nil {
				t.Error(err)
			}
		})
		return accept(id, r)
	})
}

// expireLease moves the database's clock, which all processes share, past the end of the lease.
func (f *fixture) expireLease(ctx context.Context) error {
	_, err := f.pool.Exec(ctx, fmt.Sprintf(`CREATE OR REPLACE FUNCTION rollcall_now() RETURNS timestamptz LANGUAGE sql STABLE
		AS $$ SELECT now() + make_interval(secs => %f) $$`, (leaseFor+time.Second).Seconds()))
	return err
}

func TestLaneTakenByAnotherWorkerCommitsNothing(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	var newLease *store.Lease
	f.duringFirstWrite(t, func(ctx context.Context) (err error) {
		if err := f.expireLease(ctx); err != nil {
			return err
		}
		newLease, err = f.Store.TakeLease(ctx, customer, "worker-2", leaseFor)
		return err
	})

	_, err := f.apply(t, page(1, users(3)...), mirror.ApplyOptions{})

	require.ErrorIs(t, err, store.ErrLaneLost)
	require.Len(t, f.crm.requests(), 3)
	f.requireNothingCommitted(t)

	f.Lease = newLease
	require.Equal(t, 3, f.mustApply(t, users(3)...).Written, "the new holder writes the page again")
}

func TestExpiredLeaseCommitsNothingEvenIfNoWorkerTookTheLane(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.duringFirstWrite(t, f.expireLease)

	_, err := f.apply(t, page(1, users(3)...), mirror.ApplyOptions{})

	require.ErrorIs(t, err, store.ErrLaneLost)
	f.requireNothingCommitted(t)
}

func TestFencedLaneCommitsNothing(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.duringFirstWrite(t, func(ctx context.Context) error {
		return f.Store.InTx(ctx, func(ctx context.Context, tx *store.Tx) error { return tx.FenceLane(ctx, customer) })
	})

	_, err := f.apply(t, page(1, users(3)...), mirror.ApplyOptions{})

	require.ErrorIs(t, err, store.ErrLaneLost)
	f.requireNothingCommitted(t)
}

func TestNoRequestIsSentThatTheLeaseMayNotOutlast(t *testing.T) {
	t.Parallel()
	var f *fixture
	f = newFixture(t, func(guard *destination.GuardConfig, _ *destination.BreakersConfig) {
		guard.Before = func(context.Context) error { return f.Lease.Outlasts(2 * leaseFor) }
	})

	_, err := f.apply(t, page(1, users(3)...), mirror.ApplyOptions{})

	require.ErrorIs(t, err, store.ErrLaneLost)
	require.NotErrorIs(t, err, mirror.ErrDestinationDown)
	require.Empty(t, f.crm.requests())
	f.requireNothingCommitted(t)
}

func TestCommitRenewsTheLeaseAndReportsThatTheLaneIsWanted(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	_, err := f.Store.TakeLease(t.Context(), customer, "worker-2", leaseFor)
	require.ErrorIs(t, err, store.ErrLaneTaken)
	require.False(t, f.Lease.Wanted())

	f.mustApply(t, users(1)...)

	require.True(t, f.Lease.Wanted())
}

func TestConcurrencyLimitsRequestsInFlight(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.Concurrency = 3
	arrived, release := testkit.NewSignal[string](), make(chan struct{})
	f.crm.setAnswer(func(id string, r *http.Request) (int, string) {
		arrived.Send(id)
		select {
		case <-release:
		case <-r.Context().Done(): // the test has failed
		}
		return accept(id, r)
	})
	done := make(chan error, 1)
	go func() {
		_, err := f.apply(t, page(1, users(9)...), mirror.ApplyOptions{})
		done <- err
	}()

	for range 3 {
		arrived.Wait(t, signalTimeout)
	}
	for range 6 { // each request that ends lets another one start
		releaseOne(t, release)
		arrived.Wait(t, signalTimeout)
	}
	close(release)

	require.NoError(t, <-done)
	require.Equal(t, 3, f.crm.maxActive)
}

// releaseOne lets one waiting request end.
func releaseOne(t *testing.T, release chan<- struct{}) {
	t.Helper()
	select {
	case release <- struct{}{}:
	case <-time.After(signalTimeout):
		require.FailNow(t, "no request waits")
	}
}

func TestZeroConcurrencyWritesOneByOne(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.Concurrency = 0

	require.Equal(t, 5, f.mustApply(t, users(5)...).Written)
	require.Equal(t, 1, f.crm.maxActive)
}

func TestCancelledPageReturnsWhileTheDestinationDoesNotAnswer(t *testing.T) {
	t.Parallel()
	for name, options := range map[string]mirror.ApplyOptions{"page": {}, "probe": {Probe: true}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			f.crm.setAnswer(func(_ string, r *http.Request) (int, string) {
				cancel()
				<-r.Context().Done() // never answer
				return http.StatusOK, ""
			})

			_, err := f.Apply(ctx, page(1, users(15)...), options, func(context.Context, *store.Tx, mirror.Outcome) error { return nil })

			require.ErrorIs(t, err, context.Canceled)
			require.NotErrorIs(t, err, mirror.ErrDestinationDown)
			f.requireNothingCommitted(t)
		})
	}
}

func TestCancelledPageDoesNotWaitForTheNextAttempt(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancelCause(t.Context())
	stopping := context.DeadlineExceeded
	f := newFixture(t, func(guard *destination.GuardConfig, _ *destination.BreakersConfig) {
		guard.Timer = func(time.Duration) <-chan time.Time {
			cancel(stopping)
			return nil // never fires
		}
	})
	f.crm.respond(unavailable, "")

	_, err := f.Apply(ctx, page(1, users(4)...), mirror.ApplyOptions{}, func(context.Context, *store.Tx, mirror.Outcome) error { return nil })

	require.ErrorIs(t, err, context.Canceled)
	require.ErrorIs(t, err, stopping, "the error carries the cause")
	f.requireNothingCommitted(t)
}

func TestPagesWrittenAtOnceShareTheConcurrencyLimit(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.Concurrency = 3
	arrived, release := testkit.NewSignal[string](), make(chan struct{})
	f.crm.setAnswer(func(id string, r *http.Request) (int, string) {
		arrived.Send(id)
		select {
		case <-release:
		case <-r.Context().Done(): // the test has failed
		}
		return accept(id, r)
	})
	list := users(8)
	done := make(chan error, 2)
	for number, part := range [][]vomo.User{list[:4], list[4:]} {
		go func() {
			compared, err := f.Compare(t.Context(), []vomo.Page{page(number+1, part...)}, mirror.ApplyOptions{})
			if err == nil {
				_, err = compared.Write(t.Context())
			}
			done <- err
		}()
	}

	for range 3 {
		arrived.Wait(t, signalTimeout)
	}
	for range 5 {
		releaseOne(t, release)
		arrived.Wait(t, signalTimeout)
	}
	close(release)

	require.NoError(t, <-done)
	require.NoError(t, <-done)
	require.Equal(t, 3, f.crm.maxActive)
	f.requireNothingCommitted(t)
}
