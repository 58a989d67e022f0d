package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"
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
	message := on.message(subject)
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

// request publishes a plain request, as other clients may too. The stream keeps one for each customer.
func request(ctx context.Context, on *link, customer, subject string, message proto.Message) (requested, error) {
	payload, err := rollcallv1.Encode(message)
	if err != nil {
		return requested{}, err
	}
	js, err := jetstream.New(on.conn)
	if err != nil {
		return requested{}, fmt.Errorf("open JetStream: %w", err)
	}
	bounded, cancel := context.WithTimeout(ctx, on.timeout)
	defer cancel()
	publisher := &bus.Publisher{JetStream: js, Logger: zap.NewNop()}
	outgoing := bus.Outgoing{
		Subject: subject, Headers: map[string]string{bus.HeaderContentType: "application/json"}, Original: on.message(subject).Header, Payload: payload,
	}
	err = publisher.Publish(bounded, []bus.Outgoing{outgoing})[0]
	document := requested{CustomerID: customer, Subject: subject}
	switch {
	case errors.Is(err, bus.ErrSubjectBusy):
		document.AlreadyRequested = true
	case err != nil:
		return document, on.publishError(ctx, subject, err)
	}
	return document, nil
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
