package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"rollcall.dev/pkg/service"
)

// ask sends a question to the service that owns the noun. It returns unansweredError and rejectedError.
func ask[Question, Reply any](ctx context.Context, on *link, noun, verb string, question Question) (Reply, error) {
	var reply Reply
	data, err := json.Marshal(question)
	if err != nil {
		return reply, fmt.Errorf("encode question: %w", err)
	}
	subject := service.APISubject(noun, verb)
	bounded, cancel := context.WithTimeout(ctx, on.timeout)
	defer cancel()
	message := on.message(subject)
	message.Data = data
	answer, err := on.conn.RequestMsgWithContext(bounded, message)
	switch {
	case ctx.Err() != nil:
		return reply, fmt.Errorf("ask %s: %w", subject, ctx.Err())
	case errors.Is(err, nats.ErrNoResponders):
		return reply, &unansweredError{subject: subject, service: owner(noun), noResponders: true}
	case errors.Is(err, context.DeadlineExceeded):
		return reply, &unansweredError{subject: subject, service: owner(noun), within: on.timeout.String()}
	case err != nil:
		return reply, fmt.Errorf("ask %s: %w", subject, err)
	}
	if code := answer.Header.Get(micro.ErrorCodeHeader); code != "" {
		refused := &rejectedError{subject: subject, code: code, text: answer.Header.Get(micro.ErrorHeader)}
		if len(answer.Data) > 0 && json.Unmarshal(answer.Data, &refused.fields) != nil {
			refused.fields.Errors = nil // the text alone has to do
		}
		return reply, refused
	}
	if err := json.Unmarshal(answer.Data, &reply); err != nil {
		return reply, fmt.Errorf("read the answer of %s: %w", subject, err)
	}
	return reply, nil
}

// owner returns the service that answers questions about a noun.
func owner(noun string) string {
	switch noun {
	case "audit", "key", "requests", "status", "backfills", "customers", "config":
		return "onboarding"
	case "letters":
		return "dlqretry"
	case "users":
		return "backfill"
	case "review":
		return "writeback"
	case "alerts":
		return "notifier"
	case "deletions":
		return "reconciler"
	case "contacts", "donations", "gifts", "reconciliations", "reports", "webhooks":
		return "donations"
	}
	return "a newer rollcall"
}

// unansweredError means that no service listens on the subject, or that it did not answer in time.
type unansweredError struct {
	subject, service, within string
	noResponders             bool
}

// Error names the service that should have answered.
func (e *unansweredError) Error() string {
	if e.noResponders {
		return fmt.Sprintf("no service answers %s: is the %s service running, and connected to this NATS?", e.subject, e.service)
	}
	return fmt.Sprintf("the %s service did not answer %s within %s; rollcall doctor says whether it runs, and what was asked for may be done yet",
		e.service, e.subject, e.within)
}

// rejectedError is an error that the service returned.
type rejectedError struct {
	subject, code, text string
	fields              service.FieldsError // where the question's fields are not right
}

// Error returns the service's text.
func (e *rejectedError) Error() string { return fmt.Sprintf("%s: %s", e.subject, e.text) }

func isUnanswered(err error) bool {
	var silence *unansweredError
	return errors.As(err, &silence)
}

func hasNoResponders(err error) bool {
	var silence *unansweredError
	return errors.As(err, &silence) && silence.noResponders
}

func isUnknown(err error) bool {
	var refused *rejectedError
	return errors.As(err, &refused) && refused.code == service.CodeNotFound
}

// isBusy reports whether the same question may succeed later.
func isBusy(err error) bool {
	var refused *rejectedError
	return errors.As(err, &refused) && refused.code == service.CodeBusy
}

// errUnknownCustomer means that no customer with that id was onboarded.
var errUnknownCustomer = errors.New("is not known")

// customerError says which customer a service's error is about.
func customerError(customer string, err error) error {
	var refused *rejectedError
	switch {
	case isUnknown(err):
		return fmt.Errorf("customer %q %w: rollcall customer ls lists those that are", customer, errUnknownCustomer)
	case errors.As(err, &refused) && len(refused.fields.Errors) > 0:
		return fmt.Errorf("nothing was changed:%s", fieldErrors(refused.fields.Errors))
	case errors.As(err, &refused) && refused.code != service.CodeInternal:
		return errors.New(refused.text)
	}
	return err
}
