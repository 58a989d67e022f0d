package cli

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/pkg/service"
)

func endpoint3() operatorapi.Endpoint {
	return operatorapi.Endpoint{
		ID: 3, CustomerID: new("acme"), Topics: []string{"auth_failed", "backfill.completed"}, Host: "hooks.example.org", State: operatorapi.EndpointEnabled,
		CreatedAt: testTime,
	}
}

func TestEndpointIsAddedWithASecretThatIsPrintedOnce(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.answers("endpoints", "add", func(_ int, data []byte) (any, string) {
		var asked operatorapi.EndpointAdd
		if err := json.Unmarshal(data, &asked); err != nil || asked.CustomerID != "acme" || len(asked.Topics) != 2 || asked.URL != "https://hooks.example.org/x" {
			return "a bad question", service.CodeBadRequest
		}
		return operatorapi.EndpointSecret{Endpoint: endpoint3(), Secret: "whsec_c2VjcmV0"}, noCode
	})
	require.Equal(t, result{stdout: "endpoint 3 added: hooks.example.org gets auth_failed, backfill.completed of acme\n" +
		"secret, which is not shown again: whsec_c2VjcmV0\n"},
		f.run("endpoint", "add", "https://hooks.example.org/x", "--customer", "acme", "--topics", "auth_failed,backfill.completed"))
	f.answers("endpoints", "rotate", inTurn(operatorapi.EndpointSecret{Endpoint: endpoint3(), Secret: "whsec_bmV3"}))
	require.Contains(t, f.run("endpoint", "rotate", "3").stdout, "secret, which is not shown again: whsec_bmV3\n")
}

func TestEndpointsAreListedShownChangedAndRemoved(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	gone := endpoint3()
	gone.ID, gone.CustomerID, gone.State, gone.DisabledAt, gone.DisabledReason = 4, nil, operatorapi.EndpointDisabled, new(testTime), new("gone")
	f.answers("endpoints", "ls", inTurn(operatorapi.EndpointsReply{Endpoints: []operatorapi.Endpoint{endpoint3(), gone}}))
	f.answers("endpoints", "show", inTurn(endpoint3()))
	f.answers("endpoints", "set", inTurn(endpoint3()))
	f.answers("endpoints", "rm", inTurn(endpoint3()))
	require.Regexp(t, `\n3 +acme +enabled .*\n4 +\* +disabled \(gone\) `, f.run("endpoint", "ls").stdout)
	require.Contains(t, f.run("endpoint", "show", "3").stdout, "hooks.example.org")
	require.Contains(t, f.run("endpoint", "set", "3", "--enable").stdout, "endpoint 3 is enabled")
	require.Equal(t, result{stdout: "endpoint 3 removed: hooks.example.org\n"}, f.run("endpoint", "rm", "3"))
	require.EqualValues(t, 3, document[operatorapi.Endpoint](t, f.run("endpoint", "show", "3", "--json")).ID)
}

func TestEndpointCommandsSayWhatIsWrong(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.answers("endpoints", "show", unknown)
	f.answers("endpoints", "test", inTurn(operatorapi.EndpointTested{Outcome: operatorapi.TestFailed, Status: new(503), Code: "http_503", Answer: "down"}))
	require.Equal(t, result{code: exitFailed, stderr: "rollcall: endpoint 9 is not known: rollcall endpoint ls lists those that are\n"},
		f.run("endpoint", "show", "9"))
	got := f.run("endpoint", "test", "3")
	require.Equal(t, exitFailed, got.code)
	require.Equal(t, "endpoint 3: failed, it answered 503: down\n", got.stdout)
	for _, line := range [][]string{
		{"endpoint"}, {"endpoint", "show", "acme"}, {"endpoint", "set", "3"}, {"endpoint", "replay", "3"}, {"endpoint", "replay", "3", "--since", "never"},
		{"endpoint", "deliveries", "3", "--state", "lost"},
	} {
		require.Equal(t, exitUsage, f.run(line...).code, line)
	}
}

func TestEndpointDeliveriesAndReplayAskForEachBatch(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	place := &operatorapi.EndpointPlace{CreatedAt: testTime, ID: "0193d7c1-0000-7000-8000-000000000001"}
	f.answers("endpoints", "deliveries", inTurn(
		operatorapi.EndpointDeliveriesReply{Deliveries: []operatorapi.EndpointDelivery{{ID: place.ID, Topic: "auth_failed", State: "failed",
			Status: new(500)}}, Next: place},
		operatorapi.EndpointDeliveriesReply{Deliveries: []operatorapi.EndpointDelivery{{ID: "2", Topic: "dlq_age", State: "pending"}}},
	))
	f.answers("endpoints", "replay", inTurn(operatorapi.EndpointReplayed{Seen: 500, Replayed: 499, Next: place}, operatorapi.EndpointReplayed{Seen: 1,
		Replayed: 1}))
	listed := f.run("endpoint", "deliveries", "3", "--all").stdout
	require.Regexp(t, `auth_failed +failed .* 500 `, listed)
	require.Contains(t, listed, "dlq_age")
	require.Equal(t, result{stdout: "endpoint 3: 500 webhooks sent again, of 501\n"}, f.run("endpoint", "replay", "3", "--since", "3d"))
}
