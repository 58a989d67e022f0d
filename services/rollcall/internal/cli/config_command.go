package cli

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"rollcall.dev/pkg/report"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/vault"
	rollcallv1 "rollcall.dev/proto/rollcall/v1"
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
				return customerError(args[0], err)
			}
			if a.json {
				return a.document(shown)
			}
			return a.showConfig(shown)
		},
	}
}

func (a *app) showConfig(shown report.Config) error {
	settings := a.table()
	settings.row(shown.CustomerID)
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
		settings.row("  "+line[0], line[1])
	}
	return settings.end()
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

const (
	// configTimeout is longer than the service waits for a job that writes to the destination.
	configTimeout = 12 * time.Second
	// How long a change is retried while a job holds the customer's lane: longer than the lease of a worker that died.
	busyPatience = 45 * time.Second
	busyInterval = time.Second
)

// configFlags are the flags of `rollcall config set`.
type configFlags struct {
	cadence              int32
	perSecond, perMinute string
	adminEmail, url      string
	destinationTokenFile string
	vomoTokenFile        string
	moved, newSystem     bool
}

func (a *app) configSet() *cobra.Command {
	var asked configFlags
	command := &cobra.Command{
		Use:   "set <customer>",
		Short: "Change a customer's settings",
		Long: `Changes what is given and nothing else, under the rules of onboarding. A backfill that runs takes new limits up when
its turn is over, within a minute. With a new address of the destination, say what it is:

  --moved       the same system under another address. The users in it stay; nothing is written again.
  --new-system  another system. A full resync writes all users again; the old system's token is deleted. Give the new one
                with --destination-token-file.

A new VOMO token is given by itself, with --vomo-token-file: it is tested before it replaces the old one, and all settings
stay. A customer who was switched off because the old one was refused goes on from where it stood.`,
		Example: `  rollcall config set acme --cadence 15 --rpm default
  rollcall config set acme --vomo-token-file acme.token
  rollcall config set acme --destination-url https://crm.example/v2 --moved`,
		Args: cobra.ExactArgs(1),
		RunE: func(command *cobra.Command, args []string) error {
			if command.Flags().Changed("vomo-token-file") {
				return a.replaceToken(command.Context(), args[0], asked.vomoTokenFile)
			}
			change, err := asked.change(args[0], command.Flags().Changed)
			if err != nil {
				return err
			}
			return a.runConfigSet(command.Context(), change, asked.destinationTokenFile)
		},
	}
	flags := command.Flags()
	flags.Int32Var(&asked.cadence, "cadence", 0, "`minutes` between two polls")
	flags.StringVar(&asked.perSecond, "rps", "", "`requests` a second to VOMO, or default")
	flags.StringVar(&asked.perMinute, "rpm", "", "`requests` a minute to VOMO, or default; 0 is no such limit")
	flags.StringVar(&asked.perSecond, "requests-per-second", "", "the same as --rps")
	flags.StringVar(&asked.perMinute, "requests-per-minute", "", "the same as --rpm")
	flags.StringVar(&asked.adminEmail, "admin-email", "", "`address` that gets a mail when the token stops working; empty for none")
	flags.StringVar(&asked.url, "destination-url", "", "base `URL` of the destination")
	flags.StringVar(&asked.destinationTokenFile, "destination-token-file", "", "`file` with the destination's token; - is standard input")
	flags.BoolVar(&asked.moved, "moved", false, "the destination is the same system under another address")
	flags.BoolVar(&asked.newSystem, "new-system", false, "the destination is another system: write everybody again")
	flags.StringVar(&asked.vomoTokenFile, "vomo-token-file", "", "`file` with a new VOMO token, and no other change; - is standard input")
	for _, other := range []string{
		"cadence", "rps", "rpm", "requests-per-second", "requests-per-minute", "admin-email", "destination-url", "destination-token-file",
		"moved", "new-system",
	} {
		command.MarkFlagsMutuallyExclusive("vomo-token-file", other)
	}
	command.MarkFlagsMutuallyExclusive("moved", "new-system")
	command.MarkFlagsMutuallyExclusive("rps", "requests-per-second")
	command.MarkFlagsMutuallyExclusive("rpm", "requests-per-minute")
	return command
}

// change returns the change that the flags ask for.
func (f configFlags) change(customer string, changed func(string) bool) (report.ConfigChange, error) {
	change := report.ConfigChange{CustomerID: customer}
	some := changed("destination-token-file") || f.newSystem
	if changed("cadence") {
		change.PollCadenceMinutes, some = &f.cadence, true
	}
	if changed("admin-email") {
		some = true
		if f.adminEmail == "" {
			change.Unset = append(change.Unset, report.FieldAdminEmail)
		} else {
			change.AdminEmail = &f.adminEmail
		}
	}
	if changed("destination-url") {
		change.ExternalSystemURL, some = &f.url, true
	}
	for _, limit := range []struct {
		names       [2]string
		text, field string
		value       **float64
	}{
		{[2]string{"rps", "requests-per-second"}, f.perSecond, report.FieldRequestsPerSecond, &change.RequestsPerSecond},
		{[2]string{"rpm", "requests-per-minute"}, f.perMinute, report.FieldRequestsPerMinute, &change.RequestsPerMinute},
	} {
		if !changed(limit.names[0]) && !changed(limit.names[1]) {
			continue
		}
		some = true
		if limit.text == "default" {
			change.Unset = append(change.Unset, limit.field)
			continue
		}
		number, err := strconv.ParseFloat(limit.text, 64)
		if err != nil {
			return change, usage("--%s takes a number, or default for what the installation has", limit.names[0])
		}
		*limit.value = &number
	}
	switch {
	case f.moved:
		change.DestinationChange = report.DestinationMoved
	case f.newSystem:
		change.DestinationChange = report.DestinationNewSystem
	}
	if !some {
		return change, usage("say what to change: --cadence, --rps, --rpm, --admin-email, --destination-url, --destination-token-file or --vomo-token-file")
	}
	return change, nil
}

func (a *app) runConfigSet(ctx context.Context, change report.ConfigChange, tokenFile string) error {
	var token string
	if tokenFile != "" {
		var err error
		if token, err = a.secretFrom(ctx, tokenFile); err != nil {
			return err
		}
	}
	on, err := a.connect()
	if err != nil {
		return err
	}
	defer on.close()
	if token != "" {
		key, err := publicKey(ctx, on)
		if err != nil {
			return err
		}
		if change.DestinationTokenSealed, err = vault.SealToken(key.PublicKey, token); err != nil {
			return err
		}
	}
	on.timeout = max(on.timeout, configTimeout)
	done, err := a.setWhenFree(ctx, on, change)
	if err != nil {
		return customerError(change.CustomerID, err)
	}
	if a.json {
		return a.document(done)
	}
	a.showChanged(done)
	return nil
}

// setWhenFree asks again while a job holds the customer's lane: a worker that died holds it until its lease ends.
func (a *app) setWhenFree(ctx context.Context, on *link, change report.ConfigChange) (report.ConfigChanged, error) {
	for waited := time.Duration(0); ; waited += busyInterval + configTimeout/2 {
		done, err := ask[report.ConfigChange, report.ConfigChanged](ctx, on, "config", "set", change)
		if !isBusy(err) || waited >= busyPatience {
			return done, err
		}
		if waited == 0 {
			sayf(a.log, "%v; trying again", err)
		}
		if a.WaitFunc(ctx, busyInterval) != nil {
			return done, errInterrupted
		}
	}
}

func (a *app) showChanged(done report.ConfigChanged) {
	if len(done.Changes) == 0 && done.Backfill == nil {
		sayf(a.out, "%s: nothing to change", done.CustomerID)
		return
	}
	for _, change := range done.Changes {
		if change.From == nil && change.To == nil {
			sayf(a.out, "%s: %s changed", done.CustomerID, change.Field)
			continue
		}
		sayf(a.out, "%s: %s %s -> %s", done.CustomerID, change.Field, shownValue(change.Field, change.From), shownValue(change.Field, change.To))
	}
	if run := done.Backfill; run != nil {
		sayf(a.out, "%s: backfill %d %s", done.CustomerID, run.ID, stateText(*run))
	}
}

func shownValue(field string, value any) string {
	switch {
	case value != nil:
		return fmt.Sprint(value)
	case field == report.FieldAdminEmail:
		return "none"
	}
	return "default"
}

// replaceToken replaces a known customer's VOMO token and waits until the token was tested. It publishes the same request as
// `rollcall onboard` without settings.
func (a *app) replaceToken(ctx context.Context, customer, file string) error {
	token, err := a.secretFrom(ctx, file)
	if err != nil {
		return err
	}
	request := &rollcallv1.OnboardingRequest{CustomerId: customer, VomoToken: token}
	if errs := request.Validate(customer, false); len(errs) > 0 {
		return usage("this request would be refused:%s", fieldErrors(errs))
	}
	on, err := a.connect()
	if err != nil {
		return err
	}
	defer on.close()
	if err := a.confirmReplacing(ctx, on, request, false); err != nil {
		return err
	}
	taken, err := a.publishRequest(ctx, on, request, false)
	if err != nil {
		return err
	}
	settled, err := a.awaitSettled(ctx, on, taken)
	if err != nil {
		return err
	}
	if a.json {
		if err := a.document(onboardedDocument{published: taken, Request: &settled}); err != nil {
			return err
		}
	}
	switch store.RequestState(settled.State) {
	case store.RequestRejected:
		return fmt.Errorf("nothing was changed:%s", fieldErrors(settled.Errors))
	case store.RequestDuplicate:
		a.progressLinef("%s: that VOMO token was in force already", customer)
		return nil
	case store.RequestPending, store.RequestApplied, store.RequestSuperseded:
	}
	if err := requestError(customer, settled); err != nil {
		return err
	}
	a.progressLinef("%s: VOMO token replaced; all settings stay", customer)
	return nil
}
