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

const soon = 15 * time.Second // for what happens at once unless something is wrong

// during has the CRM do something once, while it holds the first record.
func (h *house) during(t testing.TB, do func(ctx context.Context) error) {
	t.Helper()
	var once sync.Once
	h.crm.answers(func(id string, r *http.Request) (int, string) {
		once.Do(func() {
			if err := do(r.Context()); err != nil {
				t.Error(err)
			}
		})
		return takes(id, r)
	})
}

// theLeaseRunsOut makes the database's clock, which all processes share, leap past the lease.
func (h *house) theLeaseRunsOut(ctx context.Context) error {
	_, err := h.pool.Exec(ctx, fmt.Sprintf(`CREATE OR REPLACE FUNCTION rollcall_now() RETURNS timestamptz LANGUAGE sql STABLE
		AS $$ SELECT now() + make_interval(secs => %f) $$`, (leaseFor+time.Second).Seconds()))
	return err
}

func TestALaneThatSomebodyElseTookCommitsNothing(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	var taken *store.Lease
	h.during(t, func(ctx context.Context) (err error) {
		if err := h.theLeaseRunsOut(ctx); err != nil {
			return err
		}
		taken, err = h.Store.TakeLease(ctx, customer, "worker-2", leaseFor)
		return err
	})

	_, err := h.apply(t, page(1, users(3)...), mirror.ApplyOptions{})

	require.ErrorIs(t, err, store.ErrLaneLost)
	require.Len(t, h.crm.saw(), 3)
	h.requireNothingCommitted(t)

	h.Lease = taken
	require.Equal(t, 3, h.applied(t, users(3)...).Written, "the new holder does it again")
}

func TestALeaseThatRanOutCommitsNothingAlthoughNobodyTookTheLane(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.during(t, h.theLeaseRunsOut)

	_, err := h.apply(t, page(1, users(3)...), mirror.ApplyOptions{})

	require.ErrorIs(t, err, store.ErrLaneLost)
	h.requireNothingCommitted(t)
}

func TestAFencedLaneCommitsNothing(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.during(t, func(ctx context.Context) error {
		return h.Store.InTx(ctx, func(ctx context.Context, tx *store.Tx) error { return tx.FenceLane(ctx, customer) })
	})

	_, err := h.apply(t, page(1, users(3)...), mirror.ApplyOptions{})

	require.ErrorIs(t, err, store.ErrLaneLost)
	h.requireNothingCommitted(t)
}

func TestARequestThatTheLeaseDoesNotOutlastIsHeldBack(t *testing.T) {
	t.Parallel()
	var h *house
	h = newHouse(t, func(guard *destination.GuardConfig, _ *destination.BreakersConfig) {
		guard.Before = func(context.Context) error { return h.Lease.Outlasts(2 * leaseFor) }
	})

	_, err := h.apply(t, page(1, users(3)...), mirror.ApplyOptions{})

	require.ErrorIs(t, err, store.ErrLaneLost)
	require.NotErrorIs(t, err, mirror.ErrDestinationDown)
	require.Empty(t, h.crm.saw())
	h.requireNothingCommitted(t)
}

func TestAPageRenewsTheLeaseAndLearnsThatTheLaneIsWanted(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	_, err := h.Store.TakeLease(t.Context(), customer, "worker-2", leaseFor)
	require.ErrorIs(t, err, store.ErrLaneTaken)
	require.False(t, h.Lease.Wanted())

	h.applied(t, users(1)...)

	require.True(t, h.Lease.Wanted())
}

func TestNoMoreRecordsAreUnderWayThanAllowed(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.Concurrency = 3
	arrived, release := testkit.NewSignal[string](), make(chan struct{})
	h.crm.answers(func(id string, r *http.Request) (int, string) {
		arrived.Send(id)
		select {
		case <-release:
		case <-r.Context().Done(): // the test has failed
		}
		return takes(id, r)
	})
	done := make(chan error, 1)
	go func() {
		_, err := h.apply(t, page(1, users(9)...), mirror.ApplyOptions{})
		done <- err
	}()

	for range 3 {
		arrived.Wait(t, soon)
	}
	for range 6 { // each one that leaves makes room for one
		letOne(t, release)
		arrived.Wait(t, soon)
	}
	close(release)

	require.NoError(t, <-done)
	require.Equal(t, 3, h.crm.atMost)
}

// letOne lets one of those go who wait.
func letOne(t *testing.T, release chan<- struct{}) {
	t.Helper()
	select {
	case release <- struct{}{}:
	case <-time.After(soon):
		require.FailNow(t, "nobody waits to be let go")
	}
}

func TestALaneWithoutALimitWritesOneByOne(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.Concurrency = 0

	require.Equal(t, 5, h.applied(t, users(5)...).Written)
	require.Equal(t, 1, h.crm.atMost)
}

func TestACancelledPageReturnsWhileTheDestinationIsSilent(t *testing.T) {
	t.Parallel()
	for name, options := range map[string]mirror.ApplyOptions{"page": {}, "probe": {Probe: true}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			h.crm.answers(func(_ string, r *http.Request) (int, string) {
				cancel()
				<-r.Context().Done() // never an answer
				return http.StatusOK, ""
			})

			_, err := h.Apply(ctx, page(1, users(15)...), options, func(context.Context, *store.Tx, mirror.Outcome) error { return nil })

			require.ErrorIs(t, err, context.Canceled)
			require.NotErrorIs(t, err, mirror.ErrDestinationDown)
			h.requireNothingCommitted(t)
		})
	}
}

func TestACancelledPageDoesNotSitOutTheWaitBetweenAttempts(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancelCause(t.Context())
	stopping := context.DeadlineExceeded
	h := newHouse(t, func(guard *destination.GuardConfig, _ *destination.BreakersConfig) {
		guard.Timer = func(time.Duration) <-chan time.Time {
			cancel(stopping)
			return nil // a wait without an end
		}
	})
	h.crm.says(unavailable, "")

	_, err := h.Apply(ctx, page(1, users(4)...), mirror.ApplyOptions{}, func(context.Context, *store.Tx, mirror.Outcome) error { return nil })

	require.ErrorIs(t, err, context.Canceled)
	require.ErrorIs(t, err, stopping, "with its cause")
	h.requireNothingCommitted(t)
}

// counted is an outcome without the ids it met.
func counted(outcome mirror.Outcome) mirror.Outcome {
	outcome.Seen, outcome.Unsynced, outcome.Date = nil, nil, time.Time{}
	return outcome
}

func TestPagesThatAreWrittenAtOnceShareTheRoom(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.Concurrency = 3
	arrived, release := testkit.NewSignal[string](), make(chan struct{})
	h.crm.answers(func(id string, r *http.Request) (int, string) {
		arrived.Send(id)
		select {
		case <-release:
		case <-r.Context().Done(): // the test has failed
		}
		return takes(id, r)
	})
	list := users(8)
	done := make(chan error, 2)
	for number, part := range [][]vomo.User{list[:4], list[4:]} {
		go func() {
			_, err := h.Write(t.Context(), page(number+1, part...), mirror.ApplyOptions{})
			done <- err
		}()
	}

	for range 3 {
		arrived.Wait(t, soon)
	}
	for range 5 {
		letOne(t, release)
		arrived.Wait(t, soon)
	}
	close(release)

	require.NoError(t, <-done)
	require.NoError(t, <-done)
	require.Equal(t, 3, h.crm.atMost)
	h.requireNothingCommitted(t)
}
