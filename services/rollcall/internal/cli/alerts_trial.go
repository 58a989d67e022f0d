package cli

import (
	"errors"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"rollcall.dev/pkg/report"
)

// trialTimeout is longer than the service gives a mail server.
const trialTimeout = 25 * time.Second

func (a *app) alertsTest() *cobra.Command {
	return &cobra.Command{
		Use:   "test",
		Short: "Send a test on every way by which alerts go, and say what each answered",
		Long: `Sends a test notification to the operators' mail addresses and to the webhook, from where the notifier runs, and
says what each answered. It fails unless every way that is set took it, and where none is set.`,
		Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			on, err := a.connect()
			if err != nil {
				return err
			}
			defer on.close()
			on.timeout = max(on.timeout, trialTimeout)
			tested, err := ask[struct{}, report.AlertsTested](command.Context(), on, "alerts", "test", struct{}{})
			if err != nil {
				return err
			}
			return a.tellTested(tested)
		},
	}
}

func (a *app) tellTested(tested report.AlertsTested) error {
	sent, failed := 0, 0
	for _, channel := range tested.Channels {
		switch channel.Outcome {
		case report.TestSent:
			sent++
		case report.TestFailed:
			failed++
		}
	}
	if a.json {
		if err := a.document(tested); err != nil {
			return err
		}
	} else {
		columns := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
		for _, channel := range tested.Channels {
			sayf(columns, "%s\t%s\t%s", channel.Channel, channel.Outcome, channel.Detail)
		}
		if err := columns.Flush(); err != nil {
			return fmt.Errorf("print table: %w", err)
		}
	}
	switch {
	case failed > 0:
		return fmt.Errorf("%s of alerts did not take the test", counted(failed, "way"))
	case sent == 0:
		return errors.New("nobody is told of alerts: set ALERT_WEBHOOK_URL, or SMTP_URL, MAIL_FROM and ALERT_MAIL_TO")
	}
	return nil
}
