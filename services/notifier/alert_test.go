package main

import (
	"context"
	"crypto/tls"
	"strings"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"github.com/stretchr/testify/require"
	gomail "github.com/wneessen/go-mail"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/event"
	"rollcall.dev/pkg/store"
)

const webhookSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8G"

// mailed is a house whose notifier mails by an office that takes no mail but over TLS and with a password.
func mailed(t *testing.T, settings ...string) (*house, *postOffice) {
	t.Helper()
	office := newPostOffice(t)
	certificate, roots := certificate(t)
	office.tls, office.logins = &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12}, true
	office.open()
	h := newHouse(t, append([]string{
		"SMTP_URL=smtp://" + mailUser + ":" + mailPassword + "@" + office.address, "MAIL_FROM=Rollcall <rollcall@partner.example>",
		"ALERT_MAIL_TO=ops@partner.example",
	}, settings...)...)
	h.roots = roots
	return h, office
}

func TestAnAlertIsMailedOnceWhenItBeginsAndOnceWhenItIsOver(t *testing.T) {
	t.Parallel()
	h, office := mailed(t)
	h.customer("acme")
	h.start()

	h.raise("acme", event.AlertBackfillFailed)
	raised := office.next()
	require.Equal(t, "ops@partner.example", raised.to)
	require.True(t, raised.secure, "nothing is said before STARTTLS")
	require.Equal(t, "[rollcall] high: acme: backfill_failed", raised.subject)
	require.Equal(t, `"Rollcall" <rollcall@partner.example>`, raised.header.Get("From"))
	require.Equal(t, "<rollcall.alert-1@partner.example>", raised.header.Get("Message-Id"))
	require.Equal(t, "auto-generated", raised.header.Get("Auto-Submitted"))
	for _, part := range []string{raised.text, raised.html} {
		require.Contains(t, part, "The backfill was given up")
		require.Contains(t, part, "rollcall backfill start acme", "the remedy can be copied into a shell")
		require.NotContains(t, part, mailPassword)
	}
	require.Contains(t, raised.html, "<html", "and a phone shows it well")

	h.advance(2*time.Hour + 5*time.Minute)
	h.clear("acme", event.AlertBackfillFailed)
	over := office.next()
	require.Equal(t, "[rollcall] over: acme: backfill_failed", over.subject)
	require.Contains(t, over.text, "Lasted:    2 hours 5 minutes")
	require.Equal(t, "<rollcall.alert-1-cleared@partner.example>", over.header.Get("Message-Id"))
	require.Equal(t, raised.header.Get("Message-Id"), over.header.Get("In-Reply-To"), "mailboxes show the two together")
	h.settled(bus.StreamAlerts)
	office.nothingMore()
}

func TestAPlainMailServerIsOneWhereThatWasAskedFor(t *testing.T) {
	t.Parallel()
	office := newPostOffice(t)
	office.open()
	h := newHouse(t, "SMTP_URL=smtp://"+office.address+"?tls=none", "MAIL_FROM=rollcall@partner.example",
		"ALERT_MAIL_TO=ops@partner.example, oncall@partner.example")
	h.start()
	h.raise("acme", event.AlertDestinationDown)
	first, second := office.next(), office.next()
	require.ElementsMatch(t, []string{"ops@partner.example", "oncall@partner.example"}, []string{first.to, second.to})
	require.Equal(t, first.header.Get("Message-Id"), second.header.Get("Message-Id"))
	require.False(t, first.secure)
}

func TestAMailServerMayWantTLSFromTheFirstByte(t *testing.T) {
	t.Parallel()
	office := newPostOffice(t)
	certificate, roots := certificate(t)
	office.tls = &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12}
	office.logins, office.atOnce = true, true
	office.open()
	h := newHouse(t, "SMTP_URL=smtps://"+mailUser+":"+mailPassword+"@"+office.address, "MAIL_FROM=rollcall@partner.example")
	told, err := open(h.settings)
	require.NoError(t, err)
	mail := letter{id: "1", subject: "s", text: "t", html: "h"}
	require.ErrorContains(t, told.mailer.hand(t.Context(), composed(t, told.mailer, mail)), "certificate", "a server that anybody could be is not one")
	told.mailer.roots = roots
	require.NoError(t, told.mailer.hand(t.Context(), composed(t, told.mailer, mail)))
	require.True(t, office.next().secure)
}

func composed(t *testing.T, by *mailer, mail letter) *gomail.Msg {
	t.Helper()
	message, err := by.compose("ops@partner.example", mail)
	require.NoError(t, err)
	return message
}

func TestAPasswordGoesToNobodyWithoutTLS(t *testing.T) {
	t.Parallel()
	h, office := mailed(t)
	office.close()
	office.tls = nil
	office.open()
	told, err := open(h.settings)
	require.NoError(t, err)
	err = told.mailer.send(t.Context(), "ops@partner.example", letter{id: "1", subject: "s", text: "t", html: "h"})
	require.ErrorContains(t, err, "STARTTLS")
	require.NotContains(t, err.Error(), mailPassword)
	office.nothingMore()
}

func TestAnAlertIsPostedSignedAndReadableInSlack(t *testing.T) {
	t.Parallel()
	receiver := newReceiver(t)
	h := newHouse(t, "ALERT_WEBHOOK_URL="+receiver.URL+"/hook", "ALERT_WEBHOOK_SECRET="+webhookSecret)
	h.start()
	verifier, err := standardwebhooks.NewWebhook(webhookSecret)
	require.NoError(t, err)

	h.raise("acme", event.AlertDestinationAuthFailed)
	raised := receiver.next()
	require.NoError(t, verifier.Verify(raised.raw, raised.header))
	require.Equal(t, "alert-1", raised.header.Get("Webhook-Id"))
	require.Equal(t, "alert.raised", raised.body.Type)
	require.Equal(t, "high: acme: destination_auth_failed. The destination refuses our credentials; the work waits and tries again by itself. "+
		"What to do: Give one that works: rollcall config set acme --destination-token-file &lt;file&gt;.", raised.body.Text)
	require.Equal(t, "acme", raised.body.Data["customerId"])
	require.Equal(t, "destination_auth_failed", raised.body.Data["type"])
	require.False(t, raised.body.Timestamp.IsZero())

	h.advance(40 * time.Minute)
	h.clear("acme", event.AlertDestinationAuthFailed)
	over := receiver.next()
	require.NoError(t, verifier.Verify(over.raw, over.header))
	require.Equal(t, "alert.cleared", over.body.Type)
	require.Regexp(t, `^over: acme: destination_auth_failed, after 40 minutes\. It works again\.$`, over.body.Text)
	require.NotEmpty(t, over.body.Data["raisedAt"])
	h.settled(bus.StreamAlerts)
	receiver.nothingMore()
	require.Equal(t, "sent", h.outcome("alert-1", channelWebhook))
	require.Equal(t, "none", h.outcome("alert-1", channelOperators))
}

func TestWhereNobodyIsToBeToldAlertsAreSettled(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.customer("acme")
	h.start()
	h.raise("acme", event.AlertAuthFailed)
	h.settled(bus.StreamAlerts)
	require.Zero(t, value[int](h, `SELECT count(*) FROM notifications`))
}

func TestTheLineOfAUsersAlertNamesTheUser(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.customer("acme")
	core, logs := observer.New(zapcore.WarnLevel)
	h.log = zap.New(core)
	h.start()
	alert := event.AlertFor("acme", event.AlertEmailChanged)
	alert.VomoID = "8205"
	require.NoError(t, h.InTx(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		message, err := alert.Message("email-1", false, h.now())
		if err != nil {
			return err
		}
		return tx.Publish(ctx, message)
	}))
	h.raise("acme", event.AlertBackfillFailed)
	require.Eventually(t, func() bool { return logs.FilterMessage("alert").Len() == 2 }, within, 10*time.Millisecond)
	for _, entry := range logs.FilterMessage("alert").All() {
		named, ok := entry.ContextMap()["vomo_user"]
		require.Equal(t, entry.ContextMap()["type"] == event.AlertEmailChanged, ok)
		if ok {
			require.Equal(t, "8205", named)
		}
	}
}

func TestARefusedTokenIsToldToTheAdminOnceAndToOperatorsTwice(t *testing.T) {
	t.Parallel()
	h, office := mailed(t)
	h.customer("acme")
	h.start()
	h.raise("acme", event.AlertAuthFailed)
	two := office.next()
	h.advance(mailAfter)
	one := office.next()
	require.Equal(t, adminOfAcme, one.to)
	require.Equal(t, "acme: VOMO refuses the API token", one.subject)
	require.Contains(t, one.text, "make a new API token")
	require.NotEqual(t, one.header.Get("Message-Id"), two.header.Get("Message-Id"))
	require.Equal(t, "[rollcall] high: acme: auth_failed", two.subject)

	h.clear("acme", event.AlertAuthFailed)
	over := office.next()
	require.Equal(t, "ops@partner.example", over.to)
	require.True(t, strings.HasPrefix(over.subject, "[rollcall] over:"))
	h.settled(bus.StreamAlerts)
	office.nothingMore()
	require.Equal(t, "sent", h.outcome("alert-1", channelCustomer))
	require.Equal(t, "none", h.outcome("alert-1-cleared", channelCustomer))
}

func TestAMonthThatIsOverIsNotToldOnTheFirstDay(t *testing.T) {
	t.Parallel()
	receiver := newReceiver(t)
	h := newHouse(t, "ALERT_WEBHOOK_URL="+receiver.URL)
	h.raise("acme", event.AlertDestinationDown)
	h.clear("acme", event.AlertDestinationDown)
	h.raise("acme", event.AlertVomoForbidden) // stands
	h.relay()
	h.advance(25 * time.Hour)
	h.start()
	require.Equal(t, "vomo_forbidden", receiver.next().body.Data["type"])
	h.settled(bus.StreamAlerts)
	receiver.nothingMore()
}

func TestTheEndOfAnAlertThatWasToldIsToldHoweverLate(t *testing.T) {
	t.Parallel()
	receiver := newReceiver(t)
	h := newHouse(t, "ALERT_WEBHOOK_URL="+receiver.URL)
	stop := h.start()
	h.raise("acme", event.AlertDestinationDown)
	require.Equal(t, "alert.raised", receiver.next().body.Type)
	h.settled(bus.StreamAlerts)
	stop()
	h.clear("acme", event.AlertDestinationDown)
	h.advance(25 * time.Hour) // a weekend
	h.start()
	// A message that the stopping service could not publish has waited for a day by this clock: that is an alert, too.
	for receiver.next().body.Type != "alert.cleared" {
		continue
	}
	h.settled(bus.StreamAlerts)
	require.Equal(t, "sent", h.outcome("alert-1-cleared", channelWebhook))
}

func TestABeginningIsNotToldAfterItsEnd(t *testing.T) {
	t.Parallel()
	receiver := newReceiver(t)
	h := newHouse(t, "ALERT_WEBHOOK_URL="+receiver.URL)
	h.raise("acme", event.AlertDestinationDown)
	h.clear("acme", event.AlertDestinationDown)
	h.patience = 2
	h.exec(`CREATE TABLE kept AS SELECT subject, payload FROM outbox WHERE msg_id = 'alert-1'`) // its publisher died, and the next one comes later
	h.exec(`DELETE FROM outbox WHERE msg_id = 'alert-1'`)
	h.start()
	require.Equal(t, "alert.cleared", receiver.next().body.Type, "waited for as long as that may take")
	h.settled(bus.StreamAlerts)
	subject := value[string](h, `SELECT subject FROM kept`)
	h.publish(subject, "alert-1", value[string](h, `SELECT convert_from(payload, 'UTF8') FROM kept`))
	require.Eventually(t, func() bool { return h.outcome("alert-1", channelWebhook) == "skipped over" }, within, 20*time.Millisecond)
	receiver.nothingMore()
}

func TestAnAlertThatCannotBeReadBecomesALetter(t *testing.T) {
	t.Parallel()
	receiver := newReceiver(t)
	h := newHouse(t, "ALERT_WEBHOOK_URL="+receiver.URL)
	h.start()
	h.publish(bus.SubjectAlert("high", "poll_stalled", "acme"), "1", `{"customerId":7}`)
	h.publish(bus.SubjectAlert("high", "poll_stalled", "acme"), "2", `{"customerId":"globex","type":"poll_stalled"}`)
	h.settled(bus.StreamAlerts)
	require.Equal(t, 2, value[int](h, `SELECT count(*) FROM dead_letters WHERE customer_id = 'acme' AND error_code = 'alert_invalid'`))
	h.publish(bus.SubjectAlert("low", "by_hand", "acme"), "3", `{"customerId":"acme","type":"by_hand","severity":"low","text":"Look."}`)
	require.Equal(t, "low: acme: by_hand. Look.", receiver.next().body.Text)
}
