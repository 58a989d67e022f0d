package store

import (
	"context"
	"time"

	"github.com/google/uuid"

	"rollcall.dev/pkg/store/internal/db"
)

// MessageAttempt is one attempt at a message.
type MessageAttempt struct {
	Origin string // of the message, as a letter's: stream, its creation time and the sequence
	ID     uuid.UUID
}

// BeginAttempt notes an attempt before its work begins, and forgets those that have ended. unended is how many others of
// the same message have no end.
func (c Conn) BeginAttempt(ctx context.Context, attempt MessageAttempt, ended []MessageAttempt) (unended int64, err error) {
	params := &db.AttemptBeginParams{Origin: attempt.Origin, Attempt: attempt.ID, EndedOrigins: []string{}, Ended: []uuid.UUID{}}
	for _, one := range ended {
		params.EndedOrigins = append(params.EndedOrigins, one.Origin)
		params.Ended = append(params.Ended, one.ID)
	}
	unended, err = c.queries.AttemptBegin(ctx, c.dbtx, params)
	return unended, wrap("note attempt", err)
}

// EndAttempt forgets an attempt that has come to an end, whichever.
func (c Conn) EndAttempt(ctx context.Context, attempt MessageAttempt) error {
	return wrap("note the end of an attempt", c.queries.AttemptEnd(ctx, c.dbtx, &db.AttemptEndParams{Origin: attempt.Origin, Attempt: attempt.ID}))
}

// ForgetAttempts deletes up to atMost attempts that were noted longer than age ago, and returns how many it deleted.
func (c Conn) ForgetAttempts(ctx context.Context, age time.Duration, atMost int32) (int64, error) {
	deleted, err := c.queries.AttemptsForget(ctx, c.dbtx, &db.AttemptsForgetParams{OlderThan: age, AtMost: atMost})
	return deleted, wrap("forget attempts", err)
}
