package endpoints

import (
	"testing"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/event"
	rollcallv1 "rollcall.dev/proto/rollcall/v1"
)

func TestEndpointGetsItsTopicsOfItsCustomer(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	all, named, own := newReceiver(t), newReceiver(t), newReceiver(t)
	f.add(all.URL, "")
	f.add(named.URL, "", event.BackfillCompleted, event.AlertOutboxStalled, event.AlertEmailChanged)
	f.add(own.URL, "globex")

	f.publish(event.BackfillStarted, "acme")
	f.publish(event.BackfillCompleted, "globex")
	f.publish(event.UserCreated, "acme")
	f.publish(event.ReportStored, "acme")
	f.publishAlert(event.AlertOutboxStalled, rollcallv1.Installation, false)
	f.publishAlert(event.AlertEmailChanged, "acme", false)
	f.publishAlert(event.AlertEndpointFailing, "acme", false)
	f.round()

	require.ElementsMatch(t, []string{event.BackfillStarted, event.BackfillCompleted}, all.accepted())
	require.ElementsMatch(t, []string{event.BackfillCompleted, event.AlertOutboxStalled, event.AlertEmailChanged}, named.accepted())
	require.Equal(t, []string{event.BackfillCompleted}, own.accepted())
}

func TestMessageThatComesAgainAddsNothing(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	r := newReceiver(t)
	f.add(r.URL, "")
	for range 3 {
		require.NoError(t, f.consumer.Handle(t.Context(), message(event.BackfillStarted, "acme", "begun-9", `{"customerId":"acme"}`)))
		f.round()
	}
	require.Equal(t, []string{event.BackfillStarted}, r.accepted())
}

func TestMessageThatCannotBeReadIsPassedOver(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.add("https://hooks.example.org", "")
	for _, payload := range []string{``, `null`, `[]`, `"x"`, `{`} {
		require.NoError(t, f.consumer.Handle(t.Context(), message(event.BackfillStarted, "acme", "id", payload)), payload)
	}
	require.NoError(t, f.consumer.Handle(t.Context(), message(event.BackfillStarted, `a"b`, "id", `{}`)))
	alert := message(event.BackfillStarted, "acme", "id", `{"customerId":"globex","type":"auth_failed"}`)
	alert.Subject = "rollcall.alerts.high.auth_failed.acme"
	require.NoError(t, f.consumer.Handle(t.Context(), alert))
	require.Equal(t, "none", f.states())
}
