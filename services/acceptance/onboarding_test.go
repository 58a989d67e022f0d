package acceptance_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/bus"
)

func TestTheSameRequestTwiceIsOneOnboarding(t *testing.T) {
	t.Parallel()
	h := newHouse(t, fast)
	h.organisation("acme", 60)
	h.start(programOnboarding)
	h.start(programBackfill)
	h.onboard("acme")
	h.untilState("acme", "completed", soon)
	h.onboard("acme")
	h.until(soon, "the second is settled", func() bool {
		return h.count(`SELECT count(*) FROM onboarding_requests WHERE state = 'duplicate'`) == 1
	})
	require.Equal(t, 1, h.count(`SELECT count(*) FROM backfill_runs`))
	require.Len(t, h.events("ROLLCALL_EVENTS", "rollcall.events.onboarding.completed.acme"), 1)
	require.Equal(t, 60, h.traffic().CRM["acme"].Writes)
}

func TestANewTokenReplacesTheOldOneWithoutABackfill(t *testing.T) {
	t.Parallel()
	h := newHouse(t, fast)
	h.organisation("acme", 60)
	h.start(programOnboarding)
	h.start(programBackfill)
	h.onboard("acme")
	h.untilState("acme", "completed", soon)
	before := h.sealedToken("acme")
	h.control(http.MethodPost, "/control/orgs", map[string]any{"name": "acme-again", "token": "fresh-token", "users": 60}, nil)
	request := h.request("acme")
	request["vomoToken"] = "fresh-token"
	h.publish(bus.SubjectOnboard("acme"), request)
	h.until(soon, "the new token is in force", func() bool {
		return h.count(`SELECT count(*) FROM onboarding_requests WHERE state = 'applied'`) == 2
	})
	require.NotEqual(t, before, h.sealedToken("acme"))
	require.Equal(t, 1, h.count(`SELECT count(*) FROM backfill_runs`))
	require.Equal(t, 1, h.count(`SELECT count(*) FROM sync_configs`))
}

func (h *house) sealedToken(customer string) []byte {
	h.t.Helper()
	var sealed []byte
	require.NoError(h.t, h.pool.QueryRow(h.t.Context(),
		`SELECT sealed FROM credentials WHERE customer_id = $1 AND name = 'vomo_token'`, customer).Scan(&sealed))
	return sealed
}

func TestUnreachableVOMODelaysAnOnboardingAndRejectsNone(t *testing.T) {
	t.Parallel()
	h := newHouse(t, fast)
	h.organisation("acme", 30)
	h.control(http.MethodPost, "/control/faults", map[string]any{"target": "vomo", "kind": "status", "status": 503}, nil)
	h.start(programOnboarding)
	h.start(programBackfill)
	h.onboard("acme")
	h.until(soon, "the token was asked about twice in vain", func() bool {
		return h.count(`SELECT count(*) FROM onboarding_requests WHERE attempts >= 2`) == 1
	})
	h.control(http.MethodDelete, "/control/faults", nil, nil)
	h.untilState("acme", "completed", longest)
	require.Len(t, h.events("ROLLCALL_EVENTS", "rollcall.events.onboarding.delayed.acme"), 1)
	require.Empty(t, h.events("ROLLCALL_EVENTS", "rollcall.events.onboarding.rejected.>"))
	h.requireMirrored("acme", 30)
}

func TestOffboarding(t *testing.T) {
	t.Parallel()
	h := newHouse(t, fast)
	h.organisation("acme", 1500)
	h.start(programOnboarding)
	h.start(programBackfill)
	h.slow(40)
	h.publish(bus.SubjectOffboard("stranger"), map[string]any{"customerId": "stranger"})
	h.onboard("acme")
	h.until(soon, "the run is under way", func() bool {
		run := h.backfill("acme")
		return run != nil && run.Processed > 200
	})
	h.publish(bus.SubjectOffboard("acme"), map[string]any{"customerId": "acme"})
	h.untilState("acme", "cancelled", soon)
	require.Zero(t, h.count(`SELECT count(*) FROM credentials`))
	require.Equal(t, 1, h.count(`SELECT count(*) FROM sync_configs WHERE NOT enabled AND offboarded_at IS NOT NULL`))
	h.until(soon, "the worker has let go", func() bool { return h.subjects("ROLLCALL_BACKFILL", ">") == 0 })
	mirrored := h.count(`SELECT count(*) FROM user_mappings`)
	require.Less(t, mirrored, 1500)
	require.Contains(t, h.logs(), `"known":false`, "an unknown customer is a log line")

	h.onboard("acme")
	h.untilState("acme", "completed", longest)
	require.Equal(t, comparison{Source: 1500, Destination: 1500, Same: 1500}, h.compare("acme"))
}
