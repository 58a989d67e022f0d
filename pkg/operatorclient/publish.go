package operatorclient

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"
	"google.golang.org/protobuf/proto"

	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/pkg/vault"
	rollcallv1 "rollcall.dev/proto/rollcall/v1"
)

// Published is the stream's acknowledgement of a request.
type Published struct {
	CustomerID string `json:"customerId"`
	Stream     string `json:"stream"`
	Sequence   uint64 `json:"sequence"`
}

// UnpublishedError means that the stream did not acknowledge a message.
type UnpublishedError struct {
	Text  string // what to do about it
	cause error
}

// Error says what to do.
func (e *UnpublishedError) Error() string { return e.Text }

// Unwrap returns the error of the publisher.
func (e *UnpublishedError) Unwrap() error { return e.cause }

// PublishRequest sends a request to the onboarding stream and waits until it is stored. A plain publish would hide an error.
func (c *Client) PublishRequest(ctx context.Context, customer, subject string, request proto.Message) (Published, error) {
	payload, err := rollcallv1.Encode(request)
	if err != nil {
		return Published{}, err
	}
	return c.publish(ctx, customer, bus.StreamOnboarding, subject, payload)
}

// PublishSubmission sends a donation or contact to its stream and waits until it is stored.
func (c *Client) PublishSubmission(ctx context.Context, customer, subject string, payload []byte) (Published, error) {
	return c.publish(ctx, customer, bus.StreamDonations, subject, payload)
}

func (c *Client) publish(ctx context.Context, customer, stream, subject string, payload []byte) (Published, error) {
	js, err := jetstream.New(c.Conn)
	if err != nil {
		return Published{}, fmt.Errorf("open JetStream: %w", err)
	}
	message := c.Message(subject)
	message.Data = payload
	message.Header.Set(bus.HeaderContentType, "application/json")
	bounded, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	ack, err := js.PublishMsg(bounded, message, jetstream.WithExpectStream(stream))
	if err != nil {
		return Published{}, c.publishError(ctx, subject, err)
	}
	return Published{CustomerID: customer, Stream: ack.Stream, Sequence: ack.Sequence}, nil
}

const (
	// publishTries is the number of tries if the stream refused a request because of an earlier one, which was gone when the
	// publisher looked for it.
	publishTries = 5
	publishPause = 100 * time.Millisecond
)

// PublishRun requests a run. Its stream keeps one request for each customer, so a request may be there already. wait waits between tries.
func (c *Client) PublishRun(ctx context.Context, subject string, message proto.Message, wait func(context.Context, time.Duration) error,
) (alreadyRequested bool, err error) {
	payload, err := rollcallv1.Encode(message)
	if err != nil {
		return false, err
	}
	js, err := jetstream.New(c.Conn)
	if err != nil {
		return false, fmt.Errorf("open JetStream: %w", err)
	}
	publisher := &bus.Publisher{JetStream: js, Logger: zap.NewNop()}
	for try := 1; ; try++ {
		err := c.publishRun(ctx, publisher, subject, payload)
		switch {
		case errors.Is(err, bus.ErrSubjectBusy):
			return true, nil
		case err == nil:
			return false, nil
		}
		if !errors.Is(err, jetstream.ErrMsgNotFound) || try == publishTries || wait(ctx, publishPause) != nil {
			return false, c.publishError(ctx, subject, err)
		}
	}
}

func (c *Client) publishRun(ctx context.Context, publisher *bus.Publisher, subject string, payload []byte) error {
	bounded, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	return publisher.Publish(bounded, []bus.Outgoing{{
		Subject: subject, Headers: map[string]string{bus.HeaderContentType: "application/json"}, Original: c.Message(subject).Header, Payload: payload,
	}})[0]
}

// publishError says what to do about a request that the stream did not acknowledge.
func (c *Client) publishError(ctx context.Context, subject string, err error) error {
	switch {
	case errors.Is(err, jetstream.ErrNoStreamResponse):
		return &UnpublishedError{Text: fmt.Sprintf("no stream takes %s: run `rollcall migrate`", subject), cause: err}
	case ctx.Err() == nil && errors.Is(err, context.DeadlineExceeded):
		text := fmt.Sprintf("the stream did not say within %s whether it has taken %s; publishing again does no harm", c.Timeout, subject)
		return &UnpublishedError{Text: text, cause: err}
	}
	return fmt.Errorf("publish %s: %w", subject, err)
}

// PublicKey returns the installation's key, to which secrets are sealed.
func (c *Client) PublicKey(ctx context.Context) (operatorapi.KeyReply, error) {
	return Ask[struct{}, operatorapi.KeyReply](ctx, c, "key", "get", struct{}{})
}

// Seal replaces each secret of a request by its sealed form, so that no stream ever holds it in the clear.
func (c *Client) Seal(ctx context.Context, request *rollcallv1.OnboardingRequest) error {
	key, err := c.PublicKey(ctx)
	if err != nil {
		return err
	}
	type secret struct{ plain, sealed *string }
	secrets := []secret{{&request.VomoToken, &request.VomoTokenSealed}}
	if destination := request.GetDestination(); destination != nil {
		secrets = append(secrets, secret{&destination.Token, &destination.TokenSealed})
	}
	if virtuous := request.GetVirtuous(); virtuous != nil {
		secrets = append(secrets, secret{&virtuous.Token, &virtuous.TokenSealed}, secret{&virtuous.RefreshToken, &virtuous.RefreshTokenSealed},
			secret{&virtuous.WebhookSecret, &virtuous.WebhookSecretSealed})
	}
	for _, one := range secrets {
		if *one.plain == "" {
			continue
		}
		if *one.sealed, err = vault.SealToken(key.PublicKey, *one.plain); err != nil {
			return err
		}
		*one.plain = ""
	}
	return nil
}

// LongestSubmission bounds a donation or contact; NATS takes no longer message by default.
const LongestSubmission = 1 << 20

// Errors of a submission. They quote nothing of it, because it names a person.
var (
	ErrNoSubmission    = errors.New("it must have one JSON object of at most 1 MiB")
	ErrAnotherCustomer = errors.New("it names another customer")
)

// Submission returns a donation or contact with its customer filled in.
func Submission(customer string, data []byte) ([]byte, error) {
	var fields map[string]json.RawMessage
	if len(data) > LongestSubmission || json.Unmarshal(data, &fields) != nil || fields == nil {
		return nil, ErrNoSubmission
	}
	named, err := json.Marshal(customer)
	if err != nil {
		return nil, fmt.Errorf("encode the customer: %w", err)
	}
	if given, isNamed := fields["customerId"]; isNamed && string(given) != string(named) {
		return nil, ErrAnotherCustomer
	}
	fields["customerId"] = named
	return json.Marshal(fields)
}
