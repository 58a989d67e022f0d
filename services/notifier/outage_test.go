package main

import (
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/event"
)

func TestMailServerOutageLosesNoMailAndPostsEachAlertOnce(t *testing.T) {
	t.Parallel()
	receiver := newReceiver(t)
	f, server := newMailFixture(t, "ALERT_WEBHOOK_URL="+receiver.URL)
	server.close()
	f.start()
	for _, kind := range []string{event.AlertDestinationDown, event.AlertBackfillFailed, event.AlertVomoForbidden} {
		f.raise("acme", kind)
	}
	posted := map[string]bool{}
	for range 3 {
		posted[receiver.next().header.Get("Webhook-Id")] = true
	}
	require.Len(t, posted, 3, "posts do not wait for the mail server")
	require.Eventually(t, func() bool {
		return queryValue[int](f, `SELECT count(*) FROM notifications WHERE channel = 'webhook'`) == 3
	}, timeout, 20*time.Millisecond)
	server.open()
	mails := map[string]bool{}
	for range 3 {
		mails[server.next().header.Get("Message-Id")] = true
	}
	require.Len(t, mails, 3)
	f.awaitHandled(bus.StreamAlerts)
	server.requireNoMore()
	receiver.requireNoMore()
}

func TestCrashBetweenSendingAndNotingRepeatsOnlyThatChannel(t *testing.T) {
	t.Parallel()
	receiver := newReceiver(t)
	f, server := newMailFixture(t, "ALERT_WEBHOOK_URL="+receiver.URL)
	f.exec(`CREATE FUNCTION crash() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'killed'; END $$`)
	f.exec(`CREATE TRIGGER crash BEFORE INSERT ON notifications FOR EACH ROW WHEN (new.channel LIKE 'mail%') EXECUTE FUNCTION crash()`)
	stop := f.start()
	f.raise("acme", event.AlertDestinationDown)
	first := server.next()
	posted := receiver.next()
	require.Eventually(t, func() bool { return f.notificationOutcome("alert-1", channelWebhook) == "sent" }, timeout, 10*time.Millisecond)
	stop()

	f.exec(`DROP TRIGGER crash ON notifications`)
	f.start()
	second := server.next()
	require.Equal(t, first.header.Get("Message-Id"), second.header.Get("Message-Id"), "mailboxes recognise the repetition")
	require.Equal(t, first.text, second.text)
	f.awaitHandled(bus.StreamAlerts)
	require.Equal(t, "sent", f.notificationOutcome("alert-1", channelOperators))
	require.Equal(t, "alert-1", posted.header.Get("Webhook-Id"))
	receiver.requireNoMore()
	server.requireNoMore()
}

func TestPermanentlyRejectedRecipientDelaysNoOtherRecipient(t *testing.T) {
	t.Parallel()
	f, server := newMailFixture(t, "ALERT_MAIL_TO=gone@partner.example,slow@partner.example,ops@partner.example")
	core, seen := observer.New(zapcore.DebugLevel)
	f.logger = zap.New(core)
	server.reject("gone@partner.example", 550)
	server.reject("slow@partner.example", 451)
	f.start()
	f.raise("acme", event.AlertDestinationDown)
	require.Equal(t, "ops@partner.example", server.next().to)
	server.reject("slow@partner.example", 0)
	require.Equal(t, "slow@partner.example", server.next().to, "a temporary rejection is retried")
	f.awaitHandled(bus.StreamAlerts)
	server.requireNoMore()
	require.Equal(t, 1, queryValue[int](f, `SELECT count(*) FROM notifications WHERE outcome = 'failed' AND error_code = 'smtp_550'`))
	require.Equal(t, 2, queryValue[int](f, `SELECT count(*) FROM notifications WHERE outcome = 'sent'`))
	require.Equal(t, 1, seen.FilterMessage("notice rejected permanently").Len())
	for _, entry := range seen.All() {
		for name, field := range entry.ContextMap() {
			text, _ := field.(string)
			require.NotContains(t, text, "@partner.example", "%s: %s", entry.Message, name)
			require.NotContains(t, text, mailPassword)
		}
	}
}

func TestRetryAfterOfReceiverIsHonoured(t *testing.T) {
	t.Parallel()
	receiver := newReceiver(t,
		func(answer http.ResponseWriter, _ *http.Request) {
			answer.Header().Set("Retry-After", "3")
			answer.WriteHeader(http.StatusTooManyRequests)
		}, status(http.StatusInternalServerError))
	f := newFixture(t, "ALERT_WEBHOOK_URL="+receiver.URL)
	f.start()
	f.raise("acme", event.AlertDestinationDown)
	first, second, third := receiver.next(), receiver.next(), receiver.next()
	require.GreaterOrEqual(t, second.at.Sub(first.at), 3*time.Second)
	requireSameMessage(t, first, second)
	requireSameMessage(t, first, third)
	f.awaitHandled(bus.StreamAlerts)
	receiver.requireNoMore()
	require.Equal(t, "sent", f.notificationOutcome("alert-1", channelWebhook))
}

func TestPermanentlyRejectedPostIsNotedAndNotRetried(t *testing.T) {
	t.Parallel()
	receiver := newReceiver(t, status(http.StatusGone), status(http.StatusBadRequest))
	f := newFixture(t, "ALERT_WEBHOOK_URL="+receiver.URL)
	f.start()
	f.raise("acme", event.AlertDestinationDown)
	receiver.next()
	f.awaitHandled(bus.StreamAlerts)
	f.raise("acme", event.AlertVomoForbidden)
	receiver.next()
	f.awaitHandled(bus.StreamAlerts)
	receiver.requireNoMore()
	require.Equal(t, "failed webhook_410", f.notificationOutcome("alert-1", channelWebhook))
	require.Equal(t, "failed webhook_400", f.notificationOutcome("alert-2", channelWebhook))
}

func TestWrongWebhookCredentialsOrAddressLoseNoAlert(t *testing.T) {
	t.Parallel()
	for _, code := range []int{http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound} {
		receiver := newReceiver(t, status(code))
		f := newFixture(t, "ALERT_WEBHOOK_URL="+receiver.URL)
		f.start()
		f.raise("acme", event.AlertDestinationDown)
		receiver.next()
		f.awaitHandled(bus.StreamAlerts)
		require.Equal(t, "sent", f.notificationOutcome("alert-1", channelWebhook), "answered %d once", code)
	}
}

func TestReceiverThatRejectsAllForADayIsGivenUp(t *testing.T) {
	t.Parallel()
	refuses := make([]func(http.ResponseWriter, *http.Request), 0, 20)
	for range 20 {
		refuses = append(refuses, status(http.StatusForbidden))
	}
	receiver := newReceiver(t, refuses...)
	f := newFixture(t, "ALERT_WEBHOOK_URL="+receiver.URL)
	f.start()
	for _, customer := range []string{"acme", "birch", "cedar"} {
		f.raise(customer, event.AlertDestinationDown)
	}
	receiver.next()
	f.advance(25 * time.Hour)
	f.awaitHandled(bus.StreamAlerts)
	for _, id := range []string{"alert-1", "alert-2", "alert-3"} {
		require.Equal(t, "failed webhook_403", f.notificationOutcome(id, channelWebhook))
	}
}

func TestRedirectIsNotFollowedAndEndlessResponseIsNotRead(t *testing.T) {
	t.Parallel()
	var elsewhere atomic.Int32
	other := newReceiver(t, func(answer http.ResponseWriter, _ *http.Request) { elsewhere.Add(1); answer.WriteHeader(http.StatusOK) })
	receiver := newReceiver(t,
		func(answer http.ResponseWriter, request *http.Request) {
			http.Redirect(answer, request, other.URL, http.StatusTemporaryRedirect)
		},
		func(answer http.ResponseWriter, _ *http.Request) {
			chunk := []byte(strings.Repeat("x", 64<<10))
			for range 1 << 10 { // 64 MiB: the notifier must not read all of it
				if _, err := answer.Write(chunk); err != nil {
					return
				}
			}
		})
	f := newFixture(t, "ALERT_WEBHOOK_URL="+receiver.URL)
	f.start()
	f.raise("acme", event.AlertDestinationDown)
	receiver.next()
	receiver.next()
	f.awaitHandled(bus.StreamAlerts)
	require.Zero(t, elsewhere.Load())
	require.Equal(t, "sent", f.notificationOutcome("alert-1", channelWebhook))
}
