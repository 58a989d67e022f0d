package destination

import (
	"errors"
	"strings"
)

// maxAnswer is how many bytes of an answer are kept: enough for what an API says about one record.
const maxAnswer = 2 << 10

// Answer is a destination's answer when it rejected a record. It may quote personal data, so an Answer is sealed
// before it is stored, and it is never part of an error's text.
type Answer struct {
	Status int    `json:"status"` // the HTTP status
	Text   string `json:"text"`   // the first 2 KiB of the body
}

// answeredError is a failure together with the answer that it came from.
type answeredError struct {
	err    error
	answer Answer
}

func (e *answeredError) Error() string { return e.err.Error() }
func (e *answeredError) Unwrap() error { return e.err }

// GoString is used by %#v, which would otherwise print the answer.
func (e *answeredError) GoString() string { return e.err.Error() }

// WithAnswer returns err with the destination's answer attached. Only AnswerOf returns the answer; no text of the
// error contains it. An empty body attaches nothing, and nil stays nil.
func WithAnswer(err error, status int, body []byte) error {
	text := strings.ToValidUTF8(strings.ReplaceAll(string(body[:min(len(body), maxAnswer)]), "\x00", ""), "")
	if err == nil || strings.TrimSpace(text) == "" {
		return err
	}
	return &answeredError{err: err, answer: Answer{Status: status, Text: text}}
}

// AnswerOf returns the answer in err's chain, and whether there is one.
func AnswerOf(err error) (Answer, bool) {
	if answered, ok := errors.AsType[*answeredError](err); ok {
		return answered.answer, true
	}
	return Answer{}, false
}
