package main

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/event"
	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/pkg/service"
)

// askEndpoints sends a question to rollcall.api.endpoints.
func askEndpoints[Reply any](f *fixture, verb string, question any) (reply Reply) {
	f.t.Helper()
	data, err := json.Marshal(question)
	require.NoError(f.t, err)
	answer, err := f.nats.Conn(f.t).Request(service.APISubject("endpoints", verb), data, timeout)
	require.NoError(f.t, err)
	require.Empty(f.t, answer.Header.Get("Nats-Service-Error"))
	require.NoError(f.t, json.Unmarshal(answer.Data, &reply))
	return reply
}

func TestEndpointGetsEventsAndAlertsFromTheStreams(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "ALLOW_PRIVATE_DESTINATIONS=true")
	f.addCustomer("acme")
	f.start()
	require.Eventually(t, func() bool {
		_, err := f.nats.Conn(t).Request(service.APISubject("endpoints", "ls"), nil, time.Second)
		return err == nil
	}, timeout, 20*time.Millisecond)
	r := newReceiver(t, status(http.StatusBadGateway))
	added := askEndpoints[operatorapi.EndpointSecret](f, "add", operatorapi.EndpointAdd{URL: r.URL + "/hook?key=7"})
	require.Equal(t, []string{event.TopicAll}, added.Endpoint.Topics)

	f.publish(bus.SubjectEvent(event.BackfillCompleted, "acme"), "done-9", `{"customerId":"acme","runId":"9"}`)
	failed := r.next()
	f.advance(maxRetryAfter)
	again := r.next()
	requireSameMessage(t, failed, again)
	hook, err := standardwebhooks.NewWebhook(added.Secret)
	require.NoError(t, err)
	require.NoError(t, hook.Verify(again.raw, again.header))
	require.Equal(t, "backfill.completed", again.body.Type)
	require.Equal(t, map[string]any{"customerId": "acme", "runId": "9"}, again.body.Data)

	f.raise("acme", event.AlertDLQAge)
	f.clear("acme", event.AlertDLQAge)
	require.ElementsMatch(t, []any{false, true}, []any{r.next().body.Data["cleared"], r.next().body.Data["cleared"]})

	tested := askEndpoints[operatorapi.EndpointTested](f, "test", operatorapi.EndpointQuestion{ID: added.Endpoint.ID})
	require.Equal(t, operatorapi.TestSent, tested.Outcome)
	require.Equal(t, "endpoint.test", r.next().body.Type)
	require.Eventually(t, func() bool {
		page := askEndpoints[operatorapi.EndpointDeliveriesReply](f, "deliveries", operatorapi.EndpointDeliveriesQuestion{ID: added.Endpoint.ID, State: "delivered"})
		return len(page.Deliveries) == 3
	}, timeout, 20*time.Millisecond)
	requireRecordsReadWhileNamed(f)
	require.Equal(t, "endpoints.rm", queryValue[string](f, `SELECT verb FROM operator_audit ORDER BY id DESC LIMIT 1`))
	require.NotContains(t, queryValue[string](f, `SELECT string_agg(filter::text || coalesce(result::text, ''), ' ') FROM operator_audit`), "key=7")
	require.NotContains(t, queryValue[string](f, `SELECT string_agg(filter::text || coalesce(result::text, ''), ' ') FROM operator_audit`), "whsec_")
}

// requireRecordsReadWhileNamed requires that the events about records are read from the moment at which an endpoint names one, and until none does.
func requireRecordsReadWhileNamed(f *fixture) {
	f.t.Helper()
	exists := func() bool {
		_, err := f.js.Consumer(f.t.Context(), bus.StreamEvents, bus.DurableEndpointRecords)
		return err == nil
	}
	f.publish(bus.SubjectEvent(event.UserCreated, "acme"), "before", `{"customerId":"acme"}`)
	require.Eventually(f.t, func() bool { return !exists() }, timeout, 20*time.Millisecond)
	r := newReceiver(f.t)
	named := askEndpoints[operatorapi.EndpointSecret](f, "add", operatorapi.EndpointAdd{URL: r.URL, Topics: []string{event.UserCreated}})
	f.publish(bus.SubjectEvent(event.UserCreated, "acme"), "after", `{"customerId":"acme","vomoUserId":"7","user":{"email":"ana@example.org"}}`)
	got := r.next()
	require.Equal(f.t, map[string]any{"customerId": "acme", "vomoUserId": "7"}, got.body.Data)
	r.requireNoMore()
	require.True(f.t, exists())
	askEndpoints[operatorapi.Endpoint](f, "rm", operatorapi.EndpointQuestion{ID: named.Endpoint.ID})
	require.Eventually(f.t, func() bool { return !exists() }, timeout, 20*time.Millisecond)
}
