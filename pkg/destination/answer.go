package destination

import (
	"errors"
	"strings"
)

// maxAnswer is how much of an answer is kept, in bytes: enough for what an API says about one record.
const maxAnswer = 2 << 10

// Answer is what a destination answered when it did not take a record, in its own words. They may quote the person:
// an Answer is sealed before it is kept, and is no part of any error's text.
type Answer struct {
	Status int    `json:"status"` // the HTTP status
	Text   string `json:"text"`   // the body, at most 2 KiB of it
}

// answeredError is a failure with the answer that it was read from.
type answeredError struct {
	err    error
	answer Answer
}

func (e *answeredError) Error() string { return e.err.Error() }
func (e *answeredError) Unwrap() error { return e.err }

// GoString is what %#v prints: without it, the answer.
func (e *answeredError) GoString() string { return e.err.Error() }

// WithAnswer returns err with what the destination answered. Only AnswerOf gives it again: it is in no text that is made
// of the error. An empty body says nothing, and nil stays nil.
func WithAnswer(err error, status int, body []byte) error {
	text := strings.ToValidUTF8(strings.ReplaceAll(string(body[:min(len(body), maxAnswer)]), "\x00", ""), "")
	if err == nil || strings.TrimSpace(text) == "" {
		return err
	}
	return &answeredError{err: err, answer: Answer{Status: status, Text: text}}
}

// AnswerOf returns the answer that stands in err's chain.
func AnswerOf(err error) (Answer, bool) {
	if answered, ok := errors.AsType[*answeredError](err); ok {
		return answered.answer, true
	}
	return Answer{}, false
}
