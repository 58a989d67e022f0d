package main

import (
	"context"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/event"
	"rollcall.dev/pkg/store"
	rollcallv1 "rollcall.dev/proto/rollcall/v1"
)

// refusing stands for a bus that takes nothing.
type refusing struct{}

func (refusing) PublishBatch(_ context.Context, messages []store.Message) []store.Delivery {
	deliveries := make([]store.Delivery, len(messages))
	for i := range deliveries {
		deliveries[i] = store.Failed
	}
	return deliveries
}

func TestPeopleHearOfAlertsThatNATSRefusesAndOnceOnly(t *testing.T) {
	t.Parallel()
	hook := newReceiver(t)
	h := newHouse(t, "ALERT_WEBHOOK_URL="+hook.URL)
	h.customer("acme")
	told, err := open(h.settings)
	require.NoError(t, err)
	told.teller = &teller{store: h.Store, logger: h.log, metrics: newMetrics(prometheus.NewRegistry())}
	watching := &direct{store: h.Store, told: told, logger: h.log}
	refuse := func() {
		_, err := h.RelayOutbox(t.Context(), refusing{})
		require.NoError(t, err)
	}
	h.raise("acme", event.AlertDestinationDown)
	refuse()
	require.NoError(t, watching.look(t.Context()))
	hook.nothingMore() // it may pass

	h.advance(outboxPatience)
	require.NoError(t, watching.look(t.Context()))
	require.Equal(t, event.AlertDestinationDown, hook.next().body.Data["type"])
	refuse() // the watch's own alert meets the same bus
	require.NoError(t, watching.look(t.Context()))
	own := hook.next()
	require.Equal(t, event.AlertOutboxStalled, own.body.Data["type"])
	require.Equal(t, rollcallv1.Installation, own.body.Data["customerId"])
	require.NoError(t, watching.look(t.Context()))
	h.advance(directAgain)
	refuse()
	require.NoError(t, watching.look(t.Context()))
	hook.nothingMore()

	h.start() // NATS takes messages again: its relay publishes, and the stream brings what was sent already
	h.settled(bus.StreamAlerts)
	require.NoError(t, watching.look(t.Context()))
	require.Equal(t, "alert.cleared", hook.next().body.Type)
	h.settled(bus.StreamAlerts)
	hook.nothingMore()
}

func TestALimitedStreamRaisesOutboxStalledWhileItRefuses(t *testing.T) { // testdata/streams-changed-by-hand.md
	t.Parallel()
	h := newHouse(t)
	limit := func(bytes int64) {
		stream, err := h.js.Stream(t.Context(), bus.StreamBackfill)
		require.NoError(t, err)
		config := stream.CachedInfo().Config
		config.MaxBytes = bytes
		_, err = h.js.UpdateStream(t.Context(), config)
		require.NoError(t, err)
	}
	limit(1)
	h.start()
	require.NoError(t, h.InTx(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		return tx.Publish(ctx, store.Message{Subject: bus.SubjectBackfill("acme"), ID: "b", Payload: []byte(`{}`)})
	}))
	require.Eventually(t, func() bool {
		return value[int](h, `SELECT count(*) FROM outbox WHERE refused_since IS NOT NULL`) == 1
	}, within, 20*time.Millisecond)
	h.advance(outboxPatience)
	watching := &direct{store: h.Store, told: &notifier{teller: &teller{store: h.Store, logger: h.log}}, logger: h.log}
	require.NoError(t, watching.look(t.Context()))
	require.Equal(t, 1, value[int](h, `SELECT count(*) FROM alerts WHERE type = 'outbox_stalled' AND cleared_at IS NULL`))

	limit(-1)
	require.Eventually(t, func() bool {
		return value[int](h, `SELECT count(*) FROM outbox WHERE refused_since IS NOT NULL`) == 0
	}, within, 20*time.Millisecond)
	stream, err := h.js.Stream(t.Context(), bus.StreamBackfill)
	require.NoError(t, err)
	_, err = stream.GetLastMsgForSubject(t.Context(), bus.SubjectBackfill("acme"))
	require.NoError(t, err)
	require.NoError(t, watching.look(t.Context()))
	require.Zero(t, value[int](h, `SELECT count(*) FROM alerts WHERE type = 'outbox_stalled' AND cleared_at IS NULL`))
}
