package cli

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"rollcall.dev/pkg/report"
	"rollcall.dev/pkg/store"
)

func (a *app) status() *cobra.Command {
	return &cobra.Command{
		Use:   "status <customer>",
		Short: "Show how a customer's mirror does, and what helps where it does not",
		Args:  cobra.ExactArgs(1),
		RunE: func(command *cobra.Command, args []string) error {
			on, err := a.connect()
			if err != nil {
				return err
			}
			defer on.close()
			question := report.StatusQuestion{CustomerID: args[0]}
			// The answer is kept as it arrives: a newer service may send fields that this command does not know.
			raw, err := ask[report.StatusQuestion, json.RawMessage](command.Context(), on, "status", "get", question)
			if err != nil {
				return customerError(args[0], err)
			}
			if a.json {
				return a.document(raw)
			}
			var status report.Status
			if err := json.Unmarshal(raw, &status); err != nil {
				return fmt.Errorf("read status: %w", err)
			}
			return a.showStatus(status)
		},
	}
}

// showStatus prints the groups of report.Status in their order.
func (a *app) showStatus(status report.Status) error {
	lines := a.table()
	integration, polling, health := status.Integration, status.Polling, status.Health
	lines.row(status.CustomerID)
	lines.group("integration",
		"enabled", enabled(integration),
		"onboarded", moment(integration.OnboardedAt),
		"backfill completed", when(integration.BackfillCompletedAt))
	if backfill := status.Backfill; backfill != nil {
		lines.group("backfill",
			"state", backfill.State+parkText(backfill),
			"users", humanize.Comma(backfill.Processed)+" of "+number(backfill.Total),
			"pages a minute", decimal(backfill.RequestsPerMinute, 1),
			"time left", left(backfill.EtaSeconds))
	}
	lines.group("polling",
		"last run", when(polling.LastRunAt),
		"last outcome", pollOutcome(polling),
		"checkpoint", when(polling.CheckpointTimestamp),
		"lag in minutes", number(polling.LagMinutes),
		"caught up", when(polling.CaughtUpAt),
		"next run", scheduled(polling.NextRunAt)+openRunText(polling.OpenRun))
	reconciliation := status.Reconciliation
	lines.group("reconciliation",
		"last run", when(reconciliation.LastRunAt),
		"of the day", text(reconciliation.LastDate),
		"expected", number(reconciliation.Expected),
		"gaps", number(reconciliation.Gaps),
		"next run", scheduled(reconciliation.NextRunAt)+openRunText(reconciliation.OpenRun))
	lines.group("health",
		"healthy", yesNo(health.IsHealthy),
		"open dead letters", humanize.Comma(health.DlqDepth),
		"reconciliation gap rate", decimal(health.AverageReconciliationGapRate, 4))
	if writeBack := status.WriteBack; len(writeBack.Fields) > 0 {
		lines.group("write-back",
			"fields", strings.Join(writeBack.Fields, ", "),
			"waiting", humanize.Comma(writeBack.Waiting)+sinceText(writeBack.WaitingSince),
			"for a person", humanize.Comma(writeBack.OpenReviews))
	}
	lines.group("inventory", "users mirrored", humanize.Comma(status.Inventory.TotalUsersMirrored))
	participations := status.Participations
	lines.group("participations",
		"read", yesNo(&participations.Enabled),
		"users read", humanize.Comma(participations.Covered)+" of "+humanize.Comma(participations.Total),
		"hours for all users", decimal(participations.CycleHours, 1))
	givingRows(lines, status.Giving)
	budgetRows(lines, status.Budget)
	if err := lines.end(); err != nil {
		return err
	}
	for _, reason := range health.Reasons {
		sayf(a.out, "\n%s: %s\n  %s%s", reason.Code, reason.Text, reason.Remedy, reasonTimes(reason))
	}
	return nil
}

// givingRows shows donations, if giving was ever set up.
func givingRows(lines table, giving report.Giving) {
	if giving.OnboardedAt == nil {
		return
	}
	lines.group("giving",
		"enabled", yesNo(&giving.Enabled),
		"organization", text(giving.OrganizationName),
		"pending", humanize.Comma(giving.Pending)+sinceText(giving.PendingSince),
		"submitted", humanize.Comma(giving.Submitted)+sinceText(giving.SubmittedSince),
		"needs review", humanize.Comma(giving.NeedsReview),
		"failed", humanize.Comma(giving.Failed),
		"conflict", humanize.Comma(giving.Conflict),
		"contacts", contactsText(giving.Contacts),
		"last webhook", when(giving.LastWebhookAt),
		"last reconciled", when(giving.LastReconciledAt))
}

// contactsText counts the contacts that are on their way, by state.
func contactsText(contacts report.GivingContacts) string {
	var parts []string
	for _, one := range []struct {
		count int64
		state string
	}{
		{contacts.Pending, "pending"}, {contacts.Submitted, "submitted"}, {contacts.NeedsReview, "in review"}, {contacts.Failed, "failed"},
	} {
		if one.count > 0 {
			parts = append(parts, humanize.Comma(one.count)+" "+one.state)
		}
	}
	if len(parts) == 0 {
		return "none waits"
	}
	return strings.Join(parts, ", ")
}

func sinceText(at *time.Time) string {
	if at == nil {
		return ""
	}
	return ", since " + moment(*at)
}

// reasonTimes says since when a reason applies, and when the waiting work is retried.
func reasonTimes(reason report.Reason) string {
	text := ""
	if reason.Since != nil {
		text = "\n  since " + moment(*reason.Since)
	}
	if reason.Until != nil {
		text += "\n  tried again " + moment(*reason.Until)
	}
	return text
}

// enabled also says why the services do not work for a customer.
func enabled(integration report.Integration) string {
	text := yesNo(&integration.Enabled)
	switch {
	case integration.OffboardedAt != nil:
		text += ", offboarded " + moment(*integration.OffboardedAt)
		if integration.PurgeAt != nil {
			text += ", a return needs no backfill until " + moment(*integration.PurgeAt)
		}
	case integration.DisabledReason != nil:
		text += " (" + *integration.DisabledReason + ")"
	}
	if integration.PausedAt != nil {
		text += ", paused since " + moment(*integration.PausedAt)
	}
	return text
}

// openRunText says what an unfinished run does, or what it waits for.
func openRunText(run *report.OpenRun) string {
	if run == nil {
		return ""
	}
	text := run.State
	switch {
	case run.State != string(store.RunParked) || run.ParkReason == nil:
	case run.DueAt == nil: // the customer is paused or switched off: nothing is tried
		text += ", " + *run.ParkReason + ", until the customer goes on"
	default:
		text += ", " + *run.ParkReason + ", tried again " + moment(*run.DueAt)
	}
	return " (one is " + text + ")"
}

// pollOutcome says how the last poll ended, with its error code.
func pollOutcome(polling report.Polling) string {
	outcome := text(polling.LastRunOutcome)
	if polling.LastRun != nil && polling.LastRun.ErrorCode != nil {
		outcome += " (" + *polling.LastRun.ErrorCode + ")"
	}
	return outcome
}

// budgetRows adds a row for each job that spent some of the customer's requests.
func budgetRows(lines table, budget report.Budget) {
	lines.row("  requests to VOMO", "today", "ever")
	for _, job := range slices.Sorted(maps.Keys(budget.Total)) {
		lines.row("    "+job, humanize.Comma(budget.Today[job]), humanize.Comma(budget.Total[job]))
	}
	limit := notKnown
	if budget.PerMinute != nil {
		limit = decimal(budget.PerMinute, 0) + " a minute"
	}
	lines.row("    limit", limit)
}

// parkText says what a parked backfill waits for, and until when.
func parkText(backfill *report.BackfillStatus) string {
	text := ""
	if backfill.WaitingFor != nil {
		text = " (" + *backfill.WaitingFor + ")"
	}
	if backfill.Until != nil {
		text += " until " + moment(*backfill.Until)
	}
	return text
}

// notKnown is printed for null: no service has found out yet.
const notKnown = "not known yet"

func yesNo(value *bool) string {
	switch {
	case value == nil:
		return notKnown
	case *value:
		return "yes"
	}
	return "no"
}

func when(at *time.Time) string {
	if at == nil {
		return notKnown
	}
	return moment(*at)
}

// scheduled says when a run is due. Null means that none is scheduled.
func scheduled(at *time.Time) string {
	if at == nil {
		return "none is scheduled"
	}
	return moment(*at)
}

func number(value *int64) string {
	if value == nil {
		return notKnown
	}
	return humanize.Comma(*value)
}

func decimal(value *float64, places int) string {
	if value == nil {
		return notKnown
	}
	return fmt.Sprintf("%.*f", places, *value)
}

func text(value *string) string {
	if value == nil {
		return notKnown
	}
	return *value
}

func left(value *int64) string {
	if value == nil {
		return notKnown
	}
	return seconds(*value)
}
