package cli

import (
	"context"

	"github.com/spf13/cobra"

	"rollcall.dev/pkg/report"
	"rollcall.dev/pkg/store"
)

// pause is `rollcall pause` and `rollcall customer pause`.
func (a *app) pause() *cobra.Command {
	return &cobra.Command{
		Use:   "pause <customer>",
		Short: "Stop all work for a customer until it is resumed",
		Long: `Stops all work for a customer: no poll, no reconciliation, no backfill, no retry of a dead letter. The page that is
under way now is not committed. Everything stays where it stands until "rollcall resume"; no new token and no restart
lets it go on before. A backfill alone is stopped by "rollcall backfill pause".`,
		Args: cobra.ExactArgs(1),
		RunE: func(command *cobra.Command, args []string) error {
			return a.commandCustomer(command.Context(), "pause", args[0])
		},
	}
}

// resume is `rollcall resume` and `rollcall customer resume`.
func (a *app) resume() *cobra.Command {
	return &cobra.Command{
		Use:   "resume <customer>",
		Short: "Let a paused customer go on from where it stood",
		Long: `Lets a paused customer go on from where it stood: what is unfinished goes on at its last committed page, and a poll
is made at once. A backfill that was paused by itself stays paused.`,
		Args: cobra.ExactArgs(1),
		RunE: func(command *cobra.Command, args []string) error {
			return a.commandCustomer(command.Context(), "resume", args[0])
		},
	}
}

func (a *app) commandCustomer(ctx context.Context, verb, customer string) error {
	on, err := a.connect()
	if err != nil {
		return err
	}
	defer on.close()
	done, err := ask[report.CustomerCommand, report.CustomerCommanded](ctx, on, "customers", verb, report.CustomerCommand{CustomerID: customer})
	if err != nil {
		return aboutCustomer(customer, err)
	}
	if a.json {
		return a.document(done)
	}
	sayf(a.out, "%s: %s", customer, changedTo(done))
	return nil
}

// changedTo says what was done, and what follows from it.
func changedTo(done report.CustomerCommanded) string {
	switch done.Action {
	case report.CustomerPaused:
		return "paused; rollcall resume " + done.CustomerID + " lets it go on"
	case report.CustomerAlreadyPaused:
		return "was paused already, since " + when(done.PausedAt)
	case report.CustomerNotPaused:
		return "was not paused"
	case report.CustomerResumed:
		return "resumed; " + goesOn(done)
	}
	return done.Action // a newer service's
}

func goesOn(done report.CustomerCommanded) string {
	switch {
	case !done.Enabled:
		return "it is switched off, and goes on with a VOMO token that works: rollcall config set " + done.CustomerID + " --vomo-token-file <file>"
	case done.Backfill != nil && *done.Backfill == string(store.RunPaused):
		return "its backfill stays paused: rollcall backfill start " + done.CustomerID
	case done.Backfill != nil:
		return "its backfill goes on"
	case done.BackfillCompletedAt == nil:
		return "it has no backfill under way: rollcall backfill start " + done.CustomerID
	}
	return "it is polled at once"
}
