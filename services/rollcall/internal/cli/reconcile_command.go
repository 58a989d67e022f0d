package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/report"
	"rollcall.dev/pkg/store"
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

The command fails for a customer that is paused, switched off, or not through its first backfill. stuck, needs_update and
missed_webhook reconcile donations, gifts and contacts with Virtuous, and need giving that is neither paused nor switched off. report
stores the report of giving as that of today, also for a customer whose giving is paused or switched off.`,
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
		runnable: func(status report.Status) error {
			if slices.Contains(bus.GivingCategories(), category) {
				return checkGiving(status, category)
			}
			return checkRunnable(status)
		},
		publish: func(ctx context.Context, on *link, customer string) (requested, error) {
			subject := bus.SubjectReconcile(category, customer)
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

// checkGiving returns nil if a category of giving is worked for the customer, and otherwise the reason and the remedy. The report requests
// nothing of Virtuous.
func checkGiving(status report.Status, category string) error {
	id, giving := status.CustomerID, status.Giving
	switch {
	case giving.OnboardedAt == nil:
		return fmt.Errorf("customer %q has no giving: rollcall config set %s --virtuous-token-file <file> sets it up", id, id)
	case giving.DisabledReason != nil && *giving.DisabledReason == store.GivingRemoved:
		return fmt.Errorf("giving of customer %q was removed: rollcall config set %s --virtuous-token-file <file> sets it up again", id, id)
	case category == bus.CategoryReport:
		return nil
	case !giving.Enabled:
		return fmt.Errorf("giving of customer %q is switched off: it goes on with a key that works: rollcall config set %s --virtuous-token-file <file>", id, id)
	case status.Integration.PausedAt != nil:
		return fmt.Errorf("customer %q is paused: rollcall resume %s lets it go on", id, id)
	}
	return nil
}
