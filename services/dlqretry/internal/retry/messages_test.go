package retry

import (
	"context"
	"errors"
	"strconv"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/fault"
	"rollcall.dev/pkg/messageletter"
	"rollcall.dev/pkg/service"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/testkit"
)

const pollSubject = "rollcall.poll.request.acme"

// messageFixture redrives messages on a NATS server of its own.
type messageFixture struct {
	*fixture

	js       jetstream.JetStream
	messages *Messages
	letters  *messageletter.Opener
}

func newMessageFixture(t *testing.T) *messageFixture {
	t.Helper()
	f := &messageFixture{fixture: newFixture(t), js: testkit.NATS(t).JetStream(t)}
	require.NoError(t, bus.Ensure(t.Context(), f.js, 1, claimTimeout))
	f.messages = &Messages{
		Store: f.store, Vault: f.vault, Publisher: &bus.Publisher{JetStream: f.js, Logger: zap.NewNop()}, Logger: zap.NewNop(), Changed: func() {},
	}
	f.letters = &messageletter.Opener{Store: f.store, Vault: f.vault, Job: "test", StreamCreated: func(context.Context, string) (time.Time, error) {
		return time.Unix(0, 0), nil
	}}
	return f
}

// messageLetter opens a letter for a message that the poll stream once had.
func (f *messageFixture) messageLetter(t *testing.T, subject string, sequence uint64) uuid.UUID {
	t.Helper()
	require.NoError(t, f.letters.OpenStored(t.Context(), messageletter.Stored{
		Stream: bus.StreamPoll, Created: time.Unix(0, 0), Sequence: sequence, Subject: subject, Data: []byte(`{}`), Deliveries: 3,
	}, fault.Permanent("request_invalid", errors.New("test"))))
	return value[uuid.UUID](t, f.fixture, `SELECT id FROM dead_letters WHERE origin LIKE '%/' || $1::text`, strconv.FormatUint(sequence, 10))
}

func (f *messageFixture) message(t *testing.T) *jetstream.RawStreamMsg {
	t.Helper()
	stream, err := f.js.Stream(t.Context(), bus.StreamPoll)
	require.NoError(t, err)
	message, err := stream.GetLastMsgForSubject(t.Context(), pollSubject)
	require.NoError(t, err)
	return message
}

func TestMessageIsRedrivenAgainAfterItFailedWithinSeconds(t *testing.T) {
	t.Parallel()
	f := newMessageFixture(t)
	stream, err := f.js.Stream(t.Context(), bus.StreamPoll)
	require.NoError(t, err)
	for sequence := range uint64(3) {
		id := f.messageLetter(t, pollSubject, 100+sequence)
		require.NoError(t, f.messages.Redrive(t.Context(), id))
		require.Equal(t, "redriven", f.state(t, id))
		require.NoError(t, stream.DeleteMsg(t.Context(), f.message(t).Sequence))
	}
}

func TestRedriveThatCannotBeDoneSaysWhyAndKeepsLetter(t *testing.T) {
	t.Parallel()
	f := newMessageFixture(t)
	var conflict *service.ConflictError
	busy := f.messageLetter(t, pollSubject, 1)
	_, err := f.js.Publish(t.Context(), pollSubject, []byte(`{}`))
	require.NoError(t, err)
	require.ErrorAs(t, f.messages.Redrive(t.Context(), busy), &conflict)
	require.Contains(t, conflict.Text, "is there already")
	require.Equal(t, "review", f.state(t, busy))

	unknown := f.messageLetter(t, "rollcall.onboarding.request.Who Knows", 2)
	require.ErrorAs(t, f.messages.Redrive(t.Context(), unknown), &conflict)
	require.Contains(t, conflict.Text, "names no customer")
	require.Equal(t, "review", f.state(t, unknown))

	record := f.letter(t, "acme", "1", false)
	require.ErrorAs(t, f.messages.Redrive(t.Context(), record), &conflict)
	require.ErrorIs(t, f.messages.Redrive(t.Context(), uuid.New()), store.ErrNotFound)
	f.exec(t, `UPDATE dead_letters SET state = 'settled' WHERE id = $1`, busy)
	require.ErrorAs(t, f.messages.Redrive(t.Context(), busy), &conflict)

	gone := f.messageLetter(t, "rollcall.poll.request.globex", 3)
	f.exec(t, `DELETE FROM customer_keys WHERE customer_id = 'globex'`)
	require.ErrorAs(t, f.messages.Redrive(t.Context(), gone), &conflict)
	require.Contains(t, conflict.Text, "key is gone")
	require.Equal(t, "review", f.state(t, gone))
}

func TestLetterThatWasStoredWithoutHeadersIsRedriven(t *testing.T) {
	t.Parallel()
	f := newMessageFixture(t)
	id := f.messageLetter(t, pollSubject, 7)
	f.exec(t, `UPDATE dead_letters SET headers_sealed = NULL`) // as older versions stored it

	require.NoError(t, f.messages.Redrive(t.Context(), id))

	header := f.message(t).Header
	require.Equal(t, []string{"redrive-" + id.String() + "-3"}, header.Values(bus.HeaderMsgID))
	require.Equal(t, []string{id.String()}, header.Values(bus.HeaderLetterID))
}
