package service

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"github.com/nats-io/nats.go/micro"
	"go.uber.org/zap"

	"rollcall.dev/pkg/fault"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/telemetry"
	rollcallv1 "rollcall.dev/proto/rollcall/v1"
)

const apiTimeout = 10 * time.Second

// APISubject returns the subject of an API endpoint: rollcall.api.<noun>.<verb>.
func APISubject(noun, verb string) string { return "rollcall.api." + noun + "." + verb }

// Codes of API errors, in the header Nats-Service-Error-Code.
const (
	CodeBadRequest = "400"
	CodeNotFound   = "404"
	CodeConflict   = "409"
	CodeInternal   = "500"
	CodeBusy       = "503"
)

// BadRequestError means that the question is invalid. Its text goes to the caller.
type BadRequestError struct{ Text string }

// Error returns the text.
func (e *BadRequestError) Error() string { return e.Text }

// FieldsError means that some fields of the question are invalid. The caller gets the errors of each field.
type FieldsError struct {
	Errors map[string][]string `json:"errors"`
}

// Error returns a summary; the fields are in Errors.
func (e *FieldsError) Error() string { return "some fields are not right" }

// ConflictError means that the question is valid but does not fit the current state. Its text goes to the caller.
type ConflictError struct{ Text string }

// Error returns the text.
func (e *ConflictError) Error() string { return e.Text }

// BusyError means that the service cannot answer now: the caller may repeat the question.
type BusyError struct{ Text string }

// Error returns the text.
func (e *BusyError) Error() string { return e.Text }

// Answer adds an endpoint: it decodes the question from JSON and sends what answer returns as JSON. ErrNotFound and
// the errors of this file are sent to the caller; any other error is logged here and sent as internal. Every verb that is
// not one of readVerbs is an act, and is audited.
func Answer[Question, Reply any](s *Service, noun, verb string, answer func(ctx context.Context, question Question) (Reply, error)) error {
	return s.endpoint(noun, verb, func(request micro.Request) {
		ctx, cancel := context.WithTimeout(context.Background(), apiTimeout)
		defer cancel()
		answerOne(ctx, s, actVerb(noun, verb), request, answer)
	})
}

func (s *Service) endpoint(noun, verb string, handler micro.HandlerFunc) error {
	err := s.Micro.AddEndpoint(noun+"-"+verb, handler, micro.WithEndpointSubject(APISubject(noun, verb)))
	if err != nil {
		return fmt.Errorf("answer %s: %w", APISubject(noun, verb), err)
	}
	// A caller may ask as soon as the service is ready, so by then the NATS server must know the subscription.
	if err := s.Conn.FlushTimeout(apiTimeout); err != nil {
		return fmt.Errorf("answer %s: %w", APISubject(noun, verb), err)
	}
	return nil
}

// answerOne decodes the question, calls answer, and sends the result or the error. What is audited is noted before it is
// done or shown: if it cannot be noted, it is not done.
func answerOne[Question, Reply any](ctx context.Context, s *Service, verb actName, request micro.Request,
	answer func(context.Context, Question) (Reply, error),
) {
	logger := s.Logger
	var question Question
	if len(request.Data()) > 0 {
		if err := json.Unmarshal(rollcallv1.TrimByteOrderMark(request.Data()), &question); err != nil {
			respondError(logger, request, CodeBadRequest, unreadable(request.Data(), err), nil)
			return
		}
	}
	ctx, span := s.Tracing.Answer(ctx, verb.verb, request.Headers())
	var err error
	defer func() { endAnswer(span, err) }()
	ctx, audited, err := s.beginAct(ctx, verb, request.Headers(), question)
	if err != nil {
		rejectRequest(logger, request, err)
		return
	}
	reply, err := callAnswer(ctx, logger, question, answer)
	if err = audited.end(ctx, reply, err); err != nil {
		rejectRequest(logger, request, err)
		return
	}
	if err := request.RespondJSON(reply); err != nil {
		logger.Warn("answer not sent", zap.String("subject", request.Subject()), zap.Error(err))
	}
}

// endAnswer ends the span of an answer. A question that is rejected is no error of ours.
func endAnswer(span telemetry.Span, err error) {
	if code, _ := errorFor(err); err != nil && code != CodeInternal {
		span.Set(telemetry.Outcome(code))
		err = nil
	}
	span.End(err)
}

// unreadable returns what is wrong with a question, without quoting it: operators write some by hand.
func unreadable(question []byte, err error) string {
	const text = "the question is not the JSON that this verb takes"
	if broken := rollcallv1.DescribeBrokenJSON(question); broken != "" {
		return text + ": it " + broken
	}
	if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok && wrong.Field != "" {
		return text + ": " + wrong.Field + " has the wrong type"
	}
	return text
}

// rejectRequest sends an error, and logs it if the caller does not get its text.
func rejectRequest(logger *zap.Logger, request micro.Request, err error) {
	code, text := errorFor(err)
	var more any
	if fields, ok := errors.AsType[*FieldsError](err); ok {
		more = fields
	}
	if code == CodeInternal {
		logger.Error("question not answered", zap.String("subject", request.Subject()), zap.Error(err))
	}
	respondError(logger, request, code, text, more)
}

// errorFor returns the code and the text of an error for the caller.
func errorFor(err error) (code, text string) {
	var (
		bad      *BadRequestError
		fields   *FieldsError
		conflict *ConflictError
		busy     *BusyError
	)
	switch {
	case errors.As(err, &bad):
		return CodeBadRequest, bad.Text
	case errors.As(err, &fields):
		return CodeBadRequest, fields.Error()
	case errors.As(err, &conflict):
		return CodeConflict, conflict.Text
	case errors.As(err, &busy):
		return CodeBusy, busy.Text
	case errors.Is(err, store.ErrNotFound):
		return CodeNotFound, "not found"
	}
	return CodeInternal, "internal error; the service's log says more"
}

// callAnswer turns a panic into an error: one question must not end the rest of the service's work.
func callAnswer[Question, Reply any](ctx context.Context, logger *zap.Logger, question Question,
	answer func(context.Context, Question) (Reply, error),
) (reply Reply, err error) {
	defer func() {
		if caught := recover(); caught != nil {
			logger.Error("answer panicked", zap.String("panic", fault.PanicText(caught)), zap.ByteString("stack", debug.Stack()))
			err = errors.New("answer panicked")
		}
	}()
	return answer(ctx, question)
}

// respondError sends an error; more is its body, nil for none.
func respondError(logger *zap.Logger, request micro.Request, code, text string, more any) {
	var data []byte
	if more != nil {
		var err error
		if data, err = json.Marshal(more); err != nil {
			logger.Warn("error not encoded", zap.String("subject", request.Subject()), zap.Error(err))
		}
	}
	if err := request.Error(code, text, data); err != nil {
		logger.Warn("error not sent", zap.String("subject", request.Subject()), zap.Error(err))
	}
}

// Slow limits an endpoint whose answers take seconds because they depend on other systems.
type Slow struct {
	Within time.Duration // for one answer; less than the 25 s in which a service must end
	Slots  int           // concurrent answers
}

// AnswerSlowly is Answer for endpoints that take longer: several answers run at once, each within its time. If all
// slots are in use or ctx has ended, the caller is asked to try again. The end of ctx does not interrupt an answer in
// progress: the service's own work calls drained before it returns.
func AnswerSlowly[Question, Reply any](ctx context.Context, s *Service, noun, verb string, slow Slow,
	answer func(ctx context.Context, question Question) (Reply, error),
) (drained func(), err error) {
	slots := make(chan struct{}, slow.Slots)
	var mu sync.Mutex // no answer may start once drained waits
	var running sync.WaitGroup
	ended := false
	err = s.endpoint(noun, verb, func(request micro.Request) {
		mu.Lock()
		defer mu.Unlock()
		if ended || ctx.Err() != nil {
			rejectRequest(s.Logger, request, &BusyError{Text: "the service stops: ask again"})
			return
		}
		select {
		case slots <- struct{}{}:
		default:
			rejectRequest(s.Logger, request, &BusyError{Text: "too many of these are under way: ask again in a moment"})
			return
		}
		running.Go(func() {
			defer func() { <-slots }()
			bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), slow.Within)
			defer cancel()
			answerOne(bounded, s, actVerb(noun, verb), request, answer)
		})
	})
	return func() {
		mu.Lock()
		ended = true
		mu.Unlock()
		running.Wait()
	}, err
}
