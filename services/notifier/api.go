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
	"rollcall.dev/pkg/report"
	"rollcall.dev/pkg/service"
	rollcallv1 "rollcall.dev/proto/rollcall/v1"
)

// A test waits for mail servers; not longer than an operator does.
const (
	testWithin = 20 * time.Second
	testSlots  = 2
)

// answer answers the noun that this service owns, alerts; answered waits for tests under way.
func answer(ctx context.Context, s *service.Service, n *notifier) (answered func(), err error) {
	err = service.Answer(s, "alerts", "ls", func(ctx context.Context, question report.AlertsQuestion) (report.AlertsReply, error) {
		if id := question.CustomerID; id != "" && id != rollcallv1.UnknownCustomer && id != rollcallv1.Installation && !rollcallv1.ValidCustomerID(id) {
			return report.AlertsReply{}, &service.BadRequestError{Text: "that is no customer id: 1 to 63 characters of a-z, 0-9, _ and -"}
		}
		return report.Alerts(ctx, s.Store, question)
	})
	if err != nil {
		return nil, err
	}
	return service.AnswerSlowly(ctx, s, "alerts", "test", service.Slow{Within: testWithin, Slots: testSlots},
		func(ctx context.Context, _ struct{}) (report.AlertsTested, error) { return n.test(ctx) })
}

// test sends a notification on every channel, past what closes one that is down: an operator wants to know now.
func (n *notifier) test(ctx context.Context) (report.AlertsTested, error) {
	now, err := n.teller.store.Now(ctx)
	if err != nil {
		return report.AlertsTested{}, err
	}
	id := "test-" + uuid.NewString()
	mail, err := n.words.write(kindTest, nil)
	if err != nil {
		return report.AlertsTested{}, err
	}
	mail.id = id
	body, err := json.Marshal(posted{
		Type: "alert.test", Timestamp: now, Text: "test: rollcall's alerts come this way.", Data: json.RawMessage(`{}`),
	})
	if err != nil {
		return report.AlertsTested{}, fmt.Errorf("encode test: %w", err)
	}
	tests := []tested{{channel: channelWebhook, missing: "ALERT_WEBHOOK_URL"}}
	if n.webhook != nil {
		tests[0].send = func(ctx context.Context) error { return n.webhook.post(ctx, id, body) }
	}
	for _, operator := range n.operators {
		tests = append(tests, tested{channel: channelOperators, send: func(ctx context.Context) error {
			message, err := n.mailer.compose(operator, mail)
			if err != nil {
				return err
			}
			return n.mailer.hand(ctx, message)
		}})
	}
	if len(n.operators) == 0 {
		tests = append(tests, tested{channel: channelOperators, missing: "SMTP_URL, MAIL_FROM and ALERT_MAIL_TO"})
	}
	return report.AlertsTested{Channels: n.runTests(ctx, tests)}, nil
}

// tested is a channel under test.
type tested struct {
	channel, missing string // missing: the settings that it needs
	send             func(ctx context.Context) error
}

// runTests runs them beside each other.
func (n *notifier) runTests(ctx context.Context, tests []tested) []report.ChannelTest {
	results := make([]report.ChannelTest, len(tests))
	var running sync.WaitGroup
	for i, one := range tests {
		results[i] = report.ChannelTest{Channel: one.channel, Outcome: report.TestNotConfigured}
		if one.send == nil {
			results[i].Detail = "not set: " + one.missing
			continue
		}
		running.Go(func() {
			results[i].Outcome = report.TestSent
			if err := one.send(ctx); err != nil {
				if ctx.Err() != nil {
					err = fault.Unknown("timeout", errors.New("no answer in time"))
				}
				results[i].Outcome, results[i].Code, results[i].Detail = report.TestFailed, fault.CodeOf(err), err.Error()
			}
			n.teller.metrics.count(notice{kind: kindTest, way: one.channel}, results[i].Outcome)
		})
	}
	running.Wait()
	return results
}
