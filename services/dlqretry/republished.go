package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"

	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/deadletter"
	"rollcall.dev/pkg/service"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/worker"
)

// republished reads dlq-retry. What the follower published there shows a letter and asks for nothing; what somebody
// else published there asks for the letter that it names to be tried now, and is deleted once that is done.
type republished struct {
	store    *store.Store
	js       jetstream.JetStream
	redriver *redriver
	logger   *zap.Logger
}

// handle judges one message. It never gives a permanent fault: letters are not made out of letters.
func (r *republished) handle(ctx context.Context, delivery *worker.Delivery) error {
	log := r.logger.With(zap.String("subject", delivery.Subject), zap.Uint64("sequence", delivery.Sequence))
	id, named := letterNamed(delivery)
	if named {
		// The usual case: what the follower has just shown.
		if letter, err := r.store.Letter(ctx, id); err == nil && letter.Shown.Sequence == delivery.Sequence && isOurs(delivery, id) {
			return nil
		}
	}
	stream, err := r.js.Stream(ctx, bus.StreamDLQ)
	if err != nil {
		return fmt.Errorf("look up stream: %w", err)
	}
	if !named {
		log.Warn("a message that names no letter was deleted")
		return bus.Delete(ctx, stream, delivery.Sequence)
	}
	log = log.With(zap.Stringer("letter", id))
	at := store.ShownAs{Sequence: delivery.Sequence, Stream: bus.CreatedOf(stream)}
	verdict, err := r.judge(ctx, id, at, delivery)
	if err != nil {
		return err
	}
	switch verdict {
	case showing:
		return nil
	case asksForMessage:
		if err := r.redrive(ctx, id, log); err != nil {
			return err
		}
	case asksForRecord:
		log.Info("letter is retried now: it was republished")
	case asksForNothing:
		log.Info("a message was deleted that asks for no open letter of its subject's customer")
	}
	return bus.Delete(ctx, stream, delivery.Sequence)
}

// verdict is what a message on dlq-retry is.
type verdict int

const (
	asksForNothing verdict = iota
	showing
	asksForRecord
	asksForMessage
)

// judge says what the message is, and has a record's letter due where it asks for one.
func (r *republished) judge(ctx context.Context, id uuid.UUID, at store.ShownAs, delivery *worker.Delivery) (verdict, error) {
	result, customer := asksForNothing, ""
	err := r.store.InTx(ctx, func(ctx context.Context, tx *store.Tx) error {
		// A publishing that is under way holds the row: by the time that we have it, it is noted where.
		letter, err := tx.LockLetter(ctx, id)
		if errors.Is(err, store.ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		switch {
		case isShownAt(letter, at):
			result = showing
		case !letter.Open(), ofOldVersion(delivery, id), bus.CustomerOf(delivery.Subject) != letter.Customer:
			// Who may publish for one customer alone does not touch another's letters.
			result = asksForNothing
		case isUnnoted(letter, delivery):
			// Published by a follower that died before it noted it.
			result = showing
			return tx.NoteShown(ctx, at.Stream, []store.ShownLetter{{ID: id, Sequence: at.Sequence}})
		case letter.Kind == deadletter.KindMessage:
			result = asksForMessage
		default:
			result, customer = asksForRecord, letter.Customer
			_, err = tx.AskLetters(ctx, []uuid.UUID{id})
		}
		return err
	})
	if err == nil && result == asksForRecord {
		r.redriver.asked(customer)
	}
	return result, err
}

// redrive publishes a letter's message anew. What cannot be done is told once: asking again would change nothing.
func (r *republished) redrive(ctx context.Context, id uuid.UUID, log *zap.Logger) error {
	err := r.redriver.redriveMessage(ctx, id)
	if conflict, ok := errors.AsType[*service.ConflictError](err); ok {
		log.Warn("message not redriven", zap.String("why", conflict.Text))
		return nil
	}
	return err
}

func isShownAt(letter store.Letter, at store.ShownAs) bool {
	return letter.Open() && letter.Shown.Sequence == at.Sequence && letter.Shown.Stream.Equal(at.Stream)
}

// isOurs says whether the message has an id of the follower's for this letter.
func isOurs(delivery *worker.Delivery, id uuid.UUID) bool {
	return strings.HasPrefix(first(delivery.Header[bus.HeaderMsgID]), "letter-"+id.String()+"-")
}

// isUnnoted says whether the message shows the letter as it is now, while the table does not know of it.
func isUnnoted(letter store.Letter, delivery *worker.Delivery) bool {
	id := "letter-" + letter.ID.String() + "-" + strconv.Itoa(letter.Revision)
	published := first(delivery.Header[bus.HeaderMsgID])
	return letter.State == stateWaiting && letter.Shown.Revision != letter.Revision && (published == id || strings.HasPrefix(published, id+"-"))
}

// ofOldVersion says whether the outbox published the message, as versions before this one had it.
func ofOldVersion(delivery *worker.Delivery, id uuid.UUID) bool {
	return first(delivery.Header[bus.HeaderMsgID]) == "letter-"+id.String()
}

// letterNamed is the letter that a message names, in its header or its body.
func letterNamed(delivery *worker.Delivery) (uuid.UUID, bool) {
	text := first(delivery.Header[bus.HeaderLetterID])
	if text == "" {
		var body struct {
			LetterID string `json:"letterId"`
		}
		if err := json.Unmarshal(delivery.Data, &body); err != nil {
			return uuid.UUID{}, false
		}
		text = body.LetterID
	}
	id, err := uuid.Parse(text)
	return id, err == nil
}

func first(values []string) string {
	if len(values) == 0 {
		return ""
	}
	return values[0]
}

// noLetters takes what the workers of this service cannot handle: it is logged, and becomes no letter.
type noLetters struct{ logger *zap.Logger }

// OpenMessage opens nothing.
func (n noLetters) OpenMessage(_ context.Context, delivery *worker.Delivery, reason error) error {
	n.logger.Error("message dropped", zap.String("stream", delivery.Stream), zap.Uint64("sequence", delivery.Sequence), zap.Error(reason))
	return nil
}
