package cli

import (
	"fmt"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"rollcall.dev/pkg/report"
)

func (a *app) config() *cobra.Command {
	command := &cobra.Command{
		Use:   "config",
		Short: "Look at a customer's settings, and change them",
		Args:  cobra.NoArgs,
		RunE:  func(*cobra.Command, []string) error { return usage("say which: config show or config set") },
	}
	command.AddCommand(a.configShow(), a.configSet())
	return command
}

func (a *app) configShow() *cobra.Command {
	return &cobra.Command{
		Use:   "show <customer>",
		Short: "Show a customer's settings",
		Args:  cobra.ExactArgs(1),
		RunE: func(command *cobra.Command, args []string) error {
			on, err := a.connect()
			if err != nil {
				return err
			}
			defer on.close()
			shown, err := ask[report.ConfigQuestion, report.Config](command.Context(), on, "config", "get", report.ConfigQuestion{CustomerID: args[0]})
			if err != nil {
				return aboutCustomer(args[0], err)
			}
			if a.json {
				return a.document(shown)
			}
			return a.showConfig(shown)
		},
	}
}

func (a *app) showConfig(shown report.Config) error {
	columns := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
	sayf(columns, "%s", shown.CustomerID)
	for _, line := range [][2]string{
		{"enabled", yesNo(&shown.Enabled)},
		{"paused", paused(shown.PausedAt)},
		{"destination", shown.DestinationKind + " " + shown.ExternalSystemURL},
		{"batches", setting(shown.BatchSize, oneByOne)},
		{"destination token", yesNo(&shown.HasDestinationAuth)},
		{"poll cadence", strconv.Itoa(int(shown.PollCadenceMinutes)) + " minutes"},
		{"admin email", setting(shown.AdminEmail, noSetting)},
		{"requests a second", setting(shown.Limits.RequestsPerSecond, asInstallation)},
		{"requests a minute", setting(shown.Limits.RequestsPerMinute, asInstallation)},
		{"backfill not before", shownMoment(shown.BackfillNotBefore)},
		{"quiet hours", shownHours(shown.QuietHours)},
	} {
		sayf(columns, "  %s\t%s", line[0], line[1])
	}
	if err := columns.Flush(); err != nil {
		return fmt.Errorf("print config: %w", err)
	}
	return nil
}

func paused(at *time.Time) string {
	if at == nil {
		return "no"
	}
	return "since " + moment(*at)
}

func setting[T any](value *T, otherwise string) string {
	if value == nil {
		return otherwise
	}
	return fmt.Sprint(*value)
}
