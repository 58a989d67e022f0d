package service

import (
	"context"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/testkit"
)

func TestFullNATSStorageLosesNothingAndServicesContinueWithin30SecondsOfSpace(t *testing.T) {
	t.Parallel()
	server := testkit.NATS(t, testkit.WithMaxStore(16<<20))
	js := server.JetStream(t)
	settings := settingsFor(t, server.URL, testkit.Database(t))
	require.NoError(t, bus.Ensure(t.Context(), js, 1, settings.ClaimTimeout)) // without limits, so that events may use all storage
	s, service := serveIdle(t, "backfill", settings)
	s.becomes("/readyz", http.StatusOK)

	full := 0
	for body := make([]byte, 512<<10); ; full++ {
		require.Less(t, full, 100, "the storage must fill up")
		if _, err := js.Publish(t.Context(), bus.SubjectEvent("user.created", "full"), body); err != nil {
			break
		}
	}
	for body := make([]byte, 1<<10); ; full++ { // until the last kilobyte is used
		if _, err := js.Publish(t.Context(), bus.SubjectEvent("user.created", "full"), body); err != nil {
			break
		}
	}
	const customers = 50
	addToOutbox := func(number int) {
		customer := fmt.Sprintf("c%d", number)
		require.NoError(t, service.Store.InTx(t.Context(), func(ctx context.Context, tx *store.Tx) error {
			return tx.Publish(ctx,
				store.Message{Subject: bus.SubjectPoll(customer), ID: "poll-" + customer, Payload: make([]byte, 1<<10)},
				store.Message{Subject: bus.SubjectEvent("user.created", customer), ID: "event-" + customer, Payload: make([]byte, 1<<10)})
		}))
	}
	ends := time.NewTimer(testkit.Outage(t))
	defer ends.Stop()
	for number := range customers {
		addToOutbox(number)
	}
	s.becomes("/readyz", http.StatusServiceUnavailable)
	_, body := s.get("/readyz")
	require.Regexp(t, `^NATS: the streams have accepted no message for \d+m?\d*s\n$`, body)
	status, _ := s.get("/livez")
	require.Equal(t, http.StatusOK, status)
	<-ends.C
	require.Positive(t, streamMessages(t, js, bus.StreamEvents))
	depth, err := service.Store.OutboxDepth(t.Context())
	require.NoError(t, err)
	require.Equal(t, int64(2*customers), depth)

	stream, err := js.Stream(t.Context(), bus.StreamEvents)
	require.NoError(t, err)
	require.NoError(t, stream.Purge(t.Context()))
	room := time.Now()
	require.Eventually(t, func() bool {
		depth, err := service.Store.OutboxDepth(t.Context())
		require.NoError(t, err)
		return depth == 0
	}, 30*time.Second, 50*time.Millisecond)
	t.Logf("everything was published %s after there was room", time.Since(room).Round(time.Millisecond))
	require.Equal(t, uint64(customers), streamMessages(t, js, bus.StreamPoll))
	require.Equal(t, uint64(customers), streamMessages(t, js, bus.StreamEvents))
	s.becomes("/readyz", http.StatusOK)
}
