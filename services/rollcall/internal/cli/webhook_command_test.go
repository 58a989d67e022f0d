package cli

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/pkg/service"
)

func subscribed() operatorapi.Webhook {
	return operatorapi.Webhook{
		ID: 1, State: "active", WebhookID: new(int64(31)), PayloadURL: "https://hooks.example.org/webhooks/virtuous/acme", RequestedAt: testTime,
	}
}

func TestWebhookIsAddedRotatedAndRemoved(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.answers("webhooks", "add", inTurn(subscribed()))
	f.answers("webhooks", "rotate", inTurn(subscribed()))
	f.answers("webhooks", "rm", inTurn(operatorapi.WebhooksReply{Webhooks: []operatorapi.Webhook{subscribed()}}))
	f.answers("webhooks", "ls", inTurn(operatorapi.WebhooksReply{Webhooks: []operatorapi.Webhook{subscribed()}}))
	require.Equal(t, result{stdout: "acme: webhook subscription 31 created: https://hooks.example.org/webhooks/virtuous/acme\n"}, f.run("webhook", "add", "acme"))
	require.Contains(t, f.run("webhook", "rotate", "acme").stdout, "31 has another secret")
	require.Equal(t, result{stdout: "acme: webhook subscription 31 deleted\n"}, f.run("webhook", "rm", "acme"))
	require.Regexp(t, `\n1 +31 +active `, f.run("webhook", "ls", "acme").stdout)
	require.EqualValues(t, 31, *document[operatorapi.Webhook](t, f.run("webhook", "add", "acme", "--json")).WebhookID)
}

func TestWebhookCommandsSayWhyNothingWasDone(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.answers("webhooks", "add", func(n int, _ []byte) (any, string) {
		if n == 1 {
			return "WEBHOOK_PUBLIC_URL is not set", service.CodeConflict
		}
		return unknown(n, nil)
	})
	require.Equal(t, result{code: exitFailed, stderr: "rollcall: WEBHOOK_PUBLIC_URL is not set\n"}, f.run("webhook", "add", "acme"))
	require.Equal(t, unknownGlobex(), f.run("webhook", "add", "globex"))
	require.Equal(t, exitUsage, f.run("webhook").code)
	require.Equal(t, exitUsage, f.run("webhook", "replay", "acme").code)
	require.Equal(t, exitUsage, f.run("webhook", "replay", "acme", "--from", "never").code)
	require.Equal(t, exitUsage, f.run("webhook", "replay", "acme", "--from", "2026-11-20", "--to", "2026-11-20").code)
}

func TestWebhookVerifyFailsIfSomethingDiffers(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	one, orphan := subscribed(), subscribed()
	orphan.WebhookID, orphan.State = nil, "orphaned"
	f.answers("webhooks", "verify", inTurn(
		operatorapi.WebhookVerified{Webhook: &one},
		operatorapi.WebhookVerified{Webhook: &one, Differences: []string{"giftDelete"}, Orphans: []operatorapi.Webhook{orphan}},
		operatorapi.WebhookVerified{},
		operatorapi.WebhookVerified{Webhook: &one},
		operatorapi.WebhookVerified{Webhook: &one, Differences: []string{"giftDelete"}},
		operatorapi.WebhookVerified{},
	))
	require.Equal(t, result{stdout: "acme: webhook subscription 31 is at Virtuous as it should be\n"}, f.run("webhook", "verify", "acme"))
	got := f.run("webhook", "verify", "acme")
	require.Equal(t, exitFailed, got.code)
	require.Contains(t, got.stdout, "Virtuous may still have subscription -")
	require.Contains(t, got.stderr, "differs at Virtuous: giftDelete")
	got = f.run("webhook", "verify", "acme")
	require.Equal(t, exitFailed, got.code)
	require.Contains(t, got.stderr, "has no webhook subscription")

	require.Zero(t, f.run("webhook", "verify", "acme", "--json").code)
	got = f.run("webhook", "verify", "acme", "--json")
	require.Equal(t, exitFailed, got.code)
	require.Contains(t, got.stdout, `"giftDelete"`)
	require.Equal(t, exitFailed, f.run("webhook", "verify", "acme", "--json").code)
}

func TestWebhookReplayAsksForEachBatch(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.answers("webhooks", "replay", func(n int, data []byte) (any, string) {
		var asked operatorapi.WebhookReplay
		if err := json.Unmarshal(data, &asked); err != nil || asked.CustomerID != "acme" || (n == 2) != (asked.After != nil && asked.After.ID == 7) {
			return "a bad question", service.CodeBadRequest
		}
		if n == 1 {
			return operatorapi.WebhookReplayed{Parts: 1000, Records: 2000, Next: &operatorapi.WebhookPos{ReceivedAt: testTime, ID: 7}}, noCode
		}
		return operatorapi.WebhookReplayed{Parts: 1, Records: 1}, noCode
	})
	require.Equal(t, result{stdout: "acme: 1,001 parts of deliveries with 2,001 records are applied again\n"},
		f.run("webhook", "replay", "acme", "--from", "2026-11-20", "--to", "2026-11-21"))
}
