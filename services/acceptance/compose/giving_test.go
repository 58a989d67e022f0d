//go:build compose

package compose_test

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/bus"
)

// webhookSecret signs the sandbox's webhooks.
const webhookSecret = "wh-compose"

// giving adds giving to a customer, and subscribes the service webhooks as the containers reach it.
func (p *product) giving(customer string) {
	p.t.Helper()
	key := "v_sandbox-" + customer + "-key"
	p.control(http.MethodPut, "/control/virtuous/orgs/"+customer+"/settings", map[string]any{"imports": "manual"}, nil)
	p.send(bus.SubjectOnboard(customer), map[string]any{
		"customerId": customer,
		"virtuous":   map[string]any{"token": key, "transactionSource": "AcmeGive", "webhookSecret": webhookSecret},
	})
	ctx, cancel := context.WithTimeout(p.t.Context(), soon)
	defer cancel()
	body := `{"payloadUrl":"http://webhooks:9191/webhooks/virtuous/` + customer + `","secret":"` + webhookSecret + `","active":true,"giftCreate":true}`
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, p.sandbox+"/virtuous/api/Webhook", strings.NewReader(body))
	require.NoError(p.t, err)
	request.Header.Set("Authorization", "Bearer "+key)
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	require.NoError(p.t, err)
	require.NoError(p.t, response.Body.Close())
	require.Equal(p.t, http.StatusOK, response.StatusCode)
}

// donate publishes a donation.
func (p *product) donate(customer, id string) {
	p.t.Helper()
	p.send(bus.SubjectDonation(customer), map[string]any{
		"customerId": customer, "platformDonationId": id, "amount": "125.00", "currencyCode": "USD", "giftDate": "2026-02-20", "giftType": "Credit",
		"contact":      map[string]any{"type": "Household", "firstName": "Ana", "lastName": "Ruiz", "email": "ana@donor.example"},
		"designations": []map[string]any{{"code": "CLEAN-WATER", "amountDesignated": "125.00"}},
	})
}

// importGifts runs the import that staff at Virtuous run, without waiting for midnight.
func (p *product) importGifts(customer string) {
	p.t.Helper()
	p.control(http.MethodPost, "/control/virtuous/orgs/"+customer+"/imports:run", map[string]any{"bundle": true}, nil)
}

func (p *product) send(subject string, message any) {
	p.t.Helper()
	payload, err := json.Marshal(message)
	require.NoError(p.t, err)
	ctx, cancel := context.WithTimeout(p.t.Context(), soon)
	defer cancel()
	_, err = p.js.Publish(ctx, subject, payload)
	require.NoError(p.t, err)
}

// hasGiving reports whether giving is set up for a customer: a donation that comes before is rejected.
func (s *stack) hasGiving(customer string) bool {
	s.t.Helper()
	return s.query("SELECT count(*) FROM virtuous_configs WHERE enabled AND customer_id = '"+customer+"'") == "1"
}

// donation is the state of a donation, "" before it is captured.
func (s *stack) donation(id string) string {
	s.t.Helper()
	return s.query("SELECT status FROM virtuous_donation_queue WHERE platform_donation_id = '" + id + "'")
}
