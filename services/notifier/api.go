package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/google/uuid"

	"rollcall.dev/pkg/fault"
	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/pkg/report"
	"rollcall.dev/pkg/service"
	rollcallv1 "rollcall.dev/proto/rollcall/v1"
)

// A test waits for mail servers, but no longer than an operator would.
const (
	testTimeout = 20 * time.Second
	testSlots   = 2
)

// serveAPI answers operators' requests about alerts. wait waits for tests that are running.
func serveAPI(ctx context.Context, s *service.Service, n *notifier) (wait func(), err error) {
	err = service.Answer(s, "alerts", "ls", func(ctx context.Context, question operatorapi.AlertsQuestion) (operatorapi.AlertsReply, error) {
		if id := question.CustomerID; id != "" && id != rollcallv1.UnknownCustomer && id != rollcallv1.Installation && !rollcallv1.ValidCustomerID(id) {
			return operatorapi.AlertsReply{}, &service.BadRequestError{Text: "this is not a customer id: use 1 to 63 characters of a-z, 0-9, _ and -"}
		}
		return report.Alerts(ctx, s.Store, question)
	})
	if err != nil {
		return nil, err
	}
	return service.AnswerSlowly(ctx, s, "alerts", "test", service.Slow{Within: testTimeout, Slots: testSlots},
		func(ctx context.Context, _ struct{}) (operatorapi.AlertsTested, error) { return n.testChannels(ctx) })
}

// testChannels sends a test on every channel, also on one whose gate is closed: the operator wants to know now.
func (n *notifier) testChannels(ctx context.Context) (operatorapi.AlertsTested, error) {
	now, err := n.sender.store.Now(ctx)
	if err != nil {
		return operatorapi.AlertsTested{}, err
	}
	id := "test-" + uuid.NewString()
	mail, err := n.templates.write(kindTest, nil)
	if err != nil {
		return operatorapi.AlertsTested{}, err
	}
	mail.id = id
	body, err := json.Marshal(webhookBody{
		Type: "alert.test", Timestamp: now, Text: "test: rollcall sends alerts to this webhook.", Data: json.RawMessage(`{}`),
	})
	if err != nil {
		return operatorapi.AlertsTested{}, fmt.Errorf("encode test: %w", err)
	}
	tests := []channelTest{{channel: channelWebhook, missing: "ALERT_WEBHOOK_URL"}}
	if n.webhook != nil {
		tests[0].send = func(ctx context.Context) error { return n.webhook.post(ctx, id, body) }
	}
	for _, operator := range n.operators {
		tests = append(tests, channelTest{channel: channelOperators, send: func(ctx context.Context) error {
			message, err := n.mailer.compose(operator, mail)
			if err != nil {
				return err
			}
			return n.mailer.deliver(ctx, message)
		}})
	}
	if len(n.operators) == 0 {
		tests = append(tests, channelTest{channel: channelOperators, missing: "SMTP_URL, MAIL_FROM and ALERT_MAIL_TO"})
	}
	return operatorapi.AlertsTested{Channels: n.runTests(ctx, tests)}, nil
}

// channelTest is the test of one channel.
type channelTest struct {
	channel, missing string // missing: the settings that the channel needs
	send             func(ctx context.Context) error
}

// runTests runs the tests at the same time.
func (n *notifier) runTests(ctx context.Context, tests []channelTest) []operatorapi.ChannelTest {
	results := make([]operatorapi.ChannelTest, len(tests))
	var running sync.WaitGroup
	for i, one := range tests {
		results[i] = operatorapi.ChannelTest{Channel: one.channel, Outcome: operatorapi.TestNotConfigured}
		if one.send == nil {
			results[i].Detail = "not set: " + one.missing
			continue
		}
		running.Go(func() {
			results[i].Outcome = operatorapi.TestSent
			if err := one.send(ctx); err != nil {
				if ctx.Err() != nil {
					err = fault.Unknown("timeout", errors.New("no response in time"))
				}
				results[i].Outcome, results[i].Code, results[i].Detail = operatorapi.TestFailed, fault.CodeOf(err), err.Error()
			}
			n.sender.metrics.count(notice{kind: kindTest, channelType: one.channel}, results[i].Outcome)
		})
	}
	running.Wait()
	return results
}
