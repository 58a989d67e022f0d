package worker_test

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/fault"
	"rollcall.dev/pkg/worker"
)

var errBroken = fault.Permanent("body_broken", errors.New("not JSON"))

func broken(context.Context, *worker.Delivery) error { return errBroken }

func TestTheLetterIsDurableBeforeTheMessageIsAcked(t *testing.T) {
	t.Parallel()
	b := newBench(t, longWait)
	opened := newLetters()
	opening, written := make(chan struct{}), make(chan struct{})
	opened.fail = func(int) error {
		close(opening)
		<-written
		return nil
	}
	b.start(t, &worker.Worker{Handler: broken, Letters: opened})
	b.publish(t, "one")
	await(t, opening)
	b.acks.RequireNone(t)
	close(written)
	b.requireDone(t, 1)
	b.requireEmpty(t)
	got := opened.opened.Wait(t, soon)
	require.Equal(t, "one", got.body)
	require.ErrorIs(t, got.reason, errBroken)
}

func TestAMessageWhoseLetterFailsComesAgain(t *testing.T) {
	t.Parallel()
	b := newBench(t, longWait)
	opened := newLetters()
	opened.fail = func(attempt int) error {
		if attempt == 1 {
			return errors.New("no database")
		}
		return nil
	}
	b.start(t, &worker.Worker{Handler: broken, Letters: opened})
	b.publish(t, "one")
	requireNak(t, b.acks.Wait(t, soon)) // and no ack before it
	b.requireDone(t, 1)
	require.Equal(t, 1, opened.opened.Wait(t, soon).deliveries)
	require.Equal(t, 2, opened.opened.Wait(t, soon).deliveries)
}

func TestACrashBetweenLetterAndAckShowsTheMessageToLettersAgain(t *testing.T) {
	t.Parallel()
	b := newBench(t, shortWait)
	dying := newLetters()
	first := &worker.Worker{Handler: broken, Letters: dying}
	dying.fail = func(int) error {
		first.Conn.Close() // the letter is written; the ack has nowhere to go
		return nil
	}
	crashed := b.start(t, first)
	b.publish(t, "one")
	one := dying.opened.Wait(t, soon)
	require.Error(t, crashed.result(t))
	b.acks.RequireNone(t)

	successor := newLetters()
	b.start(t, &worker.Worker{Handler: broken, Letters: successor})
	again := successor.opened.Wait(t, soon)
	require.Equal(t, 2, again.deliveries)
	require.Equal(t, []any{one.stream, one.sequence, one.body}, []any{again.stream, again.sequence, again.body}) // by which they know it
	b.requireDone(t, 1)
	b.requireEmpty(t)
}
