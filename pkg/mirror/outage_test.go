package mirror_test

import (
	"net/http"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/destination"
	"rollcall.dev/pkg/destination/rest"
	"rollcall.dev/pkg/mirror"
	"rollcall.dev/pkg/vomo"
)

const unavailable = http.StatusServiceUnavailable

func TestDestinationOutageParksThePageAndOpensNoLetters(t *testing.T) {
	t.Parallel()
	for name, options := range map[string]mirror.ApplyOptions{
		"no options": {}, "presumed outage": {PresumeOutage: true}, "probe after many parks": {Probe: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			f.crm.respond(unavailable, "")

			_, err := f.apply(t, page(1, users(15)...), options)

			require.ErrorIs(t, err, mirror.ErrDestinationDown)
			f.requireNothingCommitted(t)
		})
	}
}

func TestOutageInTheMiddleOfAPageParksThePageAlthoughSomeRecordsWereAccepted(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.Concurrency = 1
	down := make([]string, 0, 10)
	for _, u := range users(12)[2:] {
		down = append(down, u.ID)
	}
	f.crm.respond(unavailable, "", down...)

	_, err := f.apply(t, page(1, users(12)...), mirror.ApplyOptions{})

	require.ErrorIs(t, err, mirror.ErrDestinationDown)
	require.ErrorIs(t, err, destination.ErrOpen)
	require.Len(t, f.crm.requests(), 2+10, "the breaker opens after ten failures")
	f.requireNothingCommitted(t)

	f.crm.acceptAll()
	_, err = f.apply(t, page(1, users(12)...), mirror.ApplyOptions{PresumeOutage: true, Probe: true})
	require.ErrorIs(t, err, mirror.ErrDestinationDown, "the breaker is still open")
}

func TestBreakerThatOpenedAndClosedDuringThePageParksIt(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	var trips uint64
	f.Trips = func() uint64 { trips++; return trips }

	_, err := f.apply(t, page(1, users(15)...), mirror.ApplyOptions{})

	require.ErrorIs(t, err, mirror.ErrDestinationDown)
	f.requireNothingCommitted(t)
}

func TestTenEqualRejectionsAreTheDestinationsFaultNineAreNot(t *testing.T) {
	t.Parallel()
	t.Run("ten", func(t *testing.T) {
		t.Parallel()
		f := newFixture(t)
		f.crm.respond(http.StatusNotFound, "")

		_, err := f.apply(t, page(1, users(10)...), mirror.ApplyOptions{})

		require.ErrorIs(t, err, mirror.ErrDestinationDown)
		f.requireNothingCommitted(t)
	})
	t.Run("nine", func(t *testing.T) {
		t.Parallel()
		f := newFixture(t)
		f.crm.respond(http.StatusNotFound, "")

		require.Equal(t, 9, f.mustApply(t, users(9)...).Failed)
		require.Len(t, f.letters(t), 9)
	})
	t.Run("ten, one with another code", func(t *testing.T) {
		t.Parallel()
		f := newFixture(t)
		f.crm.setAnswer(func(id string, _ *http.Request) (int, string) {
			if id == "4" {
				return http.StatusBadRequest, ""
			}
			return unprocessable, ""
		})

		require.Equal(t, 10, f.mustApply(t, users(10)...).Failed)
	})
	t.Run("eleven, one accepted", func(t *testing.T) {
		t.Parallel()
		f := newFixture(t)
		f.crm.setAnswer(func(id string, r *http.Request) (int, string) {
			if id == "4" {
				return accept(id, r)
			}
			return unprocessable, ""
		})

		require.Equal(t, 10, f.mustApply(t, users(11)...).Failed)
	})
}

func TestRejectedCredentialsAreTheDestinationsFault(t *testing.T) {
	t.Parallel()
	for name, status := range map[string]int{"unauthorised": http.StatusUnauthorized, "forbidden": http.StatusForbidden} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			f.crm.respond(status, "", "2")
			for _, options := range []mirror.ApplyOptions{{}, {Probe: true, PresumeOutage: true}, {Probe: true}} {
				for _, list := range [][]vomo.User{users(5), users(2)[1:]} {
					_, err := f.apply(t, page(1, list...), options)

					require.ErrorIs(t, err, mirror.ErrDestinationAuth)
					require.NotErrorIs(t, err, mirror.ErrDestinationDown)
				}
			}
			require.Empty(t, f.letters(t))
			if status == http.StatusUnauthorized { // after a 403, which may concern one record only, the accepted records are committed
				f.requireNothingCommitted(t)
			}
		})
	}
}

func TestShortPageIsPresumedToBeAnOutageBeforeItsRecordsGetLetters(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.crm.respond(unavailable, "")

	_, err := f.apply(t, page(1, users(3)...), mirror.ApplyOptions{PresumeOutage: true})
	require.ErrorIs(t, err, mirror.ErrDestinationDown)
	f.requireNothingCommitted(t)

	outcome, err := f.apply(t, page(1, users(3)...), mirror.ApplyOptions{})
	require.NoError(t, err, "the breaker was opened by failures of these records")
	require.Equal(t, 3, outcome.Failed)
	for _, open := range f.letters(t) {
		require.Equal(t, "waiting", open.State)
		require.InDelta(t, 5, open.Wait, 0.001)
	}
}

func TestRejectionsOnAShortPageAreNotPresumedToBeAnOutage(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.crm.respond(unprocessable, "")

	outcome, err := f.apply(t, page(1, users(3)...), mirror.ApplyOptions{PresumeOutage: true})

	require.NoError(t, err)
	require.Equal(t, 3, outcome.Failed)
}

func TestFailedProbeSendsOneRecordAndStops(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.crm.respond(unavailable, "")

	_, err := f.apply(t, page(1, users(15)...), mirror.ApplyOptions{Probe: true, PresumeOutage: true})

	require.ErrorIs(t, err, mirror.ErrDestinationDown)
	sent := f.crm.requests()
	require.Len(t, slices.Compact(sent), 1, "only one record, with its retries")
	f.requireNothingCommitted(t)

	f.crm.acceptAll()
	f.crm.forgetRequests()
	outcome, err := f.apply(t, page(1, users(15)...), mirror.ApplyOptions{Probe: true, PresumeOutage: true})
	require.NoError(t, err)
	require.Equal(t, 15, outcome.Written)
	require.Len(t, f.crm.requests(), 15, "the probed record is part of the page and is not sent again")
}

func TestRejectedProbeShowsThatTheDestinationAnswers(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.crm.respond(unprocessable, "", "1", "2")

	outcome, err := f.apply(t, page(1, users(3)...), mirror.ApplyOptions{Probe: true, PresumeOutage: true})

	require.NoError(t, err)
	require.Equal(t, 2, outcome.Failed)
	require.Equal(t, 1, outcome.Written)
}

// A record for which the destination always answers 500 must not keep its run parked for ever, however the run probes.
func TestRecordThatAlwaysFailsDoesNotStopTheRunForGood(t *testing.T) {
	t.Parallel()
	const presumedParks, maxParks = 5, 200 // parks that presume an outage, as in a backfill; and parks in all
	for name, list := range map[string][]vomo.User{
		"the first of a full page": users(15), "alone on the last page": users(1), "first of two": users(2),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, breakerHalfOpensAtOnce)
			f.crm.respond(http.StatusInternalServerError, "", "1")

			var err error
			var outcome mirror.Outcome
			for parks := 1; parks <= maxParks; parks++ {
				outcome, err = f.apply(t, page(1, list...), mirror.ApplyOptions{Probe: true, PresumeOutage: parks < presumedParks})
				if err == nil {
					break
				}
				require.ErrorIs(t, err, mirror.ErrDestinationDown)
			}
			require.NoError(t, err)
			require.Equal(t, len(list), outcome.Written+outcome.Failed)
			require.Contains(t, queryColumn[string](t, f, `SELECT record_id FROM dead_letters WHERE error_class = 'retryable'`), "1")
		})
	}
}

func TestPrivateAddressIsTheDestinationsFault(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	for _, count := range []int{1, 15} {
		transport := rest.NewTransport(destination.PrivateAccess{})
		t.Cleanup(transport.CloseIdleConnections)
		plain, err := rest.New(rest.Config{URL: f.crm.server.URL, Transport: transport})
		require.NoError(t, err)
		f.Destination = destination.NewGuard(plain, destination.GuardConfig{Key: customer, Timer: noWait})

		for _, options := range []mirror.ApplyOptions{{}, {Probe: true}, {PresumeOutage: true}} {
			_, err = f.apply(t, page(1, users(count)...), options)
			require.ErrorIs(t, err, mirror.ErrDestinationDown)
			require.ErrorIs(t, err, destination.ErrNotPublic)
		}
		f.requireNothingCommitted(t)
		require.Empty(t, f.crm.requests())
	}
}

func TestUnreadableAnswerIsTheDestinationsFaultAndOpensNoLetter(t *testing.T) {
	t.Parallel()
	for _, options := range []mirror.ApplyOptions{{}, {Probe: true, PresumeOutage: true}, {Redrive: true}} {
		f := newFixture(t)
		f.crm.respond(http.StatusOK, "done", "2")
		_, err := f.apply(t, page(1, users(2)...), options)
		require.ErrorIs(t, err, mirror.ErrDestinationDown)
		require.ErrorIs(t, err, destination.ErrUnclear)
		f.requireNothingCommitted(t)
	}
}

func TestRedirectIsTheDestinationsFault(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.crm.respond(http.StatusPermanentRedirect, "")
	_, err := f.apply(t, page(1, users(15)...), mirror.ApplyOptions{})
	require.ErrorIs(t, err, mirror.ErrDestinationDown)
	require.ErrorIs(t, err, destination.ErrRedirect)
	f.requireNothingCommitted(t)
}

func TestErrorsInA2xxAnswerRejectTheRecordUnlessTheWholePageHasThem(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.crm.respond(http.StatusOK, `{"errors":[{"message":"no"}]}`, "1", "2")
	outcome := f.mustApply(t, users(15)...)
	require.Equal(t, 2, outcome.Failed)
	require.Equal(t, "errors_in_answer", f.letters(t)[0].Code)
	require.Equal(t, "review", f.letters(t)[0].State)

	f = newFixture(t)
	f.crm.setAnswer(func(id string, _ *http.Request) (int, string) {
		return http.StatusOK, `{"success":false,"code":"bad_` + id + `"}`
	})
	_, err := f.apply(t, page(1, users(40)...), mirror.ApplyOptions{})
	require.ErrorIs(t, err, mirror.ErrDestinationDown)
	f.requireNothingCommitted(t)
}

func Test403RejectsTheRecordOnceAnUnchangedRecordIsAccepted(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.crm.respond(http.StatusForbidden, "", "2")

	_, err := f.apply(t, page(1, users(5)...), mirror.ApplyOptions{})
	require.ErrorIs(t, err, mirror.ErrDestinationAuth)
	// Try until another record is accepted; with more failures in a row than these, the breaker would open.
	for range 8 {
		if len(queryColumn[string](t, f, `SELECT vomo_user_id FROM user_mappings`)) > 0 {
			break
		}
		_, err = f.apply(t, page(1, users(5)...), mirror.ApplyOptions{Probe: true, PresumeOutage: true})
		require.Error(t, err)
	}
	require.Empty(t, f.letters(t))
	require.NotEmpty(t, queryColumn[string](t, f, `SELECT vomo_user_id FROM user_mappings`), "one mapped record can be used for a probe")

	outcome, err := f.apply(t, page(1, users(5)...), mirror.ApplyOptions{Probe: true, PresumeOutage: true, ForbiddenRejectsRecord: true})
	require.NoError(t, err)
	require.Equal(t, 1, outcome.Failed)
	require.Equal(t, "http_403", f.letters(t)[0].Code)

	f.crm.respond(http.StatusUnauthorized, "", "9")
	_, err = f.apply(t, page(1, user("9")), mirror.ApplyOptions{ForbiddenRejectsRecord: true})
	require.ErrorIs(t, err, mirror.ErrDestinationAuth, "a 401 always concerns the credentials")
}
