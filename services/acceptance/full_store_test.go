package acceptance_test

import (
	"context"
	"maps"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/testkit"
)

// fillers is where a full store is filled.
var fillers = bus.SubjectEvent("user.created", "full")

// fill publishes until the store takes nothing more, not even a small message.
func (h *house) fill() {
	h.t.Helper()
	for _, size := range []int{512 << 10, 1 << 10} {
		for body, count := make([]byte, size), 0; ; count++ {
			require.Less(h.t, count, 2000, "the store does not fill up")
			ctx, cancel := context.WithTimeout(h.t.Context(), soon)
			_, err := h.js.Publish(ctx, fillers, body)
			cancel()
			if err != nil {
				break
			}
		}
	}
}

func TestOnboardingAndABackfillPassThroughAFullStore(t *testing.T) {
	t.Parallel()
	settings := map[string]string{"BACKFILL_TURN": "1s"} // each turn asks NATS for the next one
	maps.Copy(settings, fast)
	h := newHouse(t, settings, testkit.WithMaxStore(16<<20))
	first := h.start(programOnboarding)
	h.startAt(programBackfill)
	underWay(h)
	first.Stop()
	h.wait() // for the next one
	h.fill()

	h.startUnready(programOnboarding)
	h.untilRow("the offboarding is done all the same", `SELECT offboarded_at IS NOT NULL FROM sync_configs WHERE customer_id = 'leaver'`)
	h.untilRow("the newcomer's backfill waits for its request", `SELECT count(*) = 1 FROM backfill_runs WHERE customer_id = 'newcomer' AND state = 'queued'`)
	h.lasts(testkit.Outage(t), func() {
		h.fill() // events that are erased or expire would make room
	})
	require.Zero(t, h.count(`SELECT count(*) FROM backfill_runs WHERE customer_id = 'newcomer' AND state <> 'queued'`))
	read := h.count(`SELECT processed FROM backfill_runs WHERE customer_id = 'half-read'`)
	stream, err := h.js.Stream(t.Context(), bus.StreamEvents)
	require.NoError(t, err)
	require.NoError(t, stream.Purge(t.Context(), jetstream.WithPurgeSubject(fillers)))

	h.requireRecovered(time.Now(), min(read, 2999))
}

// startUnready is start for a service that may not become ready.
func (h *house) startUnready(program string) {
	h.t.Helper()
	env := maps.Clone(h.env)
	env["HTTP_ADDR"] = testkit.FreeAddr(h.t)
	h.programs = append(h.programs, testkit.Program(h.t, program, testkit.ProgramConfig{Env: env}))
}
