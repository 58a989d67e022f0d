package httpapi

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"slices"

	"github.com/danielgtaylor/huma/v2"
	"go.uber.org/zap"

	"rollcall.dev/pkg/operatorclient"
	"rollcall.dev/pkg/service"
	rollcallv1 "rollcall.dev/proto/rollcall/v1"
)

// notFound is the same for what does not exist and for what the principal must not see.
const notFound = "there is no such customer or record, or you may not see it"

var errNotFound = errors.New(notFound)

// retryAfter is how many seconds a client should wait if a service does not answer or is busy.
const retryAfter = "5"

// invalidError is an input that the API itself rejects, with the place of the fault, such as query.cursor.
type invalidError struct{ location, text string }

// Error returns what is wrong.
func (e *invalidError) Error() string { return e.location + " " + e.text }

// problem returns an error as the client gets it: problem+json with the service's words.
func (a *api) problem(ctx context.Context, err error) error {
	var (
		rejected   *operatorclient.RejectedError
		unanswered *operatorclient.UnansweredError
		invalid    *invalidError
		fields     rollcallv1.FieldErrors
		unsent     *operatorclient.UnpublishedError
		ready      huma.StatusError
	)
	switch {
	case errors.As(err, &ready):
		return err
	case errors.Is(err, errNotFound):
		return huma.Error404NotFound(notFound)
	case errors.As(err, &invalid):
		return huma.Error422UnprocessableEntity("validation failed", &huma.ErrorDetail{Location: invalid.location, Message: invalid.text})
	case errors.As(err, &fields):
		return huma.Error400BadRequest("some fields are not right", details(fields)...)
	case errors.As(err, &rejected):
		return a.rejection(rejected)
	case errors.As(err, &unsent):
		return later(huma.Error503ServiceUnavailable(unsent.Error()))
	case errors.As(err, &unanswered):
		return later(huma.Error503ServiceUnavailable(unanswered.Error()))
	case ctx.Err() != nil:
		return later(huma.Error503ServiceUnavailable("the request ended before the answer came"))
	}
	a.Logger.Error("request failed", zap.Error(err))
	return huma.Error500InternalServerError("internal error; the console's log says more")
}

func (a *api) rejection(rejected *operatorclient.RejectedError) error {
	switch rejected.Code {
	case service.CodeBadRequest:
		return huma.Error400BadRequest(rejected.Text, details(rejected.Fields.Errors)...)
	case service.CodeNotFound:
		return huma.Error404NotFound(notFound)
	case service.CodeConflict:
		return huma.Error409Conflict(rejected.Text)
	case service.CodeBusy:
		return later(huma.Error503ServiceUnavailable(rejected.Text))
	}
	a.Logger.Warn("question not answered", zap.Error(rejected))
	return huma.Error500InternalServerError(rejected.Error())
}

// details lists the errors of each field.
func details(errs map[string][]string) []error {
	var listed []error
	for _, field := range slices.Sorted(maps.Keys(errs)) {
		for _, text := range errs[field] {
			listed = append(listed, &huma.ErrorDetail{Location: field, Message: text})
		}
	}
	return listed
}

func later(err error) error {
	return huma.ErrorWithHeaders(err, http.Header{"Retry-After": {retryAfter}})
}

// hideValues takes the sent values out of a problem: they may be a secret or a person's.
func hideValues(_ huma.Context, _ string, answer any) (any, error) {
	if problem, ok := answer.(*huma.ErrorModel); ok {
		for _, detail := range problem.Errors {
			if detail != nil {
				detail.Value = nil
			}
		}
	}
	return answer, nil
}
