package dev

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/event"
	rollcallv1 "rollcall.dev/proto/rollcall/v1"
)

const statusEvery = 2 * time.Second

// errRejected means that the onboarding message was rejected.
var errRejected = errors.New("the onboarding was rejected")

// onboard publishes the plain onboarding message (docs/guides.md#onboarding) and waits until it is accepted or rejected.
// It subscribes before it publishes, on the same connection, so that no event is missed. It also looks for the backfill,
// because a request that was applied before publishes no event.
func (d *demo) onboard(ctx context.Context) error {
	events := make(chan *nats.Msg, 16)
	listening, err := d.conn.ChanSubscribe(bus.SubjectEvent("onboarding.*", demoOrg), events)
	if err != nil {
		return fmt.Errorf("listen for events: %w", err)
	}
	defer func() { _ = listening.Unsubscribe() }() // the connection ends soon after
	if err := d.publish(ctx); err != nil {
		return err
	}
	tick := time.NewTicker(statusEvery)
	defer tick.Stop()
	for {
		select {
		case message := <-events:
			if done, err := d.outcome(message); done {
				return err
			}
		case <-tick.C:
			if _, err := latestBackfill(ctx, d.conn, demoOrg); err == nil {
				return nil
			}
		case <-ctx.Done():
			return fmt.Errorf("no answer to the onboarding message: %w", context.Cause(ctx))
		}
	}
}

func (d *demo) publish(ctx context.Context) error {
	payload, err := rollcallv1.Encode(&rollcallv1.OnboardingRequest{
		CustomerId: demoOrg, VomoToken: sandboxToken(demoOrg), ExternalSystemUrl: d.sandbox.address + "/crm/" + demoOrg,
	})
	if err != nil {
		return err //nolint:wrapcheck // it names the operation itself
	}
	streams, err := jetstream.New(d.conn)
	if err != nil {
		return fmt.Errorf("open JetStream: %w", err)
	}
	if _, err := streams.Publish(ctx, bus.SubjectOnboard(demoOrg), payload); err != nil {
		return fmt.Errorf("publish the onboarding message: %w", err)
	}
	d.screen.sayf("published the onboarding message of %s on %s", demoOrg, bus.SubjectOnboard(demoOrg))
	return nil
}

// outcome prints what an event means. done is true after the last event.
func (d *demo) outcome(message *nats.Msg) (done bool, err error) {
	switch message.Subject {
	case bus.SubjectEvent(event.OnboardingCompleted, demoOrg):
		var completed rollcallv1.OnboardingCompleted
		if errs := rollcallv1.Decode(message.Data, &completed); len(errs) == 0 {
			d.screen.sayf("onboarded: %s users; at the limits in force their backfill takes about %s",
				humanize.Comma(int64(completed.GetUsersTotal())), inWords(int64(completed.GetEstimatedBackfillSeconds())))
		}
		return true, nil
	case bus.SubjectEvent(event.OnboardingRejected, demoOrg):
		var rejected rollcallv1.OnboardingRejected
		if errs := rollcallv1.Decode(message.Data, &rejected); len(errs) > 0 {
			return true, errRejected
		}
		return true, fmt.Errorf("%w: %s", errRejected, errorsOf(&rejected))
	case bus.SubjectEvent(event.OnboardingDelayed, demoOrg):
		var delayed rollcallv1.OnboardingDelayed
		if errs := rollcallv1.Decode(message.Data, &delayed); len(errs) == 0 {
			d.screen.sayf("the onboarding waits and is tried again: %s", delayed.GetReason())
		}
	}
	return false, nil
}

func errorsOf(rejected *rollcallv1.OnboardingRejected) string {
	var parts []string
	for _, field := range slices.Sorted(maps.Keys(rejected.GetErrors())) {
		for _, text := range rejected.GetErrors()[field].GetValues() {
			parts = append(parts, field+": "+text.GetStringValue())
		}
	}
	return strings.Join(parts, "; ")
}

// sandboxToken returns the token of an organisation in the sandbox.
func sandboxToken(org string) string { return "sandbox-" + org + "-token" }

// inWords writes a time as 41 s or 1 h 5 min.
func inWords(seconds int64) string {
	minutes := (seconds + 59) / 60
	switch {
	case seconds < 120:
		return fmt.Sprintf("%d s", seconds)
	case minutes < 120:
		return fmt.Sprintf("%d min", minutes)
	default:
		return fmt.Sprintf("%d h %d min", minutes/60, minutes%60)
	}
}
