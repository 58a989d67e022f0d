package bus_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/testkit"
)

const poll = "rollcall.poll.request.acme"

func publisher(js jetstream.JetStream) *bus.Publisher {
	return &bus.Publisher{JetStream: js, Logger: zap.NewNop()}
}

// publishOne publishes one message and returns its error.
func publishOne(t *testing.T, js jetstream.JetStream, message bus.Outgoing) error {
	t.Helper()
	errs := publisher(js).Publish(bounded(t), []bus.Outgoing{message})
	require.Len(t, errs, 1)
	return errs[0]
}

func TestBatchIsPublishedWithIDsHeadersAndPayloads(t *testing.T) {
	t.Parallel()
	_, js := ensured(t)
	var batch []bus.Outgoing
	for number := range 250 {
		id := fmt.Sprintf("id-%d", number)
		batch = append(batch, bus.Outgoing{
			Subject: bus.SubjectEvent("user.created", "acme"), ID: id, Payload: []byte(id),
			Headers: map[string]string{bus.HeaderTraceParent: "00-" + id},
		})
	}
	require.NoError(t, errors.Join(publisher(js).Publish(bounded(t), batch)...))
	stream, err := js.Stream(bounded(t), bus.StreamEvents)
	require.NoError(t, err)
	require.Equal(t, uint64(250), stream.CachedInfo().State.Msgs)
	msg, err := stream.GetMsg(bounded(t), 7)
	require.NoError(t, err)
	require.Equal(t, "id-6", string(msg.Data))
	require.Equal(t, "id-6", msg.Header.Get(jetstream.MsgIDHeader))
	require.Equal(t, "00-id-6", msg.Header.Get(bus.HeaderTraceParent))
}

func TestDuplicateIsPublishedWithoutError(t *testing.T) {
	t.Parallel()
	_, js := ensured(t)
	message := bus.Outgoing{Subject: bus.SubjectEvent("user.created", "acme"), ID: "same"}
	require.NoError(t, publishOne(t, js, message))
	require.NoError(t, publishOne(t, js, message))
	stream, err := js.Stream(bounded(t), bus.StreamEvents)
	require.NoError(t, err)
	require.Equal(t, uint64(1), stream.CachedInfo().State.Msgs)
}

func TestSecondMessageForBusySubjectIsRejected(t *testing.T) {
	t.Parallel()
	_, js := ensured(t)
	for _, subject := range []string{poll, bus.SubjectBackfill("acme"), "rollcall.reconcile.stuck.acme"} {
		require.NoError(t, publishOne(t, js, bus.Outgoing{Subject: subject, ID: "1"}))
		err := publishOne(t, js, bus.Outgoing{Subject: subject, ID: "2"})
		require.ErrorIs(t, err, bus.ErrSubjectBusy)
		var api *jetstream.APIError
		require.ErrorAs(t, err, &api)
		require.Equal(t, jetstream.ErrorCode(10077), api.ErrorCode)
	}
	require.NoError(t, publishOne(t, js, bus.Outgoing{Subject: poll + "2", ID: "3"}), "another customer's subject is free")
}

func TestRepeatedFirstMessageIsDuplicateAndNotBusy(t *testing.T) {
	t.Parallel()
	_, js := ensured(t)
	require.NoError(t, publishOne(t, js, bus.Outgoing{Subject: poll, ID: "1"}))
	require.NoError(t, publishOne(t, js, bus.Outgoing{Subject: poll, ID: "1"}))
}

func TestFullStreamIsNotBusySubject(t *testing.T) {
	t.Parallel()
	_, js := ensured(t)
	require.NoError(t, changeStream(bus.StreamPoll, func(config *jetstream.StreamConfig) { config.MaxMsgs = 1 })(bounded(t), js))
	require.NoError(t, publishOne(t, js, bus.Outgoing{Subject: poll}))
	err := publishOne(t, js, bus.Outgoing{Subject: poll + "2"})
	require.Error(t, err)
	require.NotErrorIs(t, err, bus.ErrSubjectBusy, "the stream holds no message of this customer: dropping the poll would lose it")
}

func TestRejectedMessageDoesNotAffectOthersOfBatch(t *testing.T) {
	t.Parallel()
	_, js := ensured(t)
	errs := publisher(js).Publish(bounded(t), []bus.Outgoing{
		{Subject: poll, ID: "1"}, {Subject: poll, ID: "2"}, {Subject: "rollcall.nowhere", ID: "3"}, {Subject: bus.SubjectBackfill("acme"), ID: "4"},
	})
	require.NoError(t, errs[0])
	require.ErrorIs(t, errs[1], bus.ErrSubjectBusy)
	require.ErrorIs(t, errs[2], jetstream.ErrNoStreamResponse)
	require.NoError(t, errs[3])
}

func TestTooBigMessageIsRejected(t *testing.T) {
	t.Parallel()
	_, js := ensured(t)
	body := bytes.Repeat([]byte("x"), 256<<10)
	require.NoError(t, publishOne(t, js, bus.Outgoing{Subject: bus.SubjectOnboard("acme"), Payload: body[:len(body)-100]}))
	err := publishOne(t, js, bus.Outgoing{Subject: bus.SubjectOnboard("acme"), Payload: append(body, 'x')})
	require.Error(t, err)
	require.NotErrorIs(t, err, bus.ErrSubjectBusy)
	huge := publishOne(t, js, bus.Outgoing{Subject: bus.SubjectOnboard("acme"), Payload: bytes.Repeat(body, 8)})
	require.Error(t, huge, "bigger than the connection allows")
}

func TestPublishWithoutServerFailsWithinContext(t *testing.T) {
	t.Parallel()
	server := testkit.NATS(t)
	js := server.JetStream(t)
	require.NoError(t, bus.Ensure(bounded(t), js, 1, ackWait))
	server.Stop()
	require.Eventually(t, func() bool { return !js.Conn().IsConnected() }, soon, time.Millisecond)
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	errs := publisher(js).Publish(ctx, []bus.Outgoing{{Subject: poll, ID: "1"}, {Subject: poll, ID: "2"}})
	require.Len(t, errs, 2)
	require.Error(t, errs[0])
	require.Error(t, errs[1])
}
