package bus_test

import (
	"testing"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/bus"
)

func TestPublishAckedReturnsSequenceAndDuplicate(t *testing.T) {
	t.Parallel()
	_, js := ensured(t)
	event := bus.Outgoing{Subject: bus.SubjectEvent("user.created", "acme"), ID: "same"}
	busy := bus.Outgoing{Subject: poll, ID: "poll-1"}
	acks := publisher(js).PublishAcked(bounded(t), []bus.Outgoing{event, event, busy})
	require.Equal(t, []bus.Acked{{Sequence: 1}, {Sequence: 1, Duplicate: true}, {Sequence: 1}}, acks)

	busy.ID = "poll-2"
	require.ErrorIs(t, publisher(js).PublishAcked(bounded(t), []bus.Outgoing{busy})[0].Err, bus.ErrSubjectBusy)
}

func TestDeleteOfDeletedMessageSucceeds(t *testing.T) {
	t.Parallel()
	_, js := ensured(t)
	require.NoError(t, publishOne(t, js, bus.Outgoing{Subject: bus.SubjectEvent("user.created", "acme")}))
	stream, err := js.Stream(bounded(t), bus.StreamEvents)
	require.NoError(t, err)
	for range 2 {
		require.NoError(t, bus.Delete(bounded(t), stream, 1))
	}
	require.NoError(t, bus.Delete(bounded(t), stream, 99))
	_, err = stream.GetMsg(bounded(t), 1)
	require.ErrorIs(t, err, jetstream.ErrMsgNotFound)
}

func TestServerSubjectsAreDistinguished(t *testing.T) {
	t.Parallel()
	for _, subject := range []string{"$JS.EVENT.METRIC.CONSUMER.ACK.ROLLCALL_DLQ.dlq-review"} {
		require.True(t, bus.IsAckSample(subject))
		require.False(t, bus.IsMaxDeliveries(subject))
	}
	require.True(t, bus.IsMaxDeliveries("$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.ROLLCALL_POLL.poller"))
}
