package main

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/nats-io/nats.go/micro"
	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/event"
	"rollcall.dev/pkg/report"
	"rollcall.dev/pkg/service"
)

// ask puts a question; code is "" for an answer.
func ask[Reply any](h *house, verb string, question any) (reply Reply, code string) {
	h.t.Helper()
	data, err := json.Marshal(question)
	require.NoError(h.t, err)
	answer, err := h.nats.Conn(h.t).Request(service.APISubject("alerts", verb), data, within)
	require.NoError(h.t, err)
	if code := answer.Header.Get(micro.ErrorCodeHeader); code != "" {
		return reply, code
	}
	require.NoError(h.t, json.Unmarshal(answer.Data, &reply))
	return reply, ""
}

func TestAlertsAreListedNewestFirstAndThoseThatAreOverOnlyWhenAskedFor(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.customer("acme")
	h.customer("quiet")
	h.raise("acme", event.AlertDestinationDown)
	h.clear("acme", event.AlertDestinationDown)
	h.raise("acme", event.AlertBackfillFailed)
	h.raise("globex", event.AlertVomoForbidden)
	h.start()
	require.Eventually(t, func() bool {
		reply, err := h.nats.Conn(t).Request(service.APISubject("alerts", "ls"), nil, time.Second)
		return err == nil && reply.Header.Get(micro.ErrorCodeHeader) == ""
	}, within, 50*time.Millisecond)

	all, _ := ask[report.AlertsReply](h, "ls", report.AlertsQuestion{})
	require.Len(t, all.Alerts, 2)
	require.Nil(t, all.Next)
	require.Equal(t, "globex", all.Alerts[0].CustomerID)
	acme, _ := ask[report.AlertsReply](h, "ls", report.AlertsQuestion{CustomerID: "acme", All: true})
	require.Len(t, acme.Alerts, 2)
	require.Nil(t, acme.Alerts[0].ClearedAt)
	require.NotNil(t, acme.Alerts[1].ClearedAt)
	require.Contains(t, acme.Alerts[0].Text, "given up")
	require.NotEmpty(t, acme.Alerts[0].Remedy)

	first, _ := ask[report.AlertsReply](h, "ls", report.AlertsQuestion{All: true, Limit: 2})
	require.Len(t, first.Alerts, 2)
	second, _ := ask[report.AlertsReply](h, "ls", report.AlertsQuestion{All: true, Limit: 2, Before: *first.Next})
	require.Len(t, second.Alerts, 1)
	require.Nil(t, second.Next)

	none, code := ask[report.AlertsReply](h, "ls", report.AlertsQuestion{CustomerID: "quiet"})
	require.Empty(t, code)
	require.NotNil(t, none.Alerts)
	require.Empty(t, none.Alerts)
	_, code = ask[report.AlertsReply](h, "ls", report.AlertsQuestion{CustomerID: "nobody"})
	require.Equal(t, service.CodeNotFound, code)
	_, code = ask[report.AlertsReply](h, "ls", report.AlertsQuestion{CustomerID: "_unknown"})
	require.Empty(t, code)
	_, code = ask[report.AlertsReply](h, "ls", report.AlertsQuestion{CustomerID: "No Customer"})
	require.Equal(t, service.CodeBadRequest, code)

	h.advance(8 * 24 * time.Hour)
	later, _ := ask[report.AlertsReply](h, "ls", report.AlertsQuestion{CustomerID: "acme", All: true})
	require.Len(t, later.Alerts, 1, "what was over a week ago is not listed any more")

	tested, _ := ask[report.AlertsTested](h, "test", struct{}{})
	require.Equal(t, []report.ChannelTest{
		{Channel: "webhook", Outcome: "not_configured", Detail: "not set: ALERT_WEBHOOK_URL"},
		{Channel: "mail_operators", Outcome: "not_configured", Detail: "not set: SMTP_URL, MAIL_FROM and ALERT_MAIL_TO"},
	}, tested.Channels)
}

func TestATestSaysWhatEachWayAnswered(t *testing.T) {
	t.Parallel()
	receiver := newReceiver(t, status(http.StatusNotFound))
	h, office := mailed(t, "ALERT_WEBHOOK_URL="+receiver.URL+"/secret-path", "ALERT_MAIL_TO=ops@partner.example,gone@partner.example")
	office.refuse("gone@partner.example", 550)
	told, err := open(h.settings)
	require.NoError(t, err)
	told.teller, told.mailer.roots = &teller{store: h.Store, logger: h.log}, h.roots

	tested, err := told.test(t.Context())
	require.NoError(t, err)
	require.Equal(t, []report.ChannelTest{
		{Channel: "webhook", Outcome: "failed", Code: "webhook_404", Detail: "the receiver does not know us, or its address: the receiver answered 404"},
		{Channel: "mail_operators", Outcome: "sent"},
		{Channel: "mail_operators", Outcome: "failed", Code: "smtp_550", Detail: "sending SMTP RCPT TO command: the mail server answered 550"},
	}, tested.Channels)
	require.Equal(t, "[rollcall] test: mail works", office.next().subject)
	require.Equal(t, "alert.test", receiver.next().body.Type)

	receiver.Close()
	office.logins = false // the server does not know us any more
	office.close()
	tested, err = told.test(t.Context())
	require.NoError(t, err)
	for _, channel := range tested.Channels {
		require.Equal(t, "failed", channel.Outcome)
		require.Contains(t, channel.Detail, "refused")
		require.NotContains(t, channel.Detail, "secret-path")
		require.NotContains(t, channel.Detail, mailPassword)
	}
}

func TestAPasswordThatIsRefusedClosesTheChannelAndIsNotRepeated(t *testing.T) {
	t.Parallel()
	h, office := mailed(t)
	told, err := open(h.settings)
	require.NoError(t, err)
	told.mailer.roots, told.mailer.server.Password = h.roots, "wrong-horse"
	mail := letter{id: "1", subject: "s", text: "t", html: "h"}
	err = told.mailer.send(t.Context(), "ops@partner.example", mail)
	var down downError
	require.ErrorAs(t, err, &down)
	require.NotContains(t, err.Error(), "wrong-horse")
	err = told.mailer.send(t.Context(), "ops@partner.example", mail)
	var closed *closedError
	require.ErrorAs(t, err, &closed)
	office.nothingMore()
}
