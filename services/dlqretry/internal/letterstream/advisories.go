package letterstream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"

	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/event"
	"rollcall.dev/pkg/fault"
	"rollcall.dev/pkg/messageletter"
	"rollcall.dev/pkg/operatoraudit"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/worker"
	rollcallv1 "rollcall.dev/proto/rollcall/v1"
)

const (
	operationByHand = "dlq_settled_by_hand"
	codeDeliveries  = "too_many_deliveries"
	// clockSkew is how far the clocks of a cluster's servers may differ: an operator may ack a message at once.
	clockSkew = 5 * time.Second
)

// Advisories handles what the server reports: that a message ran out of deliveries, and that an operator acked a letter.
type Advisories struct {
	Store     *store.Store
	JetStream jetstream.JetStream
	Letters   *messageletter.Opener
	Logger    *zap.Logger
	Changed   func() // called after a commit that changed letters
}

// advisory is what the two reports have in common.
type advisory struct {
	Stream     string `json:"stream"`
	Consumer   string `json:"consumer"`
	Sequence   uint64 `json:"stream_seq"`
	Deliveries int    `json:"deliveries"`
}

// Handle handles one report. It never returns a permanent fault: no letter is opened for a report.
func (a *Advisories) Handle(ctx context.Context, delivery *worker.Delivery) error {
	log := a.Logger.With(zap.String("subject", delivery.Subject), zap.Uint64("sequence", delivery.Sequence))
	var report advisory
	if err := json.Unmarshal(delivery.Data, &report); err != nil {
		log.Warn("report ignored: it is no JSON", zap.Error(err))
		return nil
	}
	if report.Stream == "" || report.Sequence == 0 {
		log.Warn("report ignored: it names no message")
		return nil
	}
	log = log.With(zap.String("of_stream", report.Stream), zap.Uint64("of_sequence", report.Sequence))
	switch {
	case bus.IsAckSample(delivery.Subject):
		return a.acked(ctx, report, delivery, log)
	case bus.IsMaxDeliveries(delivery.Subject) && report.Stream != bus.StreamDLQ && bus.IsOwnDurable(report.Stream, report.Consumer):
		return a.exhausted(ctx, report, delivery.Published, log)
	}
	return nil
}

// message returns the message that a report is about; ok is false if it is gone. Sequences start again in a stream that
// was created again: a message that is younger than the report is another one.
func (a *Advisories) message(ctx context.Context, report advisory, at time.Time) (
	stream jetstream.Stream, message *jetstream.RawStreamMsg, ok bool, err error,
) {
	stream, err = a.JetStream.Stream(ctx, report.Stream)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return nil, nil, false, nil
	}
	if err != nil {
		return nil, nil, false, fmt.Errorf("look up stream: %w", err)
	}
	message, err = stream.GetMsg(ctx, report.Sequence)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return nil, nil, false, nil
	}
	if err != nil {
		return nil, nil, false, fmt.Errorf("read message: %w", err)
	}
	return stream, message, !message.Time.After(at.Add(clockSkew)), nil
}

// exhausted opens a letter for a message that is not delivered any more, and then deletes the message, because its subject
// may hold only one. The letter is durable before the message is deleted.
func (a *Advisories) exhausted(ctx context.Context, report advisory, at time.Time, log *zap.Logger) error {
	stream, message, found, err := a.message(ctx, report, at)
	if err != nil || !found {
		return err
	}
	letters := *a.Letters
	letters.Job = report.Consumer
	err = letters.OpenStored(ctx, messageletter.Stored{
		Stream: report.Stream, Created: bus.CreatedOf(stream), Sequence: report.Sequence, Subject: message.Subject, Data: message.Data,
		Header: message.Header, Deliveries: report.Deliveries,
	}, fault.Permanent(codeDeliveries, errors.New("delivered too often without an outcome")))
	if err != nil {
		return fmt.Errorf("open letter: %w", err)
	}
	log.Warn("letter opened for a message that ran out of deliveries", zap.String("consumer", report.Consumer))
	a.Changed()
	switch {
	case report.Stream == bus.StreamOnboarding, report.Stream == bus.StreamWriteback, report.Stream == bus.StreamDonations: // a token, or a person's data
		err := bus.Erase(ctx, stream, report.Sequence)
		if errors.Is(err, bus.ErrNotErasable) {
			log.Error("message not erased", zap.Error(err))
			return a.Store.InTx(ctx, func(ctx context.Context, tx *store.Tx) error {
				return event.Raise(ctx, tx, event.AlertFor(customerOf(message.Subject), event.AlertMessageNotErased))
			})
		}
		return err
	case stream.CachedInfo().Config.Retention == jetstream.WorkQueuePolicy:
		return bus.Delete(ctx, stream, report.Sequence)
	}
	return nil // other consumers read the stream, and the message blocks none of them
}

// customerOf returns the customer of a message's letter.
func customerOf(subject string) string {
	if customer := bus.CustomerOf(subject); rollcallv1.ValidCustomerID(customer) {
		return customer
	}
	return rollcallv1.UnknownCustomer
}

// acked settles the letter that an operator acked through dlq-review, if the acked message has the letter's current
// revision. Otherwise the operator has not seen what the letter is now, so it stays open.
func (a *Advisories) acked(ctx context.Context, report advisory, delivery *worker.Delivery, log *zap.Logger) error {
	_, message, found, err := a.message(ctx, report, delivery.Published)
	if err != nil {
		return err
	}
	if !found {
		log.Info("ack ignored: its message is gone")
		return nil
	}
	id, revision, ok := revisionOf(message.Header)
	if !ok {
		log.Warn("ack ignored: rollcall did not publish its message")
		return a.restore(ctx, message.Subject)
	}
	log = log.With(zap.Stringer("letter", id))
	settled := false
	name, _ := bus.ParseLetterSubject(message.Subject)
	act := operatoraudit.MessageAct(delivery, verbSettle, name.Customer, store.ActDone, "")
	act.Via, act.Filter = store.ViaAck, letterFilter(id)
	err = a.Store.InTx(ctx, func(ctx context.Context, tx *store.Tx) error {
		letter, err := tx.LockLetter(ctx, id)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
		settled = err == nil && letter.Open() && letter.Revision == revision
		if !settled {
			act.Outcome, act.Code = store.ActRejected, codeNotCurrent
		}
		if _, err := tx.NoteAct(ctx, act); err != nil || !settled {
			return err
		}
		if err := tx.SettleLetter(ctx, letter, store.SettledByHand, operationByHand); err != nil {
			return err
		}
		return messageletter.ClearOnboarding(ctx, tx, letter.Customer)
	})
	switch {
	case err != nil:
		return err
	case settled:
		log.Info("letter settled by hand: an operator acked it")
		a.Changed()
	default:
		log.Info("ack ignored: its message is not the letter's current one", zap.Int("revision", revision))
	}
	return nil
}

// restore has a letter published again whose message another publisher replaced on its review subject.
func (a *Advisories) restore(ctx context.Context, subject string) error {
	name, _ := bus.ParseLetterSubject(subject)
	id, err := uuid.Parse(name.Letter)
	if err != nil {
		return nil //nolint:nilerr // the audit purges it
	}
	err = a.Store.InTx(ctx, func(ctx context.Context, tx *store.Tx) error {
		letter, err := tx.LockLetter(ctx, id)
		if errors.Is(err, store.ErrNotFound) {
			return nil
		}
		if err != nil || !letter.Open() {
			return err
		}
		return tx.NotePurged(ctx, []uuid.UUID{id})
	})
	if err == nil {
		a.Changed()
	}
	return err
}
