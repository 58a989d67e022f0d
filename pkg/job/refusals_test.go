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

func TestPollIsGivenUpOnlyAfterRejectionsInARow(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.sides.change(checkpoint.Add(time.Minute), "x", ids(20)...)
	answer := func(status int) {
		f.sides.set(func(w *sides) { w.vomo = func(int) int { return status } })
		f.polled()
	}
	refusals := func() []int { return values[int](f, `SELECT refusals FROM runs`) }

	answer(http.StatusMisdirectedRequest)
	require.Equal(t, "parked vomo_unavailable pages 0 attempts 0 parks 1", f.run())
	require.Equal(t, []int{1}, refusals())

	f.exec(`UPDATE runs SET refusals = 8`)
	answer(http.StatusNotAcceptable)
	require.Equal(t, []int{9}, refusals())
	answer(http.StatusInternalServerError)
	require.Equal(t, []int{0}, refusals(), "not in a row")

	f.exec(`UPDATE runs SET refusals = 9`)
	answer(http.StatusMisdirectedRequest)
	require.Empty(t, f.run(), "given up: the next poll begins where this one began")
	require.Equal(t, []string{"user_sync_poll failed 0 0 vomo_http_421"}, f.jobs())
	require.Equal(t, checkpoint, f.checkpoint())

	answer(0)
	require.Equal(t, ids(20), f.mapped())
}

func TestLastRejectionSaysStatusAndCount(t *testing.T) {
	t.Parallel()
	refused := fault.Unknown("vomo_http_406", vomo.ErrRejected)
	count, last := job.CountRefusals(refused, 8, 10)
	require.Equal(t, 9, count)
	require.NoError(t, last)
	count, last = job.CountRefusals(refused, 9, 10)
	require.Equal(t, 10, count)
	require.EqualError(t, last, "VOMO rejected the request, in each of 10 attempts in a row")
	require.Equal(t, fault.KindPermanent, fault.KindOf(last))
	require.Equal(t, "vomo_http_406", fault.CodeOf(last))
	count, last = job.CountRefusals(fault.Unknown("vomo_5xx", vomo.ErrThrottled), 9, 10)
	require.Zero(t, count)
	require.NoError(t, last)
}

func TestPauseOfOutageIsKeptAndIsNotThrottling(t *testing.T) {
	t.Parallel()
	for code, c := range map[string]struct {
		is     error
		reason string
	}{
		"vomo_throttled": {vomo.ErrThrottled, job.ParkVomoThrottled},
		"budget_held":    {http.ErrAbortHandler, job.ParkVomoThrottled},
		"vomo_5xx":       {http.ErrAbortHandler, job.ParkVomoUnavailable},
		"vomo_http_423":  {vomo.ErrRejected, job.ParkVomoUnavailable},
	} {
		park, parked := job.ParkFor(fault.Throttled(code, 12*time.Minute, c.is), 0)
		require.True(t, parked, code)
		require.Equal(t, job.Park{Reason: c.reason, Delay: 12 * time.Minute}, park, code)
	}
}

func TestUnreadablePageParksRunAndOpensNoLetter(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.sides.change(checkpoint.Add(time.Minute), "x", ids(20)...)
	f.sides.set(func(w *sides) { w.timeForm = "02/01/2006 15:04" })
	f.polled()
	require.Equal(t, "parked vomo_unavailable pages 0 attempts 0 parks 1", f.run())
	require.Empty(t, values[string](f, `SELECT record_id FROM dead_letters`))
	f.sides.set(func(w *sides) { w.timeForm = "" })
	f.polled()
	require.Equal(t, ids(20), f.mapped(), "it goes on by itself")
	require.Empty(t, values[string](f, `SELECT record_id FROM dead_letters`))
}
