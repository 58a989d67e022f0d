package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"rollcall.dev/pkg/event"
	"rollcall.dev/pkg/report"
	"rollcall.dev/pkg/store"
)

const (
	// How often the service is asked: often enough for a moving bar, and rarely enough for a log.
	terminalInterval = 250 * time.Millisecond
	lineInterval     = time.Second
	// How long a service that has answered before may be silent: services are restarted during long backfills.
	silencePatience = time.Minute
	// How long a customer may be unknown: right after the request was published, the service may not have read it yet.
	unknownPatience = 5 * time.Second
)

func (a *app) backfillWatch() *cobra.Command {
	return &cobra.Command{
		Use:   "watch <customer>",
		Short: "Follow a customer's newest backfill until it ends",
		Long: `Follows a customer's newest backfill until it ends: a bar on a terminal, a line for each change elsewhere.
It exits 0 when the backfill is completed, 1 when it failed or was cancelled. Stopping it does not stop the backfill.`,
		Args: cobra.ExactArgs(1),
		RunE: func(command *cobra.Command, args []string) error {
			on, err := a.connect()
			if err != nil {
				return err
			}
			defer on.close()
			run, err := a.watchBackfill(command.Context(), on, args[0])
			if err != nil {
				return err
			}
			if a.json {
				if err := a.document(run); err != nil {
					return err
				}
			}
			return outcomeError(run)
		},
	}
}

// watchBackfill shows the customer's newest run until it ends, and returns its final state.
func (a *app) watchBackfill(ctx context.Context, on *link, customer string) (report.Backfill, error) {
	view, interval := a.view()
	defer view.end()
	silence := silenceLimit{interval: interval, timeout: on.timeout}
	var parked parkReasons
	for {
		run, err := newestRun(ctx, on, customer)
		switch {
		case err == nil:
			silence.answered()
			view.show(run)
			parked.explain(view, run)
			if !store.RunState(run.State).Open() {
				return run, nil
			}
		case ctx.Err() != nil:
			return run, fmt.Errorf("stopped watching; the backfill of %q goes on by itself", customer)
		case !silence.tolerates(err):
			return run, err
		case silence.first():
			view.note(err.Error() + "; waiting for it")
		}
		if a.WaitFunc(ctx, interval) != nil {
			return run, fmt.Errorf("stopped watching; the backfill of %q goes on by itself", customer)
		}
	}
}

func newestRun(ctx context.Context, on *link, customer string) (report.Backfill, error) {
	question := report.BackfillsQuestion{CustomerID: customer}
	page, err := ask[report.BackfillsQuestion, report.BackfillsReply](ctx, on, "backfills", "ls", question)
	if err != nil {
		return report.Backfill{}, customerError(customer, err)
	}
	if len(page.Backfills) == 0 {
		return report.Backfill{}, fmt.Errorf("customer %q has no backfill", customer)
	}
	return page.Backfills[0], nil
}

// outcomeError returns nil if the run completed, and otherwise how it ended.
func outcomeError(run report.Backfill) error {
	if store.RunState(run.State) == store.RunCompleted {
		return nil
	}
	text := fmt.Sprintf("backfill %d of %q %s after %s", run.ID, run.CustomerID, ended(run.State), counted(run.Processed, "user"))
	if store.RunState(run.State) == store.RunFailed {
		why, remedy := event.ExplainFor(run.CustomerID, event.AlertBackfillFailed)
		text += "\n  " + why + "\n  " + remedy
	}
	return errors.New(text)
}

func ended(state string) string {
	if store.RunState(state) == store.RunCancelled {
		return "was cancelled"
	}
	return state
}

// parkReasons prints why a run is parked. It prints each reason once until the run commits a page, because a parked run is
// retried again and again.
type parkReasons struct {
	run, pages int64
	reason     string
}

func (p *parkReasons) explain(to view, run report.Backfill) {
	if run.ID != p.run || run.Pages != p.pages {
		*p = parkReasons{run: run.ID, pages: run.Pages}
	}
	reason := ""
	switch store.RunState(run.State) {
	case store.RunPaused:
		reason = "paused"
	case store.RunParked:
		if run.ParkReason != nil {
			reason = *run.ParkReason
		}
	case store.RunQueued, store.RunRunning, store.RunCompleted, store.RunFailed, store.RunCancelled:
	}
	if reason == "" || reason == p.reason {
		return
	}
	p.reason = reason
	why, remedy := event.ExplainFor(run.CustomerID, p.reason)
	to.note("  " + why)
	to.note("  " + remedy)
}

// silenceLimit decides how long a service that has answered before may be silent.
type silenceLimit struct {
	interval, timeout time.Duration
	unknown           time.Duration
	answeredBefore    bool
	silent            time.Duration
	silences          int
}

func (p *silenceLimit) answered() { p.answeredBefore, p.silent, p.silences = true, 0, 0 }

// tolerates reports whether to ask again after err.
func (p *silenceLimit) tolerates(err error) bool {
	if errors.Is(err, errUnknownCustomer) && !p.answeredBefore && p.unknown < unknownPatience {
		p.unknown += p.interval
		return true
	}
	if !p.answeredBefore || !isUnanswered(err) || p.silent >= silencePatience {
		return false
	}
	p.silences++
	p.silent += p.interval
	if !hasNoResponders(err) {
		p.silent += p.timeout
	}
	return true
}

func (p *silenceLimit) first() bool { return p.silences == 1 }
