package mirror_test

import (
	"net/http"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/destination"
	"rollcall.dev/pkg/mirror"
	"rollcall.dev/pkg/vomo"
)

const unavailable = http.StatusServiceUnavailable

func TestADestinationThatIsDownIsNoRecordsFault(t *testing.T) {
	t.Parallel()
	for name, options := range map[string]mirror.ApplyOptions{"at first": {}, "lenient": {Lenient: true}, "after many parks": {Probe: true}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t)
			h.crm.says(unavailable, "")

			_, err := h.apply(t, page(1, users(15)...), options)

			require.ErrorIs(t, err, mirror.ErrDestinationDown)
			h.requireNothingCommitted(t)
		})
	}
}

func TestAnOutageThatBeginsInMidPageParksThePageAlthoughSomeWereTaken(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.Concurrency = 1
	down := make([]string, 0, 10)
	for _, u := range users(12)[2:] {
		down = append(down, u.ID)
	}
	h.crm.says(unavailable, "", down...)

	_, err := h.apply(t, page(1, users(12)...), mirror.ApplyOptions{})

	require.ErrorIs(t, err, mirror.ErrDestinationDown)
	require.ErrorIs(t, err, destination.ErrOpen)
	require.Len(t, h.crm.saw(), 2+10, "the breaker lets no eleventh failure happen")
	h.requireNothingCommitted(t)

	h.crm.works()
	_, err = h.apply(t, page(1, users(12)...), mirror.ApplyOptions{Lenient: true, Probe: true})
	require.ErrorIs(t, err, mirror.ErrDestinationDown, "until the breaker lets a probe through")
}

func TestABreakerThatOpenedAndShutMeanwhileParksThePage(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	var asked uint64
	h.Trips = func() uint64 { asked++; return asked }

	_, err := h.apply(t, page(1, users(15)...), mirror.ApplyOptions{})

	require.ErrorIs(t, err, mirror.ErrDestinationDown)
	h.requireNothingCommitted(t)
}

func TestTenRecordsRefusedAlikeSpeakOfTheDestinationNineDoNot(t *testing.T) {
	t.Parallel()
	t.Run("ten", func(t *testing.T) {
		t.Parallel()
		h := newHouse(t)
		h.crm.says(http.StatusNotFound, "")

		_, err := h.apply(t, page(1, users(10)...), mirror.ApplyOptions{})

		require.ErrorIs(t, err, mirror.ErrDestinationDown)
		h.requireNothingCommitted(t)
	})
	t.Run("nine", func(t *testing.T) {
		t.Parallel()
		h := newHouse(t)
		h.crm.says(http.StatusNotFound, "")

		require.Equal(t, 9, h.applied(t, users(9)...).Failed)
		require.Len(t, h.letters(t), 9)
	})
	t.Run("ten, one of them otherwise", func(t *testing.T) {
		t.Parallel()
		h := newHouse(t)
		h.crm.answers(func(id string, _ *http.Request) (int, string) {
			if id == "4" {
				return http.StatusBadRequest, ""
			}
			return unprocessable, ""
		})

		require.Equal(t, 10, h.applied(t, users(10)...).Failed)
	})
	t.Run("eleven, one of them taken", func(t *testing.T) {
		t.Parallel()
		h := newHouse(t)
		h.crm.answers(func(id string, r *http.Request) (int, string) {
			if id == "4" {
				return takes(id, r)
			}
			return unprocessable, ""
		})

		require.Equal(t, 10, h.applied(t, users(11)...).Failed)
	})
}

func TestRefusedCredentialsAreTheDestinationsFault(t *testing.T) {
	t.Parallel()
	for name, status := range map[string]int{"unauthorised": http.StatusUnauthorized, "forbidden": http.StatusForbidden} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t)
			h.crm.says(status, "", "2")
			for _, options := range []mirror.ApplyOptions{{}, {Probe: true, Lenient: true}, {Probe: true}} {
				for _, list := range [][]vomo.User{users(5), users(2)[1:]} {
					_, err := h.apply(t, page(1, list...), options)

					require.ErrorIs(t, err, mirror.ErrDestinationAuth)
					require.NotErrorIs(t, err, mirror.ErrDestinationDown)
				}
			}
			require.Empty(t, h.letters(t))
			if status == http.StatusUnauthorized { // after a 403 what was accepted is known: it may be that one record's
				h.requireNothingCommitted(t)
			}
		})
	}
}

func TestAShortPageHasTheBenefitOfTheDoubtForAWhile(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.crm.says(unavailable, "")

	_, err := h.apply(t, page(1, users(3)...), mirror.ApplyOptions{Lenient: true})
	require.ErrorIs(t, err, mirror.ErrDestinationDown)
	h.requireNothingCommitted(t)

	outcome, err := h.apply(t, page(1, users(3)...), mirror.ApplyOptions{})
	require.NoError(t, err, "the parks before opened the breaker with these records' own failures")
	require.Equal(t, 3, outcome.Failed)
	for _, open := range h.letters(t) {
		require.Equal(t, "waiting", open.State)
		require.InDelta(t, 5, open.Wait, 0.001)
	}
}

func TestAShortPageWithSomethingElseThanOutagesIsNotExcused(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.crm.says(unprocessable, "")

	outcome, err := h.apply(t, page(1, users(3)...), mirror.ApplyOptions{Lenient: true})

	require.NoError(t, err)
	require.Equal(t, 3, outcome.Failed)
}

func TestAProbeSendsOneRecordAndStopsThereWhenItFails(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.crm.says(unavailable, "")

	_, err := h.apply(t, page(1, users(15)...), mirror.ApplyOptions{Probe: true, Lenient: true})

	require.ErrorIs(t, err, mirror.ErrDestinationDown)
	saw := h.crm.saw()
	require.Len(t, slices.Compact(saw), 1, "one record, tried again in place")
	h.requireNothingCommitted(t)

	h.crm.works()
	h.crm.forget()
	outcome, err := h.apply(t, page(1, users(15)...), mirror.ApplyOptions{Probe: true, Lenient: true})
	require.NoError(t, err)
	require.Equal(t, 15, outcome.Written)
	require.Len(t, h.crm.saw(), 15, "the probe is a record of the page, and not sent again")
}

func TestARefusedProbeShowsThatTheDestinationWorks(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.crm.says(unprocessable, "", "1", "2")

	outcome, err := h.apply(t, page(1, users(3)...), mirror.ApplyOptions{Probe: true, Lenient: true})

	require.NoError(t, err)
	require.Equal(t, 2, outcome.Failed)
	require.Equal(t, 1, outcome.Written)
}

// A record that makes the destination stumble whenever it comes must not keep its job parked for ever, however
// the job probes.
func TestARecordThatNobodyCanWriteDoesNotStopTheJobForGood(t *testing.T) {
	t.Parallel()
	const patience, longEnough = 5, 200 // parks with leniency, as the backfill has it; and in all
	for name, list := range map[string][]vomo.User{
		"the first of a full page": users(15), "alone on the last page": users(1), "first of two": users(2),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t, breakerShutsAtOnce)
			h.crm.says(http.StatusInternalServerError, "", "1")

			var err error
			var outcome mirror.Outcome
			for parks := 1; parks <= longEnough; parks++ {
				outcome, err = h.apply(t, page(1, list...), mirror.ApplyOptions{Probe: true, Lenient: parks < patience})
				if err == nil {
					break
				}
				require.ErrorIs(t, err, mirror.ErrDestinationDown)
			}
			require.NoError(t, err)
			require.Equal(t, len(list), outcome.Written+outcome.Failed)
			require.Contains(t, values[string](t, h, `SELECT record_id FROM dead_letters WHERE error_class = 'retryable'`), "1")
		})
	}
}
