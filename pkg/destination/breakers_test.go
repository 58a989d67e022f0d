package destination_test

import (
	"context"
	"net/http"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/destination"
	"rollcall.dev/pkg/fault"
)

func TestBreakerOpensAfterTenConsecutiveFailures(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		crm, breakers := newCRM(t), destination.NewBreakers(destination.BreakersConfig{})
		crm.answersInTurn(503)
		upsert := crm.once(breakers)
		for range 9 {
			require.NotErrorIs(t, upsert(t.Context()), destination.ErrOpen)
		}
		require.Zero(t, breakers.Trips("acme"))

		err := upsert(t.Context())
		require.ErrorIs(t, err, destination.ErrOpen)
		require.Equal(t, "destination_5xx", fault.CodeOf(err), "the failure that opened the breaker must be returned")
		require.EqualValues(t, 1, breakers.Trips("acme"))

		err = upsert(t.Context())
		require.ErrorIs(t, err, destination.ErrOpen)
		require.True(t, destination.Retryable(err))
		require.EqualValues(t, 10, crm.requests.Load(), "an open breaker must send nothing")
	})
}

func TestOpenBreakerEndsRetriesOfOtherCalls(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		crm, breakers := newCRM(t), destination.NewBreakers(destination.BreakersConfig{Failures: 2})
		crm.answersInTurn(503)
		guard := destination.NewGuard(crm.dest, destination.GuardConfig{Key: "acme", Breakers: breakers})
		failed := make(chan error)
		go func() {
			_, err := guard.Upsert(t.Context(), record())
			failed <- err
		}()
		synctest.Wait() // its first attempt failed

		require.ErrorIs(t, crm.once(breakers)(t.Context()), destination.ErrOpen)

		err := <-failed
		require.ErrorIs(t, err, destination.ErrOpen)
		require.Equal(t, "destination_5xx", fault.CodeOf(err))
		require.EqualValues(t, 2, crm.requests.Load())
	})
}

func TestOpenBreakerAllowsOneRequestAfterTwoSecondsAndCloses(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		crm, breakers := newCRM(t), destination.NewBreakers(destination.BreakersConfig{})
		upsert := open(t, crm, breakers)
		after(1999 * time.Millisecond)
		require.ErrorIs(t, upsert(t.Context()), destination.ErrOpen)
		after(2 * time.Millisecond)

		release := make(chan struct{})
		crm.does(func(http.ResponseWriter, *http.Request) { <-release })
		probe := make(chan error)
		go func() { probe <- upsert(t.Context()) }()
		synctest.Wait()
		require.EqualValues(t, 11, crm.requests.Load(), "one request must be sent")
		require.ErrorIs(t, upsert(t.Context()), destination.ErrOpen)
		require.EqualValues(t, 11, crm.requests.Load(), "no second request may be sent")

		close(release)
		require.NoError(t, <-probe)
		require.NoError(t, upsert(t.Context()))
		require.EqualValues(t, 1, breakers.Trips("acme"))
	})
}

func TestFailedProbeReopensBreaker(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		crm, breakers := newCRM(t), destination.NewBreakers(destination.BreakersConfig{})
		upsert := open(t, crm, breakers)
		after(2001 * time.Millisecond)

		require.ErrorIs(t, upsert(t.Context()), destination.ErrOpen)

		require.EqualValues(t, 11, crm.requests.Load())
		require.EqualValues(t, 2, breakers.Trips("acme"))
	})
}

func TestCancelledProbeAllowsNextProbe(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		crm, breakers := newCRM(t), destination.NewBreakers(destination.BreakersConfig{})
		upsert := open(t, crm, breakers)
		after(2001 * time.Millisecond)
		cancelInFlight(t, crm, upsert)
		require.EqualValues(t, 1, breakers.Trips("acme"))

		crm.answers(http.StatusOK, `{}`)
		require.NoError(t, upsert(t.Context()))
	})
}

func TestSuccessStaleAndRejectionResetFailures(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]struct {
		status int
		body   string
	}{
		"success": {200, `{"id":"1"}`},
		"refusal": {422, `{"code":"bad_phone"}`},
		"stale":   {409, `{"code":"stale"}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T) {
				crm, breakers := newCRM(t), destination.NewBreakers(destination.BreakersConfig{})
				upsert := crm.once(breakers)
				for range 3 {
					crm.answersInTurn(503)
					for range 9 {
						require.Error(t, upsert(t.Context()))
					}
					crm.answers(answer.status, answer.body)
					require.NotErrorIs(t, upsert(t.Context()), destination.ErrOpen)
				}
				require.Zero(t, breakers.Trips("acme"))
			})
		})
	}
}

func TestRejectedCredentialOpensBreaker(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		crm, breakers := newCRM(t), destination.NewBreakers(destination.BreakersConfig{})
		crm.answersInTurn(401, 403)
		upsert := crm.once(breakers)
		for range 10 {
			require.ErrorIs(t, upsert(t.Context()), destination.ErrAuth)
		}
		require.ErrorIs(t, upsert(t.Context()), destination.ErrOpen)
	})
}

func TestCancelledOrHeldRequestIsNeitherSuccessNorFailure(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		crm, breakers := newCRM(t), destination.NewBreakers(destination.BreakersConfig{})
		upsert := crm.once(breakers)
		held := destination.NewGuard(crm.dest, destination.GuardConfig{Key: "acme", Breakers: breakers,
			Before: func(context.Context) error { return errOnlyOnce }})
		crm.answersInTurn(503)
		for range 9 {
			require.Error(t, upsert(t.Context()))
		}
		for range 3 {
			cancelInFlight(t, crm, upsert)
			_, err := held.Upsert(t.Context(), record())
			require.ErrorIs(t, err, errOnlyOnce)
		}
		require.Zero(t, breakers.Trips("acme"), "it must not count as a failure")

		crm.answersInTurn(503)
		require.ErrorIs(t, upsert(t.Context()), destination.ErrOpen, "it must not count as a success either")
	})
}

func TestCustomersDoNotShareBreaker(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		crm, breakers := newCRM(t), destination.NewBreakers(destination.BreakersConfig{})
		open(t, crm, breakers)
		crm.answers(http.StatusOK, `{}`)
		require.NotEqual(t, destination.BreakerKey("acme", "http://crm"), destination.BreakerKey("umbrella", "http://crm"))

		other := destination.NewGuard(crm.dest, destination.GuardConfig{Key: "umbrella", Breakers: breakers})
		_, err := other.Upsert(t.Context(), record())

		require.NoError(t, err)
		require.Zero(t, breakers.Trips("umbrella"))
	})
}

func TestIdleBreakersAreRemovedAndUsedOnesKept(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		crm, breakers := newCRM(t), destination.NewBreakers(destination.BreakersConfig{})
		open(t, crm, breakers)
		crm.answers(http.StatusOK, `{}`)
		use := func(key string) {
			_, err := destination.NewGuard(crm.dest, destination.GuardConfig{Key: key, Breakers: breakers}).
				Upsert(t.Context(), record())
			require.NoError(t, err)
		}
		for n := range 500 {
			use(strconv.Itoa(n))
		}
		require.Equal(t, 501, breakers.Len())

		for range 4 {
			after(20 * time.Minute)
			require.EqualValues(t, 1, breakers.Trips("acme"))
			use("busy")
		}

		require.Equal(t, 2, breakers.Len(), "acme's trips were read, busy was used")
	})
}

// open makes failing requests until the breaker is open.
func open(t *testing.T, crm *crm, breakers *destination.Breakers) func(context.Context) error {
	t.Helper()
	crm.answersInTurn(503)
	upsert := crm.once(breakers)
	for range 10 {
		require.Error(t, upsert(t.Context()))
	}
	require.EqualValues(t, 1, breakers.Trips("acme"))
	return upsert
}

// cancelInFlight cancels an upsert while the CRM processes it.
func cancelInFlight(t *testing.T, crm *crm, upsert func(context.Context) error) {
	t.Helper()
	before := crm.requests.Load()
	crm.does(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	ctx, cancel := context.WithCancel(t.Context())
	failed := make(chan error)
	go func() { failed <- upsert(ctx) }()
	synctest.Wait()
	require.Equal(t, before+1, crm.requests.Load())
	cancel()
	require.ErrorIs(t, <-failed, context.Canceled)
}
