package acceptance_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/bus"
)

func TestRepeatedRequestIsOneOnboarding(t *testing.T) {
	t.Parallel()
	f := newFixture(t, fast)
	f.organisation("acme", 60)
	f.start(programOnboarding)
	f.start(programBackfill)
	f.onboard("acme")
	f.awaitState("acme", "completed", soon)
	f.onboard("acme")
	f.await(soon, "the second is settled", func() bool {
		return f.count(`SELECT count(*) FROM onboarding_requests WHERE state = 'duplicate'`) == 1
	})
	require.Equal(t, 1, f.count(`SELECT count(*) FROM all_runs WHERE kind = 'backfill'`))
	require.Len(t, f.events("ROLLCALL_EVENTS", "rollcall.events.onboarding.completed.acme"), 1)
	require.Equal(t, 60, f.traffic().CRM["acme"].Writes)
}

func TestNewTokenReplacesOldOneWithoutBackfill(t *testing.T) {
	t.Parallel()
	f := newFixture(t, fast)
	f.organisation("acme", 60)
	f.start(programOnboarding)
	f.start(programBackfill)
	f.onboard("acme")
	f.awaitState("acme", "completed", soon)
	before := f.sealedToken("acme")
	f.control(http.MethodPost, "/control/orgs", map[string]any{"name": "acme-again", "token": "fresh-token", "users": 60}, nil)
	request := f.request("acme")
	request["vomoToken"] = "fresh-token"
	f.publish(bus.SubjectOnboard("acme"), request)
	f.await(soon, "the new token is in force", func() bool {
		return f.count(`SELECT count(*) FROM onboarding_requests WHERE state = 'applied'`) == 2
	})
	require.NotEqual(t, before, f.sealedToken("acme"))
	require.Equal(t, 1, f.count(`SELECT count(*) FROM all_runs WHERE kind = 'backfill'`))
	require.Equal(t, 1, f.count(`SELECT count(*) FROM sync_configs`))
}

func (f *fixture) sealedToken(customer string) []byte {
	f.t.Helper()
	var sealed []byte
	require.NoError(f.t, f.pool.QueryRow(f.t.Context(),
		`SELECT sealed FROM credentials WHERE customer_id = $1 AND name = 'vomo_token'`, customer).Scan(&sealed))
	return sealed
}

func TestUnreachableVOMODelaysOnboardingAndRejectsNone(t *testing.T) {
	t.Parallel()
	f := newFixture(t, fast)
	f.organisation("acme", 30)
	f.control(http.MethodPost, "/control/faults", map[string]any{"target": "vomo", "kind": "status", "status": 503}, nil)
	f.start(programOnboarding)
	f.start(programBackfill)
	f.onboard("acme")
	f.await(soon, "the token was asked about twice in vain", func() bool {
		return f.count(`SELECT count(*) FROM onboarding_requests WHERE attempts >= 2`) == 1
	})
	f.control(http.MethodDelete, "/control/faults", nil, nil)
	f.awaitState("acme", "completed", longest)
	require.Len(t, f.events("ROLLCALL_EVENTS", "rollcall.events.onboarding.delayed.acme"), 1)
	require.Empty(t, f.events("ROLLCALL_EVENTS", "rollcall.events.onboarding.rejected.>"))
	f.requireMirrored("acme", 30)
}

func TestOffboardingStopsWorkAndDestroysKeys(t *testing.T) {
	t.Parallel()
	f := newFixture(t, fast)
	f.organisation("acme", 1500)
	f.start(programOnboarding)
	f.start(programBackfill)
	f.slowDown(40)
	f.publish(bus.SubjectOffboard("stranger"), map[string]any{"customerId": "stranger"})
	f.onboard("acme")
	f.await(soon, "the run is under way", func() bool {
		run := f.backfill("acme")
		return run != nil && run.Processed > 200
	})
	f.publish(bus.SubjectOffboard("acme"), map[string]any{"customerId": "acme"})
	f.awaitState("acme", "cancelled", soon)
	require.Zero(t, f.count(`SELECT count(*) FROM credentials`))
	require.Equal(t, 1, f.count(`SELECT count(*) FROM sync_configs WHERE NOT enabled AND offboarded_at IS NOT NULL`))
	f.await(soon, "the worker has let go", func() bool { return f.subjects("ROLLCALL_BACKFILL", ">") == 0 })
	mirrored := f.count(`SELECT count(*) FROM user_mappings`)
	require.Less(t, mirrored, 1500)
	require.Contains(t, f.logs(), `"known":false`, "an unknown customer is a log line")

	f.onboard("acme")
	f.awaitState("acme", "completed", longest)
	require.Equal(t, comparison{Source: 1500, Destination: 1500, Same: 1500}, f.compare("acme"))
}
