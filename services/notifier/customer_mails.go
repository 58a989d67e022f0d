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

// handleEvent mails a customer's admin the events that concern the customer.
func (n *notifier) handleEvent(ctx context.Context, delivery *worker.Delivery) error {
	var mail *customerMail
	var err error
	switch {
	case strings.HasPrefix(delivery.Subject, bus.SubjectEvent(event.OnboardingCompleted, "")):
		mail, err = scheduledMail(delivery)
	case strings.HasPrefix(delivery.Subject, bus.SubjectEvent(event.BackfillCompleted, "")):
		mail, err = completedMail(delivery)
	}
	if err != nil || mail == nil {
		return err
	}
	isOld, err := n.isBacklog(ctx, delivery, mail.at)
	if err != nil {
		return err
	}
	if isOld {
		n.sender.logger.Info("event skipped: it is too old", zap.String("subject", delivery.Subject))
		return nil
	}
	notices, err := n.customerNotices(ctx, delivery, bus.CustomerOf(delivery.Subject), *mail)
	if err != nil {
		return err
	}
	return n.sender.sendAll(ctx, messageID(delivery), delivery.Deliveries, notices)
}

// customerMail is a mail whose time zone is not known yet.
type customerMail struct {
	kind string
	at   time.Time // of the event
	data func(zone *time.Location) any
}

// customerNotices returns the mail to the customer's admin. Without a recipient the notice is noted as skipped.
func (n *notifier) customerNotices(ctx context.Context, delivery *worker.Delivery, id string, mail customerMail) ([]notice, error) {
	if n.mailer == nil {
		return nil, nil
	}
	sent := notice{kind: mail.kind, channel: channelCustomer, channelType: channelCustomer}
	customer, err := n.sender.store.Customer(ctx, id)
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
		sent.send = func(context.Context) error { return &skipError{code: reason} }
		return []notice{sent}, nil
	}
	zone := time.UTC
	if hours, err := window.Read(customer.QuietHours); err == nil { // quiet hours that this version cannot read give no zone
		zone = hours.Location()
	}
	content, err := n.templates.write(mail.kind, mail.data(zone))
	if err != nil {
		return nil, err
	}
	content.id = messageID(delivery) + "." + mail.kind // an alert's mail to operators has the plain id
	sent.send = func(ctx context.Context) error { return n.mailer.send(ctx, *customer.AdminEmail, content) }
	return []notice{sent}, nil
}

// tokenMailDelay is the time between switching off a customer and asking its admin for a new token. If VOMO rejects many
// tokens at once, rollcall finds that out within this time and asks no one.
const (
	tokenMailDelay = time.Minute
	heldCheck      = 10 * time.Second
)

// tokenNotices returns the mail that asks the customer's admin for a new token. It is held for tokenMailDelay, and skipped
// if the alert is cleared by then. The message waits in its stream, so a restart loses nothing.
func (n *notifier) tokenNotices(ctx context.Context, delivery *worker.Delivery, alert *rollcallv1.Alert) ([]notice, error) {
	active, err := n.isStillActive(ctx, alert)
	if err != nil {
		return nil, err
	}
	fail := func(why error) ([]notice, error) {
		return []notice{{kind: kindTokenInvalid, channel: channelCustomer, channelType: channelCustomer, send: func(context.Context) error { return why }}}, nil
	}
	if !active {
		return fail(&skipError{code: skipCleared})
	}
	now, err := n.sender.store.Now(ctx)
	if err != nil {
		return nil, err
	}
	if left := alert.GetAt().AsTime().Add(tokenMailDelay).Sub(now); left > 0 && n.mailer != nil {
		return fail(&heldError{left: min(left, n.heldCheckEvery)})
	}
	return n.customerNotices(ctx, delivery, alert.GetCustomerId(), customerMail{
		kind: kindTokenInvalid, at: alert.GetAt().AsTime(),
		data: func(zone *time.Location) any {
			return struct{ Customer, Since string }{alert.GetCustomerId(), formatTime(alert.GetAt().AsTime(), zone)}
		},
	})
}

// isStillActive returns whether this alert is active. A later alert of the same type does not count.
func (n *notifier) isStillActive(ctx context.Context, alert *rollcallv1.Alert) (bool, error) {
	alerts, err := n.sender.store.ActiveAlerts(ctx, alert.GetCustomerId())
	for _, one := range alerts {
		if one.Type == alert.GetType() {
			return !one.RaisedAt.After(alert.GetAt().AsTime().Add(time.Second)), err
		}
	}
	return false, err
}

// scheduledView is what the mail about a scheduled backfill shows.
type scheduledView struct {
	Customer string
	People   string
	Begins   string // "" means at once
	Takes    string
	Ends     string
	Waits    string // the reason of package window for which the backfill waits, or ""
}

// scheduledMail returns nil if no backfill is queued.
func scheduledMail(delivery *worker.Delivery) (*customerMail, error) {
	done := &rollcallv1.OnboardingCompleted{}
	if err := rollcallv1.Read(delivery.Data, done); err != nil {
		return nil, fault.Permanent("event_invalid", fmt.Errorf("read event: %w", err))
	}
	if !done.GetBackfillQueued() {
		return nil, nil //nolint:nilnil // no mail is no error
	}
	at := delivery.Published
	if done.GetOnboardedAt() != nil {
		at = done.GetOnboardedAt().AsTime()
	}
	return &customerMail{kind: kindBackfillScheduled, at: at, data: func(zone *time.Location) any {
		view := scheduledView{
			Customer: bus.CustomerOf(delivery.Subject), People: formatNumber(int(done.GetUsersTotal())), Waits: done.GetWaitingFor(),
			Takes: formatDuration(time.Duration(max(done.GetEstimatedBackfillSeconds(), 60)) * time.Second),
		}
		if start := done.GetEstimatedStartAt(); start != nil && view.Waits != "" {
			view.Begins = formatTime(start.AsTime(), zone)
		}
		if end := done.GetEstimatedCompletionAt(); end != nil {
			view.Ends = formatTime(end.AsTime(), zone)
		}
		return view
	}}, nil
}

// completedView is what the mail about a completed backfill shows.
type completedView struct {
	Customer string
	People   string
	Failures string // "" for none
	At       string
}

// completedMail returns nil for a full resync, which an operator started.
func completedMail(delivery *worker.Delivery) (*customerMail, error) {
	done := &rollcallv1.BackfillCompleted{}
	if err := rollcallv1.Read(delivery.Data, done); err != nil {
		return nil, fault.Permanent("event_invalid", fmt.Errorf("read event: %w", err))
	}
	if done.GetFullResync() {
		return nil, nil //nolint:nilnil // the customer does not know of it
	}
	at := delivery.Published
	if done.GetCompletedAt() != nil {
		at = done.GetCompletedAt().AsTime()
	}
	return &customerMail{kind: kindBackfillCompleted, at: at, data: func(zone *time.Location) any {
		view := completedView{
			Customer: bus.CustomerOf(delivery.Subject), People: countOf(int(done.GetProcessedCount()), "user"), At: formatTime(at, zone),
		}
		if failures := done.GetFailureCount(); failures > 0 {
			view.Failures = countOf(int(failures), "user")
		}
		return view
	}}, nil
}
