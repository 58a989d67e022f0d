package bus

import (
	"context"
	"errors"

	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"
)

// ErrSubjectBusy says that the stream takes one message a subject and holds one already: one is enough, or the
// next one has to wait until it is worked.
var ErrSubjectBusy = errors.New("the subject holds a message already")

// codeStoreFailed is JetStream's word for every message that a stream did not store: a busy subject, a full
// stream, a full disk.
const codeStoreFailed jetstream.ErrorCode = 10077

// Outgoing is one message to publish. ID becomes Nats-Msg-Id.
type Outgoing struct {
	Subject string
	ID      string
	Headers map[string]string
	Payload []byte
	// Original are headers of a message that is published once more: they may have several values. Headers and ID win.
	Original map[string][]string
}

// Publisher publishes to the streams and waits for their word.
type Publisher struct {
	JetStream jetstream.JetStream
	Logger    *zap.Logger
}

// Publish hands over a batch with all acknowledgements in flight at once, and returns an error for each
// message that no stream has taken: ErrSubjectBusy, or what went wrong. A duplicate counts as taken: the
// message with this id is in the stream already.
func (p *Publisher) Publish(ctx context.Context, batch []Outgoing) []error {
	limited := map[string]jetstream.Stream{}
	return p.publish(ctx, batch, func(subject string, err error) error { return p.refusal(ctx, limited, subject, err) })
}

// Renew publishes requests that may stand in their streams already. A stream that does not store one has it, or is
// full: the request is published again later in either case, so nothing is looked up. It returns how many were new.
func (p *Publisher) Renew(ctx context.Context, batch []Outgoing) (fresh int, err error) {
	for _, refused := range p.publish(ctx, batch, func(_ string, err error) error {
		if api, ok := errors.AsType[*jetstream.APIError](err); ok && api.ErrorCode == codeStoreFailed {
			return ErrSubjectBusy
		}
		return err
	}) {
		switch {
		case refused == nil:
			fresh++
		case !errors.Is(refused, ErrSubjectBusy):
			err = refused
		}
	}
	return fresh, err
}

func (p *Publisher) publish(ctx context.Context, batch []Outgoing, refusal func(subject string, err error) error) []error {
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
			errs[i] = refusal(batch[i].Subject, err)
		case <-ctx.Done():
			errs[i] = context.Cause(ctx)
		}
	}
	return errs
}

// refusal tells a busy subject from a stream that is full, by looking: dropping a poll because one stands there
// already is right only when one does. limited keeps the streams that this batch has met.
func (p *Publisher) refusal(ctx context.Context, limited map[string]jetstream.Stream, subject string, err error) error {
	var api *jetstream.APIError
	name := streamOfOne(subject)
	if !errors.As(err, &api) || api.ErrorCode != codeStoreFailed || name == "" {
		return err
	}
	if limited[name] == nil {
		stream, lookup := p.JetStream.Stream(ctx, name)
		if lookup != nil {
			return errors.Join(err, lookup)
		}
		limited[name] = stream
	}
	if _, lookup := limited[name].GetLastMsgForSubject(ctx, subject); lookup != nil {
		return errors.Join(err, lookup) // none there, or free again by now: it is tried again as any failure is
	}
	return errors.Join(ErrSubjectBusy, err)
}
