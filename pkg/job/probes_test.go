package job_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/job"
	"rollcall.dev/pkg/testkit"
)

// probesFixture admits probes to the slots of one process.
type probesFixture struct {
	t     *testing.T
	clock *testkit.Clock
	slots *job.ProbeSlots
	waits bool // another run waits for a slot
}

func newProbesFixture(t *testing.T, slots int) *probesFixture {
	t.Helper()
	clock := testkit.NewClock(time.Time{})
	return &probesFixture{t: t, clock: clock, slots: job.NewProbeSlots(func() int { return slots }, clock.Now)}
}

// probe begins a customer's run; leave is nil if it found no slot, and then it has ended already.
func (w *probesFixture) probe(customer string, silent time.Duration) (leave func(), wait time.Duration) {
	w.t.Helper()
	end := w.slots.Begin()
	release, wait, err := w.slots.Admit(w.t.Context(), customer, silent, func(context.Context) (bool, error) { return w.waits, nil })
	require.NoError(w.t, err)
	if release == nil {
		end()
		return nil, wait
	}
	return func() { release(); release(); end() }, 0
}

func TestProbesHoldHalfOfTheSlotsAndAtLeastOne(t *testing.T) {
	t.Parallel()
	for slots, most := range map[int]int{1: 1, 2: 1, 3: 1, 4: 2, 5: 2, 64: 32} {
		w := newProbesFixture(t, slots)
		var leave []func()
		for range most {
			one, _ := w.probe("hangs", 0)
			require.NotNil(t, one, "%d slots", slots)
			leave = append(leave, one)
		}
		for range 2 {
			one, wait := w.probe("another", 0)
			require.Nil(t, one, "%d slots", slots)
			require.InDelta(t, 2*time.Second, wait, float64(time.Second))
			leave[0]()
			leave[0], _ = w.probe("another", 0)
			require.NotNil(t, leave[0])
		}
	}
}

func TestProbeGetsLastFreeSlotOnlyIfNoOtherRunWaits(t *testing.T) {
	t.Parallel()
	w := newProbesFixture(t, 4)
	w.waits = true
	first, _ := w.probe("first", 0)
	require.NotNil(t, first, "the others have three slots to go to")
	ends := []func(){w.slots.Begin(), w.slots.Begin()}
	last, _ := w.probe("last", 0)
	require.Nil(t, last)
	w.waits = false
	last, _ = w.probe("last", 0)
	require.NotNil(t, last)
	last()
	w.waits = true
	ends[0]()
	last, _ = w.probe("last", 0)
	require.NotNil(t, last, "two slots are free")
}

func TestProbeGivesWayForAMinute(t *testing.T) {
	t.Parallel()
	w := newProbesFixture(t, 1)
	w.waits = true
	for range 60 {
		leave, _ := w.probe("hangs", 0)
		require.Nil(t, leave)
		w.clock.Advance(time.Second)
	}
	leave, _ := w.probe("hangs", 0)
	require.NotNil(t, leave, "work without end must not keep a destination from being asked for good")
	leave()
	leave, _ = w.probe("hangs", 0)
	require.Nil(t, leave, "then it is the others' turn again")
}

func TestWaitingProbesComeAsOftenAsSlotsBecomeFree(t *testing.T) {
	t.Parallel()
	w := newProbesFixture(t, 4)
	for range 2 {
		leave, _ := w.probe("hangs", 0)
		require.NotNil(t, leave)
	}
	var wait time.Duration
	for i := range 28 {
		_, wait = w.probe(string(rune('a'+i)), 0)
	}
	require.Equal(t, 35*time.Second, wait, "28 of 5 s by two: 70 s until all had one")
	for i := range 100 {
		_, wait = w.probe(string(rune('A'+i)), 0)
	}
	require.Equal(t, time.Minute, wait)
	w.clock.Advance(3 * time.Minute)
	_, wait = w.probe("alone", 0)
	require.Equal(t, 2*time.Second, wait, "those that did not come again wait no more")
}

func TestProbeOfSilentHostWaitsForNextRequestToIt(t *testing.T) {
	t.Parallel()
	w := newProbesFixture(t, 4)
	leave, wait := w.probe("acme", 7*time.Second)
	require.Nil(t, leave)
	require.Equal(t, 7*time.Second, wait)
}

func TestProbeIsNotAdmittedIfOtherRunsAreUnknown(t *testing.T) {
	t.Parallel()
	slots := job.NewProbeSlots(func() int { return 1 }, time.Now)
	end := slots.Begin()
	defer end()
	away := errors.New("Postgres is away")
	release, _, err := slots.Admit(t.Context(), "acme", 0, func(context.Context) (bool, error) { return false, away })
	require.ErrorIs(t, err, away)
	require.Nil(t, release)
}
