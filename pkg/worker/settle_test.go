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

func TestSuccessfulWorkIsAckedWithConfirmation(t *testing.T) {
	t.Parallel()
	f := newFixture(t, longWait)
	f.start(t, &worker.Worker{Handler: func(context.Context, *worker.Delivery) error { return nil }})
	f.publish(t, "one")
	f.requireDone(t, 1)
	f.requireEmpty(t)
}

func TestHandlerGetsSubjectDataAndHeaders(t *testing.T) {
	t.Parallel()
	f := newFixture(t, longWait)
	seen := make(chan *worker.Delivery, 1)
	f.start(t, &worker.Worker{Handler: func(_ context.Context, delivery *worker.Delivery) error {
		seen <- delivery
		return nil
	}})
	before := time.Now().Add(-time.Second)
	f.publish(t, "body")
	delivery := await(t, seen)
	require.Equal(t, "work.acme", delivery.Subject)
	require.Equal(t, "body", string(delivery.Data))
	require.Equal(t, streamName, delivery.Stream)
	require.Equal(t, uint64(1), delivery.Sequence)
	require.Equal(t, 1, delivery.Deliveries)
	require.WithinRange(t, delivery.Published, before, time.Now().Add(time.Second))
}

func TestFailedMessageIsRedeliveredWithGrowingDelay(t *testing.T) {
	t.Parallel()
	f := newFixture(t, longWait)
	f.start(t, &worker.Worker{Handler: func(_ context.Context, delivery *worker.Delivery) error {
		if delivery.Deliveries < 3 {
			return errors.New("not now")
		}
		return nil
	}})
	f.publish(t, "one")
	first := requireNak(t, f.acks.Wait(t, timeout))
	require.GreaterOrEqual(t, first, 500*time.Millisecond)
	require.LessOrEqual(t, first, time.Second)
	second := requireNak(t, f.acks.Wait(t, timeout))
	require.GreaterOrEqual(t, second, time.Second)
	require.LessOrEqual(t, second, 2*time.Second)
	f.requireDone(t, 1)
}

func TestRequestedDelayIsUsedWithinLimits(t *testing.T) {
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
			f := newFixture(t, longWait)
			f.start(t, &worker.Worker{Handler: func(context.Context, *worker.Delivery) error { return asks.outcome }})
			f.publish(t, "one")
			require.Equal(t, asks.delay, requireNak(t, f.acks.Wait(t, timeout)))
		})
	}
}

func TestRetryWithoutDelayIsNoBareNak(t *testing.T) {
	t.Parallel()
	f := newFixture(t, longWait)
	f.start(t, &worker.Worker{Handler: func(_ context.Context, delivery *worker.Delivery) error {
		if delivery.Deliveries == 1 {
			return worker.Retry(0, errors.New("at once"))
		}
		return nil
	}})
	f.publish(t, "one")
	require.Equal(t, 100*time.Millisecond, requireNak(t, f.acks.Wait(t, timeout)))
	f.requireDone(t, 1)
}

func TestMessageSettledByHandlerIsNotSettledAgain(t *testing.T) {
	t.Parallel()
	f := newFixture(t, longWait)
	f.start(t, &worker.Worker{Handler: func(ctx context.Context, delivery *worker.Delivery) error {
		if delivery.Sequence > 1 {
			return nil
		}
		if err := f.stream.SecureDeleteMsg(ctx, delivery.Sequence); err != nil {
			return err
		}
		return fmt.Errorf("erased: %w", worker.ErrSettled)
	}})
	f.publish(t, "one", "two")
	f.requireDone(t, 2) // nothing was sent for the first message
	f.requireEmpty(t)
	// The server confirms a deletion before the consumer has processed it.
	require.Eventually(t, func() bool { return f.consumerInfo(t).NumAckPending == 0 }, timeout, 10*time.Millisecond)
}

func TestPanicIsLoggedAndMessageIsRedelivered(t *testing.T) {
	t.Parallel()
	f := newFixture(t, longWait)
	core, logs := observer.New(zap.InfoLevel)
	registry := prometheus.NewRegistry()
	f.start(t, &worker.Worker{
		Logger: zap.New(core), Metrics: worker.NewMetrics(registry),
		Handler: func(_ context.Context, delivery *worker.Delivery) error {
			if delivery.Deliveries == 1 {
				panic("a defect")
			}
			return nil
		},
	})
	f.publish(t, "one")
	requireNak(t, f.acks.Wait(t, timeout))
	entries := logs.FilterMessage("handler panicked").All()
	require.Len(t, entries, 1)
	require.Contains(t, entries[0].ContextMap()["stack"].(string), "settle_test.go")
	f.requireDone(t, 1)
	require.Eventually(t, func() bool {
		return len(outcomes(t, registry)) == 2
	}, timeout, 10*time.Millisecond)
	require.Equal(t, map[string]float64{"failed": 1, "done": 1}, outcomes(t, registry))
}

// outcomes returns the number of settled messages by outcome.
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
