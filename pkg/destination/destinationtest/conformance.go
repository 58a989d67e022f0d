// Package destinationtest checks that a kind of destination keeps the contract of destination.Destination.
//
// A kind's tests, and the tests of a system that speaks the REST contract, call Run with a System: the real destination,
// connected to a system whose records and failures the test controls. It promises to use nothing of the system except
// these methods. It does not check what only one kind has, such as the form of its requests.
package destinationtest

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/destination"
	"rollcall.dev/pkg/fault"
)

// Failure is how a system fails.
type Failure string

// The failures that a system must be able to show.
const (
	FailureNone         Failure = ""
	FailureRejects      Failure = "rejects"      // it rejects the record for good, as with 422
	FailureUnauthorized Failure = "unauthorized" // it rejects the credential, as with 401
	FailureForbidden    Failure = "forbidden"    // as with 403
	FailureThrottled    Failure = "throttled"    // it asks for a pause, as with 429
	FailureUnavailable  Failure = "unavailable"  // it does not work, as with 503
)

// System is a destination together with the system behind it. Each test has its own.
type System interface {
	// Destination returns the destination, connected to the system.
	Destination() destination.Destination
	// Holds reports whether the system holds a record that is not deleted, by the id that rollcall gave it, and how
	// often it was stored.
	Holds(externalID string) (held bool, writes int)
	// LastName returns the last name that the system has of a record.
	LastName(externalID string) string
	// Fail makes every request from now on fail in this way.
	Fail(failure Failure)
}

// Run runs the tests of the contract, each with a system of its own.
func Run(t *testing.T, newSystem func(t *testing.T) System) {
	t.Helper()
	for name, test := range map[string]func(t *testing.T, s System){
		"SameRecordTwiceIsOneRecord":          sameRecordTwice,
		"FieldsThatAreLeftOutKeepTheirValues": leftOutFields,
		"DeletedRecordIsGone":                 deletedIsGone,
		"DeletionOfUnknownRecordIsDone":       deletionOfUnknown,
		"WriteAfterDeletionRevivesTheRecord":  writeAfterDeletion,
		"OlderWriteAfterDeletionAlsoRevives":  olderWriteAfterDeletion,
		"EachFailureHasItsKind":               failureKinds,
		"FailedDeletionKeepsTheRecord":        failedDeletion,
		"IDThatWouldLeaveThePathIsNotDeleted": unusableID,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, newSystem(t))
		})
	}
}

// record returns a record of a user that changed at that minute.
func record(externalID string, minute int) destination.Record {
	text := func(s string) *string { return &s }
	return destination.Record{
		ExternalID: externalID, Email: text("ada@example.org"), FirstName: text("Ada"), LastName: text("Lovelace"),
		SourceUpdatedAt: time.Date(2026, time.March, 2, 9, minute, 0, 0, time.UTC),
	}
}

func write(t *testing.T, s System, one destination.Record) (id string) {
	t.Helper()
	result, err := s.Destination().Upsert(t.Context(), one)
	require.NoError(t, err)
	require.NotEmpty(t, result.ExternalUserID)
	return result.ExternalUserID
}

func requireHeld(t *testing.T, s System, externalID string, want bool) {
	t.Helper()
	held, _ := s.Holds(externalID)
	require.Equal(t, want, held)
}

func sameRecordTwice(t *testing.T, s System) {
	t.Helper()
	first := write(t, s, record("vomo-1", 0))
	require.Equal(t, first, write(t, s, record("vomo-1", 0)), "a record keeps its id")
	requireHeld(t, s, "vomo-1", true)
	other := write(t, s, record("vomo-2", 0))
	require.NotEqual(t, first, other)
}

func leftOutFields(t *testing.T, s System) {
	t.Helper()
	write(t, s, record("vomo-1", 0))
	later := record("vomo-1", 1)
	text := "King"
	later.LastName, later.Without = &text, []string{"last_name"}
	write(t, s, later)
	require.Equal(t, "Lovelace", s.LastName("vomo-1"), "the system owns the field")
	later = record("vomo-1", 2)
	later.LastName = &text
	write(t, s, later)
	require.Equal(t, "King", s.LastName("vomo-1"))
}

func deletedIsGone(t *testing.T, s System) {
	t.Helper()
	id := write(t, s, record("vomo-1", 0))
	write(t, s, record("vomo-2", 0))
	require.NoError(t, s.Destination().Delete(t.Context(), id))
	requireHeld(t, s, "vomo-1", false)
	requireHeld(t, s, "vomo-2", true)
	require.NoError(t, s.Destination().Delete(t.Context(), id), "a repeated deletion is done already")
}

func deletionOfUnknown(t *testing.T, s System) {
	t.Helper()
	require.NoError(t, s.Destination().Delete(t.Context(), "no-such-record"))
}

func writeAfterDeletion(t *testing.T, s System) {
	t.Helper()
	id := write(t, s, record("vomo-1", 0))
	require.NoError(t, s.Destination().Delete(t.Context(), id))
	_, before := s.Holds("vomo-1")
	write(t, s, record("vomo-1", 0)) // the very same version
	held, after := s.Holds("vomo-1")
	require.True(t, held)
	require.Greater(t, after, before, "the record must be stored again, and not be skipped as known")
}

func olderWriteAfterDeletion(t *testing.T, s System) {
	t.Helper()
	id := write(t, s, record("vomo-1", 5))
	require.NoError(t, s.Destination().Delete(t.Context(), id))
	write(t, s, record("vomo-1", 0))
	requireHeld(t, s, "vomo-1", true)
}

func failureKinds(t *testing.T, s System) {
	t.Helper()
	id := write(t, s, record("vomo-1", 0))
	deleted := func() error { return s.Destination().Delete(t.Context(), id) }
	written := func() error {
		_, err := s.Destination().Upsert(t.Context(), record("vomo-1", 1))
		return err
	}
	for verb, do := range map[string]func() error{"upsert": written, "delete": deleted} {
		s.Fail(FailureRejects)
		err := do()
		var rejection *destination.Rejection
		require.ErrorAs(t, err, &rejection, verb)
		require.False(t, destination.Retryable(err), verb)

		s.Fail(FailureUnauthorized)
		err = do()
		require.ErrorIs(t, err, destination.ErrAuth, verb)
		require.NotErrorIs(t, err, destination.ErrForbidden, verb)

		s.Fail(FailureForbidden)
		require.ErrorIs(t, do(), destination.ErrForbidden, verb)

		s.Fail(FailureThrottled)
		err = do()
		require.Equal(t, fault.KindThrottled, fault.KindOf(err), verb)
		require.True(t, destination.Retryable(err), verb)

		s.Fail(FailureUnavailable)
		err = do()
		require.True(t, destination.Retryable(err), verb)
		require.NotErrorIs(t, err, destination.ErrAuth, verb)
		require.NotErrorAs(t, err, &rejection, verb)
	}
}

func failedDeletion(t *testing.T, s System) {
	t.Helper()
	id := write(t, s, record("vomo-1", 0))
	for _, failure := range []Failure{FailureRejects, FailureUnauthorized, FailureForbidden, FailureThrottled, FailureUnavailable} {
		s.Fail(failure)
		require.Error(t, s.Destination().Delete(t.Context(), id), failure)
	}
	s.Fail(FailureNone)
	requireHeld(t, s, "vomo-1", true)
	require.NoError(t, s.Destination().Delete(t.Context(), id))
	requireHeld(t, s, "vomo-1", false)
}

func unusableID(t *testing.T, s System) {
	t.Helper()
	write(t, s, record("vomo-1", 0))
	for _, id := range []string{"", ".", ".."} {
		var rejection *destination.Rejection
		require.ErrorAs(t, s.Destination().Delete(t.Context(), id), &rejection, id)
	}
	requireHeld(t, s, "vomo-1", true)
}
