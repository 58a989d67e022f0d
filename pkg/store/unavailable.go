package store

import (
	"context"
	"errors"
	"io"
	"net"
	"slices"

	"github.com/jackc/pgx/v5/pgconn"
)

// ErrUnavailable says that Postgres could not be reached, or could not do now what it was asked to do: nothing is wrong with
// what was asked.
var ErrUnavailable = errors.New("the database is not available")

// unavailableError has the words of its cause.
type unavailableError struct{ cause error }

func (e *unavailableError) Error() string   { return e.cause.Error() }
func (e *unavailableError) Unwrap() []error { return []error{ErrUnavailable, e.cause} }

// marked is err, as an ErrUnavailable if it is one.
func marked(err error) error {
	if err == nil || errors.Is(err, ErrUnavailable) || !isUnavailable(err) {
		return err
	}
	return &unavailableError{err}
}

func isUnavailable(err error) bool {
	if errors.Is(err, context.Canceled) {
		return false // the caller gave up
	}
	if raised, ok := errors.AsType[*pgconn.PgError](err); ok {
		return passes(raised.Code)
	}
	if _, ok := errors.AsType[*pgconn.ConnectError](err); ok {
		return true
	}
	if _, ok := errors.AsType[net.Error](err); ok {
		return true
	}
	return errors.Is(err, ErrReadOnly) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) ||
		pgconn.SafeToRetry(err) || pgconn.Timeout(err)
}

// passes says whether an error of Postgres is one of the moment.
func passes(code string) bool {
	if len(code) != 5 {
		return false
	}
	return slices.Contains([]string{
		"08", // connection
		"40", // serialization failures, deadlocks
		"53", // disk, memory or connections ran out
		"57", // shut down, starting up, timed out
		"58", // the system below Postgres
	}, code[:2]) || code == codeReadOnly || code == codeLockNotAvailable
}
