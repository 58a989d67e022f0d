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

// newMailFixture returns a fixture and a mail server that accepts mail only with TLS and a password.
func newMailFixture(t *testing.T, settings ...string) (*fixture, *mailServer) {
	t.Helper()
	server := newMailServer(t)
	certificate, roots := newCertificate(t)
	server.tls, server.logins = &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12}, true
	server.open()
	f := newFixture(t, append([]string{
		"SMTP_URL=smtp://" + mailUser + ":" + mailPassword + "@" + server.address, "MAIL_FROM=Rollcall <rollcall@partner.example>",
		"ALERT_MAIL_TO=ops@partner.example",
	}, settings...)...)
	f.roots = roots
	return f, server
}

func TestAlertIsMailedOnceWhenRaisedAndOnceWhenCleared(t *testing.T) {
	t.Parallel()
	f, server := newMailFixture(t)
	f.start()

	f.raise("acme", event.AlertBackfillFailed) // of no stored customer: hours later, its polls would count as stalled
	raised := server.next()
	require.Equal(t, "ops@partner.example", raised.to)
	require.True(t, raised.secure, "nothing is sent before STARTTLS")
	require.Equal(t, "[rollcall] high: acme: backfill_failed", raised.subject)
	require.Equal(t, `"Rollcall" <rollcall@partner.example>`, raised.header.Get("From"))
	require.Equal(t, "<rollcall.alert-1@partner.example>", raised.header.Get("Message-Id"))
	require.Equal(t, "auto-generated", raised.header.Get("Auto-Submitted"))
	for _, part := range []string{raised.text, raised.html} {
		require.Contains(t, part, "The backfill was given up")
		require.Contains(t, part, "rollcall backfill start acme", "the remedy can be copied into a shell")
		require.NotContains(t, part, mailPassword)
	}
	require.Contains(t, raised.html, "<html", "phones show HTML well")

	f.advance(2*time.Hour + 5*time.Minute)
	f.clear("acme", event.AlertBackfillFailed)
	cleared := server.next()
	require.Equal(t, "[rollcall] cleared: acme: backfill_failed", cleared.subject)
	require.Contains(t, cleared.text, "Lasted:    2 hours 5 minutes")
	require.Equal(t, "<rollcall.alert-1-cleared@partner.example>", cleared.header.Get("Message-Id"))
	require.Equal(t, raised.header.Get("Message-Id"), cleared.header.Get("In-Reply-To"), "mailboxes show the two together")
	f.awaitHandled(bus.StreamAlerts)
	server.requireNoMore()
}

func TestMailIsSentWithoutTLSOnlyIfSet(t *testing.T) {
	t.Parallel()
	server := newMailServer(t)
	server.open()
	f := newFixture(t, "SMTP_URL=smtp://"+server.address+"?tls=none", "MAIL_FROM=rollcall@partner.example",
		"ALERT_MAIL_TO=ops@partner.example, oncall@partner.example")
	f.start()
	f.raise("acme", event.AlertDestinationDown)
	first, second := server.next(), server.next()
	require.ElementsMatch(t, []string{"ops@partner.example", "oncall@partner.example"}, []string{first.to, second.to})
	require.Equal(t, first.header.Get("Message-Id"), second.header.Get("Message-Id"))
	require.False(t, first.secure)
}

func TestSMTPSServerIsReachedByImplicitTLS(t *testing.T) {
	t.Parallel()
	server := newMailServer(t)
	certificate, roots := newCertificate(t)
	server.tls = &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12}
	server.logins, server.implicitTLS = true, true
	server.open()
	f := newFixture(t, "SMTP_URL=smtps://"+mailUser+":"+mailPassword+"@"+server.address, "MAIL_FROM=rollcall@partner.example")
	n, err := newNotifier(f.settings)
	require.NoError(t, err)
	mail := mailContent{id: "1", subject: "s", text: "t", html: "h"}
	require.ErrorContains(t, n.mailer.deliver(t.Context(), composed(t, n.mailer, mail)), "certificate", "an untrusted certificate is rejected")
	n.mailer.roots = roots
	require.NoError(t, n.mailer.deliver(t.Context(), composed(t, n.mailer, mail)))
	require.True(t, server.next().secure)
}

func composed(t *testing.T, by *mailer, mail mailContent) *gomail.Msg {
	t.Helper()
	message, err := by.compose("ops@partner.example", mail)
	require.NoError(t, err)
	return message
}

func TestPasswordIsNotSentWithoutTLS(t *testing.T) {
	t.Parallel()
	f, server := newMailFixture(t)
	server.close()
	server.tls = nil
	server.open()
	n, err := newNotifier(f.settings)
	require.NoError(t, err)
	err = n.mailer.send(t.Context(), "ops@partner.example", mailContent{id: "1", subject: "s", text: "t", html: "h"})
	require.ErrorContains(t, err, "STARTTLS")
	require.NotContains(t, err.Error(), mailPassword)
	server.requireNoMore()
}

func TestAlertIsPostedSignedAndReadableInSlack(t *testing.T) {
	t.Parallel()
	receiver := newReceiver(t)
	f := newFixture(t, "ALERT_WEBHOOK_URL="+receiver.URL+"/hook", "ALERT_WEBHOOK_SECRET="+webhookSecret)
	f.start()
	verifier, err := standardwebhooks.NewWebhook(webhookSecret)
	require.NoError(t, err)

	f.raise("acme", event.AlertDestinationAuthFailed)
	raised := receiver.next()
	require.NoError(t, verifier.Verify(raised.raw, raised.header))
	require.Equal(t, "alert-1", raised.header.Get("Webhook-Id"))
	require.Equal(t, "alert.raised", raised.body.Type)
	require.Equal(t, "high: acme: destination_auth_failed. The destination rejects our credentials, so syncing is paused and retried automatically. "+
		"What to do: Set a valid token: rollcall config set acme --destination-token-file &lt;file&gt;.", raised.body.Text)
	require.Equal(t, "acme", raised.body.Data["customerId"])
	require.Equal(t, "destination_auth_failed", raised.body.Data["type"])
	require.False(t, raised.body.Timestamp.IsZero())

	f.advance(40 * time.Minute)
	f.clear("acme", event.AlertDestinationAuthFailed)
	cleared := receiver.next()
	require.NoError(t, verifier.Verify(cleared.raw, cleared.header))
	require.Equal(t, "alert.cleared", cleared.body.Type)
	require.Regexp(t, `^cleared: acme: destination_auth_failed, after 40 minutes\. It works again\.$`, cleared.body.Text)
	require.NotEmpty(t, cleared.body.Data["raisedAt"])
	f.awaitHandled(bus.StreamAlerts)
	receiver.requireNoMore()
	require.Equal(t, "sent", f.notificationOutcome("alert-1", channelWebhook))
	require.Equal(t, "none", f.notificationOutcome("alert-1", channelOperators))
}

func TestAlertWithoutAnyChannelIsAcked(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.addCustomer("acme")
	f.start()
	f.raise("acme", event.AlertAuthFailed)
	f.awaitHandled(bus.StreamAlerts)
	require.Zero(t, queryValue[int](f, `SELECT count(*) FROM notifications`))
}

func TestLogLineOfUserAlertNamesUser(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.addCustomer("acme")
	core, logs := observer.New(zapcore.WarnLevel)
	f.logger = zap.New(core)
	f.start()
	alert := event.AlertFor("acme", event.AlertEmailChanged)
	alert.VomoID = "8205"
	require.NoError(t, f.InTx(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		message, err := alert.Message("email-1", false, f.now())
		if err != nil {
			return err
		}
		return tx.Publish(ctx, message)
	}))
	f.raise("acme", event.AlertBackfillFailed)
	require.Eventually(t, func() bool { return logs.FilterMessage("alert received").Len() == 2 }, timeout, 10*time.Millisecond)
	for _, entry := range logs.FilterMessage("alert received").All() {
		named, ok := entry.ContextMap()["vomo_user"]
		require.Equal(t, entry.ContextMap()["type"] == event.AlertEmailChanged, ok)
		if ok {
			require.Equal(t, "8205", named)
		}
	}
}

func TestRejectedTokenIsMailedToAdminOnceAndToOperatorsTwice(t *testing.T) {
	t.Parallel()
	f, server := newMailFixture(t)
	f.addCustomer("acme")
	f.start()
	f.raise("acme", event.AlertAuthFailed)
	two := server.next()
	f.advance(tokenMailDelay)
	one := server.next()
	require.Equal(t, adminOfAcme, one.to)
	require.Equal(t, "acme: VOMO rejects the API token", one.subject)
	require.Contains(t, one.text, "Create a new API token")
	require.NotEqual(t, one.header.Get("Message-Id"), two.header.Get("Message-Id"))
	require.Equal(t, "[rollcall] high: acme: auth_failed", two.subject)

	f.clear("acme", event.AlertAuthFailed)
	cleared := server.next()
	require.Equal(t, "ops@partner.example", cleared.to)
	require.True(t, strings.HasPrefix(cleared.subject, "[rollcall] cleared:"))
	f.awaitHandled(bus.StreamAlerts)
	server.requireNoMore()
	require.Equal(t, "sent", f.notificationOutcome("alert-1", channelCustomer))
	require.Equal(t, "none", f.notificationOutcome("alert-1-cleared", channelCustomer))
}

func TestBacklogOfClearedAlertsIsNotSent(t *testing.T) {
	t.Parallel()
	receiver := newReceiver(t)
	f := newFixture(t, "ALERT_WEBHOOK_URL="+receiver.URL)
	f.raise("acme", event.AlertDestinationDown)
	f.clear("acme", event.AlertDestinationDown)
	f.raise("acme", event.AlertVomoForbidden) // stays active
	f.relay()
	f.advance(25 * time.Hour)
	f.start()
	require.Equal(t, "vomo_forbidden", receiver.next().body.Data["type"])
	f.awaitHandled(bus.StreamAlerts)
	receiver.requireNoMore()
}

func TestClearedIsSentHoweverLateIfRaisedWasSent(t *testing.T) {
	t.Parallel()
	receiver := newReceiver(t)
	f := newFixture(t, "ALERT_WEBHOOK_URL="+receiver.URL)
	stop := f.start()
	f.raise("acme", event.AlertDestinationDown)
	require.Equal(t, "alert.raised", receiver.next().body.Type)
	f.awaitHandled(bus.StreamAlerts)
	stop()
	f.clear("acme", event.AlertDestinationDown)
	f.advance(25 * time.Hour) // a weekend
	f.start()
	// By this clock, a message that the stopped service had not published has waited for a day, which raises an alert, too.
	for receiver.next().body.Type != "alert.cleared" {
		continue
	}
	f.awaitHandled(bus.StreamAlerts)
	require.Equal(t, "sent", f.notificationOutcome("alert-1-cleared", channelWebhook))
}

func TestRaisedIsNotSentAfterCleared(t *testing.T) {
	t.Parallel()
	receiver := newReceiver(t)
	f := newFixture(t, "ALERT_WEBHOOK_URL="+receiver.URL)
	f.raise("acme", event.AlertDestinationDown)
	f.clear("acme", event.AlertDestinationDown)
	f.raisedTries = 2
	f.exec(`CREATE TABLE kept AS SELECT subject, payload FROM outbox WHERE msg_id = 'alert-1'`) // the publisher died; the message is published later
	f.exec(`DELETE FROM outbox WHERE msg_id = 'alert-1'`)
	f.start()
	require.Equal(t, "alert.cleared", receiver.next().body.Type, "it waited until raisedTries ran out")
	f.awaitHandled(bus.StreamAlerts)
	subject := queryValue[string](f, `SELECT subject FROM kept`)
	f.publish(subject, "alert-1", queryValue[string](f, `SELECT convert_from(payload, 'UTF8') FROM kept`))
	require.Eventually(t, func() bool { return f.notificationOutcome("alert-1", channelWebhook) == "skipped over" }, timeout, 20*time.Millisecond)
	receiver.requireNoMore()
}

func TestUnreadableAlertBecomesLetter(t *testing.T) {
	t.Parallel()
	receiver := newReceiver(t)
	f := newFixture(t, "ALERT_WEBHOOK_URL="+receiver.URL)
	f.start()
	f.publish(bus.SubjectAlert("high", "poll_stalled", "acme"), "1", `{"customerId":7}`)
	f.publish(bus.SubjectAlert("high", "poll_stalled", "acme"), "2", `{"customerId":"globex","type":"poll_stalled"}`)
	f.awaitHandled(bus.StreamAlerts)
	require.Equal(t, 2, queryValue[int](f, `SELECT count(*) FROM dead_letters WHERE customer_id = 'acme' AND error_code = 'alert_invalid'`))
	f.publish(bus.SubjectAlert("low", "by_hand", "acme"), "3", `{"customerId":"acme","type":"by_hand","severity":"low","text":"Look."}`)
	require.Equal(t, "low: acme: by_hand. Look.", receiver.next().body.Text)
}
