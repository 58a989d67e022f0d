package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.uber.org/zap"
	"google.golang.org/protobuf/types/known/timestamppb"

	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/event"
	"rollcall.dev/pkg/fault"
	"rollcall.dev/pkg/worker"
	rollcallv1 "rollcall.dev/proto/rollcall/v1"
)

// notifier sends notices of the alerts and events that the streams deliver.
type notifier struct {
	sender    *sender
	templates *mailTemplates
	mailer    *mailer  // nil: no mail server is set
	operators []string // mail addresses
	webhook   *webhook // nil: no webhook is set
	// raisedTries is how often a "cleared" notice waits for the "raised" notice of the same alert to be sent first.
	raisedTries int
	// heldCheckEvery is how often a held mail is looked at again before its time has come.
	heldCheckEvery time.Duration
	// endpointsEvery is how often endpoints are looked for to which something is to be sent; 0: as often as package endpoints does.
	endpointsEvery time.Duration
	// summaryEvery is how often the notifier looks for summaries that are due.
	summaryEvery time.Duration
}

// handleAlert sends an alert on each channel.
func (n *notifier) handleAlert(ctx context.Context, delivery *worker.Delivery) error {
	alert := &rollcallv1.Alert{}
	if err := rollcallv1.Read(delivery.Data, alert); err != nil {
		return fault.Permanent("alert_invalid", fmt.Errorf("read alert: %w", err))
	}
	if customer := bus.CustomerOf(delivery.Subject); alert.GetCustomerId() != customer || alert.GetType() == "" {
		return fault.Permanent("alert_invalid", errors.New("alert does not name its type and the customer of its subject"))
	}
	if alert.GetAt() == nil {
		alert.At = timestamppb.New(delivery.Published)
	}
	log := n.sender.logger.With(zap.String("customer", alert.GetCustomerId()), zap.String("type", alert.GetType()),
		zap.Bool("cleared", alert.GetCleared()))
	if alert.GetVomoUserId() != "" {
		log = log.With(zap.String("vomo_user", alert.GetVomoUserId()))
	}
	late, err := n.arrivedTooLate(ctx, delivery, alert)
	if err != nil {
		return err
	}
	if late {
		log.Info("alert skipped: it was cleared before it could be sent")
		return nil
	}
	if delivery.Deliveries == 1 {
		log.Warn("alert received", zap.String("severity", alert.GetSeverity()), zap.String("text", alert.GetText()))
	}
	deferred, err := n.deferToSummary(ctx, delivery, alert)
	if err != nil {
		return err
	}
	if deferred { // operators get a summary later; the customer's admin still gets a mail now
		notices, err := n.adminNotices(ctx, delivery, alert)
		if err != nil {
			return err
		}
		return n.sender.sendAll(ctx, messageID(delivery), delivery.Deliveries, notices)
	}
	notices, err := n.alertNotices(ctx, delivery, alert)
	if err != nil {
		return err
	}
	if notices, err = n.keepOrder(ctx, delivery, alert, notices); err != nil {
		return err
	}
	return n.sender.sendAll(ctx, messageID(delivery), delivery.Deliveries, notices)
}

const (
	// A "cleared" notice waits this often, and this long each time, until the "raised" notice was sent. This is longer than a
	// mail server takes. It is limited, because the "raised" notice may have been sent only on a channel that is gone.
	maxRaisedTries = 30
	raisedPause    = 2 * time.Second
)

// keepOrder keeps an alert's "raised" notice from being sent after its "cleared" notice. Otherwise the last notice would say
// that a cleared alert is active. The two are handled at the same time if messages have piled up or one of them is retried.
func (n *notifier) keepOrder(ctx context.Context, delivery *worker.Delivery, alert *rollcallv1.Alert, notices []notice) ([]notice, error) {
	id := messageID(delivery)
	if !alert.GetCleared() { // skip the channels that have got "cleared"
		cleared, err := n.sender.store.NotifiedChannels(ctx, id+clearedSuffix)
		for i := range notices {
			if slices.Contains(cleared, notices[i].channel) {
				notices[i].send = func(context.Context) error { return &skipError{code: skipCleared} }
			}
		}
		return notices, err
	}
	raised := raisedID(id, alert)
	if raised == "" || delivery.Deliveries > n.raisedTries {
		return notices, nil
	}
	notified, err := n.sender.store.NotifiedChannels(ctx, raised)
	if err != nil {
		return nil, err
	}
	// Wait until every channel has got "raised".
	for _, notice := range notices {
		if !slices.Contains(notified, notice.channel) {
			return nil, worker.Retry(raisedPause, errors.New("the notice that the alert was raised has not been sent yet"))
		}
	}
	return notices, nil
}

// alertNotices returns an alert's notices on all channels.
func (n *notifier) alertNotices(ctx context.Context, delivery *worker.Delivery, alert *rollcallv1.Alert) ([]notice, error) {
	notices, err := n.operatorNotices(messageID(delivery), alert)
	if err != nil {
		return nil, err
	}
	if n.webhook != nil {
		isOld, err := n.isOld(ctx, alert.GetAt().AsTime())
		if err != nil {
			return nil, err
		}
		if isOld {
			notices[0].send = giveUpAfterDay(notices[0].send)
		}
	}
	toAdmin, err := n.adminNotices(ctx, delivery, alert)
	return append(notices, toAdmin...), err
}

// adminNotices returns the mail to the customer's admin, if the alert concerns the admin.
func (n *notifier) adminNotices(ctx context.Context, delivery *worker.Delivery, alert *rollcallv1.Alert) ([]notice, error) {
	kind := map[string]string{event.AlertAuthFailed: kindTokenInvalid, event.AlertVirtuousAuthFailed: kindKeyInvalid}[alert.GetType()]
	if kind == "" || alert.GetCleared() {
		return nil, nil
	}
	return n.credentialNotices(ctx, delivery, alert, kind)
}

// operatorNotices returns an alert's notices for operators: the webhook first, if one is set.
func (n *notifier) operatorNotices(id string, alert *rollcallv1.Alert) ([]notice, error) {
	var notices []notice
	if n.webhook != nil {
		body, err := alertBody(alert)
		if err != nil {
			return nil, err
		}
		notices = append(notices, n.webhook.notice(id, alertKind(alert), body))
	}
	if len(n.operators) > 0 {
		mail, err := n.templates.alertMail(alert)
		if err != nil {
			return nil, err
		}
		mail.id, mail.inReplyTo = id, raisedID(id, alert)
		for _, operator := range n.operators {
			notices = append(notices, n.mailer.noticeTo(operator, mail))
		}
	}
	return notices, nil
}

// backlogAge is the age from which a message on its first delivery counts as backlog. An installation that starts its first
// notifier must not send a month of past alerts.
const backlogAge = 24 * time.Hour

// arrivedTooLate returns whether an alert is backlog that people need no notice of any more.
func (n *notifier) arrivedTooLate(ctx context.Context, delivery *worker.Delivery, alert *rollcallv1.Alert) (bool, error) {
	isOld, err := n.isBacklog(ctx, delivery, alert.GetAt().AsTime())
	if err != nil || !isOld {
		return false, err
	}
	if alert.GetCleared() {
		// If the "raised" notice was sent, "cleared" must follow, however late: an incident that a webhook opened stays open.
		notified, err := n.sender.store.NotifiedChannels(ctx, raisedID(messageID(delivery), alert))
		return len(notified) == 0, err
	}
	active, err := n.sender.store.HasActiveAlert(ctx, alert.GetCustomerId(), alert.GetType())
	return !active, err
}

func (n *notifier) isBacklog(ctx context.Context, delivery *worker.Delivery, at time.Time) (bool, error) {
	if delivery.Deliveries > 1 {
		return false, nil
	}
	return n.isOld(ctx, at)
}

func (n *notifier) isOld(ctx context.Context, at time.Time) (bool, error) {
	now, err := n.sender.store.Now(ctx)
	return now.Sub(at) > backlogAge, err
}

// messageID returns an id that is the same for every delivery of a message: Nats-Msg-Id or, for a message published by hand
// without one, the message's position in the stream.
func messageID(delivery *worker.Delivery) string {
	if ids := delivery.Header[bus.HeaderMsgID]; len(ids) > 0 && ids[0] != "" {
		return ids[0]
	}
	return delivery.Stream + "-" + strconv.FormatInt(delivery.Published.UnixMicro(), 10) + "-" + strconv.FormatUint(delivery.Sequence, 10)
}

// raisedID returns the id of the "raised" message that a "cleared" message belongs to, or "".
func raisedID(id string, alert *rollcallv1.Alert) string {
	if raised, found := strings.CutSuffix(id, clearedSuffix); found && alert.GetCleared() {
		return raised
	}
	return ""
}

// clearedSuffix ends the id of a "cleared" message; the rest is the id of the "raised" message. Package event writes it.
const clearedSuffix = "-cleared"

func alertKind(alert *rollcallv1.Alert) string {
	if alert.GetCleared() {
		return kindAlertCleared
	}
	return kindAlertRaised
}
