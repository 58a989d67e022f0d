package main

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/nats-io/nats.go/micro"
	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/event"
	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/pkg/service"
)

// ask sends a request. code is "" after success.
func ask[Reply any](f *fixture, verb string, question any) (reply Reply, code string) {
	f.t.Helper()
	data, err := json.Marshal(question)
	require.NoError(f.t, err)
	answer, err := f.nats.Conn(f.t).Request(service.APISubject("alerts", verb), data, timeout)
	require.NoError(f.t, err)
	if code := answer.Header.Get(micro.ErrorCodeHeader); code != "" {
		return reply, code
	}
	require.NoError(f.t, json.Unmarshal(answer.Data, &reply))
	return reply, ""
}

func TestAlertsAreListedNewestFirstAndClearedOnesOnlyOnRequest(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.addCustomer("acme")
	f.addCustomer("quiet")
	f.raise("acme", event.AlertDestinationDown)
	f.clear("acme", event.AlertDestinationDown)
	f.raise("acme", event.AlertBackfillFailed)
	f.raise("globex", event.AlertVomoForbidden)
	f.start()
	require.Eventually(t, func() bool {
		reply, err := f.nats.Conn(t).Request(service.APISubject("alerts", "ls"), nil, time.Second)
		return err == nil && reply.Header.Get(micro.ErrorCodeHeader) == ""
	}, timeout, 50*time.Millisecond)

	all, _ := ask[operatorapi.AlertsReply](f, "ls", operatorapi.AlertsQuestion{})
	require.Len(t, all.Alerts, 2)
	require.Nil(t, all.Next)
	require.Equal(t, "globex", all.Alerts[0].CustomerID)
	acme, _ := ask[operatorapi.AlertsReply](f, "ls", operatorapi.AlertsQuestion{CustomerID: "acme", All: true})
	require.Len(t, acme.Alerts, 2)
	require.Nil(t, acme.Alerts[0].ClearedAt)
	require.NotNil(t, acme.Alerts[1].ClearedAt)
	require.Contains(t, acme.Alerts[0].Text, "given up")
	require.NotEmpty(t, acme.Alerts[0].Remedy)

	first, _ := ask[operatorapi.AlertsReply](f, "ls", operatorapi.AlertsQuestion{All: true, Limit: 2})
	require.Len(t, first.Alerts, 2)
	second, _ := ask[operatorapi.AlertsReply](f, "ls", operatorapi.AlertsQuestion{All: true, Limit: 2, Before: *first.Next})
	require.Len(t, second.Alerts, 1)
	require.Nil(t, second.Next)

	none, code := ask[operatorapi.AlertsReply](f, "ls", operatorapi.AlertsQuestion{CustomerID: "quiet"})
	require.Empty(t, code)
	require.NotNil(t, none.Alerts)
	require.Empty(t, none.Alerts)
	_, code = ask[operatorapi.AlertsReply](f, "ls", operatorapi.AlertsQuestion{CustomerID: "unknown"})
	require.Equal(t, service.CodeNotFound, code)
	_, code = ask[operatorapi.AlertsReply](f, "ls", operatorapi.AlertsQuestion{CustomerID: "_unknown"})
	require.Empty(t, code)
	_, code = ask[operatorapi.AlertsReply](f, "ls", operatorapi.AlertsQuestion{CustomerID: "No Customer"})
	require.Equal(t, service.CodeBadRequest, code)

	f.advance(8 * 24 * time.Hour)
	later, _ := ask[operatorapi.AlertsReply](f, "ls", operatorapi.AlertsQuestion{CustomerID: "acme", All: true})
	require.Len(t, later.Alerts, 1, "alerts that were cleared more than a week ago are not listed")

	tested, _ := ask[operatorapi.AlertsTested](f, "test", struct{}{})
	require.Equal(t, []operatorapi.ChannelTest{
		{Channel: "webhook", Outcome: "not_configured", Detail: "not set: ALERT_WEBHOOK_URL"},
		{Channel: "mail_operators", Outcome: "not_configured", Detail: "not set: SMTP_URL, MAIL_FROM and ALERT_MAIL_TO"},
	}, tested.Channels)
}

func TestChannelTestReportsEachChannelsOutcome(t *testing.T) {
	t.Parallel()
	receiver := newReceiver(t, status(http.StatusNotFound))
	f, server := newMailFixture(t, "ALERT_WEBHOOK_URL="+receiver.URL+"/secret-path", "ALERT_MAIL_TO=ops@partner.example,gone@partner.example")
	server.reject("gone@partner.example", 550)
	n, err := newNotifier(f.settings)
	require.NoError(t, err)
	n.sender, n.mailer.roots = &sender{store: f.Store, logger: f.logger}, f.roots

	tested, err := n.testChannels(t.Context())
	require.NoError(t, err)
	require.Equal(t, []operatorapi.ChannelTest{
		{Channel: "webhook", Outcome: "failed", Code: "webhook_404",
			Detail: "the receiver rejects our credentials, or this address does not exist: the receiver answered 404"},
		{Channel: "mail_operators", Outcome: "sent"},
		{Channel: "mail_operators", Outcome: "failed", Code: "smtp_550", Detail: "sending SMTP RCPT TO command: the mail server answered 550"},
	}, tested.Channels)
	require.Equal(t, "[rollcall] test: mail works", server.next().subject)
	require.Equal(t, "alert.test", receiver.next().body.Type)

	receiver.Close()
	server.logins = false // the server rejects our login from now on
	server.close()
	tested, err = n.testChannels(t.Context())
	require.NoError(t, err)
	for _, channel := range tested.Channels {
		require.Equal(t, "failed", channel.Outcome)
		require.Contains(t, channel.Detail, "refused")
		require.NotContains(t, channel.Detail, "secret-path")
		require.NotContains(t, channel.Detail, mailPassword)
	}
}

func TestRejectedPasswordClosesChannel(t *testing.T) {
	t.Parallel()
	f, server := newMailFixture(t)
	n, err := newNotifier(f.settings)
	require.NoError(t, err)
	n.mailer.roots, n.mailer.server.Password = f.roots, "wrong-horse"
	mail := mailContent{id: "1", subject: "s", text: "t", html: "h"}
	err = n.mailer.send(t.Context(), "ops@partner.example", mail)
	var down channelDownError
	require.ErrorAs(t, err, &down)
	require.NotContains(t, err.Error(), "wrong-horse")
	err = n.mailer.send(t.Context(), "ops@partner.example", mail)
	var closed *channelClosedError
	require.ErrorAs(t, err, &closed)
	server.requireNoMore()
}
