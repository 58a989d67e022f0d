package cli

import (
	"context"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"rollcall.dev/pkg/report"
)

// runsPage is how many the service gives at once.
const runsPage = 200

func (a *app) backfill() *cobra.Command {
	command := &cobra.Command{
		Use:   "backfill",
		Short: "Look at backfills, start, pause and cancel them",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			return usage("say which: backfill ls, watch, start, pause or cancel")
		},
	}
	command.AddCommand(a.backfillLs(), a.backfillWatch(), a.backfillStart(), a.backfillPause(), a.backfillCancel())
	return command
}

func (a *app) backfillLs() *cobra.Command {
	return a.lister("List backfills, newest first", func(ctx context.Context, on *link, limit int, all bool) error {
		runs, err := listRuns(ctx, on, limit, all)
		if err != nil {
			return err
		}
		if a.json {
			return a.document(runs)
		}
		return a.table(runs)
	})
}

// listRuns puts the service's pages together.
func listRuns(ctx context.Context, on *link, limit int, all bool) (report.BackfillsReply, error) {
	whole := report.BackfillsReply{Backfills: []report.Backfill{}}
	var before int64
	for {
		size := runsPage
		if !all {
			size = min(size, limit-len(whole.Backfills))
		}
		question := report.BackfillsQuestion{Before: before, Limit: int32(size)}
		page, err := ask[report.BackfillsQuestion, report.BackfillsReply](ctx, on, "backfills", "ls", question)
		if err != nil {
			return whole, err
		}
		whole.Backfills = append(whole.Backfills, page.Backfills...)
		whole.Next = page.Next
		if page.Next == nil || (!all && len(whole.Backfills) >= limit) {
			return whole, nil
		}
		before = *page.Next
	}
}

func (a *app) table(runs report.BackfillsReply) error {
	if len(runs.Backfills) == 0 {
		sayf(a.log, "There is no backfill yet.")
		return nil
	}
	columns := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
	sayf(columns, "ID\tCUSTOMER\tSTATE\tUSERS\tOF\tFAILED\tPAGES/MIN\tLEFT\tCREATED")
	for _, run := range runs.Backfills {
		row(columns, run)
	}
	if err := columns.Flush(); err != nil {
		return fmt.Errorf("print table: %w", err)
	}
	if runs.Next != nil {
		sayf(a.log, "There are more: --limit or --all shows them.")
	}
	return nil
}

func row(to io.Writer, run report.Backfill) {
	total, rate, left := "-", "-", "-"
	if run.Total != nil {
		total = grouped(*run.Total)
	}
	if run.RequestsPerMinute != nil {
		rate = fmt.Sprintf("%.1f", *run.RequestsPerMinute)
	}
	if run.EtaSeconds != nil {
		left = seconds(*run.EtaSeconds)
	}
	sayf(to, "%d\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s", run.ID, run.CustomerID, standingUntil(run), grouped(run.Processed), total,
		grouped(run.Failures), rate, left, moment(run.CreatedAt))
}
