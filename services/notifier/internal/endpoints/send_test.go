package endpoints

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/destination"
	"rollcall.dev/pkg/event"
	"rollcall.dev/pkg/operatorapi"
)

func verified(t *testing.T, secret string, got received) bool {
	t.Helper()
	hook, err := standardwebhooks.NewWebhook(secret)
	require.NoError(t, err)
	return hook.Verify(got.raw, got.header) == nil
}

func TestEventIsDeliveredSignedAndWithoutPersonalData(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	r := newReceiver(t)
	added := f.add(r.URL, "")

	require.NoError(t, f.consumer.Handle(t.Context(),
		message(event.BackfillCompleted, "acme", "done-9", `{"customerId":"acme","runId":"9","processedCount":1000,"user":{"email":"ana@example.org"}}`)))
	f.round()

	got := r.last()
	require.True(t, verified(t, added.Secret, got))
	require.Equal(t, "backfill.completed", got.body.Type)
	require.Equal(t, time.Date(2026, time.March, 2, 9, 30, 0, 0, time.UTC), got.body.Timestamp)
	require.Equal(t, map[string]any{"customerId": "acme", "runId": "9", "processedCount": float64(1000)}, got.body.Data)
	require.Equal(t, "delivered 1", f.states())
}

func TestAlertIsDeliveredAndSoIsItsEnd(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	r := newReceiver(t)
	f.add(r.URL, "")

	f.publishAlert(event.AlertAuthFailed, "acme", false)
	f.publishAlert(event.AlertAuthFailed, "acme", true)
	f.round()

	require.Equal(t, []string{"auth_failed", "auth_failed"}, r.accepted())
	require.ElementsMatch(t, []any{false, true}, []any{r.posts[0].body.Data["cleared"], r.posts[1].body.Data["cleared"]})
	require.Equal(t, "acme", r.last().body.Data["customerId"])
}

func TestEndpointDownForTwoHoursGetsEachEventOnce(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	r := newReceiver(t)
	f.add(r.URL, "")
	names := []string{event.OnboardingCompleted, event.BackfillStarted, event.BackfillCompleted, event.CustomerPaused, event.CustomerResumed, event.ReportReady}
	published := 0
	r.answers(status(http.StatusBadGateway))
	for minute := range 120 {
		if minute%3 == 0 {
			f.publish(names[published%len(names)], "acme")
			published++
		}
		f.advance(time.Minute)
		f.round()
	}
	require.Equal(t, "pending 40", f.states())
	require.Empty(t, r.accepted())

	r.answers(nil)
	minutes := 0
	for ; f.states() != "delivered 40"; minutes++ {
		require.Less(t, minutes, 4*60)
		f.advance(time.Minute)
		f.round()
	}

	ids, posts := r.ids()
	require.Len(t, ids, 40)
	require.Equal(t, 40, posts, "each was accepted once")
	t.Logf("all delivered %d minutes after the endpoint was up again", minutes)
}

func TestCrashBetweenAnyTwoStepsRepeatsWithTheSameWebhookID(t *testing.T) {
	t.Parallel()
	for _, place := range []string{"added", "claimed", "sent", "noted"} {
		t.Run(place, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			r := newReceiver(t)
			f.add(r.URL, "")
			crash := errors.New("the process dies here")
			dies := func(reached string) error {
				if reached == place {
					return crash
				}
				return nil
			}
			f.consumer.reached, f.sender.reached = dies, dies
			event := message(event.BackfillCompleted, "acme", "done-9", `{"customerId":"acme"}`)
			if err := f.consumer.Handle(t.Context(), event); err != nil {
				require.ErrorIs(t, err, crash)
				f.consumer.reached = nil
				require.NoError(t, f.consumer.Handle(t.Context(), event), "the message was not acked, and comes again")
			}
			if _, err := f.sender.Round(t.Context()); place != "added" {
				require.ErrorIs(t, err, crash)
			}
			f.sender.reached = nil
			f.round()
			_, before := r.ids()
			f.advance(claimHold)
			f.round()
			f.advance(time.Hour)
			f.round()

			ids, posts := r.ids()
			require.Len(t, ids, 1)
			require.LessOrEqual(t, posts-before, 1)
			require.Equal(t, map[string]int{"added": 1, "claimed": 1, "sent": 2, "noted": 1}[place], posts)
			require.Equal(t, "delivered 1", f.states())
			require.Equal(t, "none", f.text(`SELECT due_at FROM endpoints`))
		})
	}
}

func TestEndpointThatIsGoneIsDisabled(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	r := newReceiver(t)
	added := f.add(r.URL, "acme")
	r.answers(status(http.StatusGone))
	f.publish(event.BackfillStarted, "acme")
	f.round()
	f.publish(event.BackfillCompleted, "acme")
	f.advance(24 * time.Hour)
	f.round()

	require.Equal(t, "failed 2", f.states())
	require.Equal(t, "gone", f.text(`SELECT disabled_reason FROM endpoints`))
	require.Equal(t, "acme endpoint_failing", f.text(`SELECT string_agg(customer_id || ' ' || type, ', ') FROM alerts WHERE cleared_at IS NULL`))

	// An operator enables it, and has sent what it did not get.
	r.answers(nil)
	_, err := f.api.change(t.Context(), operatorapi.EndpointChange{ID: added.Endpoint.ID, Enabled: new(true)})
	require.NoError(t, err)
	replayed, err := f.api.replay(t.Context(), operatorapi.EndpointReplay{ID: added.Endpoint.ID, Since: time.Date(2026, time.March, 1, 0, 0, 0, 0, time.UTC)})
	require.NoError(t, err)
	require.EqualValues(t, 2, replayed.Replayed)
	f.round()
	require.ElementsMatch(t, []string{event.BackfillStarted, event.BackfillCompleted}, r.accepted())
	require.Equal(t, "none", f.text(`SELECT string_agg(type, ', ') FROM alerts WHERE cleared_at IS NULL`))
}

func TestDeliveryIsGivenUpAfterThreeDaysWithOneAlert(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	r := newReceiver(t)
	f.add(r.URL, "")
	r.answers(status(http.StatusInternalServerError))
	f.publish(event.BackfillStarted, "acme")
	f.publish(event.BackfillCompleted, "acme")
	for range 72 * 4 {
		f.advance(15 * time.Minute)
		f.round()
	}
	f.advance(15 * time.Minute)
	f.round()

	require.Equal(t, "failed 2", f.states())
	require.Equal(t, "1", f.text(`SELECT count(*) FROM alerts WHERE type = 'endpoint_failing' AND customer_id = '_installation'`))
	require.Equal(t, "true", f.text(`SELECT bool_and(attempts BETWEEN 15 AND 60 AND last_status = 500 AND last_error = 'http_500') FROM endpoint_deliveries`))

	r.answers(nil)
	f.publish(event.CustomerPaused, "acme")
	f.advance(time.Hour)
	f.round()
	require.Equal(t, []string{event.CustomerPaused}, r.accepted())
	require.Equal(t, "0", f.text(`SELECT count(*) FROM alerts WHERE cleared_at IS NULL`))
}

func TestRetryAfterIsHonoured(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	r := newReceiver(t)
	f.add(r.URL, "")
	r.answers(func(answer http.ResponseWriter, _ *http.Request) {
		answer.Header().Set("Retry-After", "3600")
		answer.WriteHeader(http.StatusTooManyRequests)
	})
	f.publish(event.BackfillStarted, "acme")
	f.round()
	r.answers(nil)
	f.publish(event.BackfillCompleted, "acme") // after the pause was asked for

	f.advance(59 * time.Minute)
	f.round()
	require.Empty(t, r.accepted())
	f.advance(time.Minute)
	f.round()
	require.Len(t, r.accepted(), 2)
}

func TestRotationSignsWithBothSecrets(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	r := newReceiver(t)
	first := f.add(r.URL, "")
	second, err := f.api.rotate(t.Context(), operatorapi.EndpointRotation{ID: first.Endpoint.ID})
	require.NoError(t, err)
	require.NotEqual(t, first.Secret, second.Secret)

	f.publish(event.BackfillStarted, "acme")
	f.round()
	require.True(t, verified(t, first.Secret, r.last()))
	require.True(t, verified(t, second.Secret, r.last()))

	f.advance(24 * time.Hour)
	f.publish(event.BackfillCompleted, "acme")
	f.round()
	require.False(t, verified(t, first.Secret, r.last()))
	require.True(t, verified(t, second.Secret, r.last()))
}

func TestReplaySendsAgainUnderTheSameID(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	r := newReceiver(t)
	added := f.add(r.URL, "")
	f.publish(event.BackfillStarted, "acme")
	f.round()
	f.advance(time.Hour)
	f.publish(event.BackfillCompleted, "acme")
	f.round()
	since, err := f.Now(t.Context())
	require.NoError(t, err)

	replayed, err := f.api.replay(t.Context(), operatorapi.EndpointReplay{ID: added.Endpoint.ID, Since: since})
	require.NoError(t, err)
	require.Equal(t, operatorapi.EndpointReplayed{Seen: 1, Replayed: 1}, replayed)
	f.round()

	require.Equal(t, []string{event.BackfillStarted, event.BackfillCompleted, event.BackfillCompleted}, r.accepted())
	ids, _ := r.ids()
	require.Len(t, ids, 2, "the receiver recognises the repetition")
}

func TestReplayGoesOnAfterEachBatch(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	r := newReceiver(t)
	added := f.add(r.URL, "")
	f.exec(`INSERT INTO endpoint_deliveries (endpoint_id, event_id, customer_id, topic, body, state, retry_until, created_at, settled_at)
		SELECT $1::bigint, n::text, 'acme', 'backfill.started', '{}', 'delivered', at, c.at, at FROM test_clock c, generate_series(1, 1100) n`, added.Endpoint.ID)
	question := operatorapi.EndpointReplay{ID: added.Endpoint.ID, Since: time.Date(2026, time.March, 1, 0, 0, 0, 0, time.UTC)}
	all := int64(0)
	for batches := 1; ; batches++ {
		replayed, err := f.api.replay(t.Context(), question)
		require.NoError(t, err)
		all += replayed.Replayed
		if question.After = replayed.Next; question.After == nil {
			require.Equal(t, 3, batches)
			break
		}
	}
	require.EqualValues(t, 1100, all)
	require.Equal(t, "pending 1100", f.states())
}

func TestSlowEndpointDelaysNoOther(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	slow, quick := newReceiver(t), newReceiver(t)
	f.add(slow.URL, "")
	f.add(quick.URL, "")
	goOn := make(chan struct{})
	slow.answers(func(answer http.ResponseWriter, _ *http.Request) {
		<-goOn
		answer.WriteHeader(http.StatusNoContent)
	})
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		f.sender.Run(ctx)
	}()
	for range 20 {
		f.publish(event.BackfillStarted, "acme")
	}
	for range 20 {
		quick.came.Wait(t, timeout)
	}
	slow.came.RequireNone(t)
	close(goOn)
	slow.answers(nil)
	for range 20 {
		slow.came.Wait(t, timeout)
	}
	stop()
	<-ended
	require.Equal(t, "delivered 40", f.states())
}

func TestTwoProcessesSendEachDeliveryOnce(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	r := newReceiver(t)
	f.add(r.URL, "")
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{}, 2)
	for range 2 {
		process := &Sender{Store: f.Store, Vault: f.sender.Vault, Client: f.sender.Client, Logger: f.sender.Logger, Every: 5 * time.Millisecond}
		go func() {
			process.Run(ctx)
			ended <- struct{}{}
		}()
	}
	for range 40 {
		f.publish(event.BackfillStarted, "acme")
	}
	for range 40 {
		r.came.Wait(t, timeout)
	}
	stop()
	<-ended
	<-ended
	ids, posts := r.ids()
	require.Len(t, ids, 40)
	require.Equal(t, 40, posts)
	require.Equal(t, "delivered 40", f.states())
}

func TestPrivateAddressIsRefusedWhenItIsDialled(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	r := newReceiver(t)
	f.add(r.URL, "")
	f.sender.Client = NewClient(destination.PrivateAccess{})
	f.publish(event.BackfillStarted, "acme")
	f.round()
	require.Empty(t, r.accepted())
	require.Equal(t, "address_not_public", f.text(`SELECT last_error FROM endpoint_deliveries`))
}

func TestRedirectIsNotFollowed(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	r, elsewhere := newReceiver(t), newReceiver(t)
	f.add(r.URL, "")
	r.answers(func(answer http.ResponseWriter, request *http.Request) {
		http.Redirect(answer, request, elsewhere.URL, http.StatusTemporaryRedirect)
	})
	f.publish(event.BackfillStarted, "acme")
	f.round()
	require.Empty(t, elsewhere.accepted())
	require.Equal(t, "http_307", f.text(`SELECT last_error FROM endpoint_deliveries`))
}
