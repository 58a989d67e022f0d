package letterstream

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
	"rollcall.dev/pkg/operatoraudit"
	"rollcall.dev/pkg/service"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/worker"
	"rollcall.dev/services/dlqretry/internal/retry"
)

// Requests handles the messages of dlq-retry. Most are rollcall's own and ask for nothing. Any other message is an
// operator's request to retry the letter that its subject names. It is deleted when the letter was asked for.
type Requests struct {
	Store     *store.Store
	JetStream jetstream.JetStream
	Messages  *retry.Messages
	Asked     func(customers ...string) // called after a commit that made letters of these customers due
	Logger    *zap.Logger
}

// Handle handles one message. It never returns a permanent fault: no letter is opened for a letter's message.
func (r *Requests) Handle(ctx context.Context, delivery *worker.Delivery) error {
	if isOwn(delivery.Header) {
		return nil
	}
	log := r.Logger.With(zap.String("subject", delivery.Subject), zap.Uint64("sequence", delivery.Sequence))
	customer, id, named := requestedLetter(delivery)
	verdict := unanswered
	act := operatoraudit.MessageAct(delivery, verbRetry, customer, store.ActDone, "")
	if named {
		log = log.With(zap.Stringer("letter", id))
		act.Filter = letterFilter(id)
		var err error
		if verdict, err = r.ask(ctx, customer, id); err != nil {
			return err
		}
	}
	switch verdict {
	case redriveMessage:
		redriven, err := r.redrive(ctx, id, log)
		if err != nil {
			return err
		}
		if !redriven {
			act.Outcome, act.Code = store.ActRejected, codeNotRedriven
		}
	case retryRecord:
		log.Info("letter is retried now: an operator published a request")
	case unanswered:
		log.Info("request deleted: it names no open letter of its subject's customer")
		act.Outcome, act.Code = store.ActRejected, codeNoOpenLetter
	}
	if _, err := r.Store.NoteAct(ctx, act); err != nil {
		return err
	}
	stream, err := r.JetStream.Stream(ctx, bus.StreamDLQ)
	if err != nil {
		return fmt.Errorf("look up stream: %w", err)
	}
	return bus.Delete(ctx, stream, delivery.Sequence)
}

// verdict is what a request leads to.
type verdict int

const (
	unanswered verdict = iota
	retryRecord
	redriveMessage
)

// ask makes a record's letter due, and says what remains to be done for the letter of a message. The letter's revision
// grows, so that the letter is published again: the request may have replaced its message.
func (r *Requests) ask(ctx context.Context, customer string, id uuid.UUID) (verdict, error) {
	result := unanswered
	err := r.Store.InTx(ctx, func(ctx context.Context, tx *store.Tx) error {
		letter, err := tx.LockLetter(ctx, id)
		switch {
		case errors.Is(err, store.ErrNotFound):
			return nil
		case err != nil:
			return err
		case !letter.Open(), letter.Customer != customer:
			return nil // NATS permissions are per customer: a subject of another customer asks for nothing
		case deadletter.HoldsMessage(letter.Kind):
			result = redriveMessage
			return nil
		}
		result = retryRecord
		_, err = tx.AskLetters(ctx, []uuid.UUID{id})
		return err
	})
	if err == nil && result == retryRecord {
		r.Asked(customer)
	}
	return result, err
}

// redrive publishes a letter's message again. If that cannot be done, it returns false: a repetition would change nothing.
func (r *Requests) redrive(ctx context.Context, id uuid.UUID, log *zap.Logger) (bool, error) {
	err := r.Messages.Redrive(ctx, id)
	if conflict, ok := errors.AsType[*service.ConflictError](err); ok {
		log.Warn("message not redriven", zap.String("why", conflict.Text))
		return false, nil
	}
	return err == nil, err
}

// Verbs and codes of acts on letters in operator_audit: those of the API where it has them.
const (
	verbRetry        = "letters.retry"
	verbSettle       = "letters.settle"
	codeNoOpenLetter = "no_open_letter"
	codeNotRedriven  = "not_redriven"
	codeNotCurrent   = "not_current"
)

// letterFilter names one letter, as the question of the API does.
func letterFilter(id uuid.UUID) json.RawMessage {
	return json.RawMessage(`{"ids":["` + id.String() + `"]}`)
}

// requestedLetter returns the letter that a request asks for, and its subject's customer. The subject names the letter, or,
// in the form of the version before, a header or the body does.
func requestedLetter(delivery *worker.Delivery) (customer string, id uuid.UUID, ok bool) {
	subject, ok := bus.ParseLetterSubject(delivery.Subject)
	if !ok {
		return "", uuid.Nil, false
	}
	text := subject.Letter
	if text == "" {
		text = first(delivery.Header[bus.HeaderLetterID])
	}
	if text == "" {
		var body struct {
			LetterID string `json:"letterId"`
		}
		if err := json.Unmarshal(delivery.Data, &body); err != nil {
			return "", uuid.Nil, false
		}
		text = body.LetterID
	}
	id, err := uuid.Parse(text)
	return subject.Customer, id, err == nil
}

// oldMessageID is the prefix of the message ids of letters that the version before published: the letter's id and revision
// follow.
const oldMessageID = "letter-"

// isOwn reports whether rollcall published the message.
func isOwn(header map[string][]string) bool {
	return len(header[bus.HeaderLetterRevision]) > 0 || strings.HasPrefix(first(header[bus.HeaderMsgID]), oldMessageID)
}

// revisionOf returns which letter, in which revision, one of rollcall's own messages has.
func revisionOf(header map[string][]string) (id uuid.UUID, revision int, ok bool) {
	id, err := uuid.Parse(first(header[bus.HeaderLetterID]))
	if err != nil {
		return uuid.Nil, 0, false
	}
	text := first(header[bus.HeaderLetterRevision])
	if text == "" {
		text = strings.TrimPrefix(first(header[bus.HeaderMsgID]), oldMessageID+id.String()+"-")
		text, _, _ = strings.Cut(text, "-")
	}
	revision, err = strconv.Atoi(text)
	return id, revision, err == nil
}

func first(values []string) string {
	if len(values) == 0 {
		return ""
	}
	return values[0]
}

// NoLetters are the letters of this service's own workers: a message that it cannot handle is logged, and gets none.
type NoLetters struct{ Logger *zap.Logger }

// OpenMessage opens no letter.
func (n NoLetters) OpenMessage(_ context.Context, delivery *worker.Delivery, reason error) error {
	n.Logger.Error("message dropped", zap.String("stream", delivery.Stream), zap.Uint64("sequence", delivery.Sequence), zap.Error(reason))
	return nil
}
