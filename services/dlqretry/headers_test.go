package main

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/bus"
)

// runOut publishes a message and delivers it once to a consumer that gives up after one delivery.
func (d *desk) runOut(t *testing.T, consumer jetstream.Consumer, message *nats.Msg) {
	t.Helper()
	_, err := d.js.PublishMsg(t.Context(), message)
	require.NoError(t, err)
	msg, err := consumer.Next(jetstream.FetchMaxWait(within))
	require.NoError(t, err)
	require.NoError(t, msg.NakWithDelay(time.Millisecond))                 // one delivery is all there is
	_, err = consumer.Next(jetstream.FetchMaxWait(200 * time.Millisecond)) // the server notices at the next request
	require.ErrorIs(t, err, nats.ErrTimeout)
}

// headers returns what a message of the poll stream was published with: a direct get adds where the message is stored.
func (d *desk) headers(t *testing.T, subject string) map[string][]string {
	t.Helper()
	header := d.message(t, bus.StreamPoll, subject).Header
	for _, added := range []string{"Nats-Sequence", "Nats-Stream", "Nats-Subject", "Nats-Time-Stamp"} {
		delete(header, added)
	}
	return header
}

// givesUp has a durable give up after one delivery.
func (d *desk) givesUp(t *testing.T, stream, durable string) jetstream.Consumer {
	t.Helper()
	consumer, err := d.js.Consumer(t.Context(), stream, durable)
	require.NoError(t, err)
	config := consumer.CachedInfo().Config
	config.MaxDeliver = 1
	consumer, err = d.js.UpdateConsumer(t.Context(), stream, config)
	require.NoError(t, err)
	return consumer
}

func TestARedrivenMessageHasTheHeadersOfTheOriginalOne(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	const subject = "rollcall.poll.request.acme"
	consumer := d.givesUp(t, bus.StreamPoll, bus.DurablePoller)
	d.read(t, bus.StreamAdvisories, bus.DurableAdvisories, d.told.handle)
	original := nats.NewMsg(subject)
	original.Data = []byte(`{"customerId":"acme"}`)
	original.Header = nats.Header{
		"traceparent": {"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}, "ce-id": {"7"}, "X-Partner": {"one", "two"},
		bus.HeaderMsgID: {"poll-1"}, "Nats-Expected-Stream": {bus.StreamPoll}, "Nats-Expected-Last-Sequence": {"0"},
		bus.HeaderLetterID: {uuid.NewString()}, "X-Secret": {"t0p-s3cret"},
	}
	d.runOut(t, consumer, original)
	require.Eventually(t, func() bool { return value[int](t, d, `SELECT count(*) FROM dead_letters`) == 1 }, within, 10*time.Millisecond)
	stream, err := d.js.Stream(t.Context(), bus.StreamPoll)
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		info, err := stream.Info(t.Context())
		return err == nil && info.State.Msgs == 0
	}, within, 10*time.Millisecond)
	require.NotContains(t, value[string](t, d, `SELECT to_jsonb(l)::text FROM dead_letters l`), "t0p-s3cret", "headers are sealed as the payload is")

	id := value[uuid.UUID](t, d, `SELECT id FROM dead_letters`)
	require.NoError(t, d.redrive.redriveMessage(t.Context(), id))

	require.Equal(t, map[string][]string{
		"traceparent": {"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}, "ce-id": {"7"}, "X-Partner": {"one", "two"},
		"X-Secret": {"t0p-s3cret"}, bus.HeaderMsgID: {"redrive-" + id.String() + "-1"}, bus.HeaderLetterID: {id.String()},
	}, d.headers(t, subject))
}

func TestALetterThatWasWrittenWithoutHeadersIsRedriven(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	id := d.messageLetter(t, "rollcall.poll.request.acme", `{}`, 7)
	d.exec(t, `UPDATE dead_letters SET headers_sealed = NULL`) // as the version before wrote it

	require.NoError(t, d.redrive.redriveMessage(t.Context(), id))

	require.Equal(t, map[string][]string{bus.HeaderMsgID: {"redrive-" + id.String() + "-3"}, bus.HeaderLetterID: {id.String()}},
		d.headers(t, "rollcall.poll.request.acme"))
}

func TestAPartnersConsumerThatGivesUpMakesNoLetter(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	partners := func(stream, name string) jetstream.Consumer {
		consumer, err := d.js.CreateConsumer(t.Context(), stream, jetstream.ConsumerConfig{
			Durable: name, AckPolicy: jetstream.AckExplicitPolicy, DeliverPolicy: jetstream.DeliverNewPolicy, MaxDeliver: 1, AckWait: time.Minute,
		})
		require.NoError(t, err)
		return consumer
	}
	event := nats.NewMsg(bus.SubjectEvent("user.created", "acme"))
	// A partner may name its durable as one of rollcall's on another stream.
	for _, name := range []string{"crm", bus.DurablePoller} {
		d.runOut(t, partners(bus.StreamEvents, name), event)
	}
	d.read(t, bus.StreamAdvisories, bus.DurableAdvisories, d.told.handle)
	ours := d.givesUp(t, bus.StreamPoll, bus.DurablePoller)
	d.runOut(t, ours, nats.NewMsg("rollcall.poll.request.acme"))

	// The advisories are worked in order, two at once: rollcall's own came last.
	require.Eventually(t, func() bool { return value[int](t, d, `SELECT count(*) FROM dead_letters WHERE job = 'poller'`) >= 1 }, within, 10*time.Millisecond)
	consumer, err := d.js.Consumer(t.Context(), bus.StreamAdvisories, bus.DurableAdvisories)
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		info, err := consumer.Info(t.Context())
		return err == nil && info.NumPending+uint64(info.NumAckPending) == 0
	}, within, 10*time.Millisecond)
	require.Equal(t, "rollcall.poll.request.acme", value[string](t, d, `SELECT string_agg(original_subject, ' ') FROM dead_letters`))
}
