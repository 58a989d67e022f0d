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

func TestAMailServerThatIsDownLosesNothingAndTellsTheOtherChannelOnce(t *testing.T) {
	t.Parallel()
	receiver := newReceiver(t)
	h, office := mailed(t, "ALERT_WEBHOOK_URL="+receiver.URL)
	office.close()
	h.start()
	for _, kind := range []string{event.AlertDestinationDown, event.AlertBackfillFailed, event.AlertVomoForbidden} {
		h.raise("acme", kind)
	}
	posted := map[string]bool{}
	for range 3 {
		posted[receiver.next().header.Get("Webhook-Id")] = true
	}
	require.Len(t, posted, 3, "the webhook does not wait for the mail server")
	require.Eventually(t, func() bool {
		return value[int](h, `SELECT count(*) FROM notifications WHERE channel = 'webhook'`) == 3
	}, within, 20*time.Millisecond)
	office.open()
	mails := map[string]bool{}
	for range 3 {
		mails[office.next().header.Get("Message-Id")] = true
	}
	require.Len(t, mails, 3)
	h.settled(bus.StreamAlerts)
	office.nothingMore()
	receiver.nothingMore()
}

func TestACrashBetweenSendingAndNotingRepeatsThatChannelAlone(t *testing.T) {
	t.Parallel()
	receiver := newReceiver(t)
	h, office := mailed(t, "ALERT_WEBHOOK_URL="+receiver.URL)
	h.exec(`CREATE FUNCTION crash() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'killed'; END $$`)
	h.exec(`CREATE TRIGGER crash BEFORE INSERT ON notifications FOR EACH ROW WHEN (new.channel LIKE 'mail%') EXECUTE FUNCTION crash()`)
	stop := h.start()
	h.raise("acme", event.AlertDestinationDown)
	first := office.next()
	posted := receiver.next()
	require.Eventually(t, func() bool { return h.outcome("alert-1", channelWebhook) == "sent" }, within, 10*time.Millisecond)
	stop()

	h.exec(`DROP TRIGGER crash ON notifications`)
	h.start()
	second := office.next()
	require.Equal(t, first.header.Get("Message-Id"), second.header.Get("Message-Id"), "a mailbox knows the repetition")
	require.Equal(t, first.text, second.text)
	h.settled(bus.StreamAlerts)
	require.Equal(t, "sent", h.outcome("alert-1", channelOperators))
	require.Equal(t, "alert-1", posted.header.Get("Webhook-Id"))
	receiver.nothingMore()
	office.nothingMore()
}

func TestARecipientWhoIsRefusedForGoodKeepsNobodyElseFromTheAlert(t *testing.T) {
	t.Parallel()
	h, office := mailed(t, "ALERT_MAIL_TO=gone@partner.example,slow@partner.example,ops@partner.example")
	core, seen := observer.New(zapcore.DebugLevel)
	h.log = zap.New(core)
	office.refuse("gone@partner.example", 550)
	office.refuse("slow@partner.example", 451)
	h.start()
	h.raise("acme", event.AlertDestinationDown)
	require.Equal(t, "ops@partner.example", office.next().to)
	office.refuse("slow@partner.example", 0)
	require.Equal(t, "slow@partner.example", office.next().to, "what is refused for now is tried again")
	h.settled(bus.StreamAlerts)
	office.nothingMore()
	require.Equal(t, 1, value[int](h, `SELECT count(*) FROM notifications WHERE outcome = 'failed' AND error_code = 'smtp_550'`))
	require.Equal(t, 2, value[int](h, `SELECT count(*) FROM notifications WHERE outcome = 'sent'`))
	require.Equal(t, 1, seen.FilterMessage("not told: refused for good").Len())
	for _, entry := range seen.All() {
		for name, field := range entry.ContextMap() {
			text, _ := field.(string)
			require.NotContains(t, text, "@partner.example", "%s: %s", entry.Message, name)
			require.NotContains(t, text, mailPassword)
		}
	}
}

func TestAReceiverIsGivenTheTimeThatItAsksFor(t *testing.T) {
	t.Parallel()
	receiver := newReceiver(t,
		func(answer http.ResponseWriter, _ *http.Request) {
			answer.Header().Set("Retry-After", "3")
			answer.WriteHeader(http.StatusTooManyRequests)
		}, status(http.StatusInternalServerError))
	h := newHouse(t, "ALERT_WEBHOOK_URL="+receiver.URL)
	h.start()
	h.raise("acme", event.AlertDestinationDown)
	first, second, third := receiver.next(), receiver.next(), receiver.next()
	require.GreaterOrEqual(t, second.at.Sub(first.at), 3*time.Second)
	sameTwice(t, first, second)
	sameTwice(t, first, third)
	h.settled(bus.StreamAlerts)
	receiver.nothingMore()
	require.Equal(t, "sent", h.outcome("alert-1", channelWebhook))
}

func TestWhatAReceiverRefusesForGoodIsNotedAndNotTriedAgain(t *testing.T) {
	t.Parallel()
	receiver := newReceiver(t, status(http.StatusGone), status(http.StatusBadRequest))
	h := newHouse(t, "ALERT_WEBHOOK_URL="+receiver.URL)
	h.start()
	h.raise("acme", event.AlertDestinationDown)
	receiver.next()
	h.settled(bus.StreamAlerts)
	h.raise("acme", event.AlertVomoForbidden)
	receiver.next()
	h.settled(bus.StreamAlerts)
	receiver.nothingMore()
	require.Equal(t, "failed webhook_410", h.outcome("alert-1", channelWebhook))
	require.Equal(t, "failed webhook_400", h.outcome("alert-2", channelWebhook))
}

func TestAWebhookWithAWrongCredentialOrAddressLosesNoAlert(t *testing.T) {
	t.Parallel()
	for _, code := range []int{http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound} {
		receiver := newReceiver(t, status(code))
		h := newHouse(t, "ALERT_WEBHOOK_URL="+receiver.URL)
		h.start()
		h.raise("acme", event.AlertDestinationDown)
		receiver.next()
		h.settled(bus.StreamAlerts)
		require.Equal(t, "sent", h.outcome("alert-1", channelWebhook), "answered %d once", code)
	}
}

func TestAReceiverThatRefusesAllForADayHoldsUpNoMails(t *testing.T) {
	t.Parallel()
	refuses := make([]func(http.ResponseWriter, *http.Request), 0, 20)
	for range 20 {
		refuses = append(refuses, status(http.StatusForbidden))
	}
	receiver := newReceiver(t, refuses...)
	h := newHouse(t, "ALERT_WEBHOOK_URL="+receiver.URL)
	h.start()
	for _, customer := range []string{"acme", "birch", "cedar"} {
		h.raise(customer, event.AlertDestinationDown)
	}
	receiver.next()
	h.advance(25 * time.Hour)
	h.settled(bus.StreamAlerts)
	for _, id := range []string{"alert-1", "alert-2", "alert-3"} {
		require.Equal(t, "failed webhook_403", h.outcome(id, channelWebhook))
	}
}

func TestARedirectIsNotFollowedAndAnEndlessAnswerNotRead(t *testing.T) {
	t.Parallel()
	var elsewhere atomic.Int32
	other := newReceiver(t, func(answer http.ResponseWriter, _ *http.Request) { elsewhere.Add(1); answer.WriteHeader(http.StatusOK) })
	receiver := newReceiver(t,
		func(answer http.ResponseWriter, request *http.Request) {
			http.Redirect(answer, request, other.URL, http.StatusTemporaryRedirect)
		},
		func(answer http.ResponseWriter, _ *http.Request) {
			chunk := []byte(strings.Repeat("x", 64<<10))
			for range 1 << 10 { // 64 MiB, which nobody may wait for
				if _, err := answer.Write(chunk); err != nil {
					return
				}
			}
		})
	h := newHouse(t, "ALERT_WEBHOOK_URL="+receiver.URL)
	h.start()
	h.raise("acme", event.AlertDestinationDown)
	receiver.next()
	receiver.next()
	h.settled(bus.StreamAlerts)
	require.Zero(t, elsewhere.Load())
	require.Equal(t, "sent", h.outcome("alert-1", channelWebhook))
}
