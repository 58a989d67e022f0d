package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"rollcall.dev/pkg/operatorapi"
)

// alertsPage is the most alerts that the service gives in one page.
const alertsPage = 200

func (a *app) alerts() *cobra.Command {
	command := &cobra.Command{
		Use:     "alerts",
		Aliases: []string{"alert"},
		Short:   "Look at alerts, and test that they reach people",
		Args:    cobra.NoArgs,
		RunE:    func(*cobra.Command, []string) error { return usage("say which: alerts ls or alerts test") },
	}
	command.AddCommand(a.alertsLs(), a.alertsTest())
	return command
}

func (a *app) alertsLs() *cobra.Command {
	var all bool
	command := &cobra.Command{
		Use:     "ls [customer]",
		Aliases: []string{"list"},
		Short:   "List active alerts, newest first",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(command *cobra.Command, args []string) error {
			question := operatorapi.AlertsQuestion{CustomerID: oneCustomer(args), All: all}
			on, err := a.connect()
			if err != nil {
				return err
			}
			defer on.close()
			alerts, err := listAlerts(command.Context(), on, question)
			if err != nil {
				return customerError(question.CustomerID, err)
			}
			if a.json {
				return a.document(alerts)
			}
			return printList(a, listing[operatorapi.Alert]{
				columns: []any{"CUSTOMER", "SEVERITY", "ALERT", "USER", "RAISED", "OVER", "WHAT"},
				items:   alerts.Alerts, row: alertRow, none: "No alert is active.",
			})
		},
	}
	command.Flags().BoolVar(&all, "all", false, "also list alerts that were cleared in the last seven days, and events of single users")
	return command
}

// listAlerts joins all pages of the service.
func listAlerts(ctx context.Context, on *link, question operatorapi.AlertsQuestion) (operatorapi.AlertsReply, error) {
	whole := operatorapi.AlertsReply{Alerts: []operatorapi.Alert{}}
	err := paged[operatorapi.AlertsQuestion, operatorapi.AlertsReply, int64]{
		noun: "alerts", verb: "ls", rows: allRows, atOnce: alertsPage,
		question: func(at int64, rows int32) operatorapi.AlertsQuestion {
			question.Before, question.Limit = at, rows
			return question
		},
		take: func(page operatorapi.AlertsReply) (int, *int64, error) {
			whole.Alerts = append(whole.Alerts, page.Alerts...)
			return len(page.Alerts), page.Next, nil
		},
	}.ask(ctx, on)
	return whole, err
}

func alertRow(alert operatorapi.Alert) []any {
	over := "-"
	if alert.ClearedAt != nil {
		over = moment(*alert.ClearedAt)
	}
	return []any{alert.CustomerID, alert.Severity, alert.Type, textOr(alert.VomoUserID, "-"), moment(alert.RaisedAt), over, alert.Text}
}

// testTimeout is longer than the service's own timeout for a mail server.
const testTimeout = 25 * time.Second

func (a *app) alertsTest() *cobra.Command {
	return &cobra.Command{
		Use:   "test",
		Short: "Send a test to every alert channel, and print the answers",
		Long: `Sends a test notification to the operators' mail addresses and to the webhook, from where the notifier runs, and
prints their answers. It fails if a configured channel fails, and if none is configured.`,
		Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			on, err := a.connect()
			if err != nil {
				return err
			}
			defer on.close()
			on.Timeout = max(on.Timeout, testTimeout)
			tested, err := ask[struct{}, operatorapi.AlertsTested](command.Context(), on, "alerts", "test", struct{}{})
			if err != nil {
				return err
			}
			return a.printTested(tested)
		},
	}
}

func (a *app) printTested(tested operatorapi.AlertsTested) error {
	sent, failed := 0, 0
	for _, channel := range tested.Channels {
		switch channel.Outcome {
		case operatorapi.TestSent:
			sent++
		case operatorapi.TestFailed:
			failed++
		}
	}
	if a.json {
		if err := a.document(tested); err != nil {
			return err
		}
	} else {
		channels := a.table()
		for _, channel := range tested.Channels {
			channels.row(channel.Channel, channel.Outcome, channel.Detail)
		}
		if err := channels.end(); err != nil {
			return err
		}
	}
	switch {
	case failed > 0:
		return fmt.Errorf("%s failed the test", counted(failed, "alert channel"))
	case sent == 0:
		return errors.New("no channel for alerts is configured: set ALERT_WEBHOOK_URL, or SMTP_URL, MAIL_FROM and ALERT_MAIL_TO")
	}
	return nil
}
