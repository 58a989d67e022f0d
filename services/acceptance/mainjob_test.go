package acceptance_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestOneOnboardingMessageGivesCompleteMirror(t *testing.T) {
	t.Parallel()
	f := newFixture(t, fast)
	f.organisation("acme", 317)
	f.start(programOnboarding)
	f.start(programBackfill)

	f.onboard("acme")

	f.awaitState("acme", "completed", longest)
	f.requireMirrored("acme", 317)
	f.await(soon, "the completion is published", func() bool {
		return len(f.events("ROLLCALL_EVENTS", "rollcall.events.backfill.completed.acme")) == 1
	})
	var counts struct{ ProcessedCount int }
	require.NoError(t, json.Unmarshal(f.events("ROLLCALL_EVENTS", "rollcall.events.backfill.completed.acme")[0].Data(), &counts))
	require.Equal(t, 317, counts.ProcessedCount)
	require.Equal(t, 1, f.count(`SELECT count(*) FROM sync_configs WHERE backfill_completed_at IS NOT NULL AND backfill_processed_count = 317`))
	require.Equal(t, 1, f.count(`SELECT count(*) FROM job_log
		WHERE job = 'initial_backfill' AND outcome = 'success' AND processed_count = 317 AND failure_count = 0`))
	require.Equal(t, 317, f.count(`SELECT count(*) FROM sync_audit WHERE resource_type = 'user' AND operation = 'backfill' AND succeeded`))
	completed := f.events("ROLLCALL_EVENTS", "rollcall.events.onboarding.completed.acme")
	require.Len(t, completed, 1)
	var estimate struct{ UsersTotal, EstimatedBackfillSeconds int }
	require.NoError(t, json.Unmarshal(completed[0].Data(), &estimate))
	require.Equal(t, 317, estimate.UsersTotal)
	require.Zero(t, f.count(`SELECT count(*) FROM sync_checkpoints WHERE checkpoint < '2000-01-01'`), "the checkpoint has moved")
	require.Empty(t, f.events("ROLLCALL_EVENTS", "rollcall.events.user.*.*"), "a backfill emits no event per user")
	f.await(soon, "the outbox is empty", func() bool { return f.count(`SELECT count(*) FROM outbox`) == 0 }) // deleted after it was published
	require.Zero(t, f.count(`SELECT count(*) FROM dead_letters`))
	require.Equal(t, 1, f.traffic().CRM["acme"].MaxWritesPerRecord)
}
