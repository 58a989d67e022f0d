package cli

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/pkg/operatorclient"
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
			shown, err := ask[operatorapi.ConfigQuestion, operatorapi.Config](command.Context(), on, "config", "get", operatorapi.ConfigQuestion{CustomerID: args[0]})
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

func (a *app) showConfig(shown operatorapi.Config) error {
	settings := a.table()
	settings.row(shown.CustomerID)
	lines := [][2]string{
		{"enabled", yesNo(&shown.Enabled)},
		{"paused", paused(shown.PausedAt)},
		{"destination", shown.DestinationKind + " " + shown.ExternalSystemURL},
		{"batches", setting(shown.BatchSize, oneByOne)},
		{"fields for participations", yesNo(&shown.HasParticipations)},
		{"destination token", yesNo(&shown.HasDestinationAuth)},
		{"poll cadence", strconv.Itoa(int(shown.PollCadenceMinutes)) + " minutes"},
		{"admin email", setting(shown.AdminEmail, noSetting)},
		{"requests a second", setting(shown.Limits.RequestsPerSecond, asInstallation)},
		{"requests a minute", setting(shown.Limits.RequestsPerMinute, asInstallation)},
		{"backfill not before", shownMoment(shown.BackfillNotBefore)},
		{"quiet hours", shownHours(shown.QuietHours)},
		{"write back", shownWriteBack(shown.WriteBack)},
		{"participations", yesNo(&shown.Participations)},
	}
	for _, line := range append(lines, shownVirtuous(shown.Virtuous)...) {
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
	writeBack            writeBackFlags
	participations       bool
	participationFields  bool
	virtuous             virtuousFlags
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

--write-back names the fields whose values come from the external system (firstName, lastName, phone, birthday, gender). They
are written to VOMO, and rollcall leaves them out when it writes a user that the destination has. --write-back none ends it.

A new VOMO token is given by itself, with --vomo-token-file: it is tested before it replaces the old one, and all settings
stay. A customer that was switched off because VOMO rejected the old token continues where it stopped.

An API key of Virtuous, with --virtuous-token-file, is tested, too. It sets up giving, also for a customer that is not known yet,
or replaces the key. A customer who cannot make a key gives a refresh token instead, with --virtuous-refresh-token-file. With
either, the other flags about Virtuous may be given; settings without a flag stay. --no-virtuous ends giving.

--virtuous-resolution and --virtuous-owner say which side is right about a field of a contact in which the platform and Virtuous
differ. An owner's value is right, whatever the policy; a field without an owner follows the policy. Fields that are not named keep
their owners.`,
		Example: `  rollcall config set acme --cadence 15 --rpm default
  rollcall config set acme --vomo-token-file acme.token
  rollcall config set acme --virtuous-token-file virtuous.key --virtuous-source AcmeGive --admin-email it@acme.example
  rollcall config set acme --virtuous-resolution most_recent_wins --virtuous-owner email=partner,phone=none
  rollcall config set acme --write-back phone,lastName --write-back-create
  rollcall config set acme --destination-url https://crm.example/v2 --moved`,
		Args: cobra.ExactArgs(1),
		RunE: func(command *cobra.Command, args []string) error {
			if command.Flags().Changed("vomo-token-file") {
				return a.replaceToken(command.Context(), args[0], asked.vomoTokenFile)
			}
			changed := command.Flags().Changed
			if asked.virtuous.isRequest(changed) {
				change, err := asked.virtuous.change(changed)
				if err != nil {
					return err
				}
				return a.requestVirtuous(command.Context(), args[0], asked.adminEmail, asked.virtuous, change)
			}
			change, err := asked.change(args[0], changed)
			if err != nil {
				return err
			}
			return a.runConfigSet(command.Context(), change, asked)
		},
	}
	asked.register(command)
	return command
}

// register adds the flags, and says which exclude each other.
func (f *configFlags) register(command *cobra.Command) {
	flags := command.Flags()
	flags.Int32Var(&f.cadence, "cadence", 0, "`minutes` between two polls")
	flags.StringVar(&f.perSecond, "rps", "", "`requests` a second to VOMO, or default")
	flags.StringVar(&f.perMinute, "rpm", "", "`requests` a minute to VOMO, or default; 0 is no such limit")
	flags.StringVar(&f.perSecond, "requests-per-second", "", "the same as --rps")
	flags.StringVar(&f.perMinute, "requests-per-minute", "", "the same as --rpm")
	flags.StringVar(&f.adminEmail, "admin-email", "", "`address` that gets a mail when the token stops working; empty for none")
	flags.StringVar(&f.url, "destination-url", "", "base `URL` of the destination")
	flags.StringVar(&f.destinationTokenFile, "destination-token-file", "", "`file` with the destination's token; - is standard input")
	flags.BoolVar(&f.moved, "moved", false, "the destination is the same system under another address")
	flags.BoolVar(&f.newSystem, "new-system", false, "the destination is another system: write everybody again")
	f.writeBack.register(flags, "`fields` that the external system owns and writes back to VOMO, such as phone,lastName, or none")
	flags.BoolVar(&f.participations, "participations", false, "read the users' participations; =false ends that, and deletes what was read")
	flags.BoolVar(&f.participationFields, "destination-participations", false, "the destination has custom fields for participations; =false: it has none")
	f.virtuous.register(flags)
	flags.StringVar(&f.vomoTokenFile, "vomo-token-file", "", "`file` with a new VOMO token, and no other change; - is standard input")
	ofMirror := []string{
		"cadence", "rps", "rpm", "requests-per-second", "requests-per-minute", "destination-url", "destination-token-file",
		"moved", "new-system", flagWriteBack, flagWriteBackCreate, "participations", "destination-participations",
	}
	ofVirtuous := append(virtuousSettings(), flagVirtuousSecret, flagVirtuousOrganization)
	for _, other := range slices.Concat(ofMirror, ofVirtuous, []string{"admin-email", flagVirtuousToken, flagVirtuousRefresh, flagNoVirtuous}) {
		command.MarkFlagsMutuallyExclusive("vomo-token-file", other)
	}
	for _, other := range ofMirror {
		command.MarkFlagsMutuallyExclusive(flagVirtuousToken, other)
		command.MarkFlagsMutuallyExclusive(flagVirtuousRefresh, other)
		command.MarkFlagsMutuallyExclusive(flagNoVirtuous, other)
	}
	for _, other := range append(ofVirtuous, "admin-email", flagVirtuousToken, flagVirtuousRefresh) {
		command.MarkFlagsMutuallyExclusive(flagNoVirtuous, other)
	}
	command.MarkFlagsMutuallyExclusive(flagVirtuousToken, flagVirtuousRefresh)
	command.MarkFlagsMutuallyExclusive("moved", "new-system")
	command.MarkFlagsMutuallyExclusive("rps", "requests-per-second")
	command.MarkFlagsMutuallyExclusive("rpm", "requests-per-minute")
}

// change returns the change that the flags ask for.
func (f *configFlags) change(customer string, changed func(string) bool) (operatorapi.ConfigChange, error) {
	change := operatorapi.ConfigChange{CustomerID: customer}
	some := changed("destination-token-file") || f.newSystem
	if changed("cadence") {
		change.PollCadenceMinutes, some = &f.cadence, true
	}
	if changed("participations") {
		change.Participations, some = &f.participations, true
	}
	if changed("destination-participations") {
		change.DestinationParticipations, some = &f.participationFields, true
	}
	if changed("admin-email") {
		some = true
		if f.adminEmail == "" {
			change.Unset = append(change.Unset, operatorapi.FieldAdminEmail)
		} else {
			change.AdminEmail = &f.adminEmail
		}
	}
	if changed("destination-url") {
		change.ExternalSystemURL, some = &f.url, true
	}
	if changed(flagWriteBack) || changed(flagWriteBackCreate) {
		some = true
		if f.writeBack.isNone() {
			change.Unset = append(change.Unset, operatorapi.FieldWriteBack)
		} else {
			change.WriteBack = &operatorapi.WriteBack{Fields: f.writeBack.fields, Create: f.writeBack.create}
		}
	}
	virtuous, err := f.virtuous.change(changed)
	if err != nil {
		return change, err
	}
	change.Virtuous, some = virtuous, some || virtuous != nil
	limited, err := f.changeLimits(&change, changed)
	if err != nil {
		return change, err
	}
	some = some || limited
	switch {
	case f.moved:
		change.DestinationChange = operatorapi.DestinationMoved
	case f.newSystem:
		change.DestinationChange = operatorapi.DestinationNewSystem
	}
	if !some {
		return change, usage("say what to change: --cadence, --rps, --rpm, --admin-email, --destination-url, --destination-token-file, --write-back, " +
			"--participations, --destination-participations, --vomo-token-file, or a flag about Virtuous")
	}
	return change, nil
}

// changeLimits adds the change of the limits; some says that there is one.
func (f *configFlags) changeLimits(change *operatorapi.ConfigChange, changed func(string) bool) (some bool, err error) {
	for _, limit := range []struct {
		names       [2]string
		text, field string
		value       **float64
	}{
		{[2]string{"rps", "requests-per-second"}, f.perSecond, operatorapi.FieldRequestsPerSecond, &change.RequestsPerSecond},
		{[2]string{"rpm", "requests-per-minute"}, f.perMinute, operatorapi.FieldRequestsPerMinute, &change.RequestsPerMinute},
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
			return some, usage("--%s takes a number, or default for what the installation has", limit.names[0])
		}
		*limit.value = &number
	}
	return some, nil
}

func (a *app) runConfigSet(ctx context.Context, change operatorapi.ConfigChange, asked configFlags) error {
	if asked.destinationTokenFile == "-" && asked.virtuous.secretFile == "-" {
		return usage("only one secret can come from standard input")
	}
	var token, secret string
	for _, one := range []struct {
		file string
		into *string
	}{{asked.destinationTokenFile, &token}, {asked.virtuous.secretFile, &secret}} { // both may be of one file
		if one.file == "" {
			continue
		}
		var err error
		if *one.into, err = a.secretFrom(ctx, one.file); err != nil {
			return err
		}
	}
	on, err := a.connect()
	if err != nil {
		return err
	}
	defer on.close()
	if err := sealChange(ctx, on, &change, token, secret); err != nil {
		return err
	}
	on.Timeout = max(on.Timeout, configTimeout)
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

// sealChange seals the secrets of a change to the installation's key; "" for none.
func sealChange(ctx context.Context, on *link, change *operatorapi.ConfigChange, token, secret string) error {
	if token == "" && secret == "" {
		return nil
	}
	key, err := on.PublicKey(ctx)
	if err != nil {
		return err
	}
	if token != "" {
		if change.DestinationTokenSealed, err = vault.SealToken(key.PublicKey, token); err != nil {
			return err
		}
	}
	if secret != "" {
		change.Virtuous.WebhookSecretSealed, err = vault.SealToken(key.PublicKey, secret)
	}
	return err
}

// setWhenFree asks again while a job holds the customer's lane: a worker that died holds it until its lease ends.
func (a *app) setWhenFree(ctx context.Context, on *link, change operatorapi.ConfigChange) (operatorapi.ConfigChanged, error) {
	for waited := time.Duration(0); ; waited += busyInterval + configTimeout/2 {
		done, err := ask[operatorapi.ConfigChange, operatorapi.ConfigChanged](ctx, on, "config", "set", change)
		if !operatorclient.IsBusy(err) || waited >= busyPatience {
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

func (a *app) showChanged(done operatorapi.ConfigChanged) {
	if len(done.Changes) == 0 && done.Backfill == nil {
		sayf(a.out, "%s: nothing to change", done.CustomerID)
		return
	}
	for _, change := range done.Changes {
		if change.Field == operatorapi.FieldWriteBack {
			sayf(a.out, "%s: %s is now: %s", done.CustomerID, change.Field, shownWriteBack(done.Config.WriteBack))
			continue
		}
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
	case field == operatorapi.FieldAdminEmail, strings.HasPrefix(field, operatorapi.FieldVirtuousOwners):
		return noSetting
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
		return usage("this request would be rejected:%s", fieldErrors(errs))
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
