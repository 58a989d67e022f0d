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

// rejectingBus is a bus that rejects all messages.
type rejectingBus struct{}

func (rejectingBus) PublishBatch(_ context.Context, messages []store.Message) []store.Delivery {
	deliveries := make([]store.Delivery, len(messages))
	for i := range deliveries {
		deliveries[i] = store.Failed
	}
	return deliveries
}

func TestAlertsThatNATSRejectsAreSentOnceWithoutNATS(t *testing.T) {
	t.Parallel()
	hook := newReceiver(t)
	f := newFixture(t, "ALERT_WEBHOOK_URL="+hook.URL)
	f.addCustomer("acme")
	n, err := newNotifier(f.settings)
	require.NoError(t, err)
	n.sender = &sender{store: f.Store, logger: f.logger, metrics: newMetrics(prometheus.NewRegistry())}
	watching := &outboxWatch{store: f.Store, notifier: n, logger: f.logger}
	refuse := func() {
		_, err := f.RelayOutbox(t.Context(), rejectingBus{})
		require.NoError(t, err)
	}
	f.raise("acme", event.AlertDestinationDown)
	refuse()
	require.NoError(t, watching.check(t.Context()))
	hook.requireNoMore() // the fault may be transient

	f.advance(outboxStalledAfter)
	require.NoError(t, watching.check(t.Context()))
	require.Equal(t, event.AlertDestinationDown, hook.next().body.Data["type"])
	refuse() // the bus rejects outbox_stalled, too
	require.NoError(t, watching.check(t.Context()))
	own := hook.next()
	require.Equal(t, event.AlertOutboxStalled, own.body.Data["type"])
	require.Equal(t, rollcallv1.Installation, own.body.Data["customerId"])
	require.NoError(t, watching.check(t.Context()))
	f.advance(rejectedClaim)
	refuse()
	require.NoError(t, watching.check(t.Context()))
	hook.requireNoMore()

	f.start() // NATS accepts messages again: the relay publishes, and the stream delivers what was sent already
	f.awaitHandled(bus.StreamAlerts)
	require.NoError(t, watching.check(t.Context()))
	require.Equal(t, "alert.cleared", hook.next().body.Type)
	f.awaitHandled(bus.StreamAlerts)
	hook.requireNoMore()
}

func TestFullStreamRaisesOutboxStalledUntilItAcceptsMessages(t *testing.T) { // testdata/streams-changed-by-hand.md
	t.Parallel()
	f := newFixture(t)
	limit := func(bytes int64) {
		stream, err := f.js.Stream(t.Context(), bus.StreamBackfill)
		require.NoError(t, err)
		config := stream.CachedInfo().Config
		config.MaxBytes = bytes
		_, err = f.js.UpdateStream(t.Context(), config)
		require.NoError(t, err)
	}
	limit(1)
	f.start()
	require.NoError(t, f.InTx(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		return tx.Publish(ctx, store.Message{Subject: bus.SubjectBackfill("acme"), ID: "b", Payload: []byte(`{}`)})
	}))
	require.Eventually(t, func() bool {
		return queryValue[int](f, `SELECT count(*) FROM outbox WHERE refused_since IS NOT NULL`) == 1
	}, timeout, 20*time.Millisecond)
	f.advance(outboxStalledAfter)
	watching := &outboxWatch{store: f.Store, notifier: &notifier{sender: &sender{store: f.Store, logger: f.logger}}, logger: f.logger}
	require.NoError(t, watching.check(t.Context()))
	require.Equal(t, 1, queryValue[int](f, `SELECT count(*) FROM alerts WHERE type = 'outbox_stalled' AND cleared_at IS NULL`))

	limit(-1)
	require.Eventually(t, func() bool {
		return queryValue[int](f, `SELECT count(*) FROM outbox WHERE refused_since IS NOT NULL`) == 0
	}, timeout, 20*time.Millisecond)
	stream, err := f.js.Stream(t.Context(), bus.StreamBackfill)
	require.NoError(t, err)
	_, err = stream.GetLastMsgForSubject(t.Context(), bus.SubjectBackfill("acme"))
	require.NoError(t, err)
	require.NoError(t, watching.check(t.Context()))
	require.Zero(t, queryValue[int](f, `SELECT count(*) FROM alerts WHERE type = 'outbox_stalled' AND cleared_at IS NULL`))
}
