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

// fillers is the subject of the messages that fill the store.
var fillers = bus.SubjectEvent("user.created", "full")

// fillStore publishes messages until the store accepts none, not even a small one.
func (f *fixture) fillStore() {
	f.t.Helper()
	for _, size := range []int{512 << 10, 1 << 10} {
		for body, count := make([]byte, size), 0; ; count++ {
			require.Less(f.t, count, 2000, "the store does not fill up")
			ctx, cancel := context.WithTimeout(f.t.Context(), soon)
			_, err := f.js.Publish(ctx, fillers, body)
			cancel()
			if err != nil {
				break
			}
		}
	}
}

func TestOnboardingAndBackfillSurviveFullStore(t *testing.T) {
	t.Parallel()
	settings := map[string]string{"BACKFILL_TURN": "1s"} // each turn needs a message for the next one
	maps.Copy(settings, fast)
	f := newFixture(t, settings, testkit.WithMaxStore(16<<20))
	first := f.start(programOnboarding)
	f.startAt(programBackfill)
	startBackfills(f)
	first.Stop()
	f.wait() // for the next turn
	f.fillStore()

	f.startUnready(programOnboarding)
	f.awaitRow("the offboarding is done all the same", `SELECT offboarded_at IS NOT NULL FROM sync_configs WHERE customer_id = 'leaver'`)
	f.awaitRow("the newcomer's backfill waits for its request", `SELECT count(*) = 1 FROM all_runs
		WHERE kind = 'backfill' AND customer_id = 'newcomer' AND state = 'queued'`)
	f.requireFor(testkit.Outage(t), func() {
		f.fillStore() // erased and expired events make room
	})
	require.Zero(t, f.count(`SELECT count(*) FROM all_runs WHERE kind = 'backfill' AND customer_id = 'newcomer' AND state <> 'queued'`))
	read := f.count(`SELECT processed FROM all_runs WHERE kind = 'backfill' AND customer_id = 'half-read'`)
	stream, err := f.js.Stream(t.Context(), bus.StreamEvents)
	require.NoError(t, err)
	require.NoError(t, stream.Purge(t.Context(), jetstream.WithPurgeSubject(fillers)))

	f.requireRecovered(time.Now(), min(read, 2999))
}

// startUnready starts a service that may not become ready.
func (f *fixture) startUnready(program string) {
	f.t.Helper()
	env := maps.Clone(f.env)
	env["HTTP_ADDR"] = testkit.FreeAddr(f.t)
	f.programs = append(f.programs, testkit.Program(f.t, program, testkit.ProgramConfig{Env: env}))
}
