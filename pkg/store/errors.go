package store

import (
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// ErrNotFound says that the row asked for does not exist.
var ErrNotFound = errors.New("not found")

// ErrUnavailable says that Postgres could not be reached, or could not do now what it was asked to do. The statement itself is
// not at fault.
var ErrUnavailable = errors.New("the database is not available")

// operationError names the operation that failed. mapError makes one of each error of pgx, once.
type operationError struct {
	operation   string
	cause       error // of pgx, or one of this package's errors
	unavailable bool
}

// Error returns the operation and the cause.
func (e *operationError) Error() string { return e.operation + ": " + e.cause.Error() }

// Unwrap returns the cause, and ErrUnavailable if the error is one.
func (e *operationError) Unwrap() []error {
	if e.unavailable {
		return []error{ErrUnavailable, e.cause}
	}
	return []error{e.cause}
}

// mapError turns an error of pgx into one of this package: ErrNotFound for no rows, ErrLaneLost for what lane_lost() raises,
// ErrUnavailable for an outage. An error that names its operation already stays as it is.
func mapError(operation string, err error) error {
	if err == nil {
		return nil
	}
	if _, mapped := errors.AsType[*operationError](err); mapped {
		return err
	}
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return &operationError{operation: operation, cause: ErrNotFound}
	case codeOf(err) == codeLaneLost:
		return &operationError{operation: operation, cause: ErrLaneLost}
	default:
		return &operationError{operation: operation, cause: err, unavailable: isUnavailable(err)}
	}
}

// operationOf returns the operation of a statement, by the name that its query has in sql/.
func operationOf(sql string) string {
	named, ok := strings.CutPrefix(sql, "-- name: ")
	switch {
	case sql == beginSQL:
		return "begin transaction"
	case sql == commitSQL:
		return commitSQL
	case !ok:
		return "run statement"
	}
	name, _, _ := strings.Cut(named, " ")
	return "query " + name
}

func isNotFound(err error) bool { return errors.Is(err, ErrNotFound) }

// SQLSTATEs that say what to do next.
const (
	codeReadOnly          = "25006"
	codeLockNotAvailable  = "55P03"
	codeDeadlock          = "40P01"
	codeProtocolViolation = "08P01"
	codeLaneLost          = "RC001" // raised by lane_lost()
)

// codeOf returns the SQLSTATE of an error that Postgres raised, and "" for any other error.
func codeOf(err error) string {
	if raised, ok := errors.AsType[*pgconn.PgError](err); ok {
		return raised.Code
	}
	return ""
}

func isUnavailable(err error) bool {
	if errors.Is(err, context.Canceled) {
		return false // the caller gave up
	}
	if raised, ok := errors.AsType[*pgconn.PgError](err); ok {
		return isTransient(raised.Code)
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

// isTransient says whether an error of Postgres is expected to pass.
func isTransient(code string) bool {
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
