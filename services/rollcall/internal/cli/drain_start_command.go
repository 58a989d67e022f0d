package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/pkg/operatorclient"
)

// drainCommand holds the flags of `drain start`.
type drainCommand struct {
	letterFlags

	note                           string
	pace                           int32
	discard, dryRun, detach, force bool
}

func (a *app) drainStart() *cobra.Command {
	var asked drainCommand
	command := &cobra.Command{
		Use:   "start [customer] <filter>",
		Short: "Retry or discard all dead letters that match, in the background",
		Long: `Starts a drain: the dlqretry service retries, or with --discard discards, all letters that match now, batch by batch, and keeps a
ledger with a line for each letter. The command shows the progress until the drain ends; stopping the command, or losing the
connection, does not stop the drain. Letters that fail later are left out. A filter is needed: a customer or another condition.

--pace bounds how many letters are worked in a minute. A retry makes a user's letter due; it is worked in its customer's turn and
within its limits. On a terminal the command asks first; elsewhere it needs --force. --dry-run says how many letters match.

It exits 0 when the drain is done, or started with --detach, and 1 when it was aborted.`,
		Example: `  rollcall drain start acme --error-code destination_5xx --dry-run
  rollcall drain start acme --error-code destination_5xx --pace 60
  rollcall drain start --older-than 30d --state review --discard --note "agreed with acme" --detach`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(command *cobra.Command, args []string) error { return a.runDrain(command, asked, args) },
	}
	asked.add(command)
	flags := command.Flags()
	flags.BoolVar(&asked.discard, "discard", false, "discard the letters instead of retrying them")
	flags.StringVar(&asked.note, "note", "", "with --discard: `why`, at most 500 bytes; it is kept with the letters, so no person's data")
	flags.Int32Var(&asked.pace, "pace", 0, "at most this `number` of letters a minute")
	flags.BoolVarP(&asked.dryRun, "dry-run", "n", false, "say what it would change, and change nothing")
	flags.BoolVar(&asked.detach, "detach", false, "do not wait for its end")
	flags.BoolVarP(&asked.force, "force", "f", false, "do not ask")
	return command
}

// start returns the question for the service.
func (c *drainCommand) start(command *cobra.Command, args []string) (operatorapi.DrainStart, error) {
	start := operatorapi.DrainStart{Verb: operatorapi.VerbRetry, Note: c.note, PacePerMinute: c.pace}
	if c.discard {
		start.Verb = operatorapi.VerbDiscard
	}
	var err error
	if start.LettersFilter, err = c.filter(command, oneCustomer(args)); err != nil {
		return start, err
	}
	switch {
	case len(c.ids) > 0:
		return start, usage("--id is not for a drain: rollcall dlq retry and rollcall dlq discard take ids")
	case c.note != "" && !c.discard:
		return start, usage("--note goes with --discard")
	case command.Flags().Changed("pace") && c.pace < 1:
		return start, usage("--pace takes 1 or more letters a minute")
	}
	return start, filterError(start.Validate())
}

func (a *app) runDrain(command *cobra.Command, asked drainCommand, args []string) error {
	start, err := asked.start(command, args)
	if err != nil {
		return err
	}
	if !asked.dryRun && !asked.force && !a.StdinTerminal {
		return usage("there is no terminal to ask on: --force %s without asking; --dry-run says what it would take", thirdPerson(start.Verb))
	}
	on, err := a.connectForLetters()
	if err != nil {
		return err
	}
	defer on.close()
	ctx := command.Context()
	plan, err := planLetters(ctx, on, start.Verb, start.Command())
	if err != nil {
		return lettersError(start.CustomerID, err)
	}
	as := letterCommand{verb: start.Verb}
	if asked.dryRun || plan.Count == 0 {
		document := lettersDocument{
			Action: start.Verb, DryRun: asked.dryRun, Count: plan.Count, Stuck: plan.Stuck, Left: plan.Left, First: plan.First, Complete: true,
		}
		return a.printPlan(as, plan, document)
	}
	if !asked.force {
		word := confirmWord(start.CustomerID, plan)
		if err := a.confirmTyping(ctx, word, confirmText(as, plan, word), "nothing was "+past(start.Verb)); err != nil {
			return err
		}
	}
	if !plan.AsOf.IsZero() {
		start.AsOf = &plan.AsOf
	}
	drain, err := ask[operatorapi.DrainStart, operatorapi.Drain](ctx, on, "drains", "start", start)
	if err != nil {
		return lettersError(start.CustomerID, err)
	}
	return a.endDrainCommand(ctx, on, drain, asked.detach)
}

// endDrainCommand follows a started drain to its end, unless it is detached.
func (a *app) endDrainCommand(ctx context.Context, on *link, drain operatorapi.Drain, detach bool) error {
	if detach {
		if a.json {
			return a.document(drain)
		}
		sayf(a.out, "drain %d started: %s to %s; rollcall drain show %d shows it, rollcall drain abort %d ends it", drain.ID,
			counted(drain.Planned, "letter"), drain.Verb, drain.ID, drain.ID)
		return nil
	}
	return a.followDrain(ctx, on, drain.ID)
}

// followDrain shows a drain until it ends, and how it ended.
func (a *app) followDrain(ctx context.Context, on *link, id int64) error {
	drain, err := a.watchDrain(ctx, on, id)
	if err != nil {
		return err
	}
	if a.json {
		if err := a.document(drain); err != nil {
			return err
		}
	} else if drain.Left > 0 {
		sayf(a.log, "rollcall drain show %d --outcome left says why letters were left", drain.ID)
	}
	if drain.State == operatorapi.DrainAborted {
		return fmt.Errorf("drain %d was aborted after %s", drain.ID, counted(drain.Done+drain.Left, "letter"))
	}
	return nil
}

// watchDrain shows a drain until it ends, and returns its final state.
func (a *app) watchDrain(ctx context.Context, on *link, id int64) (operatorapi.Drain, error) {
	to, terminal := a.progress()
	view := &drainView{to: to, terminal: terminal}
	defer view.end()
	return waiting[operatorapi.Drain]{
		interval: a.askInterval(), timeout: on.Timeout, stored: true, note: view.note,
		ask: func(ctx context.Context) (operatorapi.Drain, error) {
			shown, err := ask[operatorapi.DrainQuestion, operatorapi.DrainShown](ctx, on, "drains", "show", operatorapi.DrainQuestion{ID: id, Limit: 1})
			if err != nil {
				return shown.Drain, drainError(id, err)
			}
			return shown.Drain, nil
		},
		done: func(drain operatorapi.Drain) (bool, error) {
			view.show(drain)
			return drain.State != operatorapi.DrainRunning, nil
		},
		stopped: fmt.Errorf("stopped watching; drain %d goes on by itself, rollcall drain abort %d ends it", id, id),
	}.answer(ctx, a)
}

// drainError says which drain a service's error is about.
func drainError(id int64, err error) error {
	if operatorclient.IsUnknown(err) {
		return fmt.Errorf("drain %d is not known: rollcall drain ls lists them", id)
	}
	return customerError("", err)
}
