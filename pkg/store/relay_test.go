package store_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/testkit"
)

// startRelay runs a relay that looks by itself only as often as tick says, and stops it with the test.
func startRelay(t *testing.T, s *store.Store, publisher store.Publisher, logger *zap.Logger, tick time.Duration) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		(&store.Relay{Store: s, Publisher: publisher, Logger: logger, Tick: tick}).Run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
	})
}

// signalling sends the id of each message that it takes.
func signalling(published *testkit.Signal[string]) publisherFunc {
	return func(_ context.Context, messages []store.Message) []store.Delivery {
		for _, message := range messages {
			published.Send(message.ID)
		}
		return make([]store.Delivery, len(messages))
	}
}

func TestARelayIsWokenByACommitOfItsProcess(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	published := testkit.NewSignal[string]()
	startRelay(t, f.Store, signalling(published), zap.NewNop(), time.Hour)

	f.owe(t, "one")
	published.Require(t, within, "one")
	f.owe(t, "two")
	published.Require(t, within, "two")
}

func TestARelayFindsWhatAnotherProcessLeft(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	published := testkit.NewSignal[string]()
	startRelay(t, openStore(t, f.url, store.Options{MaxConns: 2}), signalling(published), zap.NewNop(), 5*time.Millisecond)

	f.owe(t, "one")

	published.Require(t, within, "one")
}

func TestARelayGoesOnWithoutATickWhileThereIsMoreThanABatch(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	ids := make([]string, 2*store.RelayBatch+1)
	for i := range ids {
		ids[i] = "m"
	}
	f.owe(t, ids...)
	published := testkit.NewSignal[string]()
	startRelay(t, openStore(t, f.url, store.Options{MaxConns: 2}), signalling(published), zap.NewNop(), time.Hour)

	for range ids {
		published.Require(t, within, "m")
	}
}

func TestARelaySaysOncePerOutageThatItCannotPublish(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	core, logs := observer.New(zap.WarnLevel)
	f.exec(t, `ALTER TABLE outbox RENAME TO outbox_away`)
	published := testkit.NewSignal[string]()
	startRelay(t, f.Store, signalling(published), zap.New(core), 5*time.Millisecond)
	failures := func(atLeast int) {
		require.Eventually(t, func() bool {
			return value[int](t, f, `SELECT xact_rollback FROM pg_stat_database WHERE datname = current_database()`) >= atLeast
		}, within, 5*time.Millisecond)
	}
	failures(3)
	require.Equal(t, 1, logs.Len())

	f.exec(t, `ALTER TABLE outbox_away RENAME TO outbox`)
	f.owe(t, "m")

	published.Require(t, within, "m")
	require.Equal(t, 1, logs.Len())
}

func TestFlushPublishesWhatIsDue(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.owe(t, "m")
	var bus stream

	(&store.Relay{Store: f.Store, Publisher: &bus, Logger: zap.NewNop()}).Flush(t.Context())

	require.Len(t, bus.taken, 1)
	require.Zero(t, f.depth(t))
}

func TestARelayThatFindsNothingLooksLessAndLessOften(t *testing.T) {
	t.Parallel()
	const tick = 250 * time.Millisecond
	pause, looks := tick, 0
	for waited := time.Duration(0); waited < time.Minute; waited += pause {
		looks++
		pause = store.PauseAfter(looks, tick)
	}
	require.LessOrEqual(t, looks, 20, "in a minute; it was 240")
	require.Equal(t, 4*time.Second, pause)
	require.Equal(t, tick, store.PauseAfter(0, tick))
	require.Equal(t, time.Hour, store.PauseAfter(1, time.Hour))
}
