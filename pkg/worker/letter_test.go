package worker_test

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/fault"
	"rollcall.dev/pkg/worker"
)

var errUnreadable = fault.Permanent("body_broken", errors.New("not JSON"))

func rejectMessage(context.Context, *worker.Delivery) error { return errUnreadable }

func TestLetterIsDurableBeforeMessageIsAcked(t *testing.T) {
	t.Parallel()
	f := newFixture(t, longWait)
	opened := newLetters()
	opening, written := make(chan struct{}), make(chan struct{})
	opened.fail = func(int) error {
		close(opening)
		<-written
		return nil
	}
	f.start(t, &worker.Worker{Handler: rejectMessage, Letters: opened})
	f.publish(t, "one")
	await(t, opening)
	f.acks.RequireNone(t)
	close(written)
	f.requireDone(t, 1)
	f.requireEmpty(t)
	got := opened.opened.Wait(t, timeout)
	require.Equal(t, "one", got.body)
	require.ErrorIs(t, got.reason, errUnreadable)
}

func TestMessageIsRedeliveredIfLetterFails(t *testing.T) {
	t.Parallel()
	f := newFixture(t, longWait)
	opened := newLetters()
	opened.fail = func(attempt int) error {
		if attempt == 1 {
			return errors.New("no database")
		}
		return nil
	}
	f.start(t, &worker.Worker{Handler: rejectMessage, Letters: opened})
	f.publish(t, "one")
	requireNak(t, f.acks.Wait(t, timeout)) // there was no ack before
	f.requireDone(t, 1)
	require.Equal(t, 1, opened.opened.Wait(t, timeout).deliveries)
	require.Equal(t, 2, opened.opened.Wait(t, timeout).deliveries)
}

func TestMessageIsRedeliveredAfterCrashBetweenLetterAndAck(t *testing.T) {
	t.Parallel()
	f := newFixture(t, shortWait)
	dying := newLetters()
	first := &worker.Worker{Handler: rejectMessage, Letters: dying}
	dying.fail = func(int) error {
		first.Conn.Close() // the letter is written, and the ack cannot be sent
		return nil
	}
	crashed := f.start(t, first)
	f.publish(t, "one")
	one := dying.opened.Wait(t, timeout)
	require.Error(t, crashed.result(t))
	f.acks.RequireNone(t)

	successor := newLetters()
	f.start(t, &worker.Worker{Handler: rejectMessage, Letters: successor})
	again := successor.opened.Wait(t, timeout)
	require.Equal(t, 2, again.deliveries)
	require.Equal(t, []any{one.stream, one.sequence, one.body}, []any{again.stream, again.sequence, again.body}) // letters recognise the message by these
	f.requireDone(t, 1)
	f.requireEmpty(t)
}
