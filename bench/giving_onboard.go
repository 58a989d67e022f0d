package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"

	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/localserver"
)

// givingCustomers is how many customers take part in a round: as many as a process works at once.
const givingCustomers = 8

const givingSecret = "wh-secret-of-all-customers"

func givingCustomer(number int) string { return fmt.Sprintf("c%d", number%givingCustomers) }

// onboardGiving onboards all customers with giving.
func (i *installation) onboardGiving(ctx context.Context) error {
	if err := i.sandbox.organiseGiving(ctx); err != nil {
		return err
	}
	if err := i.start(ctx, partOnboarding); err != nil {
		return err
	}
	events, err := i.conn.SubscribeSync(bus.SubjectEvent("onboarding.*", "*"))
	if err != nil {
		return fmt.Errorf("listen for events: %w", err)
	}
	defer func() { _ = events.Unsubscribe() }() // closing the connection ends it as well
	for number := range givingCustomers {
		customer := givingCustomer(number)
		request, err := json.Marshal(map[string]any{"customerId": customer, "virtuous": map[string]any{
			"token": "v_" + customer, "transactionSource": "Bench", "webhookSecret": givingSecret,
		}})
		if err != nil {
			return fmt.Errorf("encode request: %w", err)
		}
		if _, err := i.stream.Publish(ctx, bus.SubjectOnboard(customer), request); err != nil {
			return fmt.Errorf("publish onboarding message: %w", err)
		}
	}
	for range givingCustomers {
		message, err := events.NextMsgWithContext(ctx)
		if err != nil {
			return fmt.Errorf("wait for the onboarding: %w", err)
		}
		if !strings.Contains(message.Subject, ".completed.") {
			return fmt.Errorf("%s: %s", message.Subject, message.Data)
		}
	}
	return i.stopPart(partOnboarding)
}

// organiseGiving creates the organisations at the sandbox's Virtuous.
func (s *sandbox) organiseGiving(ctx context.Context) error {
	for number := range givingCustomers {
		customer := givingCustomer(number)
		request := map[string]any{"name": customer, "key": "v_" + customer}
		if err := ask(ctx, http.MethodPost, s.address+"/control/virtuous/orgs", request, nil); err != nil {
			return fmt.Errorf("make organisation: %w", err)
		}
	}
	return nil
}

// startReceiver starts the product's receiver of webhooks and returns where it receives.
func (i *installation) startReceiver(ctx context.Context) (target string, err error) {
	port, err := localserver.FreePort()
	if err != nil {
		return "", err
	}
	address := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	err = i.startAs(ctx, partWebhooks, partWebhooks, "WEBHOOK_ADDR="+address)
	return "http://" + address + "/webhooks/virtuous/", err
}
