package dev

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"rollcall.dev/pkg/bus"
	rollcallv1 "rollcall.dev/proto/rollcall/v1"
)

const (
	editedUsers  = 5
	followWithin = time.Minute
)

// errNotFollowed says that what changed in VOMO did not arrive.
var errNotFollowed = errors.New("what was changed in VOMO did not arrive in time")

// follow changes some users in the sandbox's VOMO, asks for a poll, and waits until both sides are the same again.
func (d *demo) follow(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, followWithin, errNotFollowed)
	defer cancel()
	edited, err := d.sandbox.edit(ctx, demoOrg, editedUsers)
	if err != nil {
		return err
	}
	began := time.Now()
	if err := d.poll(ctx); err != nil {
		return err
	}
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		found, err := d.sandbox.compare(ctx, demoOrg, demoOrg)
		if err == nil && found.differences() == 0 {
			d.screen.tellf("%d users edited in VOMO, and polled: %s s later %s", edited, decimal(time.Since(began).Seconds()), found.line())
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("%w: see the poller's log in %s", context.Cause(ctx), d.folder)
		}
	}
}

// poll asks for one by hand, as `rollcall poll now` does. Where a request stands in the stream already, that one reads
// what changed.
func (d *demo) poll(ctx context.Context) error {
	payload, err := rollcallv1.Encode(&rollcallv1.PollRequest{CustomerId: demoOrg})
	if err != nil {
		return err //nolint:wrapcheck // it names the operation itself
	}
	streams, err := jetstream.New(d.conn)
	if err != nil {
		return fmt.Errorf("open JetStream: %w", err)
	}
	_, err = streams.Publish(ctx, bus.SubjectPoll(demoOrg), payload)
	var refused *jetstream.APIError
	if err != nil && !errors.As(err, &refused) {
		return fmt.Errorf("ask for a poll: %w", err)
	}
	return nil
}
