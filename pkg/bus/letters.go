package bus

import (
	"context"
	"fmt"
	"strings"

	"github.com/nats-io/nats.go/jetstream"
)

// LetterSubject is a subject of ROLLCALL_DLQ: rollcall.dlq.{retry,review}.<kind>.<customer>.<letter>.
type LetterSubject struct {
	Waiting  bool // retry: rollcall retries the letter; review: it waits for an operator
	Kind     string
	Customer string
	Letter   string // "" in the form of the version before, which names no letter
}

// String returns the subject.
func (l LetterSubject) String() string {
	prefix := dlqReview
	if l.Waiting {
		prefix = dlqRetry
	}
	subject := prefix + l.Kind + "." + l.Customer
	if l.Letter == "" {
		return subject
	}
	return subject + "." + l.Letter
}

// AnyState returns a pattern that matches the letter's subject in either state.
func (l LetterSubject) AnyState() string {
	return "rollcall.dlq.*." + l.Kind + "." + l.Customer + "." + l.Letter
}

// ParseLetterSubject reads a subject of ROLLCALL_DLQ; ok is false for any other subject. A publisher may have written
// anything into the tokens.
func ParseLetterSubject(subject string) (letter LetterSubject, ok bool) {
	rest, waiting := strings.CutPrefix(subject, dlqRetry)
	if !waiting {
		if rest, ok = strings.CutPrefix(subject, dlqReview); !ok {
			return LetterSubject{}, false
		}
	}
	tokens := strings.Split(rest, ".")
	switch len(tokens) {
	case 2:
		return LetterSubject{Waiting: waiting, Kind: tokens[0], Customer: tokens[1]}, true
	case 3:
		return LetterSubject{Waiting: waiting, Kind: tokens[0], Customer: tokens[1], Letter: tokens[2]}, true
	}
	return LetterSubject{}, false
}

// Subjects of ROLLCALL_DLQ. The old ones name no letter; the stream accepts them for one more release.
const (
	letterRetries    = dlqRetry + "*.*.*"
	letterReviews    = dlqReview + "*.*.*"
	OldLetterRetries = dlqRetry + "*.*"
	OldLetterReviews = dlqReview + "*.*"
)

// HoldsOneMessagePerLetter reports whether the stream keeps one message per subject, so that publishing a letter
// replaces its message. A stream of the version before does not: LimitLetters changes it.
func HoldsOneMessagePerLetter(stream jetstream.Stream) bool {
	return stream.CachedInfo().Config.MaxMsgsPerSubject == 1
}

// LimitLetters lets ROLLCALL_DLQ keep one message per subject. Services of the version before would lose letters by it
// and do not start on such a stream: none of them may run.
func LimitLetters(ctx context.Context, js jetstream.JetStream) error {
	stream, err := js.Stream(ctx, StreamDLQ)
	if err != nil {
		return fmt.Errorf("look up stream: %w", err)
	}
	config := stream.CachedInfo().Config
	config.MaxMsgsPerSubject = 1
	if _, err := js.UpdateStream(ctx, config); err != nil {
		return fmt.Errorf("limit stream %s to one message per subject: %w", StreamDLQ, err)
	}
	return nil
}
