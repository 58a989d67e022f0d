package destination_test

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/destination"
	"rollcall.dev/pkg/fault"
)

func TestTwoFailuresAreRetried(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		crm := newCRM(t)
		crm.answersInTurn(503, 503, 200)
		began := time.Now()

		_, err := destination.NewGuard(crm.dest, destination.GuardConfig{}).Upsert(t.Context(), record())

		require.NoError(t, err)
		require.EqualValues(t, 3, crm.requests.Load())
		require.Greater(t, time.Since(began), 850*time.Millisecond, "it must wait between attempts")
		require.Less(t, time.Since(began), 1750*time.Millisecond, "it must wait a few seconds at most")
	})
}

func TestFailureIsReturnedAfterThreeAttempts(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		crm := newCRM(t)
		crm.answersInTurn(500, 502, 503)

		_, err := destination.NewGuard(crm.dest, destination.GuardConfig{}).Upsert(t.Context(), record())

		require.True(t, destination.Retryable(err))
		require.Equal(t, "destination_5xx", fault.CodeOf(err))
		require.NotErrorIs(t, err, destination.ErrOpen)
		require.EqualValues(t, 3, crm.requests.Load())
	})
}

func TestPermanentAnswersAreNotRetried(t *testing.T) {
	t.Parallel()
	for _, status := range []int{400, 401, 403, 404, 409, 422} {
		t.Run(http.StatusText(status), func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T) {
				crm := newCRM(t)
				crm.answers(status, `{}`)

				_, err := destination.NewGuard(crm.dest, destination.GuardConfig{}).Upsert(t.Context(), record())

				require.Error(t, err)
				require.False(t, destination.Retryable(err))
				require.EqualValues(t, 1, crm.requests.Load())
			})
		})
	}
}

func TestGuardWaitsForShortRetryAfter(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		crm := newCRM(t)
		crm.does(func(w http.ResponseWriter, _ *http.Request) {
			if crm.requests.Load() == 1 {
				w.Header().Set("Retry-After", "3")
				w.WriteHeader(http.StatusTooManyRequests)
			}
		})
		began := time.Now()

		_, err := destination.NewGuard(crm.dest, destination.GuardConfig{}).Upsert(t.Context(), record())

		require.NoError(t, err)
		require.Equal(t, 3*time.Second, time.Since(began))
	})
}

func TestLongRetryAfterIsReturned(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		crm := newCRM(t)
		crm.does(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "4")
			w.WriteHeader(http.StatusTooManyRequests)
		})
		began := time.Now()

		_, err := destination.NewGuard(crm.dest, destination.GuardConfig{}).Upsert(t.Context(), record())

		pause, asked := fault.After(err)
		require.True(t, asked)
		require.Equal(t, 4*time.Second, pause)
		require.Zero(t, time.Since(began))
		require.EqualValues(t, 1, crm.requests.Load())
	})
}

func TestBeforeIsCalledForEachAttempt(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		crm := newCRM(t)
		crm.answersInTurn(503)
		errLeaseLost := errors.New("lease lost")
		asked := 0
		guard := destination.NewGuard(crm.dest, destination.GuardConfig{Before: func(context.Context) error {
			require.EqualValues(t, asked, crm.requests.Load(), "Before must be called before the request")
			if asked++; asked == 3 {
				return errLeaseLost
			}
			return nil
		}})

		_, err := guard.Upsert(t.Context(), record())

		require.ErrorIs(t, err, errLeaseLost)
		require.ErrorIs(t, err, destination.ErrHeld)
		require.False(t, destination.Retryable(err))
		require.EqualValues(t, 2, crm.requests.Load(), "the third request must not be sent")
	})
}

func TestCancelledWaitForRetryReturnsAtOnce(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		crm := newCRM(t)
		crm.answersInTurn(503)
		errStopping := errors.New("stopping")
		ctx, cancel := context.WithCancelCause(t.Context())
		began := time.Now()
		failed := make(chan error)
		go func() {
			_, err := destination.NewGuard(crm.dest, destination.GuardConfig{}).Upsert(ctx, record())
			failed <- err
		}()
		synctest.Wait() // the call waits for its second attempt
		require.EqualValues(t, 1, crm.requests.Load())

		cancel(errStopping)
		err := <-failed

		require.ErrorIs(t, err, context.Canceled)
		require.ErrorIs(t, err, errStopping)
		require.False(t, destination.Retryable(err))
		require.Zero(t, time.Since(began))
		require.EqualValues(t, 1, crm.requests.Load())
	})
}

func TestTimerCanBeReplaced(t *testing.T) {
	t.Parallel()
	var waits []time.Duration
	failing := upsertFunc(func(context.Context, destination.Record) (destination.Result, error) {
		return destination.Result{}, errors.New("some failure that has no name")
	})
	guard := destination.NewGuard(failing, destination.GuardConfig{Timer: func(d time.Duration) <-chan time.Time {
		waits = append(waits, d)
		now := make(chan time.Time, 1)
		now <- time.Time{}
		return now
	}})

	_, err := guard.Upsert(t.Context(), record())

	require.True(t, destination.Retryable(err))
	require.Len(t, waits, 2)
	require.InDelta(t, 300*time.Millisecond, waits[0], float64(91*time.Millisecond))
	require.InDelta(t, time.Second, waits[1], float64(301*time.Millisecond))
}

func TestTimeoutOfClientIsFailureOfDestination(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		attempts := 0
		slow := upsertFunc(func(context.Context, destination.Record) (destination.Result, error) {
			attempts++
			return destination.Result{}, context.DeadlineExceeded
		})

		_, err := destination.NewGuard(slow, destination.GuardConfig{}).Upsert(t.Context(), record())

		require.True(t, destination.Retryable(err))
		require.Equal(t, "destination_timeout", fault.CodeOf(err))
		require.Equal(t, 3, attempts)
	})
}

type upsertFunc func(context.Context, destination.Record) (destination.Result, error)

func (f upsertFunc) Upsert(ctx context.Context, r destination.Record) (destination.Result, error) {
	return f(ctx, r)
}

func (f upsertFunc) Delete(ctx context.Context, id string) error {
	_, err := f(ctx, destination.Record{ExternalID: id})
	return err
}

// slowly is a destination that accepts a record after some time, even if the caller's context has ended.
type slowly struct{ arrived, written chan struct{} }

func (s *slowly) Upsert(ctx context.Context, _ destination.Record) (destination.Result, error) {
	close(s.arrived)
	select {
	case <-ctx.Done():
		return destination.Result{}, ctx.Err()
	case <-s.written:
		return destination.Result{ExternalUserID: "crm-1"}, nil
	}
}

func (s *slowly) Delete(ctx context.Context, _ string) error {
	_, err := s.Upsert(ctx, destination.Record{})
	return err
}

func TestSentRequestIsNotCancelledWithItsCaller(t *testing.T) {
	t.Parallel()
	dest := &slowly{arrived: make(chan struct{}), written: make(chan struct{})}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		_, err := destination.NewGuard(dest, destination.GuardConfig{}).Upsert(ctx, record())
		ended <- err
	}()
	<-dest.arrived

	cancel()
	close(dest.written)

	require.NoError(t, <-ended)
}

func TestDeletionIsRetriedAndStoppedAsAWrite(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		crm := newCRM(t)
		guard := destination.NewGuard(crm.dest, destination.GuardConfig{Key: "acme"})
		crm.answersInTurn(http.StatusServiceUnavailable, http.StatusBadGateway, http.StatusOK)
		require.NoError(t, guard.Delete(t.Context(), "crm-1"))
		require.EqualValues(t, 3, crm.requests.Load())

		crm.answers(http.StatusNotFound, "")
		require.NoError(t, guard.Delete(t.Context(), "crm-1"))
		crm.answers(http.StatusConflict, `{"code":"stale"}`)
		var rejection *destination.Rejection
		require.ErrorAs(t, guard.Delete(t.Context(), "crm-1"), &rejection, "a record that is kept is not deleted")

		held := destination.NewGuard(crm.dest, destination.GuardConfig{Key: "acme", SendCheck: func() error { return errors.New("the lease has ended") }})
		before := crm.requests.Load()
		require.ErrorIs(t, held.Delete(t.Context(), "crm-1"), destination.ErrHeld)
		require.Equal(t, before, crm.requests.Load())
	})
}
