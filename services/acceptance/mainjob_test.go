package acceptance_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestOneMessageMakesACompleteMirror(t *testing.T) {
	t.Parallel()
	h := newHouse(t, fast)
	h.organisation("acme", 317)
	h.start(programOnboarding)
	h.start(programBackfill)

	h.onboard("acme")

	h.untilState("acme", "completed", longest)
	h.requireMirrored("acme", 317)
	h.until(soon, "the completion is told", func() bool {
		return len(h.events("ROLLCALL_EVENTS", "rollcall.events.backfill.completed.acme")) == 1
	})
	completed := h.events("ROLLCALL_EVENTS", "rollcall.events.onboarding.completed.acme")
	require.Len(t, completed, 1)
	var estimate struct{ UsersTotal, EstimatedBackfillSeconds int }
	require.NoError(t, json.Unmarshal(completed[0].Data(), &estimate))
	require.Equal(t, 317, estimate.UsersTotal)
	require.Zero(t, h.count(`SELECT count(*) FROM sync_checkpoints WHERE checkpoint < '2000-01-01'`), "the checkpoint has moved")
	require.Empty(t, h.events("ROLLCALL_EVENTS", "rollcall.events.user.*.*"), "a backfill emits no event per user")
	h.until(soon, "the outbox is empty", func() bool { return h.count(`SELECT count(*) FROM outbox`) == 0 }) // deleted after it was published
	require.Zero(t, h.count(`SELECT count(*) FROM dead_letters`))
	require.Equal(t, 1, h.traffic().CRM["acme"].MaxWritesPerRecord)
}
