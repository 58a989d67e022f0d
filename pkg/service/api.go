package service

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/nats-io/nats.go/micro"
	"go.uber.org/zap"

	"rollcall.dev/pkg/store"
)

const apiTimeout = 10 * time.Second

// APISubject is where a noun's verb is asked: rollcall.api.<noun>.<verb>.
func APISubject(noun, verb string) string { return "rollcall.api." + noun + "." + verb }

// Codes of API errors, as the header Nats-Service-Error-Code has them.
const (
	CodeBadRequest = "400"
	CodeNotFound   = "404"
	CodeInternal   = "500"
)

// BadRequestError is a question that cannot be answered as it was asked; its text goes to whoever asked.
type BadRequestError struct{ Text string }

// Error is the text.
func (e *BadRequestError) Error() string { return e.Text }

// Answer adds an endpoint: question is decoded from JSON, what answer returns is sent as JSON. ErrNotFound
// and BadRequestError reach whoever asked; any other error is logged here and told as internal.
func Answer[Question, Reply any](s *Service, noun, verb string, answer func(ctx context.Context, question Question) (Reply, error)) error {
	handler := func(request micro.Request) {
		ctx, cancel := context.WithTimeout(context.Background(), apiTimeout)
		defer cancel()
		var question Question
		if len(request.Data()) > 0 {
			if err := json.Unmarshal(request.Data(), &question); err != nil {
				respondError(s.Logger, request, CodeBadRequest, "the question is not the JSON that this verb takes")
				return
			}
		}
		reply, err := callAnswer(ctx, s.Logger, question, answer)
		var bad *BadRequestError
		switch {
		case err == nil:
			if err := request.RespondJSON(reply); err != nil {
				s.Logger.Warn("answer not sent", zap.String("subject", request.Subject()), zap.Error(err))
			}
		case errors.As(err, &bad):
			respondError(s.Logger, request, CodeBadRequest, bad.Text)
		case errors.Is(err, store.ErrNotFound):
			respondError(s.Logger, request, CodeNotFound, "not found")
		default:
			s.Logger.Error("question not answered", zap.String("subject", request.Subject()), zap.Error(err))
			respondError(s.Logger, request, CodeInternal, "internal error; the service's log says more")
		}
	}
	err := s.Micro.AddEndpoint(noun+"-"+verb, micro.HandlerFunc(handler), micro.WithEndpointSubject(APISubject(noun, verb)))
	if err != nil {
		return fmt.Errorf("answer %s: %w", APISubject(noun, verb), err)
	}
	// Whoever sees the service ready may ask at once: by then the server has to know where the question goes.
	if err := s.Conn.FlushTimeout(apiTimeout); err != nil {
		return fmt.Errorf("answer %s: %w", APISubject(noun, verb), err)
	}
	return nil
}

// callAnswer turns a panic into an error: one question must not end the work that goes on beside it.
func callAnswer[Question, Reply any](ctx context.Context, logger *zap.Logger, question Question,
	answer func(context.Context, Question) (Reply, error),
) (reply Reply, err error) {
	defer func() {
		if caught := recover(); caught != nil {
			logger.Error("answer panicked", zap.Any("panic", caught), zap.ByteString("stack", debug.Stack()))
			err = errors.New("answer panicked")
		}
	}()
	return answer(ctx, question)
}

func respondError(logger *zap.Logger, request micro.Request, code, text string) {
	if err := request.Error(code, text, nil); err != nil {
		logger.Warn("error not sent", zap.String("subject", request.Subject()), zap.Error(err))
	}
}
