package job_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/fault"
	"rollcall.dev/pkg/job"
	"rollcall.dev/pkg/vomo"
)

func TestAPollIsGivenUpOnlyAfterRefusalsInARow(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.world.change(checkpoint.Add(time.Minute), "x", ids(20)...)
	answer := func(status int) {
		h.world.set(func(w *world) { w.vomo = func(int) int { return status } })
		h.polled()
	}
	refusals := func() []int { return values[int](h, `SELECT refusals FROM sync_runs`) }

	answer(http.StatusMisdirectedRequest)
	require.Equal(t, "parked vomo_unavailable pages 0 attempts 0 parks 1", h.run())
	require.Equal(t, []int{1}, refusals())

	h.exec(`UPDATE sync_runs SET refusals = 8`)
	answer(http.StatusNotAcceptable)
	require.Equal(t, []int{9}, refusals())
	answer(http.StatusInternalServerError)
	require.Equal(t, []int{0}, refusals(), "not in a row")

	h.exec(`UPDATE sync_runs SET refusals = 9`)
	answer(http.StatusMisdirectedRequest)
	require.Empty(t, h.run(), "given up: the next poll begins where this one began")
	require.Equal(t, []string{"user_sync_poll failed 0 0 vomo_http_421"}, h.jobs())
	require.Equal(t, checkpoint, h.checkpoint())

	answer(0)
	require.Equal(t, ids(20), h.mapped())
}

func TestTheLastRefusalSaysStatusAndCount(t *testing.T) {
	t.Parallel()
	refused := fault.Unknown("vomo_http_406", vomo.ErrRefused)
	count, last := job.CountRefusals(refused, 8, 10)
	require.Equal(t, 9, count)
	require.NoError(t, last)
	count, last = job.CountRefusals(refused, 9, 10)
	require.Equal(t, 10, count)
	require.EqualError(t, last, "VOMO refused the request, in each of 10 attempts in a row")
	require.Equal(t, fault.KindPermanent, fault.KindOf(last))
	require.Equal(t, "vomo_http_406", fault.CodeOf(last))
	count, last = job.CountRefusals(fault.Unknown("vomo_5xx", vomo.ErrThrottled), 9, 10)
	require.Zero(t, count)
	require.NoError(t, last)
}

func TestThePauseOfAnOutageIsKeptAndIsNoSlowerPace(t *testing.T) {
	t.Parallel()
	for code, c := range map[string]struct {
		is     error
		reason string
	}{
		"vomo_throttled": {vomo.ErrThrottled, job.ParkVomoThrottled},
		"budget_held":    {http.ErrAbortHandler, job.ParkVomoThrottled},
		"vomo_5xx":       {http.ErrAbortHandler, job.ParkVomoUnavailable},
		"vomo_http_423":  {vomo.ErrRefused, job.ParkVomoUnavailable},
	} {
		park, parked := job.ParkFor(fault.Throttled(code, 12*time.Minute, c.is), 0)
		require.True(t, parked, code)
		require.Equal(t, job.Park{Reason: c.reason, Delay: 12 * time.Minute}, park, code)
	}
}

func TestAPageThatCannotBeReadParksAndOpensNoLetter(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.world.change(checkpoint.Add(time.Minute), "x", ids(20)...)
	h.world.set(func(w *world) { w.timeForm = "02/01/2006 15:04" })
	h.polled()
	require.Equal(t, "parked vomo_unavailable pages 0 attempts 0 parks 1", h.run())
	require.Empty(t, values[string](h, `SELECT record_id FROM dead_letters`))
	h.world.set(func(w *world) { w.timeForm = "" })
	h.polled()
	require.Equal(t, ids(20), h.mapped(), "it goes on by itself")
	require.Empty(t, values[string](h, `SELECT record_id FROM dead_letters`))
}
