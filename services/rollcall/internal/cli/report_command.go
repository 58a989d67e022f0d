package cli

import (
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"rollcall.dev/pkg/giving/dailyreport"
	"rollcall.dev/pkg/operatorapi"
)

func (a *app) report() *cobra.Command {
	var date string
	command := &cobra.Command{
		Use:   "report <customer>",
		Short: "Show how a customer's giving stands: seven figures, and what to do",
		Long: `Shows the report of a customer's giving as of now, or the stored one of a day (--date, in the organization's time zone). GIVING_REPORT_LIMITS
of the services donations and reconciler says from which values on a figure is look or act.`,
		Args: cobra.ExactArgs(1),
		RunE: func(command *cobra.Command, args []string) error {
			return askOne(command.Context(), a, args[0], question[operatorapi.GivingReportQuestion, dailyreport.Report]{
				noun: "reports", verb: "show", of: operatorapi.GivingReportQuestion{CustomerID: args[0], Date: date}, print: a.printGivingReport,
			})
		},
	}
	command.Flags().StringVar(&date, "date", "", "the stored report of this `day`, such as 2026-11-20")
	return command
}

func (a *app) printGivingReport(made dailyreport.Report) error {
	sayf(a.out, "%s on %s: %s (%s)", made.CustomerID, made.Date, made.State, moment(made.MadeAt))
	m := made.Metrics
	aged := func(one dailyreport.Aged) string {
		if one.OldestAgeSeconds == nil {
			return strconv.FormatInt(one.Value, 10)
		}
		return fmt.Sprintf("%d, the oldest for %s", one.Value, seconds(*one.OldestAgeSeconds))
	}
	share := "-"
	if m.RecoveredShare.Value != nil {
		share = fmt.Sprintf("%.2f %% (%d of %d)", *m.RecoveredShare.Value*100, m.RecoveredShare.Recovered, m.RecoveredShare.Confirmed)
	}
	latency := "-"
	if m.Latency.MedianSeconds != nil && m.Latency.P95Seconds != nil {
		latency = fmt.Sprintf("median %s, 95th percentile %s", seconds(*m.Latency.MedianSeconds), seconds(*m.Latency.P95Seconds))
	}
	figures := []struct {
		name, value string
		is          dailyreport.Verdict
	}{
		{"pending", aged(m.Pending), m.Pending.Verdict},
		{"submitted for more than 24 h", aged(m.SubmittedLate), m.SubmittedLate.Verdict},
		{
			"needs review",
			fmt.Sprintf("%d (import not run %d, match needed %d)", m.NeedsReview.Value, m.NeedsReview.ByReason.ImportNotRun, m.NeedsReview.ByReason.MatchNeeded),
			m.NeedsReview.Verdict,
		},
		{"failed", strconv.FormatInt(m.Failed.Value, 10), m.Failed.Verdict},
		{"conflict", strconv.FormatInt(m.Conflict.Value, 10), m.Conflict.Verdict},
		{"submitted to confirmed", latency, m.Latency.Verdict},
		{"recovered by reconciliation", share, m.RecoveredShare.Verdict},
	}
	rows := a.table()
	rows.row("FIGURE", "VALUE", "HEALTHY", "STATE")
	for _, one := range figures {
		rows.row(one.name, one.value, one.is.Healthy, one.is.State)
	}
	if err := rows.end(); err != nil {
		return err
	}
	for _, one := range figures {
		if one.is.State != dailyreport.OK {
			sayf(a.out, "%s: %s", one.name, one.is.Remedy)
		}
	}
	return nil
}
