package cli

import (
	"context"

	"github.com/spf13/cobra"

	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/report"
	rollcallv1 "rollcall.dev/proto/rollcall/v1"
)

func (a *app) reconcile() *cobra.Command {
	command := &cobra.Command{
		Use:   "reconcile",
		Short: "Reconcile a customer's users now",
		Args:  cobra.NoArgs,
		RunE:  func(*cobra.Command, []string) error { return usage("say which: reconcile now <customer>") },
	}
	command.AddCommand(a.runNow(onDemandRun{
		noun: "reconciliation", service: "reconciler", short: "Ask for the daily reconciliation at once, whatever the schedule says",
		long: `Asks for the daily reconciliation of a customer's users at once, whatever the schedule says: users that changed since
the beginning of yesterday (UTC) are compared with the mapping, and missed ones are written to the destination. The command
fails for a customer that is paused, switched off, or not through its first backfill. With --wait it exits 0 when a
reconciliation has succeeded, 1 when it failed.`,
		publish: func(ctx context.Context, on *link, customer string) (requested, error) {
			subject := bus.SubjectReconcile(bus.CategoryUserDaily, customer)
			return request(ctx, on, customer, subject, &rollcallv1.ReconcileRequest{CustomerId: customer})
		},
		runs: func(status report.Status) (*report.EndedRun, *report.OpenRun) {
			return status.Reconciliation.LastRun, status.Reconciliation.OpenRun
		},
		result: func(status report.Status, run report.EndedRun) string {
			text := counts(run)
			if gaps := status.Reconciliation.Gaps; gaps != nil {
				text += ", " + counted(*gaps, "gap")
			}
			return text
		},
	}))
	return command
}
