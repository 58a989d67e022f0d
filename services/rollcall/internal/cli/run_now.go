package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"rollcall.dev/pkg/event"
	"rollcall.dev/pkg/operatorclient"
	"rollcall.dev/pkg/report"
	"rollcall.dev/pkg/store"
)

// onDemandRun is a run that an operator may request at once: a poll or a reconciliation.
type onDemandRun struct {
	noun, service, short, long string
	publish                    func(ctx context.Context, on *link, customer string) (requested, error)
	flags                      func(flags *pflag.FlagSet)       // adds flags of its own; nil: none
	check                      func(isAwaited bool) error       // checks them; nil: no check
	runnable                   func(status report.Status) error // whether the customer can be worked; nil: operatorclient.CheckRunnable
	// runs returns the newest ended run and the unfinished one.
	runs   func(status report.Status) (*report.EndedRun, *report.OpenRun)
	result func(status report.Status, run report.EndedRun) string
}

// runNow is `<noun> now <customer>`.
func (a *app) runNow(e onDemandRun) *cobra.Command {
	var wait bool
	command := &cobra.Command{
		Use:   "now <customer>",
		Short: e.short,
		Long:  e.long,
		Args:  cobra.ExactArgs(1),
		RunE: func(command *cobra.Command, args []string) error {
			if e.check != nil {
				if err := e.check(wait); err != nil {
					return err
				}
			}
			on, err := a.connect()
			if err != nil {
				return err
			}
			defer on.close()
			return a.requestRun(command.Context(), on, e, args[0], wait)
		},
	}
	command.Flags().BoolVarP(&wait, "wait", "w", false, "wait until it has ended, and say how")
	if e.flags != nil {
		e.flags(command.Flags())
	}
	return command
}

func (a *app) requestRun(ctx context.Context, on *link, e onDemandRun, customer string, wait bool) error {
	before, err := askStatus(ctx, on, customer)
	if err != nil {
		return err
	}
	runnable := operatorclient.CheckRunnable
	if e.runnable != nil {
		runnable = e.runnable
	}
	if err := runnable(before); err != nil {
		return err
	}
	document, err := e.publish(ctx, on, customer)
	if err != nil {
		return err
	}
	said := e.noun + " requested"
	if document.AlreadyRequested {
		said = "a " + e.noun + " is requested or under way already, which is enough"
	}
	a.progressLinef("%s: %s", customer, said)
	if !wait {
		if a.json {
			return a.document(document)
		}
		return nil
	}
	status, run, err := a.awaitRun(ctx, on, e, before)
	if err != nil {
		return err
	}
	document.Run = &run
	if a.json {
		if err := a.document(document); err != nil {
			return err
		}
	}
	if run.Outcome != store.OutcomeSuccess {
		return fmt.Errorf("the %s of %q failed (%s) after %s; the next one begins where it began", e.noun, customer, text(run.ErrorCode), counts(run))
	}
	a.progressLinef("%s: %s ended, %s", customer, e.noun, e.result(status, run))
	return nil
}

// awaitRun waits until a run that is newer than the last one has ended.
func (a *app) awaitRun(ctx context.Context, on *link, e onDemandRun, before report.Status) (report.Status, report.EndedRun, error) {
	var newest int64
	if last, _ := e.runs(before); last != nil {
		newest = last.ID
	}
	var ended report.EndedRun
	lastReason, idle := "", 0
	status, err := waiting[report.Status]{
		interval: a.askInterval(), timeout: on.Timeout, stored: true, note: a.sayLine, stopped: errStoppedWaiting,
		ask: func(ctx context.Context) (report.Status, error) { return askStatus(ctx, on, before.CustomerID) },
		done: func(status report.Status) (bool, error) {
			last, open := e.runs(status)
			if last != nil && last.ID > newest {
				ended = *last
				return true, nil
			}
			if err := operatorclient.CheckRunnable(status); err != nil {
				return false, fmt.Errorf("stopped waiting for the %s: %w", e.noun, err)
			}
			lastReason = a.explainPark(e, before.CustomerID, open, lastReason)
			if working := open != nil && open.State != string(store.RunQueued); working {
				idle = 0
			} else if idle++; idle == unseenRequests {
				sayf(a.log, "%s: the %s service has not taken it up yet", before.CustomerID, e.service)
			}
			return false, nil
		},
	}.answer(ctx, a)
	return status, ended, err
}

// explainPark prints what an unfinished run waits for, each reason once, and returns the last reason that it printed.
func (a *app) explainPark(e onDemandRun, customer string, open *report.OpenRun, lastReason string) string {
	if open == nil || open.State != string(store.RunParked) || open.ParkReason == nil || *open.ParkReason == lastReason {
		return lastReason
	}
	why, remedy := event.ExplainFor(customer, *open.ParkReason)
	sayf(a.log, "%s: the %s waits (%s)\n  %s\n  %s", customer, e.noun, *open.ParkReason, why, remedy)
	return *open.ParkReason
}

func askStatus(ctx context.Context, on *link, customer string) (report.Status, error) {
	status, err := ask[report.StatusQuestion, report.Status](ctx, on, "status", "get", report.StatusQuestion{CustomerID: customer})
	if err != nil {
		return status, customerError(customer, err)
	}
	return status, nil
}
