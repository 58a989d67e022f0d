package cli

import (
	"context"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"rollcall.dev/pkg/operatorapi"
)

func (a *app) reconcileLog() *cobra.Command {
	var from, to, category string
	var listed listFlags
	command := &cobra.Command{
		Use:   "log <customer>",
		Short: "List what reconciliations with Virtuous did, record by record, oldest first",
		Long: `Lists what reconciliations with Virtuous did with single records from a time on (--from, a time, a day or an age such as 30d; by default
7d) until another (--to, by default now). Records without an action are not listed. It shows ids and names of fields, and no donor.`,
		Example: "  rollcall reconcile log acme --from 2026-10-01 --to 2027-01-01 --all --json",
		Args:    cobra.ExactArgs(1),
		RunE: func(command *cobra.Command, args []string) error {
			begin, end, err := period(from, to, time.Now())
			if err != nil {
				return err
			}
			return a.printReconcileLog(command.Context(),
				operatorapi.ReconciliationLogQuestion{CustomerID: args[0], Category: category, From: begin.UTC(), To: end.UTC()}, listed)
		},
	}
	listed.add(command)
	command.Flags().StringVar(&from, "from", "7d", "from this `time` on: RFC 3339, a day (UTC), or an age")
	command.Flags().StringVar(&to, "to", "", "until before this `time`")
	command.Flags().StringVar(&category, "category", "", "only this `category`: stuck, needs_update, missed_webhook, gift_deletions, drift")
	return command
}

func (a *app) printReconcileLog(ctx context.Context, asked operatorapi.ReconciliationLogQuestion, listed listFlags) error {
	rows, err := listed.rows()
	if err != nil {
		return err
	}
	on, err := a.connect()
	if err != nil {
		return err
	}
	defer on.close()
	whole := operatorapi.ReconciliationLogReply{Actions: []operatorapi.ReconciliationAction{}}
	err = paged[operatorapi.ReconciliationLogQuestion, operatorapi.ReconciliationLogReply, operatorapi.ReconciliationPos]{
		noun: "reconciliations", verb: "ls", rows: rows, atOnce: operatorapi.MaxGiving,
		question: func(at operatorapi.ReconciliationPos, rows int32) operatorapi.ReconciliationLogQuestion {
			asked.Limit = rows
			if at.ID != 0 {
				asked.After = &at
			}
			return asked
		},
		take: func(page operatorapi.ReconciliationLogReply) (int, *operatorapi.ReconciliationPos, error) {
			whole.Actions, whole.Next = append(whole.Actions, page.Actions...), page.Next
			return len(page.Actions), page.Next, nil
		},
	}.ask(ctx, on)
	if err != nil {
		return customerError(asked.CustomerID, err)
	}
	if a.json {
		return a.document(whole)
	}
	return printList(a, listing[operatorapi.ReconciliationAction]{
		columns: []any{"AT", "CATEGORY", "RESOLUTION", "ENTITY", "PLATFORM ID", "VIRTUOUS ID", "DETAILS"},
		items:   whole.Actions, none: "Nothing was done.", more: whole.Next != nil,
		row: func(one operatorapi.ReconciliationAction) []any {
			return []any{
				moment(one.RunAt), one.Category, one.Resolution, dashed(one.Entity), text(one.PlatformRecordID), virtuousID(one.VirtuousRecordID),
				dashed(strings.TrimSpace(pairs(one.Details))),
			}
		},
	})
}
