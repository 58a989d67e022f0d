package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"google.golang.org/protobuf/proto"

	"rollcall.dev/pkg/bus"
	rollcallv1 "rollcall.dev/proto/rollcall/v1"
)

// published is the stream's acknowledgement of a request.
type published struct {
	CustomerID string `json:"customerId"`
	Stream     string `json:"stream"`
	Sequence   uint64 `json:"sequence"`
}

// publish sends a request to the onboarding stream and waits until it is stored. A plain publish would hide an error.
func publish(ctx context.Context, on *link, customer, subject string, request proto.Message) (published, error) {
	payload, err := rollcallv1.Encode(request)
	if err != nil {
		return published{}, err
	}
	js, err := jetstream.New(on.conn)
	if err != nil {
		return published{}, fmt.Errorf("open JetStream: %w", err)
	}
	message := nats.NewMsg(subject)
	message.Data = payload
	message.Header.Set(bus.HeaderContentType, "application/json")
	bounded, cancel := context.WithTimeout(ctx, on.timeout)
	defer cancel()
	ack, err := js.PublishMsg(bounded, message, jetstream.WithExpectStream(bus.StreamOnboarding))
	if err != nil {
		return published{}, on.publishError(ctx, subject, err)
	}
	return published{CustomerID: customer, Stream: ack.Stream, Sequence: ack.Sequence}, nil
}

// publishError says what to do about a request that the stream did not acknowledge.
func (l *link) publishError(ctx context.Context, subject string, err error) error {
	switch {
	case errors.Is(err, jetstream.ErrNoStreamResponse):
		return fmt.Errorf("no stream takes %s: run `rollcall migrate`", subject)
	case ctx.Err() == nil && errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("the stream did not say within %s whether it has taken %s; publishing again does no harm", l.timeout, subject)
	}
	return fmt.Errorf("publish %s: %w", subject, err)
}
