package worker_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"rollcall.dev/pkg/fault"
	"rollcall.dev/pkg/worker"
)

func TestWorkThatIsDoneIsAckedAndTheAckConfirmed(t *testing.T) {
	t.Parallel()
	b := newBench(t, longWait)
	b.start(t, &worker.Worker{Handler: func(context.Context, *worker.Delivery) error { return nil }})
	b.publish(t, "one")
	b.requireDone(t, 1)
	b.requireEmpty(t)
}

func TestAHandlerSeesWhatWasPublished(t *testing.T) {
	t.Parallel()
	b := newBench(t, longWait)
	seen := make(chan *worker.Delivery, 1)
	b.start(t, &worker.Worker{Handler: func(_ context.Context, delivery *worker.Delivery) error {
		seen <- delivery
		return nil
	}})
	before := time.Now().Add(-time.Second)
	b.publish(t, "body")
	delivery := await(t, seen)
	require.Equal(t, "work.acme", delivery.Subject)
	require.Equal(t, "body", string(delivery.Data))
	require.Equal(t, streamName, delivery.Stream)
	require.Equal(t, uint64(1), delivery.Sequence)
	require.Equal(t, 1, delivery.Deliveries)
	require.WithinRange(t, delivery.Published, before, time.Now().Add(time.Second))
}

func TestAFailureBringsTheMessageAgainWithADelayThatGrows(t *testing.T) {
	t.Parallel()
	b := newBench(t, longWait)
	b.start(t, &worker.Worker{Handler: func(_ context.Context, delivery *worker.Delivery) error {
		if delivery.Deliveries < 3 {
			return errors.New("not now")
		}
		return nil
	}})
	b.publish(t, "one")
	first := requireNak(t, b.acks.Wait(t, soon))
	require.GreaterOrEqual(t, first, 500*time.Millisecond)
	require.LessOrEqual(t, first, time.Second)
	second := requireNak(t, b.acks.Wait(t, soon))
	require.GreaterOrEqual(t, second, time.Second)
	require.LessOrEqual(t, second, 2*time.Second)
	b.requireDone(t, 1)
}

func TestTheDelayIsTheOneThatWasAskedFor(t *testing.T) {
	t.Parallel()
	for name, asks := range map[string]struct {
		outcome error
		delay   time.Duration
	}{
		"retry":                    {worker.Retry(300*time.Millisecond, errors.New("lane taken")), 300 * time.Millisecond},
		"retry, wrapped":           {fmt.Errorf("claim: %w", worker.Retry(7*time.Second, errors.New("lane taken"))), 7 * time.Second},
		"retry, longer than good":  {worker.Retry(time.Hour, errors.New("later")), 2 * time.Minute},
		"throttled":                {fault.Throttled("too_many", 40*time.Second, errors.New("429")), 40 * time.Second},
		"throttled for half a day": {fault.Throttled("too_many", 12*time.Hour, errors.New("429")), 2 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, longWait)
			b.start(t, &worker.Worker{Handler: func(context.Context, *worker.Delivery) error { return asks.outcome }})
			b.publish(t, "one")
			require.Equal(t, asks.delay, requireNak(t, b.acks.Wait(t, soon)))
		})
	}
}

func TestARetryWithoutATimeIsStillNoBareNak(t *testing.T) {
	t.Parallel()
	b := newBench(t, longWait)
	b.start(t, &worker.Worker{Handler: func(_ context.Context, delivery *worker.Delivery) error {
		if delivery.Deliveries == 1 {
			return worker.Retry(0, errors.New("at once"))
		}
		return nil
	}})
	b.publish(t, "one")
	require.Equal(t, 100*time.Millisecond, requireNak(t, b.acks.Wait(t, soon)))
	b.requireDone(t, 1)
}

func TestAMessageThatTheHandlerSettledIsLeftAlone(t *testing.T) {
	t.Parallel()
	b := newBench(t, longWait)
	b.start(t, &worker.Worker{Handler: func(ctx context.Context, delivery *worker.Delivery) error {
		if delivery.Sequence > 1 {
			return nil
		}
		if err := b.stream.SecureDeleteMsg(ctx, delivery.Sequence); err != nil {
			return err
		}
		return fmt.Errorf("erased: %w", worker.ErrSettled)
	}})
	b.publish(t, "one", "two")
	b.requireDone(t, 2) // and before it, nothing for the first
	b.requireEmpty(t)
	// The server answers a deletion before the consumer has heard of it.
	require.Eventually(t, func() bool { return b.consumerInfo(t).NumAckPending == 0 }, soon, 10*time.Millisecond)
}

func TestAPanicIsLoggedAndTheMessageComesAgain(t *testing.T) {
	t.Parallel()
	b := newBench(t, longWait)
	core, logs := observer.New(zap.InfoLevel)
	registry := prometheus.NewRegistry()
	b.start(t, &worker.Worker{
		Logger: zap.New(core), Metrics: worker.NewMetrics(registry),
		Handler: func(_ context.Context, delivery *worker.Delivery) error {
			if delivery.Deliveries == 1 {
				panic("a defect")
			}
			return nil
		},
	})
	b.publish(t, "one")
	requireNak(t, b.acks.Wait(t, soon))
	entries := logs.FilterMessage("handler panicked").All()
	require.Len(t, entries, 1)
	require.Contains(t, entries[0].ContextMap()["stack"].(string), "settle_test.go")
	b.requireDone(t, 1)
	require.Eventually(t, func() bool {
		return len(outcomes(t, registry)) == 2
	}, soon, 10*time.Millisecond)
	require.Equal(t, map[string]float64{"failed": 1, "done": 1}, outcomes(t, registry))
}

// outcomes is how many messages were settled each way.
func outcomes(t *testing.T, registry *prometheus.Registry) map[string]float64 {
	t.Helper()
	families, err := registry.Gather()
	require.NoError(t, err)
	counted := map[string]float64{}
	for _, family := range families {
		if family.GetName() != "rollcall_messages_total" {
			continue
		}
		for _, metric := range family.GetMetric() {
			for _, label := range metric.GetLabel() {
				if label.GetName() == "outcome" {
					counted[label.GetValue()] = metric.GetCounter().GetValue()
				}
			}
		}
	}
	return counted
}
