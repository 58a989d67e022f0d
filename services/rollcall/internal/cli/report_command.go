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
		Short: "Show how a customer's giving stands: seven figures, those of contacts and their drift, and what to do",
		Long: `Shows the report of a customer's giving as of now, or the stored one of a day (--date, in the organization's time zone). GIVING_REPORT_LIMITS
of the services donations and reconciler says from which values on a figure is look or act. What is usual is the median of up to 14 reports of days
before, if there are seven; for needs review it counts the donations that need a match.`,
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

// reportedFigure is a figure of a report in words.
type reportedFigure struct {
	name, value string
	is          dailyreport.Verdict
	in          func(float64) string // how its median is written
}

// usual returns the median of the reports of days before; "-" if there are too few.
func (f reportedFigure) usual() string {
	if f.is.Baseline == nil {
		return "-"
	}
	return f.in(f.is.Baseline.Median)
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
	reviews := func(one dailyreport.NeedsReview) string {
		return fmt.Sprintf("%d (import not run %d, match needed %d)", one.Value, one.ByReason.ImportNotRun, one.ByReason.MatchNeeded)
	}
	count := func(median float64) string { return strconv.FormatFloat(median, 'f', -1, 64) }
	figures := []reportedFigure{
		{"pending", aged(m.Pending), m.Pending.Verdict, count},
		{"submitted for more than 24 h", aged(m.SubmittedLate), m.SubmittedLate.Verdict, count},
		{"needs review", reviews(m.NeedsReview), m.NeedsReview.Verdict, count},
		{"failed", strconv.FormatInt(m.Failed.Value, 10), m.Failed.Verdict, count},
		{"conflict", strconv.FormatInt(m.Conflict.Value, 10), m.Conflict.Verdict, count},
		{"submitted to confirmed", latency, m.Latency.Verdict, func(median float64) string { return seconds(int64(median)) }},
		{"recovered by reconciliation", share, m.RecoveredShare.Verdict, func(median float64) string { return fmt.Sprintf("%.2f %%", median*100) }},
	}
	if made.Drift != nil {
		figures = append(figures, reportedFigure{"drift of contacts", strconv.FormatInt(made.Drift.Value, 10), made.Drift.Verdict, count})
	}
	if c := made.Contacts; c != nil {
		figures = append(figures,
			reportedFigure{"contacts pending", aged(c.Pending), c.Pending.Verdict, count},
			reportedFigure{"contacts submitted for more than 24 h", aged(c.SubmittedLate), c.SubmittedLate.Verdict, count},
			reportedFigure{"contacts in review", reviews(c.NeedsReview), c.NeedsReview.Verdict, count},
			reportedFigure{"contacts failed", strconv.FormatInt(c.Failed.Value, 10), c.Failed.Verdict, count})
	}
	rows := a.table()
	rows.row("FIGURE", "VALUE", "USUAL", "HEALTHY", "STATE")
	for _, one := range figures {
		rows.row(one.name, one.value, one.usual(), one.is.Healthy, one.is.State)
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
