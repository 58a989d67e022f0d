package cli

import (
	"context"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/operatorclient"
	"rollcall.dev/pkg/report"
	rollcallv1 "rollcall.dev/proto/rollcall/v1"
)

func (a *app) reconcile() *cobra.Command {
	var category string
	command := &cobra.Command{
		Use:   "reconcile",
		Short: "Reconcile a customer now, and see what reconciliations with Virtuous did",
		Args:  cobra.NoArgs,
		RunE:  func(*cobra.Command, []string) error { return usage("say which: reconcile now or reconcile log") },
	}
	command.AddCommand(a.reconcileLog(), a.runNow(onDemandRun{
		noun: "reconciliation", service: "reconciler", short: "Ask for a reconciliation at once, whatever the schedule says",
		long: `Asks for a reconciliation of a customer at once, whatever the schedule says. The category says which; by default it is user_daily: users
that changed since the beginning of yesterday (UTC) are compared with the mapping, and missed ones are written to the destination. With
--wait, which takes user_daily alone, it exits 0 when a reconciliation has succeeded, 1 when it failed.

The command fails for a customer that is paused, switched off, or not through its first backfill. stuck, needs_update,
missed_webhook, contact_changes, gift_deletions and drift reconcile donations, gifts and contacts with Virtuous, and need giving that is
neither paused nor switched off. report stores the report of giving as that of today, also for a customer whose giving is paused or switched off.`,
		flags: func(flags *pflag.FlagSet) {
			flags.StringVar(&category, "category", bus.CategoryUserDaily, "which `category`: "+strings.Join(bus.Categories(), ", "))
		},
		check: func(isAwaited bool) error {
			switch {
			case !slices.Contains(bus.Categories(), category):
				return usage("--category takes %s, not %q", strings.Join(bus.Categories(), ", "), category)
			case isAwaited && category != bus.CategoryUserDaily:
				return usage("--wait waits for a reconciliation of the category %s alone", bus.CategoryUserDaily)
			}
			return nil
		},
		runnable: func(status report.Status) error { return operatorclient.CheckReconcilable(status, category) },
		publish: func(ctx context.Context, on *link, customer string) (requested, error) {
			subject := bus.SubjectReconcile(category, customer)
			return a.request(ctx, on, customer, subject, &rollcallv1.ReconcileRequest{CustomerId: customer})
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
