package cli

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/pkg/service"
)

func TestAlertsAreListedPageByPage(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.answers("alerts", "ls", func(_ int, data []byte) (any, string) {
		var question operatorapi.AlertsQuestion
		if err := json.Unmarshal(data, &question); err != nil || question.CustomerID != "acme" || !question.All {
			return "a bad question", service.CodeBadRequest
		}
		alert := operatorapi.Alert{ID: 2, CustomerID: "acme", Type: "poll_stalled", Severity: "high", RaisedAt: testTime, Text: "No poll."}
		if question.Before == 2 {
			alert.ID, alert.Type, alert.VomoUserID, alert.ClearedAt = 1, "email_changed", new("8205"), &testTime
			return operatorapi.AlertsReply{Alerts: []operatorapi.Alert{alert}}, noCode
		}
		return operatorapi.AlertsReply{Alerts: []operatorapi.Alert{alert}, Next: new(int64(2))}, noCode
	})
	got := f.run("alerts", "ls", "acme", "--all")
	require.Zero(t, got.code, got.stderr)
	lines := strings.Split(strings.TrimSpace(got.stdout), "\n")
	require.Len(t, lines, 3)
	require.Regexp(t, `^CUSTOMER +SEVERITY +ALERT +USER +RAISED +OVER +WHAT$`, lines[0])
	require.Regexp(t, `^acme +high +poll_stalled +- +2026-11-20 08:00:00 UTC +- +No poll\.$`, lines[1])
	require.Regexp(t, `^acme +high +email_changed +8205 +2026-11-20 08:00:00 UTC +2026-11-20 08:00:00 UTC +No poll\.$`, lines[2])
	require.Len(t, document[operatorapi.AlertsReply](t, f.run("alerts", "ls", "acme", "--all", "--json")).Alerts, 2)
}

func TestAlertsLsWithoutAlertsIsAnEmptyListAndAnUnknownCustomerFails(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	stop := f.answers("alerts", "ls", always(operatorapi.AlertsReply{Alerts: []operatorapi.Alert{}}))
	require.JSONEq(t, `{"alerts":[],"next":null}`, f.run("alerts", "ls", "--json").stdout)
	require.Equal(t, result{stderr: "No alert is active.\n"}, f.run("alerts", "ls"))
	stop()
	f.answers("alerts", "ls", unknown)
	require.Equal(t, unknownGlobex(), f.run("alerts", "ls", "globex", "--json"))
}

func TestAlertsTestFailsUnlessEveryConfiguredChannelAccepts(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	require.Contains(t, f.run("alerts", "test").stderr, "is the notifier service running")
	sent := operatorapi.ChannelTest{Channel: "mail_operators", Outcome: operatorapi.TestSent}
	refused := operatorapi.ChannelTest{Channel: "webhook", Outcome: operatorapi.TestFailed, Code: "webhook_404", Detail: "the receiver answered 404"}
	absent := operatorapi.ChannelTest{Channel: "webhook", Outcome: operatorapi.TestNotConfigured, Detail: "not set: ALERT_WEBHOOK_URL"}
	f.answers("alerts", "test", inTurn(
		operatorapi.AlertsTested{Channels: []operatorapi.ChannelTest{absent, sent}},
		operatorapi.AlertsTested{Channels: []operatorapi.ChannelTest{refused, sent}},
		operatorapi.AlertsTested{Channels: []operatorapi.ChannelTest{absent}},
		operatorapi.AlertsTested{Channels: []operatorapi.ChannelTest{refused, sent}},
	))
	got := f.run("alerts", "test")
	require.Zero(t, got.code, got.stderr)
	require.Regexp(t, `webhook +not_configured +not set: ALERT_WEBHOOK_URL\nmail_operators +sent`, got.stdout)
	got = f.run("alerts", "test")
	require.Equal(t, exitFailed, got.code)
	require.Regexp(t, `webhook +failed +the receiver answered 404`, got.stdout)
	require.Contains(t, got.stderr, "1 alert channel failed the test")
	got = f.run("alerts", "test")
	require.Equal(t, exitFailed, got.code)
	require.Contains(t, got.stderr, "no channel for alerts is configured")
	got = f.run("alerts", "test", "--json")
	require.Equal(t, exitFailed, got.code)
	require.Len(t, document[operatorapi.AlertsTested](t, got).Channels, 2)
}
