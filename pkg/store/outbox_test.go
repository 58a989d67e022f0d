package store_test

import (
	"context"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/store"
)

// publisherFunc stands where a service puts the bus.
type publisherFunc func(ctx context.Context, messages []store.Message) []store.Delivery

func (f publisherFunc) PublishBatch(ctx context.Context, messages []store.Message) []store.Delivery {
	return f(ctx, messages)
}

// stream takes every message and remembers it, unless the test has it answer otherwise.
type stream struct {
	mu     sync.Mutex
	taken  []store.Message
	answer store.Delivery
}

func (s *stream) PublishBatch(_ context.Context, messages []store.Message) []store.Delivery {
	s.mu.Lock()
	defer s.mu.Unlock()
	deliveries := make([]store.Delivery, len(messages))
	for i, message := range messages {
		deliveries[i] = s.answer
		s.taken = append(s.taken, message)
	}
	return deliveries
}

func (f *fixture) owe(t testing.TB, ids ...string) {
	t.Helper()
	f.do(t, func(ctx context.Context, tx *store.Tx) error {
		messages := make([]store.Message, 0, len(ids))
		for _, id := range ids {
			messages = append(messages, store.Message{Subject: "subject." + id, ID: id, Payload: []byte(`{}`)})
		}
		return tx.Publish(ctx, messages...)
	})
}

// relay has the outbox relayed once and returns how many messages were looked at.
func (f *fixture) relay(t testing.TB, publisher store.Publisher) int {
	t.Helper()
	handled, err := f.RelayOutbox(t.Context(), publisher)
	require.NoError(t, err)
	return handled
}

func (f *fixture) depth(t testing.TB) int64 {
	t.Helper()
	depth, err := f.OutboxDepth(t.Context())
	require.NoError(t, err)
	return depth
}

func TestWhatIsCommittedIsRelayedAsItWas(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	message := store.Message{Subject: "rollcall.events.x", ID: "m-1", Headers: map[string]string{"ce-type": "x"}, Payload: []byte{0, 0xff, '{'}}
	f.do(t, func(ctx context.Context, tx *store.Tx) error { return tx.Publish(ctx, message) })
	require.Equal(t, int64(1), f.depth(t))

	var bus stream
	require.Equal(t, 1, f.relay(t, &bus))

	require.Equal(t, []store.Message{message}, bus.taken)
	require.Zero(t, f.depth(t))
	require.Zero(t, f.relay(t, &bus), "once")
}

func TestWhatIsRolledBackIsNeverRelayed(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	err := f.InTx(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		require.NoError(t, tx.Publish(ctx, store.Message{Subject: "s", ID: "m", Payload: []byte(`{}`)}))
		return context.Canceled
	})
	require.ErrorIs(t, err, context.Canceled)

	var bus stream
	require.Zero(t, f.relay(t, &bus))

	require.Empty(t, bus.taken)
	select {
	case <-f.OutboxWoken():
		require.Fail(t, "no relay is woken for it")
	default:
	}
}

func TestABusyMessageIsTriedAgainSoon(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.owe(t, "m")
	bus := stream{answer: store.Busy}
	for range 5 {
		require.Equal(t, 1, f.relay(t, &bus))
		require.Zero(t, f.relay(t, &bus), "not at once")
		f.advance(t, 200*time.Millisecond)
	}

	bus.answer = store.Delivered
	require.Equal(t, 1, f.relay(t, &bus))

	require.Zero(t, f.depth(t))
}

func TestADroppedMessageIsDone(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.owe(t, "m")

	f.relay(t, &stream{answer: store.Dropped})

	require.Zero(t, f.depth(t))
}

func TestAFailedMessageWaitsLongerEachTime(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.owe(t, "m")
	bus := stream{answer: store.Failed}
	for _, pause := range []time.Duration{
		500 * time.Millisecond, time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second, 15 * time.Second, 15 * time.Second, 15 * time.Second,
	} {
		require.Equal(t, 1, f.relay(t, &bus))
		f.advance(t, pause-time.Microsecond)
		require.Zero(t, f.relay(t, &bus), "a pause of %s", pause)
		f.advance(t, time.Microsecond)
	}
	require.Equal(t, int64(1), f.depth(t), "and is never given up")
}

func TestOneFailedMessageHoldsUpNoOther(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.owe(t, "good-1", "bad", "good-2")

	f.relay(t, publisherFunc(func(_ context.Context, messages []store.Message) []store.Delivery {
		deliveries := make([]store.Delivery, len(messages))
		for i, message := range messages {
			if message.ID == "bad" {
				deliveries[i] = store.Failed
			}
		}
		return deliveries
	}))

	require.Equal(t, "bad", value[string](t, f, `SELECT string_agg(msg_id, ',') FROM outbox`))
}

func TestRelaysAtOncePublishEachMessageOnce(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	const messages = 3*store.RelayBatch + 50
	ids := make([]string, messages)
	for i := range ids {
		ids[i] = "m-" + strconv.Itoa(i)
	}
	f.owe(t, ids...)
	var bus stream

	atOnce(2, func(int) {
		for {
			handled, err := f.RelayOutbox(t.Context(), &bus)
			if err != nil {
				t.Errorf("relay: %v", err)
			}
			if handled == 0 || err != nil {
				return
			}
		}
	})

	require.Zero(t, f.depth(t))
	require.Len(t, bus.taken, messages)
	seen := map[string]bool{}
	for _, message := range bus.taken {
		seen[message.ID] = true
	}
	require.Len(t, seen, messages)
}

func TestWhileOneRelayPublishesAnotherPassesItsMessagesBy(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.owe(t, "m")
	var other stream

	f.relay(t, publisherFunc(func(_ context.Context, messages []store.Message) []store.Delivery {
		require.Zero(t, f.relay(t, &other))
		return make([]store.Delivery, len(messages))
	}))

	require.Empty(t, other.taken)
}

func TestACrashBetweenPublishAndDeletePublishesAgainWithTheSameID(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.owe(t, "m")
	var bus stream
	_, err := f.RelayOutbox(t.Context(), publisherFunc(func(ctx context.Context, messages []store.Message) []store.Delivery {
		deliveries := bus.PublishBatch(ctx, messages)
		f.exec(t, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()`)
		return deliveries
	}))
	require.Error(t, err)
	require.NotErrorIs(t, err, context.Canceled)

	// Its row is locked until the ended backend has cleared away.
	require.Eventually(t, func() bool { return f.relay(t, &bus) == 1 }, 15*time.Second, 10*time.Millisecond)

	require.Len(t, bus.taken, 2)
	require.Equal(t, bus.taken[0], bus.taken[1])
	require.Zero(t, f.depth(t))
}

func TestRefusedMessagesAreKnownByTheirAgeAndBusyOnesAreNot(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	stalled := func() time.Duration {
		age, err := f.OutboxStalled(t.Context())
		require.NoError(t, err)
		return age
	}
	require.Zero(t, stalled())
	f.owe(t, "busy", "refused")
	answers := map[string]store.Delivery{"busy": store.Busy, "refused": store.Failed}
	publisher := publisherFunc(func(_ context.Context, messages []store.Message) []store.Delivery {
		deliveries := make([]store.Delivery, len(messages))
		for i, message := range messages {
			deliveries[i] = answers[message.ID]
		}
		return deliveries
	})
	require.Equal(t, 2, f.relay(t, publisher))
	f.advance(t, time.Minute)
	require.Equal(t, 2, f.relay(t, publisher))
	require.Equal(t, time.Minute, stalled(), "from the first refusal on")

	claim := func() []string {
		claimed, err := f.ClaimRefused(t.Context(), "subject.", time.Minute, 10)
		require.NoError(t, err)
		var ids []string
		for _, message := range claimed {
			ids = append(ids, message.ID)
		}
		return ids
	}
	require.Equal(t, []string{"refused"}, claim())
	require.Empty(t, claim(), "another has it")
	f.advance(t, time.Minute)
	require.Equal(t, []string{"refused"}, claim())

	answers["refused"] = store.Delivered
	require.Equal(t, 2, f.relay(t, publisher))
	require.Zero(t, stalled(), "what is busy waits for its turn")
	f.owe(t, "forgotten")
	f.advance(t, time.Hour)
	require.Equal(t, time.Hour, stalled(), "no relay asked")
}
