package service

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/store"
)

// addToOutbox commits a message that is published afterwards.
func addToOutbox(ctx context.Context, s *Service, subject, id string) error {
	return s.Store.InTx(ctx, func(ctx context.Context, tx *store.Tx) error {
		return tx.Publish(ctx, store.Message{Subject: subject, ID: id, Payload: []byte("{}")})
	})
}

func TestOutboxIsPublishedWhileServiceRuns(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	_, service := serveIdle(t, "backfill", f.settings)
	require.NoError(t, addToOutbox(t.Context(), service, bus.SubjectEvent("backfill.completed", "acme"), "1"))
	require.Eventually(t, func() bool {
		return streamMessages(t, service.JetStream, bus.StreamEvents) == 1
	}, soon, 10*time.Millisecond)
}

func TestPollForBusySubjectIsDroppedAndBackfillIsKept(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	_, service := serveIdle(t, "backfill", f.settings)
	for _, id := range []string{"1", "2"} {
		require.NoError(t, addToOutbox(t.Context(), service, "rollcall.poll.request.acme", "poll-"+id))
		require.NoError(t, addToOutbox(t.Context(), service, bus.SubjectBackfill("acme"), "backfill-"+id))
	}
	require.Eventually(t, func() bool {
		depth, err := service.Store.OutboxDepth(t.Context())
		return err == nil && depth == 1
	}, soon, 10*time.Millisecond)
	require.Equal(t, uint64(1), streamMessages(t, service.JetStream, bus.StreamPoll))
	stream, err := service.JetStream.Stream(t.Context(), bus.StreamBackfill)
	require.NoError(t, err)
	require.NoError(t, stream.DeleteMsg(t.Context(), 1))
	require.Eventually(t, func() bool {
		depth, err := service.Store.OutboxDepth(t.Context())
		return err == nil && depth == 0
	}, soon, 10*time.Millisecond)
	require.Equal(t, uint64(1), streamMessages(t, service.JetStream, bus.StreamBackfill))
}

func TestStopPublishesOutboxOfLastWorkAndClosesConnections(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	started := make(chan *Service, 1)
	s := serve(t, "backfill", f.settings, func(ctx context.Context, service *Service) error {
		started <- service
		<-ctx.Done()
		return addToOutbox(context.WithoutCancel(ctx), service, bus.SubjectEvent("backfill.completed", "acme"), "last")
	})
	var service *Service
	select {
	case service = <-started:
	case <-s.ended:
		require.NoError(t, s.result(), "the service never started")
		require.FailNow(t, "the service ended at once")
	}
	s.stop()
	require.NoError(t, s.result())
	require.Equal(t, uint64(1), streamMessages(t, f.nats.JetStream(t), bus.StreamEvents))
	require.True(t, service.Conn.IsClosed())
	require.Error(t, service.Store.Ping(t.Context()))
	_, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", f.settings.HTTPAddr)
	require.Error(t, err, "the service's port must be closed")
	require.Equal(t, 1, s.logs.FilterMessage("drained").Len())
}

func TestServeReturnsErrorOfRun(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	var service *Service
	s := serve(t, "backfill", f.settings, func(_ context.Context, started *Service) error {
		service = started
		return errOfTheWork
	})
	require.ErrorIs(t, s.result(), errOfTheWork)
	require.True(t, service.Conn.IsClosed())
	require.Zero(t, s.logs.FilterMessage("drained").Len())
}

func TestStopDuringNATSOutageKeepsOutbox(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	s, service := serveIdle(t, "backfill", f.settings)
	require.NoError(t, Answer(service, "greeting", "get", greeter))
	f.nats.Stop()
	require.Eventually(t, func() bool { return !service.Conn.IsConnected() }, soon, time.Millisecond)
	require.NoError(t, addToOutbox(t.Context(), service, bus.SubjectEvent("backfill.completed", "acme"), "later"))
	s.stop()
	require.NoError(t, s.result())

	f.nats.Restart(t)
	_, successor := serveIdle(t, "backfill", f.settings)
	require.Eventually(t, func() bool {
		return streamMessages(t, successor.JetStream, bus.StreamEvents) == 1
	}, soon, 10*time.Millisecond)
}
