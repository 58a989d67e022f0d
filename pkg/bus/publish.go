package bus

import (
	"context"
	"errors"

	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"
)

// ErrSubjectBusy means that the stream allows one message per subject and already holds one. Either one is enough, or
// the next message has to wait until that one is processed.
var ErrSubjectBusy = errors.New("the subject holds a message already")

// codeStoreFailed is JetStream's error code for every message that a stream did not store: a busy subject, a full
// stream, a full disk.
const codeStoreFailed jetstream.ErrorCode = 10077

// Outgoing is one message to publish. ID becomes Nats-Msg-Id.
type Outgoing struct {
	Subject string
	ID      string
	Headers map[string]string
	Payload []byte
	// Original are the headers of a message that is published again; they may have several values. Headers and ID
	// override them.
	Original map[string][]string
	// ExpectLast, if set, is the sequence that the subject's last message must have, 0 for none: ErrSubjectChanged.
	ExpectLast *uint64
}

// ErrSubjectChanged means that the subject's last message is another one than Outgoing.ExpectLast says.
var ErrSubjectChanged = errors.New("the subject has another message by now")

// Publisher publishes to the streams and waits for their acknowledgements.
type Publisher struct {
	JetStream jetstream.JetStream
	Logger    *zap.Logger
}

// Publish publishes a batch with all acknowledgements in flight at once. It returns one error per message, nil if a
// stream has it: ErrSubjectBusy, or what went wrong. A duplicate is a success: the stream already has the message
// with this id.
func (p *Publisher) Publish(ctx context.Context, batch []Outgoing) []error {
	streams := map[string]jetstream.Stream{}
	return p.publish(ctx, batch, func(subject string, err error) error { return p.publishError(ctx, streams, subject, err) })
}

// Renew publishes requests that their streams may already hold. If a stream does not store a request, it holds it
// already or is full: in both cases the request is published again later, so Renew does not look which it is. It
// returns how many requests were new.
func (p *Publisher) Renew(ctx context.Context, batch []Outgoing) (fresh int, err error) {
	for _, rejected := range p.publish(ctx, batch, func(_ string, err error) error {
		if api, ok := errors.AsType[*jetstream.APIError](err); ok && api.ErrorCode == codeStoreFailed {
			return ErrSubjectBusy
		}
		return err
	}) {
		switch {
		case rejected == nil:
			fresh++
		case !errors.Is(rejected, ErrSubjectBusy):
			err = rejected
		}
	}
	return fresh, err
}

func (p *Publisher) publish(ctx context.Context, batch []Outgoing, publishError func(subject string, err error) error) []error {
	errs := make([]error, len(batch))
	futures := make([]jetstream.PubAckFuture, len(batch))
	for i, message := range batch {
		futures[i], errs[i] = p.send(message)
	}
	for i, future := range futures {
		if errs[i] != nil {
			continue
		}
		select {
		case ack := <-future.Ok():
			if ack.Duplicate {
				p.Logger.Debug("published before", zap.String("subject", batch[i].Subject))
			}
		case err := <-future.Err():
			errs[i] = publishError(batch[i].Subject, err)
		case <-ctx.Done():
			errs[i] = context.Cause(ctx)
		}
	}
	return errs
}

// publishError turns "not stored" into ErrSubjectBusy if the subject holds a message: a poll may be dropped only if
// another is queued, not because the stream is full. streams caches the streams that this batch looked up.
func (p *Publisher) publishError(ctx context.Context, streams map[string]jetstream.Stream, subject string, err error) error {
	var api *jetstream.APIError
	if errors.As(err, &api) && (api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence ||
		api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequenceConstant) {
		return ErrSubjectChanged
	}
	name := onePerSubjectStream(subject)
	if !errors.As(err, &api) || api.ErrorCode != codeStoreFailed || name == "" {
		return err
	}
	if streams[name] == nil {
		stream, lookup := p.JetStream.Stream(ctx, name)
		if lookup != nil {
			return errors.Join(err, lookup)
		}
		streams[name] = stream
	}
	if _, lookup := streams[name].GetLastMsgForSubject(ctx, subject); lookup != nil {
		return errors.Join(err, lookup) // the subject is free, now at least: retry this like any failure
	}
	return errors.Join(ErrSubjectBusy, err)
}
