package acceptance_test

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/report"
	rollcallv1 "rollcall.dev/proto/rollcall/v1"
)

// toVirtuous has a service use the sandbox's Virtuous.
func (f *fixture) toVirtuous() map[string]string {
	return map[string]string{"VIRTUOUS_BASE_URL": f.sandbox + "/virtuous"}
}

// applied awaits that n requests were applied.
func (f *fixture) applied(n int) {
	f.t.Helper()
	f.await(soon, "the request is settled", func() bool {
		return f.count(`SELECT count(*) FROM onboarding_requests WHERE state = 'applied'`) == n
	})
}

func (f *fixture) virtuousState(key, state string) {
	f.t.Helper()
	f.control(http.MethodPut, "/control/virtuous/orgs/acme/key", map[string]any{"key": key, "state": state}, nil)
}

func TestCustomerWithVirtuousAloneIsOnboardedAndOffboarded(t *testing.T) {
	t.Parallel()
	f := newFixture(t, fast)
	f.control(http.MethodPost, "/control/virtuous/orgs", map[string]any{"name": "acme", "key": "v_acme", "settings": map[string]any{"zone": "US/Arizona"}}, nil)
	f.start(programOnboarding, f.toVirtuous())
	f.start(programBackfill)
	f.start(programPoller)

	f.publish(bus.SubjectOnboard("acme"), map[string]any{
		"customerId": "acme", "adminEmail": "it@acme.example",
		"virtuous": map[string]any{"token": "v_acme", "transactionSource": "AcmeGive", "webhookSecret": "wh-s3cret"},
	})
	f.applied(1)
	events := f.events(bus.StreamEvents, "rollcall.events.onboarding.completed.acme")
	require.Len(t, events, 1)
	completed := &rollcallv1.OnboardingCompleted{}
	require.NoError(t, rollcallv1.Read(events[0].Data(), completed))
	require.True(t, completed.GetVirtuousSetUp())
	require.NotEmpty(t, completed.GetVirtuousOrganizationName())
	var status report.Status
	require.NoError(t, json.Unmarshal([]byte(f.operator("status", "acme", "--json")), &status))
	require.True(t, *status.Health.IsHealthy, status.Health.Reasons)
	require.True(t, status.Giving.Enabled)
	require.Nil(t, status.Backfill)
	f.organisation("globex", 20) // a customer with a mirror: when it is polled, the other one would have been, too
	f.onboard("globex")
	f.applied(2)
	f.awaitState("globex", "completed", longest)
	f.await(longest, "the customer with a mirror is polled", func() bool {
		return f.count(`SELECT count(*) FROM sync_configs WHERE customer_id = 'globex' AND last_polled_at IS NOT NULL`) == 1
	})
	require.Zero(t, f.count(`SELECT count(*) FROM all_runs WHERE customer_id = 'acme'`))
	require.Equal(t, 1, f.count(`SELECT count(*) FROM sync_configs WHERE external_system_url = '' AND destination = '{}'`))
	require.Equal(t, 1, f.count(`SELECT count(*) FROM virtuous_configs WHERE time_zone = 'US/Arizona'`))

	f.virtuousState("v_second", "good")
	f.publish(bus.SubjectOnboard("acme"), map[string]any{"customerId": "acme", "virtuous": map[string]any{"token": "v_second"}})
	f.applied(3)
	f.publish(bus.SubjectOnboard("acme"), map[string]any{"customerId": "acme", "virtuous": map[string]any{"token": "v_unknown"}})
	f.await(soon, "the unknown key is rejected", func() bool {
		return f.count(`SELECT count(*) FROM onboarding_requests WHERE state = 'rejected' AND errors ? 'virtuous.token'`) == 1
	})

	f.operator("offboard", "acme", "--force")
	f.applied(4)
	require.Zero(t, f.count(`SELECT (SELECT count(*) FROM credentials WHERE customer_id = 'acme')
		+ (SELECT count(*) FROM customer_keys WHERE customer_id = 'acme')`))
	require.Equal(t, 1, f.count(`SELECT count(*) FROM virtuous_configs WHERE NOT enabled`))
}
