package bus

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// EnsureEndpointRecords creates the consumer of events about records unless it exists, and returns it. A new one gets what is published from
// now on.
func EnsureEndpointRecords(ctx context.Context, js jetstream.JetStream, ackWait time.Duration) (jetstream.Consumer, error) {
	consumer, err := js.Consumer(ctx, StreamEvents, DurableEndpointRecords)
	if errors.Is(err, jetstream.ErrConsumerNotFound) {
		subjects := make([]string, 0, len(RecordEvents()))
		for _, name := range RecordEvents() {
			subjects = append(subjects, SubjectEvent(name, "*"))
		}
		consumer, err = js.CreateConsumer(ctx, StreamEvents, jetstream.ConsumerConfig{
			Durable: DurableEndpointRecords, AckPolicy: jetstream.AckExplicitPolicy, DeliverPolicy: jetstream.DeliverNewPolicy,
			AckWait: ackWait, MaxDeliver: maxDeliver, MaxAckPending: maxAckPending, MaxWaiting: 2048, FilterSubjects: subjects,
		})
	}
	if err != nil {
		return nil, fmt.Errorf("make consumer %s: %w", DurableEndpointRecords, err)
	}
	return consumer, nil
}

// DropEndpointRecords deletes the consumer of events about records, if it exists.
func DropEndpointRecords(ctx context.Context, js jetstream.JetStream) error {
	err := js.DeleteConsumer(ctx, StreamEvents, DurableEndpointRecords)
	if err != nil && !errors.Is(err, jetstream.ErrConsumerNotFound) {
		return fmt.Errorf("delete consumer %s: %w", DurableEndpointRecords, err)
	}
	return nil
}
