package virtuous

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/fault"
)

func TestSubscriptionIsCreatedWithEverySwitch(t *testing.T) {
	t.Parallel()
	f := newFixture(t, answering(200, string(payload(t, "made/webhook_subscription.json"))))
	created, err := f.CreateSubscription(t.Context(), Subscription{PayloadURL: "https://hooks.example.org/x", Secret: "s",
		IsActive: true, Events: GivingEvents()})
	require.NoError(t, err)
	require.EqualValues(t, 31, created.ID)
	require.Equal(t, "s", created.Secret, "as it was sent")
	sent := f.got()[0]
	require.Equal(t, "POST /api/Webhook", sent.method+" "+sent.path)
	require.JSONEq(t, `{"payloadUrl":"https://hooks.example.org/x","secret":"s","active":true,"contactCreate":true,"contactUpdate":true,"contactNoteCreate":false,
		"contactNoteUpdate":false,"contactNoteDelete":false,"giftCreate":true,"giftUpdate":true,"giftDelete":true,"projectCreate":false,"projectUpdate":false,
		"projectDelete":false,"formSubmission":false,"eventCreate":false,"eventUpdate":false,"eventDelete":false}`, sent.body)
}

func TestCreationIsAttemptedOnce(t *testing.T) {
	t.Parallel()
	for status, code := range map[int]string{500: "virtuous_5xx", 401: "virtuous_unauthorized", 400: "virtuous_http_400", 200: "virtuous_unknown_answer"} {
		f := newFixture(t, answering(status, `{}`))
		_, err := f.CreateSubscription(t.Context(), Subscription{PayloadURL: "https://hooks.example.org", Secret: "whsec"})
		require.Equal(t, code, fault.CodeOf(err))
		require.Len(t, f.got(), 1)
		requireDiscreet(t, err, "whsec", "hooks")
	}
	f := newFixture(t, answering(200, ``))
	_, err := f.CreateSubscription(t.Context(), Subscription{})
	require.ErrorIs(t, err, ErrUnknownAnswer)
}

func TestSubscriptionIsReadWithItsSwitches(t *testing.T) {
	t.Parallel()
	f := newFixture(t, answering(200, `{"id":"31","payloadUrl":"https://h","secret":"s","active":true,
		"giftCreate":true,"giftUpdate":false,"volunteerCreate":true,"count":3}`))
	read, err := f.Subscription(t.Context(), 31)
	require.NoError(t, err)
	require.Equal(t, Subscription{
		ID: 31, PayloadURL: "https://h", Secret: "s", IsActive: true,
		Events: map[string]bool{"giftCreate": true, "giftUpdate": false, "volunteerCreate": true},
	}, read)
	require.NotContains(t, fmt.Sprintf("%v %+v %#v %s", read, read, read, read), `"s"`)
}

func TestUpdateKeepsSwitchesThatAreNotKnown(t *testing.T) {
	t.Parallel()
	f := newFixture(t, answering(200, ``))
	require.NoError(t, f.UpdateSubscription(t.Context(), Subscription{ID: 31, Events: map[string]bool{"volunteerCreate": true, "giftCreate": true}}))
	sent := f.got()[0]
	require.Equal(t, "PUT /api/Webhook/31", sent.method+" "+sent.path)
	var body map[string]any
	require.NoError(t, json.Unmarshal([]byte(sent.body), &body))
	require.Equal(t, true, body["volunteerCreate"])
	require.Equal(t, true, body["giftCreate"])
	require.Equal(t, false, body["giftDelete"])
	require.InDelta(t, 31, body["id"], 0)

	rejected := newFixture(t, answering(404, ``))
	require.ErrorIs(t, rejected.UpdateSubscription(t.Context(), Subscription{ID: 31}), ErrNotFound)
}

func TestSubscriptionIsSwitched(t *testing.T) {
	t.Parallel()
	f := newFixture(t, answering(200, ``))
	require.NoError(t, f.SetSubscriptionActive(t.Context(), 31, false))
	require.Equal(t, []request{{"PUT", "/api/Webhook/31/Active", "active=false", ""}}, f.got())
	require.ErrorIs(t, newFixture(t, answering(403, ``)).SetSubscriptionActive(t.Context(), 31, true), ErrForbidden)
}

func TestDeletionOfASubscriptionThatIsGoneSucceeds(t *testing.T) {
	t.Parallel()
	for _, status := range []int{200, 204, 404, 410} {
		f := newFixture(t, answering(status, ``))
		require.NoError(t, f.DeleteSubscription(t.Context(), 31), status)
		require.Equal(t, []request{{"DELETE", "/api/Webhook/31", "", ""}}, f.got())
	}
	for status, want := range map[int]error{401: ErrUnauthorized, 500: ErrUnavailable, 302: ErrRedirect} {
		require.ErrorIs(t, newFixture(t, answering(status, ``)).DeleteSubscription(t.Context(), 31), want)
	}
}
