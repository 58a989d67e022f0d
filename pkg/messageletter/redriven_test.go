package messageletter_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/fault"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/worker"
	rollcallv1 "rollcall.dev/proto/rollcall/v1"
)

// republished returns a message as it is republished from a letter.
func republished(customer string, sequence uint64, letter string) *worker.Delivery {
	message := delivery("rollcall.onboarding.request."+customer, sequence)
	message.Header = map[string][]string{bus.HeaderLetterID: {letter}}
	return message
}

// redriven settles the letter as a redrive does.
func (f *fixture) redriven(t *testing.T, id string) {
	t.Helper()
	f.exec(t, `UPDATE dead_letters SET state = 'settled', settled_at = rollcall_now(), settled_how = 'redriven' WHERE id = '`+id+`'`)
}

// letterOf returns the id of the letter of the message with this sequence.
func (f *fixture) letterOf(t *testing.T, sequence uint64) string {
	t.Helper()
	return values[string](t, f, `SELECT id::text FROM dead_letters WHERE origin LIKE '%/' || $1::bigint`, int64(sequence))[0]
}

func TestRepublishedMessageThatFailsContinuesAttemptsOfItsLetter(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	require.NoError(t, f.opener.OpenMessage(t.Context(), delivery("rollcall.onboarding.request.acme", 1), errUnreadable))
	first := f.letterOf(t, 1)
	f.redriven(t, first)
	f.clock(t, now.Add(time.Hour))
	require.NoError(t, f.opener.OpenMessage(t.Context(), republished("acme", 2, first), errUnreadable))
	second := f.letterOf(t, 2)
	f.redriven(t, second)
	f.clock(t, now.Add(2*time.Hour))
	require.NoError(t, f.opener.OpenMessage(t.Context(), republished("acme", 3, second), errUnreadable))

	require.Equal(t, []string{"3 0", "6 1", "9 2"}, values[string](t, f,
		`SELECT attempts || ' ' || jsonb_array_length(history) FROM dead_letters ORDER BY origin`), "each was delivered three times")
	require.Equal(t, []bool{true}, values[bool](t, f, `SELECT DISTINCT first_failed_at = $1 FROM dead_letters`, now))
	require.Equal(t, []bool{true}, values[bool](t, f, `SELECT last_failed_at = $1 FROM dead_letters WHERE id = $2::uuid`, now.Add(2*time.Hour), f.letterOf(t, 3)))
	require.Equal(t, []string{"message_unreadable onboarding " + first, "message_unreadable onboarding " + second}, values[string](t, f,
		`SELECT concat_ws(' ', h->>'code', h->>'job', h->>'letterId') FROM dead_letters, jsonb_array_elements(history) h
		WHERE id = $1::uuid ORDER BY h->>'at'`, f.letterOf(t, 3)))
}

func TestLetterIDHeaderOfAnotherLetterIsIgnored(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	record := f.openRecord(t, "1")
	f.redriven(t, record)
	open := func(customer string, sequence uint64) string {
		require.NoError(t, f.opener.OpenMessage(t.Context(), delivery("rollcall.onboarding.request."+customer, sequence), errUnreadable))
		return f.letterOf(t, sequence)
	}
	openLetter, ofGlobex, discarded := open("acme", 1), open("globex", 2), open("acme", 3)
	f.redriven(t, ofGlobex)
	f.exec(t, `UPDATE dead_letters SET state = 'settled', settled_how = 'discarded' WHERE id = '`+discarded+`'`)
	f.clock(t, now.Add(time.Hour))
	for i, named := range []string{record, openLetter, ofGlobex, discarded, uuid.NewString(), uuid.Nil.String(), "no letter", "", "\x00'; --"} {
		sequence := uint64(10 + i)
		require.NoError(t, f.opener.OpenMessage(t.Context(), republished("acme", sequence, named), errUnreadable), named)
		require.Equal(t, []string{"review 3 0 t"}, values[string](t, f,
			`SELECT concat_ws(' ', state, attempts, jsonb_array_length(history), first_failed_at = rollcall_now()) FROM dead_letters WHERE id = $1::uuid`,
			f.letterOf(t, sequence)), named)
	}
	require.NoError(t, f.opener.OpenMessage(t.Context(), republished("_unknown", 30, ofGlobex), errUnreadable))
	require.Equal(t, []int{3}, values[int](t, f, `SELECT attempts FROM dead_letters WHERE customer_id = '_unknown'`))
}

func TestRepublishedMessageThatFailsWaitsForRedriveToCommit(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	require.NoError(t, f.opener.OpenMessage(t.Context(), delivery("rollcall.onboarding.request.acme", 1), errUnreadable))
	first := uuid.MustParse(f.letterOf(t, 1))
	failed := make(chan error, 1)
	require.NoError(t, f.store.InTx(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		letter, err := tx.LockLetter(ctx, first)
		if err != nil {
			return err
		}
		go func() {
			failed <- f.opener.OpenMessage(t.Context(), republished("acme", 2, first.String()), errUnreadable)
		}()
		require.Eventually(t, func() bool { // another connection waits for the row
			return values[bool](t, f, `SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock')`)[0]
		}, 30*time.Second, 10*time.Millisecond)
		return tx.SettleLetter(ctx, letter, store.SettledRedriven, "dlq_redriven")
	}))
	require.NoError(t, <-failed)
	require.Equal(t, []int{6}, values[int](t, f, `SELECT attempts FROM dead_letters WHERE state = 'review'`))
}

func TestLetterReasonHasNoValuesFromMessage(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	request := &rollcallv1.OnboardingRequest{}
	wrong := rollcallv1.Decode([]byte(`{"customerId":7,"pollCadenceMinutes":"`+secret+`","`+secret+`":1}`), request)
	require.NotEmpty(t, wrong)
	many := rollcallv1.FieldErrors{}
	for n := range 500 {
		many.Add(fmt.Sprintf("field%03d", n), "ist verboten: ä")
	}
	for i, reason := range []error{
		fault.Permanent("request_invalid", fmt.Errorf("read request: %w", wrong)),
		fault.Permanent("request_invalid", errors.New("cannot read "+secret)),
		fault.Permanent("request_invalid", many),
	} {
		require.NoError(t, f.opener.OpenMessage(t.Context(), delivery("rollcall.onboarding.request.acme", uint64(i)+1), reason))
	}
	reasons := values[*string](t, f, `SELECT reason FROM dead_letters ORDER BY origin`)
	require.Equal(t, wrong.Error(), *reasons[0])
	require.Contains(t, *reasons[0], "customerId: ")
	require.Nil(t, reasons[1], "another error may quote anything")
	require.True(t, strings.HasPrefix(*reasons[2], "field000: ist verboten"))
	require.LessOrEqual(t, len(*reasons[2]), 1010)
	f.requireNoTrace(t, secret)
}
