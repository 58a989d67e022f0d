package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"rollcall.dev/pkg/event"
	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/pkg/store"
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
func (a *app) watchBackfill(ctx context.Context, on *link, customer string) (operatorapi.Backfill, error) {
	view, interval := a.view()
	defer view.end()
	var parked parkReasons
	return waiting[operatorapi.Backfill]{
		interval: interval, timeout: on.Timeout, note: view.note,
		ask: func(ctx context.Context) (operatorapi.Backfill, error) { return newestRun(ctx, on, customer) },
		done: func(run operatorapi.Backfill) (bool, error) {
			view.show(run)
			parked.explain(view, run)
			return !store.RunState(run.State).Open(), nil
		},
		stopped: fmt.Errorf("stopped watching; the backfill of %q goes on by itself", customer),
	}.answer(ctx, a)
}

func newestRun(ctx context.Context, on *link, customer string) (operatorapi.Backfill, error) {
	question := operatorapi.BackfillsQuestion{CustomerID: customer}
	page, err := ask[operatorapi.BackfillsQuestion, operatorapi.BackfillsReply](ctx, on, "backfills", "ls", question)
	if err != nil {
		return operatorapi.Backfill{}, customerError(customer, err)
	}
	if len(page.Backfills) == 0 {
		return operatorapi.Backfill{}, fmt.Errorf("customer %q has no backfill", customer)
	}
	return page.Backfills[0], nil
}

// outcomeError returns nil if the run completed, and otherwise how it ended.
func outcomeError(run operatorapi.Backfill) error {
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

func (p *parkReasons) explain(to view, run operatorapi.Backfill) {
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
