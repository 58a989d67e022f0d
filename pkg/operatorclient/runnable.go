package operatorclient

import (
	"fmt"
	"slices"

	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/report"
	"rollcall.dev/pkg/store"
)

// CheckRunnable returns nil if the customer is polled, and otherwise the reason and the remedy.
func CheckRunnable(status report.Status) error {
	id := status.CustomerID
	switch integration := status.Integration; {
	case integration.OffboardedAt != nil:
		return fmt.Errorf("customer %q was offboarded: onboard it again first", id)
	case !integration.Enabled:
		for _, reason := range status.Health.Reasons {
			if integration.DisabledReason != nil && reason.Code == *integration.DisabledReason {
				return fmt.Errorf("customer %q is switched off: %s\n  %s", id, reason.Text, reason.Remedy)
			}
		}
		return fmt.Errorf("customer %q is switched off; it goes on with a VOMO token that works: rollcall config set %s --vomo-token-file <file>", id, id)
	case integration.PausedAt != nil:
		return fmt.Errorf("customer %q is paused: rollcall resume %s lets it go on, with a poll at once", id, id)
	case integration.BackfillCompletedAt == nil:
		return fmt.Errorf("customer %q is not through its first backfill: it is polled from its end on (rollcall backfill watch %s)", id, id)
	}
	return nil
}

// CheckReconcilable returns nil if a category of reconciliations is worked for the customer, and otherwise the reason and the remedy.
func CheckReconcilable(status report.Status, category string) error {
	if !slices.Contains(bus.GivingCategories(), category) {
		return CheckRunnable(status)
	}
	id, giving := status.CustomerID, status.Giving
	switch {
	case giving.OnboardedAt == nil:
		return fmt.Errorf("customer %q has no giving: rollcall config set %s --virtuous-token-file <file> sets it up", id, id)
	case giving.DisabledReason != nil && *giving.DisabledReason == store.GivingRemoved:
		return fmt.Errorf("giving of customer %q was removed: rollcall config set %s --virtuous-token-file <file> sets it up again", id, id)
	case category == bus.CategoryReport: // it requests nothing of Virtuous
		return nil
	case !giving.Enabled:
		return fmt.Errorf("giving of customer %q is switched off: it goes on with a key that works: rollcall config set %s --virtuous-token-file <file>", id, id)
	case status.Integration.PausedAt != nil:
		return fmt.Errorf("customer %q is paused: rollcall resume %s lets it go on", id, id)
	}
	return nil
}
