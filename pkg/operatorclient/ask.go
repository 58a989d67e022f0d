// Package operatorclient asks the services over NATS: rollcall.api.<noun>.<verb>. The operator's command and the console use it.
//
// It promises that an error says which service did not answer, or in the service's own words why it rejected the question. It repeats
// no question, and does not decide who may ask what: its callers do.
package operatorclient

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/service"
)

// Client asks in the name of one operator.
type Client struct {
	Conn     *nats.Conn
	Timeout  time.Duration // for one answer
	Operator string        // who asks, for the audit; "" if not known
}

// Message returns an empty message that says who sends it.
func (c *Client) Message(subject string) *nats.Msg {
	message := nats.NewMsg(subject)
	if c.Operator != "" {
		message.Header.Set(bus.HeaderOperator, c.Operator)
	}
	return message
}

// Ask sends a question to the service that owns the noun. It returns UnansweredError and RejectedError.
func Ask[Question, Reply any](ctx context.Context, client *Client, noun, verb string, question Question) (Reply, error) {
	var reply Reply
	data, err := json.Marshal(question)
	if err != nil {
		return reply, fmt.Errorf("encode question: %w", err)
	}
	subject := service.APISubject(noun, verb)
	bounded, cancel := context.WithTimeout(ctx, client.Timeout)
	defer cancel()
	message := client.Message(subject)
	message.Data = data
	answer, err := client.Conn.RequestMsgWithContext(bounded, message)
	switch {
	case ctx.Err() != nil:
		return reply, fmt.Errorf("ask %s: %w", subject, ctx.Err())
	case errors.Is(err, nats.ErrNoResponders):
		return reply, &UnansweredError{Subject: subject, Service: Owner(noun), NoResponders: true}
	case errors.Is(err, context.DeadlineExceeded):
		return reply, &UnansweredError{Subject: subject, Service: Owner(noun), Within: client.Timeout.String()}
	case err != nil:
		return reply, fmt.Errorf("ask %s: %w", subject, err)
	}
	if code := answer.Header.Get(micro.ErrorCodeHeader); code != "" {
		rejected := &RejectedError{Subject: subject, Code: code, Text: answer.Header.Get(micro.ErrorHeader)}
		if len(answer.Data) > 0 && json.Unmarshal(answer.Data, &rejected.Fields) != nil {
			rejected.Fields.Errors = nil // the text alone has to do
		}
		return reply, rejected
	}
	if err := json.Unmarshal(answer.Data, &reply); err != nil {
		return reply, fmt.Errorf("read the answer of %s: %w", subject, err)
	}
	return reply, nil
}

// Owner returns the service that answers questions about a noun.
func Owner(noun string) string {
	switch noun {
	case "audit", "key", "requests", "status", "backfills", "customers", "config", "offboardings", "board":
		return "onboarding"
	case "letters", "drains":
		return "dlqretry"
	case "users":
		return "backfill"
	case "review":
		return "writeback"
	case "alerts", "endpoints":
		return "notifier"
	case "links", "tokens":
		return "console"
	case "deletions":
		return "reconciler"
	case "contacts", "donations", "gifts", "reconciliations", "record", "reports", "webhooks":
		return "donations"
	}
	return "a newer rollcall"
}

// UnansweredError means that no service listens on the subject, or that it did not answer in time.
type UnansweredError struct {
	Subject, Service, Within string
	NoResponders             bool
}

// Error names the service that should have answered.
func (e *UnansweredError) Error() string {
	if e.NoResponders {
		return fmt.Sprintf("no service answers %s: is the %s service running, and connected to this NATS?", e.Subject, e.Service)
	}
	return fmt.Sprintf("the %s service did not answer %s within %s; rollcall doctor says whether it runs, and what was asked for may be done yet",
		e.Service, e.Subject, e.Within)
}

// RejectedError is an error that the service returned.
type RejectedError struct {
	Subject, Code, Text string
	Fields              service.FieldsError // if fields of the question are invalid
}

// Error returns the service's text.
func (e *RejectedError) Error() string { return fmt.Sprintf("%s: %s", e.Subject, e.Text) }

// IsUnanswered reports whether no service answered.
func IsUnanswered(err error) bool {
	var silence *UnansweredError
	return errors.As(err, &silence)
}

// HasNoResponders reports whether no service listens.
func HasNoResponders(err error) bool {
	var silence *UnansweredError
	return errors.As(err, &silence) && silence.NoResponders
}

// IsUnknown reports whether the service does not know what the question names.
func IsUnknown(err error) bool {
	var rejected *RejectedError
	return errors.As(err, &rejected) && rejected.Code == service.CodeNotFound
}

// IsBusy reports whether the same question may succeed later.
func IsBusy(err error) bool {
	var rejected *RejectedError
	return errors.As(err, &rejected) && rejected.Code == service.CodeBusy
}
