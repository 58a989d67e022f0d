package dev

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nats.go/micro"

	"rollcall.dev/pkg/budget"
	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/pkg/report"
	"rollcall.dev/pkg/service"
	rollcallv1 "rollcall.dev/proto/rollcall/v1"
)

const lookEvery = 250 * time.Millisecond

// errBackfill means that the backfill did not complete.
var errBackfill = errors.New("the backfill did not complete")

// demo onboards a customer as an operator would, waits for its backfill, and compares.
type demo struct {
	screen  *screen
	conn    *nats.Conn
	sandbox *sandbox
	folder  string
	bar     bool
	limits  budget.Limits // that the backfill has
}

// run returns nil if all users are mirrored without a difference.
func (d *demo) run(ctx context.Context) error {
	status, err := statusOf(ctx, d.conn, demoOrg)
	state := ""
	switch {
	case err == nil && status.Backfill != nil:
		state = status.Backfill.State
	case err != nil && !errors.Is(err, errNotFound):
		return err
	}
	if state == "completed" {
		d.screen.sayf("%s is mirrored already, by an earlier run in this folder: only the comparison is made", demoOrg)
	} else {
		if err := d.begin(ctx, state); err != nil {
			return err
		}
		if err := d.awaitBackfill(ctx); err != nil {
			return err
		}
	}
	if err := d.judge(ctx); err != nil {
		return err
	}
	return d.showPoll(ctx)
}

// begin onboards the customer, unless an earlier run in this folder left an unfinished backfill.
func (d *demo) begin(ctx context.Context, state string) error {
	switch state {
	case "":
	case "failed", "cancelled":
		d.screen.sayf("an earlier backfill of %s %s: it is onboarded again", demoOrg, state)
	default:
		d.screen.sayf("%s is onboarded already: its backfill goes on where it stopped", demoOrg)
		return nil
	}
	return d.onboard(ctx)
}

// awaitBackfill shows the progress until the backfill ends. A service that is restarted does not answer for a while, so
// errors are ignored.
func (d *demo) awaitBackfill(ctx context.Context) error {
	shown := newProgress(d.screen, d.bar)
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	var last operatorapi.Backfill
	for {
		run, err := latestBackfill(ctx, d.conn, demoOrg)
		if err == nil {
			last = run
			switch run.State {
			case "completed":
				shown.finish(run)
				return nil
			case "failed", "cancelled":
				shown.abandon()
				return fmt.Errorf("%w: it %s after %s users; see the logs in %s",
					errBackfill, run.State, humanize.Comma(run.Processed), d.folder)
			}
			shown.update(run)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			shown.abandon()
			return fmt.Errorf("%w: it is %s after %s users", errBackfill, last.State, humanize.Comma(last.Processed))
		}
	}
}

// judge compares source and destination, and prints how much of the allowed rate was used.
func (d *demo) judge(ctx context.Context) error {
	found, err := d.sandbox.compare(ctx, demoOrg, demoOrg)
	if err != nil {
		return err
	}
	seen, err := d.sandbox.traffic(ctx, demoOrg)
	if err != nil {
		return err
	}
	d.screen.sayf("")
	d.screen.sayf("%s", d.screen.emphasise(found.line()))
	if line := seen.rateLine(d.limits.AllowedPerMinute()); line != "" {
		d.screen.sayf("%s", line)
	}
	for _, line := range found.details() {
		d.screen.sayf("  %s", line)
	}
	if found.differences() > 0 {
		return errDifferences
	}
	return nil
}

const (
	editedUsers = 5
	pollWithin  = time.Minute
)

// errNotPolled means that changes in VOMO did not reach the destination.
var errNotPolled = errors.New("what was changed in VOMO did not arrive in time")

// showPoll changes some users in the sandbox's VOMO, requests a poll, and waits until both sides are equal again.
func (d *demo) showPoll(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, pollWithin, errNotPolled)
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
			d.screen.sayf("%d users edited in VOMO, and polled: %s s later %s", edited, decimal(time.Since(began).Seconds()), found.line())
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("%w: see the poller's log in %s", context.Cause(ctx), d.folder)
		}
	}
}

// poll requests a poll, as `rollcall poll now` does. If the stream refuses it, it has a request already, which reads the
// changes.
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

const askTimeout = 5 * time.Second

// errNotFound means that no customer has this id.
var errNotFound = errors.New("not found")

// latestBackfill returns a customer's newest run. Errors: errNotFound.
func latestBackfill(ctx context.Context, conn *nats.Conn, customer string) (operatorapi.Backfill, error) {
	var reply operatorapi.BackfillsReply
	err := ask(ctx, conn, service.APISubject("backfills", "ls"), operatorapi.BackfillsQuestion{CustomerID: customer}, &reply)
	if err != nil {
		return operatorapi.Backfill{}, err
	}
	if len(reply.Backfills) == 0 {
		return operatorapi.Backfill{}, fmt.Errorf("backfill of %s: %w", customer, errNotFound)
	}
	return reply.Backfills[0], nil
}

// statusOf returns a customer's status. Errors: errNotFound.
func statusOf(ctx context.Context, conn *nats.Conn, customer string) (report.Status, error) {
	var status report.Status
	err := ask(ctx, conn, service.APISubject("status", "get"), report.StatusQuestion{CustomerID: customer}, &status)
	return status, err
}

func ask(ctx context.Context, conn *nats.Conn, subject string, question, into any) error {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	payload, err := json.Marshal(question)
	if err != nil {
		return fmt.Errorf("ask %s: %w", subject, err)
	}
	answer, err := conn.RequestWithContext(ctx, subject, payload)
	if err != nil {
		return fmt.Errorf("ask %s: %w", subject, err)
	}
	switch code := answer.Header.Get(micro.ErrorCodeHeader); code {
	case "":
	case service.CodeNotFound:
		return fmt.Errorf("ask %s: %w", subject, errNotFound)
	default:
		return fmt.Errorf("ask %s: %s", subject, answer.Header.Get(micro.ErrorHeader))
	}
	if err := json.Unmarshal(answer.Data, into); err != nil {
		return fmt.Errorf("ask %s: read the answer: %w", subject, err)
	}
	return nil
}
