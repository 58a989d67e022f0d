package endpoints

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/destination"
	"rollcall.dev/pkg/event"
	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/pkg/service"
	"rollcall.dev/pkg/store"
)

func TestEndpointThatCannotBeIsRejected(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.api.Private = destination.PrivateAccess{}
	for name, one := range map[string]struct {
		asked operatorapi.EndpointAdd
		field string
	}{
		"no URL":            {operatorapi.EndpointAdd{}, "url"},
		"another scheme":    {operatorapi.EndpointAdd{URL: "ftp://hooks.example.org"}, "url"},
		"a user":            {operatorapi.EndpointAdd{URL: "https://ana:s3cret@hooks.example.org"}, "url"},
		"a fragment":        {operatorapi.EndpointAdd{URL: "https://hooks.example.org/?a#b"}, "url"},
		"a private address": {operatorapi.EndpointAdd{URL: "http://10.0.0.7/hook"}, "url"},
		"too long":          {operatorapi.EndpointAdd{URL: "https://hooks.example.org/?" + strings.Repeat("x", 2048)}, "url"},
		"no such topic":     {operatorapi.EndpointAdd{URL: "https://hooks.example.org", Topics: []string{"backfill.done"}}, "topics"},
		"no customer id":    {operatorapi.EndpointAdd{URL: "https://hooks.example.org", CustomerID: "Ana Ruiz"}, "customerId"},
	} {
		_, err := f.api.add(t.Context(), one.asked)
		var fields *service.FieldsError
		require.ErrorAs(t, err, &fields, name)
		require.Len(t, fields.Errors, 1, name)
		require.Len(t, fields.Errors[one.field], 1, name)
		require.NotContains(t, fields.Errors[one.field][0], "s3cret", name)
	}
	_, err := f.api.add(t.Context(), operatorapi.EndpointAdd{URL: "https://hooks.example.org", CustomerID: "initech"})
	require.ErrorIs(t, err, store.ErrNotFound)
	added, err := f.api.add(t.Context(), operatorapi.EndpointAdd{URL: "https://hooks.example.org/x?key=s3cret"})
	require.NoError(t, err)
	require.Equal(t, "hooks.example.org", added.Endpoint.Host)
	require.Equal(t, "false", f.text(`SELECT bool_or(e::text LIKE '%s3cret%') FROM endpoints e`))
}

func TestEndpointsAreListedChangedAndRemoved(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	r := newReceiver(t)
	first, second := f.add(r.URL, "acme").Endpoint, f.add(r.URL, "", event.AlertAuthFailed).Endpoint
	page, err := f.api.list(t.Context(), operatorapi.EndpointsQuestion{Limit: 1})
	require.NoError(t, err)
	require.Equal(t, first.ID, *page.Next)
	page, err = f.api.list(t.Context(), operatorapi.EndpointsQuestion{After: *page.Next})
	require.NoError(t, err)
	require.Equal(t, []operatorapi.Endpoint{second}, page.Endpoints)

	// While it is disabled, what is pending waits, and what comes has failed and can be replayed.
	f.publish(event.BackfillStarted, "acme")
	disabled, err := f.api.change(t.Context(), operatorapi.EndpointChange{ID: first.ID, Enabled: new(false)})
	require.NoError(t, err)
	require.Equal(t, []any{operatorapi.EndpointDisabled, "operator"}, []any{disabled.State, *disabled.DisabledReason})
	f.publish(event.BackfillCompleted, "acme")
	f.round()
	require.Empty(t, r.accepted())
	require.Equal(t, "failed 1, pending 1", f.states())
	enabled, err := f.api.change(t.Context(), operatorapi.EndpointChange{
		ID: first.ID, Enabled: new(true), Topics: []string{event.CustomerPaused, event.CustomerPaused},
	})
	require.NoError(t, err)
	require.Equal(t, []string{event.CustomerPaused}, enabled.Topics)
	f.publish(event.BackfillPaused, "acme")
	f.round()
	require.Equal(t, []string{event.BackfillStarted}, r.accepted())

	_, err = f.api.remove(t.Context(), operatorapi.EndpointQuestion{ID: first.ID})
	require.NoError(t, err)
	require.Equal(t, "none", f.states(), "its deliveries are deleted with it")
	for _, ask := range []func() error{
		func() error {
			_, err := f.api.show(t.Context(), operatorapi.EndpointQuestion{ID: first.ID})
			return err
		},
		func() error {
			_, err := f.api.remove(t.Context(), operatorapi.EndpointQuestion{ID: first.ID})
			return err
		},
		func() error {
			_, err := f.api.rotate(t.Context(), operatorapi.EndpointRotation{ID: first.ID})
			return err
		},
		func() error {
			_, err := f.api.test(t.Context(), operatorapi.EndpointQuestion{ID: first.ID})
			return err
		},
		func() error {
			_, err := f.api.change(t.Context(), operatorapi.EndpointChange{ID: first.ID, Enabled: new(true)})
			return err
		},
		func() error {
			_, err := f.api.deliveries(t.Context(), operatorapi.EndpointDeliveriesQuestion{ID: first.ID})
			return err
		},
		func() error {
			_, err := f.api.replay(t.Context(), operatorapi.EndpointReplay{ID: first.ID, Since: time.Unix(1, 0)})
			return err
		},
	} {
		require.ErrorIs(t, ask(), store.ErrNotFound)
	}
}

func TestDeliveriesAreListedWithAnswersUntilTheKeyIsGone(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	r := newReceiver(t)
	added := f.add(r.URL, "")
	r.answers(sayTooLong)
	f.publish(event.BackfillStarted, "acme")
	f.round()
	r.answers(nil)
	f.publish(event.BackfillCompleted, "acme")
	f.advance(time.Hour)
	f.round()
	f.publish(event.CustomerPaused, "acme")

	question := operatorapi.EndpointDeliveriesQuestion{ID: added.Endpoint.ID, State: store.DeliveryPending}
	page, err := f.api.deliveries(t.Context(), question)
	require.NoError(t, err)
	require.Len(t, page.Deliveries, 1)
	require.Equal(t, event.CustomerPaused, page.Deliveries[0].Topic)
	var all []operatorapi.EndpointDelivery
	for question.State, question.Limit = "", 2; ; question.Before = page.Next {
		page, err = f.api.deliveries(t.Context(), question)
		require.NoError(t, err)
		if all = append(all, page.Deliveries...); page.Next == nil {
			break
		}
	}
	require.Len(t, all, 3)

	f.exec(`UPDATE endpoint_deliveries SET state = 'pending', settled_at = NULL, next_attempt_at = rollcall_now() WHERE topic = 'backfill.started'`)
	f.exec(`UPDATE endpoints SET due_at = rollcall_now()`)
	r.answers(sayTooLong)
	f.round()
	question = operatorapi.EndpointDeliveriesQuestion{ID: added.Endpoint.ID}
	answers := func() (kept []string) {
		page, err := f.api.deliveries(t.Context(), question)
		require.NoError(t, err)
		for _, one := range page.Deliveries {
			if one.Answer != nil {
				kept = append(kept, *one.Answer)
			}
		}
		return kept
	}
	require.NotEmpty(t, answers())
	require.LessOrEqual(t, len(answers()[0]), maxAnswer)
	require.Equal(t, "false", f.text(`SELECT bool_or(position('broken'::bytea IN d.answer_sealed) > 0) FROM endpoint_deliveries d`))
	f.exec(`DELETE FROM customer_keys`)
	require.Empty(t, answers())
}

func TestTestIsSentToADisabledEndpointToo(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	r := newReceiver(t)
	added := f.add(r.URL, "acme")
	_, err := f.api.change(t.Context(), operatorapi.EndpointChange{ID: added.Endpoint.ID, Enabled: new(false)})
	require.NoError(t, err)
	tested, err := f.api.test(t.Context(), operatorapi.EndpointQuestion{ID: added.Endpoint.ID})
	require.NoError(t, err)
	require.Equal(t, operatorapi.TestSent, tested.Outcome)
	require.True(t, verified(t, added.Secret, r.last()))
	require.Equal(t, "endpoint.test", r.last().body.Type)
	r.answers(sayTooLong)
	tested, err = f.api.test(t.Context(), operatorapi.EndpointQuestion{ID: added.Endpoint.ID})
	require.NoError(t, err)
	require.Equal(t, []any{operatorapi.TestFailed, 500, "http_500"}, []any{tested.Outcome, *tested.Status, tested.Code})
	require.Contains(t, tested.Answer, "broken")
}
