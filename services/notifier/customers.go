package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"go.uber.org/zap"

	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/event"
	"rollcall.dev/pkg/fault"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/window"
	"rollcall.dev/pkg/worker"
	rollcallv1 "rollcall.dev/proto/rollcall/v1"
)

// event tells a customer's admin of what concerns the customer alone.
func (n *notifier) event(ctx context.Context, delivery *worker.Delivery) error {
	var mail *customerMail
	var err error
	switch {
	case strings.HasPrefix(delivery.Subject, bus.SubjectEvent(event.OnboardingCompleted, "")):
		mail, err = scheduled(delivery)
	case strings.HasPrefix(delivery.Subject, bus.SubjectEvent(event.BackfillCompleted, "")):
		mail, err = completed(delivery)
	}
	if err != nil || mail == nil {
		return err
	}
	old, err := n.piledUp(ctx, delivery, mail.at)
	if err != nil {
		return err
	}
	if old {
		n.teller.logger.Info("event not told: it is older than anybody wants to hear of", zap.String("subject", delivery.Subject))
		return nil
	}
	notices, err := n.customerNotice(ctx, delivery, bus.CustomerOf(delivery.Subject), *mail)
	if err != nil {
		return err
	}
	return n.teller.tell(ctx, messageID(delivery), delivery.Deliveries, notices)
}

// customerMail is a mail before it is known whose wall the times are read from.
type customerMail struct {
	kind string
	at   time.Time // of what it tells
	data func(zone *time.Location) any
}

// customerNotice is a mail to the customer's admin; one that there is nobody for is noted, and not sent.
func (n *notifier) customerNotice(ctx context.Context, delivery *worker.Delivery, id string, mail customerMail) ([]notice, error) {
	if n.mailer == nil {
		return nil, nil
	}
	sent := notice{kind: mail.kind, channel: channelCustomer, way: channelCustomer}
	customer, err := n.teller.store.Customer(ctx, id)
	reason := ""
	switch {
	case errors.Is(err, store.ErrNotFound):
		reason = "unknown_customer"
	case err != nil:
		return nil, err
	case customer.OffboardedAt != nil:
		reason = "offboarded"
	case customer.AdminEmail == nil || *customer.AdminEmail == "":
		reason = "no_admin_email"
	}
	if reason != "" {
		sent.send = func(context.Context) error { return &skipped{code: reason} }
		return []notice{sent}, nil
	}
	zone := time.UTC
	if hours, err := window.Read(customer.QuietHours); err == nil { // hours that an older version cannot read have no zone here
		zone = hours.Location()
	}
	letter, err := n.words.write(mail.kind, mail.data(zone))
	if err != nil {
		return nil, err
	}
	letter.id = messageID(delivery) + "." + mail.kind // an alert's mail to operators is another one
	sent.send = func(ctx context.Context) error { return n.mailer.send(ctx, *customer.AdminEmail, letter) }
	return []notice{sent}, nil
}

// mailAfter is how long a customer stays switched off before its admin is asked for a new token: by then it is known
// whether VOMO refuses many at once, for which no customer is asked for anything.
const (
	mailAfter = time.Minute
	heldLook  = 10 * time.Second
)

// tokenInvalid asks the customer's admin for a new token, once a minute has passed in which none came and the refusal did not
// turn out to be VOMO's fault. The message waits in its stream for that, so a restart forgets nothing.
func (n *notifier) tokenInvalid(ctx context.Context, delivery *worker.Delivery, alert *rollcallv1.Alert) ([]notice, error) {
	standing, err := n.stillStands(ctx, alert)
	if err != nil {
		return nil, err
	}
	notYet := func(why error) ([]notice, error) {
		return []notice{{kind: kindTokenInvalid, channel: channelCustomer, way: channelCustomer, send: func(context.Context) error { return why }}}, nil
	}
	if !standing {
		return notYet(&skipped{code: "over"})
	}
	now, err := n.teller.store.Now(ctx)
	if err != nil {
		return nil, err
	}
	if left := alert.GetAt().AsTime().Add(mailAfter).Sub(now); left > 0 && n.mailer != nil {
		return notYet(&heldError{left: min(left, n.heldFor)})
	}
	return n.customerNotice(ctx, delivery, alert.GetCustomerId(), customerMail{
		kind: kindTokenInvalid, at: alert.GetAt().AsTime(),
		data: func(zone *time.Location) any {
			return struct{ Customer, Since string }{alert.GetCustomerId(), moment(alert.GetAt().AsTime(), zone)}
		},
	})
}

// stillStands says whether this alert does, and not one that was raised after it was over.
func (n *notifier) stillStands(ctx context.Context, alert *rollcallv1.Alert) (bool, error) {
	alerts, err := n.teller.store.StandingAlerts(ctx, alert.GetCustomerId())
	for _, one := range alerts {
		if one.Type == alert.GetType() {
			return !one.RaisedAt.After(alert.GetAt().AsTime().Add(time.Second)), err
		}
	}
	return false, err
}

// scheduledWords is when a backfill runs.
type scheduledWords struct {
	Customer string
	People   string
	Begins   string // "" means at once
	Takes    string
	Ends     string
	Waits    string // what it waits for: window's reasons, or ""
}

// scheduled is nil where no backfill is queued.
func scheduled(delivery *worker.Delivery) (*customerMail, error) {
	done := &rollcallv1.OnboardingCompleted{}
	if err := rollcallv1.Read(delivery.Data, done); err != nil {
		return nil, fault.Permanent("event_invalid", fmt.Errorf("read event: %w", err))
	}
	if !done.GetBackfillQueued() {
		return nil, nil //nolint:nilnil // nothing to tell is no error
	}
	at := delivery.Published
	if done.GetOnboardedAt() != nil {
		at = done.GetOnboardedAt().AsTime()
	}
	return &customerMail{kind: kindBackfillScheduled, at: at, data: func(zone *time.Location) any {
		words := scheduledWords{
			Customer: bus.CustomerOf(delivery.Subject), People: grouped(int(done.GetUsersTotal())), Waits: done.GetWaitingFor(),
			Takes: lasting(time.Duration(max(done.GetEstimatedBackfillSeconds(), 60)) * time.Second),
		}
		if start := done.GetEstimatedStartAt(); start != nil && words.Waits != "" {
			words.Begins = moment(start.AsTime(), zone)
		}
		if end := done.GetEstimatedCompletionAt(); end != nil {
			words.Ends = moment(end.AsTime(), zone)
		}
		return words
	}}, nil
}

// completedWords is what a backfill came to.
type completedWords struct {
	Customer string
	People   string
	Failures string // "" for none
	At       string
}

// completed is nil for a read of somebody who had been mirrored before.
func completed(delivery *worker.Delivery) (*customerMail, error) {
	done := &rollcallv1.BackfillCompleted{}
	if err := rollcallv1.Read(delivery.Data, done); err != nil {
		return nil, fault.Permanent("event_invalid", fmt.Errorf("read event: %w", err))
	}
	if done.GetFullResync() {
		return nil, nil //nolint:nilnil // an operator's, of which the customer knows nothing
	}
	at := delivery.Published
	if done.GetCompletedAt() != nil {
		at = done.GetCompletedAt().AsTime()
	}
	return &customerMail{kind: kindBackfillCompleted, at: at, data: func(zone *time.Location) any {
		words := completedWords{
			Customer: bus.CustomerOf(delivery.Subject), People: counted(int(done.GetProcessedCount()), "user"), At: moment(at, zone),
		}
		if failures := done.GetFailureCount(); failures > 0 {
			words.Failures = counted(int(failures), "user")
		}
		return words
	}}, nil
}
