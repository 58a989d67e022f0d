package dev

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"

	"rollcall.dev/pkg/budget"
	"rollcall.dev/pkg/report"
)

const lookEvery = 250 * time.Millisecond

// errBackfill says that a backfill ended without a complete mirror.
var errBackfill = errors.New("the backfill did not complete")

// demo onboards a customer as an operator would, waits, and judges.
type demo struct {
	screen  *screen
	conn    *nats.Conn
	sandbox *sandbox
	folder  string
	bar     bool
	limits  budget.Limits // in force
}

// run ends without an error when everybody is mirrored without a difference.
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
		d.screen.tellf("%s is mirrored already, by an earlier run in this folder: only the comparison is made", demoOrg)
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
	return d.follow(ctx)
}

// begin onboards the customer, where an earlier run in this folder has not left a backfill that goes on.
func (d *demo) begin(ctx context.Context, state string) error {
	switch state {
	case "":
	case "failed", "cancelled":
		d.screen.tellf("an earlier backfill of %s %s: it is onboarded again", demoOrg, state)
	default:
		d.screen.tellf("%s is onboarded already: its backfill goes on where it stopped", demoOrg)
		return nil
	}
	return d.onboard(ctx)
}

// awaitBackfill shows the progress until the end. A service that starts again leaves questions unanswered for a
// while: that is no end.
func (d *demo) awaitBackfill(ctx context.Context) error {
	shown := newProgress(d.screen, d.bar)
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	var last report.Backfill
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
					errBackfill, run.State, thousands(run.Processed), d.folder)
			}
			shown.update(run)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			shown.abandon()
			return fmt.Errorf("%w: it is %s after %s users", errBackfill, last.State, thousands(last.Processed))
		}
	}
}

// judge compares, and says how much of the allowed rate was used.
func (d *demo) judge(ctx context.Context) error {
	found, err := d.sandbox.compare(ctx, demoOrg, demoOrg)
	if err != nil {
		return err
	}
	seen, err := d.sandbox.traffic(ctx, demoOrg)
	if err != nil {
		return err
	}
	d.screen.tellf("")
	d.screen.tellf("%s", d.screen.emphasise(found.line()))
	if line := seen.rateLine(d.limits.AllowedPerMinute()); line != "" {
		d.screen.tellf("%s", line)
	}
	for _, line := range found.details() {
		d.screen.tellf("  %s", line)
	}
	if found.differences() > 0 {
		return errDifferences
	}
	return nil
}
