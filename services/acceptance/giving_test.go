package acceptance_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/testkit"
	rollcallv1 "rollcall.dev/proto/rollcall/v1"
)

const (
	programDonations = "rollcall.dev/services/donations"
	programWebhooks  = "rollcall.dev/services/webhooks"

	webhookSecret = "wh-s3cret"
	ofAcme        = "/control/virtuous/orgs/acme"
)

// giving onboards acme with Virtuous alone, starts the services of giving, and has the sandbox deliver webhooks to them.
func (f *fixture) giving(settings map[string]any) {
	f.t.Helper()
	address := testkit.FreeAddr(f.t)
	f.start(programWebhooks, map[string]string{"WEBHOOK_ADDR": address})
	f.start(programDonations, f.toVirtuous())
	f.onboardGiving(settings)
	f.subscribe("v_acme", webhookSecret, "http://"+address+"/webhooks/virtuous/acme")
}

// onboardGiving onboards acme with Virtuous alone.
func (f *fixture) onboardGiving(settings map[string]any) {
	f.t.Helper()
	f.control(http.MethodPost, "/control/virtuous/orgs", map[string]any{"name": "acme", "key": "v_acme", "settings": settings}, nil)
	f.start(programOnboarding, f.toVirtuous())
	f.publish(bus.SubjectOnboard("acme"), map[string]any{
		"customerId": "acme", "adminEmail": "it@acme.example",
		"virtuous": map[string]any{"token": "v_acme", "transactionSource": "AcmeGive", "webhookSecret": webhookSecret},
	})
	f.applied(1)
}

// subscribe makes a subscription at Virtuous, as the customer's admin does.
func (f *fixture) subscribe(key, secret, target string) {
	f.t.Helper()
	body := fmt.Sprintf(`{"payloadUrl":%q,"secret":%q,"active":true,"giftCreate":true,"giftUpdate":true,"giftDelete":true,"contactCreate":true,
		"contactUpdate":true}`, target, secret)
	request, err := http.NewRequestWithContext(f.t.Context(), http.MethodPost, f.sandbox+"/virtuous/api/Webhook", strings.NewReader(body))
	require.NoError(f.t, err)
	request.Header.Set("Authorization", "Bearer "+key)
	request.Header.Set("Content-Type", "application/json")
	f.do(request, nil)
}

// donate publishes a donation, as a partner does.
func (f *fixture) donate(id, amount string) {
	f.t.Helper()
	f.publish(bus.SubjectDonation("acme"), map[string]any{
		"customerId": "acme", "platformDonationId": id, "amount": amount, "currencyCode": "USD", "giftDate": "2026-02-20", "giftType": "Credit",
		"contact": map[string]any{
			"referenceId": "donor-" + id, "type": "Household", "firstName": "Ana", "lastName": "Ruiz " + id, "email": id + "@donor.example",
		},
		"designations": []map[string]any{{"code": "CLEAN-WATER", "amountDesignated": amount}},
	})
}

// donations returns how many donations are in a state.
func (f *fixture) donations(state string) int {
	return f.count(`SELECT count(*) FROM virtuous_donation_queue WHERE status = $1`, state)
}

func TestDonationIsConfirmedByTheWebhookOfItsGift(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	f.giving(map[string]any{"imports": "manual", "webhooks": map[string]any{"duplicates": 0.5, "reordered": 0.5, "envelope": "mixed"}})
	const donations = 12
	f.control(http.MethodPost, "/control/faults", map[string]any{
		"target": "virtuous", "org": "acme", "operation": "transaction", "kind": "lost_answer", "records": []string{"don-7"}, "count": 1,
	}, nil)
	for i := range donations {
		f.donate(fmt.Sprintf("don-%d", i+1), fmt.Sprintf("%d.25", i+10))
	}
	f.await(longest, "Virtuous has accepted every donation", func() bool { return f.donations("submitted") == donations })
	require.Zero(t, f.count(`SELECT count(*) FROM partner_gifts`), "there is no gift before the import")

	f.control(http.MethodPut, "/control/clock", map[string]any{"advanceSeconds": 24 * 60 * 60}, nil)
	f.control(http.MethodPost, ofAcme+"/imports:run", map[string]any{}, nil)
	f.await(longest, "every donation is confirmed", func() bool { return f.donations("confirmed") == donations })
	var ledger struct {
		Transactions struct{ Accepted, Imported int }
		Gifts        struct{ OfTransactions int }
	}
	f.control(http.MethodGet, ofAcme+"/ledger", nil, &ledger)
	require.Equal(t, donations, ledger.Transactions.Accepted, "each donation is one transaction, although an answer was lost")
	require.Equal(t, donations, ledger.Gifts.OfTransactions)
	require.Equal(t, donations, f.count(`SELECT count(*) FROM virtuous_donation_queue d JOIN partner_gifts g
		ON g.customer_id = d.customer_id AND g.virtuous_gift_id = d.virtuous_gift_id AND g.transaction_id = d.platform_donation_id AND g.state = 'live'`))
	confirmed := f.events(bus.StreamEvents, "rollcall.events.gift.confirmed.acme")
	require.Len(t, confirmed, donations)
	seen := map[string]bool{}
	for _, message := range confirmed {
		event := &rollcallv1.GiftConfirmed{}
		require.NoError(t, rollcallv1.Read(message.Data(), event))
		seen[event.GetPlatformDonationId()] = true
	}
	require.Len(t, seen, donations)
	require.Len(t, f.events(bus.StreamEvents, "rollcall.events.gift.created.acme"), donations)

	f.control(http.MethodPost, ofAcme+"/gifts", map[string]any{"count": 3}, nil) // entered by the charity's staff
	f.await(longest, "gifts entered by hand arrive", func() bool {
		return f.count(`SELECT count(*) FROM partner_gifts WHERE transaction_id IS NULL OR transaction_id = ''`) == 3
	})
	require.NotContains(t, f.logs(), "@donor.example")
}
