package main

import (
	"cmp"
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
	var mails []customerMail
	var err error
	switch {
	case strings.HasPrefix(delivery.Subject, bus.SubjectEvent(event.OnboardingCompleted, "")):
		mails, err = n.onboardedMails(ctx, delivery)
	case strings.HasPrefix(delivery.Subject, bus.SubjectEvent(event.BackfillCompleted, "")):
		mails, err = completedMails(delivery)
	case strings.HasPrefix(delivery.Subject, bus.SubjectEvent(event.ReportStored, "")):
		mails, err = n.reportMails(ctx, delivery)
	}
	if err != nil {
		return err
	}
	var notices []notice
	for _, mail := range mails {
		isOld, err := n.isBacklog(ctx, delivery, mail.at)
		if err != nil {
			return err
		}
		if isOld {
			n.sender.logger.Info("event skipped: it is too old", zap.String("subject", delivery.Subject))
			return nil
		}
		one, err := n.customerNotices(ctx, delivery, bus.CustomerOf(delivery.Subject), mail)
		if err != nil {
			return err
		}
		notices = append(notices, one...)
	}
	return n.sender.sendAll(ctx, messageID(delivery), delivery.Deliveries, notices)
}

// customerMail is a mail whose time zone is not known yet.
type customerMail struct {
	kind    string
	channel string    // "": channelCustomer
	at      time.Time // of the event
	data    func(zone *time.Location) any
}

// customerNotices returns the mail to the customer's admin. Without a recipient the notice is noted as skipped.
func (n *notifier) customerNotices(ctx context.Context, delivery *worker.Delivery, id string, mail customerMail) ([]notice, error) {
	if n.mailer == nil {
		return nil, nil
	}
	sent := notice{kind: mail.kind, channel: cmp.Or(mail.channel, channelCustomer), channelType: channelCustomer}
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

// tokenMailDelay is the time between switching off a customer and asking its admin for a new token or key. If VOMO or Virtuous rejects
// many at once, rollcall finds that out within this time and asks no one.
const (
	tokenMailDelay = time.Minute
	heldCheck      = 10 * time.Second
)

// credentialNotices returns the mail that asks the customer's admin for a new token of VOMO or a new key of Virtuous. It is held for
// tokenMailDelay, and skipped if the alert is cleared by then. The message waits in its stream, so a restart loses nothing.
func (n *notifier) credentialNotices(ctx context.Context, delivery *worker.Delivery, alert *rollcallv1.Alert, kind string) ([]notice, error) {
	active, err := n.isStillActive(ctx, alert)
	if err != nil {
		return nil, err
	}
	fail := func(why error) ([]notice, error) {
		return []notice{{kind: kind, channel: channelCustomer, channelType: channelCustomer, send: func(context.Context) error { return why }}}, nil
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
		kind: kind, at: alert.GetAt().AsTime(),
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

// onboardedMails returns a mail if a backfill is queued, and one if giving was set up.
func (n *notifier) onboardedMails(ctx context.Context, delivery *worker.Delivery) (mails []customerMail, err error) {
	done := &rollcallv1.OnboardingCompleted{}
	if err := rollcallv1.Read(delivery.Data, done); err != nil {
		return nil, fault.Permanent("event_invalid", fmt.Errorf("read event: %w", err))
	}
	if done.GetBackfillQueued() {
		at := delivery.Published
		if done.GetOnboardedAt() != nil {
			at = done.GetOnboardedAt().AsTime()
		}
		mails = append(mails, scheduledMail(delivery, done, at))
	}
	if done.GetVirtuousSetUp() {
		mail, err := n.setUpMail(ctx, delivery, done)
		if err != nil && !errors.Is(err, store.ErrNotFound) { // the customer was purged since
			return nil, err
		}
		if err == nil {
			mails = append(mails, mail)
		}
	}
	return mails, nil
}

// setUpView is what the mail about giving shows.
type setUpView struct {
	Customer     string
	Organization string
	ImportsURL   string // "" if it is not known
	ReviewAfter  string
}

// setUpMail returns the mail that says what the customer's staff do in Virtuous each morning. Its event's time of onboarding may be that of
// the mirror, long ago.
func (n *notifier) setUpMail(ctx context.Context, delivery *worker.Delivery, done *rollcallv1.OnboardingCompleted) (customerMail, error) {
	customer := bus.CustomerOf(delivery.Subject)
	config, err := n.sender.store.VirtuousConfig(ctx, customer)
	if err != nil {
		return customerMail{}, err
	}
	view := setUpView{
		Customer: customer, Organization: oneLine(done.GetVirtuousOrganizationName()), ImportsURL: config.ImportsURL,
		ReviewAfter: countOf(config.NeedsReviewAfterHours, "hour"),
	}
	return customerMail{
		kind: kindVirtuousSetUp, channel: channelCustomer + ":" + kindVirtuousSetUp, at: delivery.Published,
		data: func(*time.Location) any { return view },
	}, nil
}

func scheduledMail(delivery *worker.Delivery, done *rollcallv1.OnboardingCompleted, at time.Time) customerMail {
	return customerMail{kind: kindBackfillScheduled, at: at, data: func(zone *time.Location) any {
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
	}}
}

// completedView is what the mail about a completed backfill shows.
type completedView struct {
	Customer string
	People   string
	Failures string // "" for none
	At       string
}

// completedMails returns a mail, but none for a full resync, which an operator started.
func completedMails(delivery *worker.Delivery) ([]customerMail, error) {
	done := &rollcallv1.BackfillCompleted{}
	if err := rollcallv1.Read(delivery.Data, done); err != nil {
		return nil, fault.Permanent("event_invalid", fmt.Errorf("read event: %w", err))
	}
	if done.GetFullResync() {
		return nil, nil // the customer does not know of it
	}
	at := delivery.Published
	if done.GetCompletedAt() != nil {
		at = done.GetCompletedAt().AsTime()
	}
	return []customerMail{{kind: kindBackfillCompleted, at: at, data: func(zone *time.Location) any {
		view := completedView{
			Customer: bus.CustomerOf(delivery.Subject), People: countOf(int(done.GetProcessedCount()), "user"), At: formatTime(at, zone),
		}
		if failures := done.GetFailureCount(); failures > 0 {
			view.Failures = countOf(int(failures), "user")
		}
		return view
	}}}, nil
}
