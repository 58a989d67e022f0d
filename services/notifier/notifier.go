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

// notifier tells what the streams bring.
type notifier struct {
	teller    *teller
	words     *mails
	mailer    *mailer       // nil: there is no mail server
	operators []string      // their addresses
	webhook   *webhook      // nil: there is none
	patience  int           // tries for which the end of an alert waits for its beginning
	heldFor   time.Duration // a mail that is held is looked at again after it, or when its time has come
	// gatherEvery is how often it is looked for summaries that are due.
	gatherEvery time.Duration
}

// alert tells an alert on each channel.
func (n *notifier) alert(ctx context.Context, delivery *worker.Delivery) error {
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
	log := n.teller.logger.With(zap.String("customer", alert.GetCustomerId()), zap.String("type", alert.GetType()),
		zap.Bool("cleared", alert.GetCleared()))
	if alert.GetVomoUserId() != "" {
		log = log.With(zap.String("vomo_user", alert.GetVomoUserId()))
	}
	late, err := n.tooLate(ctx, delivery, alert)
	if err != nil {
		return err
	}
	if late {
		log.Info("alert not told: it was over before anybody could be told")
		return nil
	}
	if delivery.Deliveries == 1 {
		log.Warn("alert", zap.String("severity", alert.GetSeverity()), zap.String("text", alert.GetText()))
	}
	gathered, err := n.gathered(ctx, delivery, alert)
	if err != nil {
		return err
	}
	if gathered {
		// Only what concerns one customer is sent by itself.
		notices, err := n.adminNotices(ctx, delivery, alert)
		if err != nil {
			return err
		}
		return n.teller.tell(ctx, messageID(delivery), delivery.Deliveries, notices)
	}
	notices, err := n.noticesOf(ctx, delivery, alert)
	if err != nil {
		return err
	}
	if notices, err = n.inOrder(ctx, delivery, alert, notices); err != nil {
		return err
	}
	return n.teller.tell(ctx, messageID(delivery), delivery.Deliveries, notices)
}

const (
	// How often, and for how long, the end of an alert waits for its beginning to be told: for longer than a mail server
	// takes, and not for ever, since it may have been told on no way that there is now.
	beginningTries = 30
	beginningPause = 2 * time.Second
)

// inOrder keeps an alert's beginning from being told after its end, which would be the last that anybody hears: the two
// are worked beside each other where they have piled up, or where one of them is tried again.
func (n *notifier) inOrder(ctx context.Context, delivery *worker.Delivery, alert *rollcallv1.Alert, notices []notice) ([]notice, error) {
	id := messageID(delivery)
	if !alert.GetCleared() {
		over, err := n.teller.store.Told(ctx, id+clearedSuffix)
		for i := range notices {
			if slices.Contains(over, notices[i].channel) {
				notices[i].send = func(context.Context) error { return &skipped{code: "over"} }
			}
		}
		return notices, err
	}
	raised := raisedID(id, alert)
	if raised == "" || delivery.Deliveries > n.patience {
		return notices, nil
	}
	told, err := n.teller.store.Told(ctx, raised)
	if err != nil {
		return nil, err
	}
	for _, notice := range notices {
		if !slices.Contains(told, notice.channel) {
			return nil, worker.Retry(beginningPause, errors.New("the alert's beginning comes first"))
		}
	}
	return notices, nil
}

// noticesOf is what an alert is on each channel.
func (n *notifier) noticesOf(ctx context.Context, delivery *worker.Delivery, alert *rollcallv1.Alert) ([]notice, error) {
	notices, err := n.onEachChannel(messageID(delivery), alert)
	if err != nil {
		return nil, err
	}
	if n.webhook != nil {
		old, err := n.old(ctx, alert.GetAt().AsTime())
		if err != nil {
			return nil, err
		}
		if old {
			notices[0].send = forADay(notices[0].send)
		}
	}
	toAdmin, err := n.adminNotices(ctx, delivery, alert)
	return append(notices, toAdmin...), err
}

// adminNotices is what the customer's admin is sent of an alert.
func (n *notifier) adminNotices(ctx context.Context, delivery *worker.Delivery, alert *rollcallv1.Alert) ([]notice, error) {
	if alert.GetType() != event.AlertAuthFailed || alert.GetCleared() {
		return nil, nil
	}
	return n.tokenInvalid(ctx, delivery, alert)
}

// onEachChannel is what an alert is for operators: the webhook first, if there is one.
func (n *notifier) onEachChannel(id string, alert *rollcallv1.Alert) ([]notice, error) {
	var notices []notice
	if n.webhook != nil {
		body, err := alertBody(alert)
		if err != nil {
			return nil, err
		}
		notices = append(notices, n.webhook.notice(id, kindOfAlert(alert), body))
	}
	if len(n.operators) > 0 {
		mail, err := n.words.alert(alert)
		if err != nil {
			return nil, err
		}
		mail.id, mail.answers = id, raisedID(id, alert)
		for _, operator := range n.operators {
			notices = append(notices, n.mailer.operatorNotice(operator, mail))
		}
	}
	return notices, nil
}

// tooOld is from when on a message that nobody has tried to tell is one that piled up before anybody was there to do
// it: on the day on which an installation gets its notifier, people are not told of a month that is over.
const tooOld = 24 * time.Hour

func (n *notifier) tooLate(ctx context.Context, delivery *worker.Delivery, alert *rollcallv1.Alert) (bool, error) {
	old, err := n.piledUp(ctx, delivery, alert.GetAt().AsTime())
	if err != nil || !old {
		return false, err
	}
	if alert.GetCleared() {
		// Whoever was told that it began waits for its end, however late: an incident that a webhook opened stays open.
		told, err := n.teller.store.Told(ctx, raisedID(messageID(delivery), alert))
		return len(told) == 0, err
	}
	standing, err := n.teller.store.AlertStands(ctx, alert.GetCustomerId(), alert.GetType())
	return !standing, err
}

func (n *notifier) piledUp(ctx context.Context, delivery *worker.Delivery, at time.Time) (bool, error) {
	if delivery.Deliveries > 1 {
		return false, nil
	}
	return n.old(ctx, at)
}

func (n *notifier) old(ctx context.Context, at time.Time) (bool, error) {
	now, err := n.teller.store.Now(ctx)
	return now.Sub(at) > tooOld, err
}

// messageID is what a message is known by, however often it is delivered: Nats-Msg-Id, or, where somebody published it
// by hand, its place in the stream.
func messageID(delivery *worker.Delivery) string {
	if ids := delivery.Header[bus.HeaderMsgID]; len(ids) > 0 && ids[0] != "" {
		return ids[0]
	}
	return delivery.Stream + "-" + strconv.FormatInt(delivery.Published.UnixMicro(), 10) + "-" + strconv.FormatUint(delivery.Sequence, 10)
}

// raisedID is the id of the message that an over answers, "" where there is none.
func raisedID(id string, alert *rollcallv1.Alert) string {
	if raised, found := strings.CutSuffix(id, clearedSuffix); found && alert.GetCleared() {
		return raised
	}
	return ""
}

// clearedSuffix is what the id of an alert's end has beside that of its beginning, as package event writes it.
const clearedSuffix = "-cleared"

func kindOfAlert(alert *rollcallv1.Alert) string {
	if alert.GetCleared() {
		return kindAlertCleared
	}
	return kindAlertRaised
}
