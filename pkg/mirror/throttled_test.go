package mirror_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/destination"
	"rollcall.dev/pkg/fault"
	"rollcall.dev/pkg/mirror"
)

func TestAPauseThatTheDestinationNamesIsNoLetterAndKeepsWhatItAccepted(t *testing.T) {
	t.Parallel()
	for name, batches := range map[string]bool{"one by one": false, "in batches": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t)
			if batches {
				h = newBatchHouse(t, 5)
			}
			h.Concurrency = 1
			left := 7
			h.crm.answers(func(id string, r *http.Request) (int, string) {
				if left--; left < 0 {
					return http.StatusTooManyRequests, ""
				}
				return takes(id, r)
			})
			h.crm.retryAfter("3600")

			_, err := h.apply(t, page(1, users(15)...), mirror.ApplyOptions{})

			require.ErrorIs(t, err, mirror.ErrDestinationThrottled)
			pause, _ := fault.After(err)
			require.Equal(t, time.Hour, pause)
			require.Empty(t, h.letters(t), "8 letters before")
			require.Equal(t, []int64{7}, values[int64](t, h, `SELECT count(*) FROM user_mappings`))
			h.crm.works()
			h.crm.forget()
			outcome := h.applied(t, users(15)...)
			require.Equal(t, 8, outcome.Written)
			require.Equal(t, 7, outcome.Skipped)
		})
	}
}

func TestAPauseDuringARedriveIsNoAttempt(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.crm.says(unprocessable, "", "1")
	h.applied(t, users(2)...)
	h.crm.says(http.StatusServiceUnavailable, "")
	h.crm.retryAfter("60")

	_, err := h.apply(t, page(1, user("1")), mirror.ApplyOptions{Redrive: true})

	require.ErrorIs(t, err, mirror.ErrDestinationThrottled)
	require.Equal(t, []int32{1}, values[int32](t, h, `SELECT attempts FROM dead_letters`))
}

func TestAnAnswerThatCannotBeReadIsTheDestinationsAndNeverALetter(t *testing.T) {
	t.Parallel()
	for _, options := range []mirror.ApplyOptions{{}, {Probe: true, Lenient: true}, {Redrive: true}} {
		h := newHouse(t)
		h.crm.says(http.StatusOK, "done", "2")
		_, err := h.apply(t, page(1, users(2)...), options)
		require.ErrorIs(t, err, mirror.ErrDestinationDown)
		require.ErrorIs(t, err, destination.ErrUnclear)
		h.requireNothingCommitted(t)
	}
}

func TestARedirectIsTheDestinationsAndSaysSo(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.crm.says(http.StatusPermanentRedirect, "")
	_, err := h.apply(t, page(1, users(15)...), mirror.ApplyOptions{})
	require.ErrorIs(t, err, mirror.ErrDestinationDown)
	require.ErrorIs(t, err, destination.ErrRedirect)
	h.requireNothingCommitted(t)
}

func TestFailuresInAnswersOfSuccessAreTheRecordsUnlessAWholePageHasThem(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.crm.says(http.StatusOK, `{"errors":[{"message":"no"}]}`, "1", "2")
	outcome := h.applied(t, users(15)...)
	require.Equal(t, 2, outcome.Failed)
	require.Equal(t, "errors_in_answer", h.letters(t)[0].Code)
	require.Equal(t, "review", h.letters(t)[0].State)

	h = newHouse(t)
	h.crm.answers(func(id string, _ *http.Request) (int, string) {
		return http.StatusOK, `{"success":false,"code":"bad_` + id + `"}`
	})
	_, err := h.apply(t, page(1, users(40)...), mirror.ApplyOptions{})
	require.ErrorIs(t, err, mirror.ErrDestinationDown, "40 mapped, and 0 at the destination, before")
	h.requireNothingCommitted(t)
}

func TestA403IsTheRecordsOnceAKnownRecordIsAccepted(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.crm.says(http.StatusForbidden, "", "2")

	_, err := h.apply(t, page(1, users(5)...), mirror.ApplyOptions{})
	require.ErrorIs(t, err, mirror.ErrDestinationAuth)
	// Until another record came through: more failures in a row than these would open the breaker.
	for range 8 {
		if len(values[string](t, h, `SELECT vomo_user_id FROM user_mappings`)) > 0 {
			break
		}
		_, err = h.apply(t, page(1, users(5)...), mirror.ApplyOptions{Probe: true, Lenient: true})
		require.Error(t, err)
	}
	require.Empty(t, h.letters(t))
	require.NotEmpty(t, values[string](t, h, `SELECT vomo_user_id FROM user_mappings`), "there is a record to judge by")

	outcome, err := h.apply(t, page(1, users(5)...), mirror.ApplyOptions{Probe: true, Lenient: true, Forbidden: true})
	require.NoError(t, err)
	require.Equal(t, 1, outcome.Failed)
	require.Equal(t, "http_403", h.letters(t)[0].Code)

	h.crm.says(http.StatusUnauthorized, "", "9")
	_, err = h.apply(t, page(1, user("9")), mirror.ApplyOptions{Forbidden: true})
	require.ErrorIs(t, err, mirror.ErrDestinationAuth, "a 401 is the credential's")
}
