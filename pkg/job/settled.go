package job

import (
	"context"
	"errors"
	"time"

	"rollcall.dev/pkg/backoff"
	"rollcall.dev/pkg/store"
)

const (
	settleTimeout = 5 * time.Second
	settleAgain   = time.Second
)

// NotSettledError says that the end of a run's execution could not be written.
type NotSettledError struct {
	Verb string
	Err  error
}

// Error says what could not be written, and why.
func (e *NotSettledError) Error() string { return e.Verb + ": " + e.Err.Error() }

// Unwrap gives the cause.
func (e *NotSettledError) Unwrap() error { return e.Err }

// Settled writes the end of a run's execution. While Postgres is away it tries again, until the message's own context ends:
// the service stops, or another worker may have the message. A claim that were left behind would count as a crash. settle is
// called at least once, with a context of its own.
func Settled(message context.Context, settle func(ctx context.Context) error) error {
	for {
		err := settleOnce(message, settle)
		if not, ok := errors.AsType[*NotSettledError](err); !ok || !errors.Is(not, store.ErrUnavailable) {
			return err
		}
		if backoff.Sleep(message, settleAgain) != nil {
			return err
		}
	}
}

func settleOnce(message context.Context, settle func(ctx context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(message), settleTimeout)
	defer cancel()
	return settle(ctx)
}
