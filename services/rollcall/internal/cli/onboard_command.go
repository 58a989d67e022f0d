package cli

import (
	"context"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/timestamppb"

	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/pkg/window"
	rollcallv1 "rollcall.dev/proto/rollcall/v1"
)

// onboarding holds the flags of `rollcall onboard`.
type onboarding struct {
	vomoToken, vomoTokenFile                                string
	url                                                     string
	destinationKind, destinationURL, destinationTokenFile   string
	adminEmail                                              string
	cadence                                                 int32
	requestsPerSecond, requestsPerMinute                    float64
	limitsSecond, limitsMinute, clear, wait, hasDestination bool
	force, settings                                         bool // settings: some flag gives one, if only with nothing
	notBefore, quietHours                                   string
	quietDays                                               []string
	writeBack                                               writeBackFlags
	participations, participationFields                     bool
}

// onboardedDocument is what --json prints; request and backfill are null without --wait.
type onboardedDocument struct {
	published
	Request  *operatorapi.Request  `json:"request"`
	Backfill *operatorapi.Backfill `json:"backfill"`
}

func (a *app) onboard() *cobra.Command {
	var asked onboarding
	command := &cobra.Command{
		Use:   "onboard <customer>",
		Short: "Ask to mirror a customer's VOMO organisation",
		Long: `Publishes the request to mirror a customer's VOMO organisation. The token is sealed to the installation's
public key first, so that no stream ever holds it in the clear.

For a customer who is known, --url makes it replace everything: the token and all settings, and what is left out goes
back to its default, the destination's token too. It says first what that would change, and asks on a terminal; elsewhere
it needs --force. Without --url and without other settings it replaces the token and nothing else: the destination with
its token, the cadence, limits, hours and the admin's address stay, as with "rollcall config set --vomo-token-file".
Neither makes a new backfill.`,
		Example: `  rollcall onboard acme --vomo-token-file acme.token --url https://crm.example/api --wait
  rollcall onboard acme --vomo-token-file new.token --wait
  secret-tool lookup vomo acme | rollcall onboard acme --vomo-token-file - --url https://crm.example/api`,
		Args: cobra.ExactArgs(1),
		RunE: func(command *cobra.Command, args []string) error {
			changed := command.Flags().Changed
			asked.limitsSecond, asked.limitsMinute = changed("rps"), changed("rpm")
			asked.hasDestination = changed("destination-kind") || changed("destination-url") || changed("destination-token-file") ||
				changed("destination-participations")
			for _, name := range settingFlags() {
				asked.settings = asked.settings || changed(name)
			}
			return a.runOnboard(command.Context(), args[0], asked)
		},
	}
	flags := command.Flags()
	flags.StringVar(&asked.vomoTokenFile, "vomo-token-file", "", "`file` with the VOMO token; - is standard input")
	flags.StringVar(&asked.vomoToken, "vomo-token", "", "the VOMO `token`; rather use --vomo-token-file, or set VOMO_TOKEN")
	flags.StringVar(&asked.url, "url", "", "base `URL` of a REST destination (externalSystemUrl); without, the token alone is replaced")
	flags.StringVar(&asked.destinationKind, "destination-kind", "rest", "`kind` of the destination, instead of --url")
	flags.StringVar(&asked.destinationURL, "destination-url", "", "base `URL` of the destination")
	flags.StringVar(&asked.destinationTokenFile, "destination-token-file", "", "`file` with the destination's token; - is standard input")
	flags.Int32Var(&asked.cadence, "cadence", 0, "`minutes` between two polls (default 30)")
	flags.StringVar(&asked.adminEmail, "admin-email", "", "`address` that gets a mail when the token stops working")
	flags.Float64Var(&asked.requestsPerSecond, "rps", 0, "`requests` a second to VOMO, where it differs from the installation's")
	flags.Float64Var(&asked.requestsPerMinute, "rpm", 0, "`requests` a minute to VOMO, where it differs; 0 is no such limit")
	flags.StringVar(&asked.notBefore, "not-before", "", "`time` before which the backfill does not begin, such as 2026-11-20T22:00:00Z")
	flags.StringVar(&asked.quietHours, "quiet-hours", "", "`hours` without backfill, such as \"08:00-18:00 America/Chicago\"")
	flags.StringSliceVar(&asked.quietDays, "quiet-days", nil, "`days` on which the quiet hours begin, such as mon,tue (default all)")
	asked.writeBack.register(flags, "`fields` that the external system owns and writes back to VOMO, such as phone,lastName")
	flags.BoolVar(&asked.participations, "participations", false, "read the users' participations, in a slow rotation")
	flags.BoolVar(&asked.participationFields, "destination-participations", false, "the destination has custom fields for participations")
	flags.BoolVar(&asked.clear, "clear", false, "send the tokens in the clear, as the plain message does")
	flags.BoolVarP(&asked.force, "force", "f", false, "do not ask before settings of a known customer are replaced")
	flags.BoolVar(&asked.wait, "wait", false, "wait until it is applied, and follow the backfill to its end")
	return command
}

// settingFlags returns the flags that set more than the token.
func settingFlags() []string {
	return []string{
		"url", "destination-kind", "destination-url", "destination-token-file", "cadence", "admin-email", "rps", "rpm", "not-before",
		"quiet-hours", "quiet-days", flagWriteBack, flagWriteBackCreate, "participations", "destination-participations",
	}
}

func (a *app) runOnboard(ctx context.Context, customer string, asked onboarding) error {
	request, err := a.onboardingRequest(ctx, customer, asked)
	if err != nil {
		return err
	}
	errs := request.Validate(customer, false)
	window.Check(errs, request.GetQuietHours())
	if asked.settings && request.TokenOnly() { // an empty --url is a slip, and not a wish to keep everything
		errs.Add("externalSystemUrl", rollcallv1.MissingDestination)
	}
	if len(errs) > 0 {
		return usage("this request would be rejected:%s", fieldErrors(errs))
	}
	on, err := a.connect()
	if err != nil {
		return err
	}
	defer on.close()
	if err := a.confirmReplacing(ctx, on, request, asked.force); err != nil {
		return err
	}
	if request.TokenOnly() {
		sayf(a.log, "%s: the request replaces the token; all settings stay", customer)
	}
	taken, err := a.publishRequest(ctx, on, request, asked.clear)
	if err != nil {
		return err
	}
	document := onboardedDocument{published: taken}
	if asked.wait {
		return a.awaitOnboarded(ctx, on, document)
	}
	if a.json {
		return a.document(document)
	}
	return nil
}

// publishRequest publishes a valid request. It seals the tokens first unless inClear is set.
func (a *app) publishRequest(ctx context.Context, on *link, request *rollcallv1.OnboardingRequest, inClear bool) (published, error) {
	customer := request.GetCustomerId()
	if !inClear {
		if err := on.Seal(ctx, request); err != nil {
			return published{}, err
		}
		if errs := request.Validate(customer, true); len(errs) > 0 {
			return published{}, usage("this request would be rejected:%s", fieldErrors(errs))
		}
	}
	taken, err := on.PublishRequest(ctx, customer, bus.SubjectOnboard(customer), request)
	if err == nil {
		a.progressLinef("%s: published as message %d of %s", customer, taken.Sequence, taken.Stream)
	}
	return taken, err
}

func (a *app) onboardingRequest(ctx context.Context, customer string, asked onboarding) (*rollcallv1.OnboardingRequest, error) {
	if asked.vomoTokenFile == "-" && asked.destinationTokenFile == "-" {
		return nil, usage("only one token can come from standard input")
	}
	if asked.hasDestination && asked.destinationKind == "rest" && asked.destinationURL == "" {
		return nil, usage("a rest destination needs --destination-url")
	}
	token, err := a.vomoToken(ctx, asked.vomoToken, asked.vomoTokenFile)
	if err != nil {
		return nil, err
	}
	request := &rollcallv1.OnboardingRequest{
		CustomerId: customer, VomoToken: token, ExternalSystemUrl: asked.url, PollCadenceMinutes: asked.cadence, AdminEmail: asked.adminEmail,
		Participations: asked.participations,
	}
	if asked.hasDestination {
		request.Destination = &rollcallv1.Destination{
			Kind: asked.destinationKind, Url: asked.destinationURL, Participations: asked.participationFields,
		}
	}
	if asked.destinationTokenFile != "" {
		if request.Destination.Token, err = a.secretFrom(ctx, asked.destinationTokenFile); err != nil {
			return nil, err
		}
	}
	if asked.limitsSecond || asked.limitsMinute {
		request.Limits = &rollcallv1.Limits{RequestsPerSecond: asked.requestsPerSecond}
	}
	if asked.limitsMinute {
		request.Limits.RequestsPerMinute = &asked.requestsPerMinute
	}
	if len(asked.writeBack.fields) > 0 || asked.writeBack.create {
		request.WriteBack = &rollcallv1.WriteBack{Fields: asked.writeBack.fields, Create: asked.writeBack.create}
	}
	return request, askedWindow(request, asked)
}

// askedWindow sets when the backfill may run. It returns usage errors for flags that cannot be read; invalid hours are
// reported with the other errors of the request.
func askedWindow(request *rollcallv1.OnboardingRequest, asked onboarding) error {
	if asked.notBefore != "" {
		at, err := time.Parse(time.RFC3339, asked.notBefore)
		if err != nil {
			return usage("--not-before is no time such as 2026-11-20T22:00:00Z")
		}
		request.BackfillNotBefore = timestamppb.New(at)
	}
	if asked.quietHours == "" {
		if len(asked.quietDays) > 0 {
			return usage("--quiet-days needs --quiet-hours")
		}
		return nil
	}
	hours, zone, _ := strings.Cut(asked.quietHours, " ")
	from, to, _ := strings.Cut(hours, "-")
	request.QuietHours = &rollcallv1.QuietHours{From: from, To: to, Zone: strings.TrimSpace(zone), Weekdays: asked.quietDays}
	return nil
}
