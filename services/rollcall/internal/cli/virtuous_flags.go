package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/pkg/operatorclient"
	"rollcall.dev/pkg/store"
	rollcallv1 "rollcall.dev/proto/rollcall/v1"
)

// Flags of `rollcall config set` about Virtuous.
const (
	flagVirtuousToken        = "virtuous-token-file"
	flagVirtuousRefresh      = "virtuous-refresh-token-file"
	flagVirtuousSecret       = "virtuous-webhook-secret-file"
	flagVirtuousOrganization = "virtuous-accept-other-organization"
	flagVirtuousSource       = "virtuous-source"
	flagVirtuousDesignations = "virtuous-designations-field"
	flagVirtuousDefaults     = "virtuous-defaults"
	flagVirtuousReview       = "virtuous-needs-review-hours"
	flagVirtuousStuck        = "virtuous-stuck-hours"
	flagVirtuousImports      = "virtuous-imports-url"
	flagVirtuousSince        = "virtuous-gifts-since"
	flagVirtuousWebhook      = "virtuous-webhook"
	flagVirtuousPolicy       = "virtuous-resolution"
	flagVirtuousOwner        = "virtuous-owner"
	flagNoVirtuous           = "no-virtuous"
)

// virtuousSettings are the flags that change a setting, without those about the key and the secret.
func virtuousSettings() []string {
	return []string{
		flagVirtuousSource, flagVirtuousDesignations, flagVirtuousDefaults, flagVirtuousReview, flagVirtuousStuck, flagVirtuousImports,
		flagVirtuousSince, flagVirtuousWebhook, flagVirtuousPolicy, flagVirtuousOwner,
	}
}

// virtuousFlags say how donations go into the customer's Virtuous.
type virtuousFlags struct {
	tokenFile, refreshFile, secretFile               string
	source, designations, defaults, imports, since   string
	policy                                           string
	owners                                           map[string]string
	reviewHours, stuckHours                          int32
	createWebhook, acceptOtherOrganization, noGiving bool
}

func (v *virtuousFlags) register(flags *pflag.FlagSet) {
	flags.StringVar(&v.tokenFile, flagVirtuousToken, "", "`file` with the API key of the customer's Virtuous; - is standard input")
	flags.StringVar(&v.refreshFile, flagVirtuousRefresh, "", "`file` with a refresh token (OAuth) instead of an API key; - is standard input")
	flags.StringVar(&v.secretFile, flagVirtuousSecret, "", "`file` with the secret that signs webhooks; - is standard input")
	flags.StringVar(&v.source, flagVirtuousSource, "", "`name` under which Virtuous knows the donations; empty: the installation's")
	flags.StringVar(&v.designations, flagVirtuousDesignations, "", "`name` of a transaction's list: designations or giftDesignations; empty: the default")
	flags.StringVar(&v.defaults, flagVirtuousDefaults, "", "`JSON` object of fields that are merged into every transaction; {} for none")
	flags.Int32Var(&v.reviewHours, flagVirtuousReview, 0, "`hours` after which a donation without a gift needs review; 0: the default")
	flags.Int32Var(&v.stuckHours, flagVirtuousStuck, 0, "`hours` after which a donation without a gift is looked up; 0: the default")
	flags.StringVar(&v.imports, flagVirtuousImports, "", "`URL` of the page in Virtuous on which imports are run; empty: none")
	flags.StringVar(&v.since, flagVirtuousSince, "", "`date` from which on modified gifts are read, such as 2026-01-31; empty: since onboarding")
	flags.BoolVar(&v.createWebhook, flagVirtuousWebhook, false, "create a webhook subscription at Virtuous; =false: create none")
	flags.StringVar(&v.policy, flagVirtuousPolicy, "", "`policy` about fields of a contact that differ and have no owner: "+
		strings.Join(rollcallv1.ResolutionPolicies(), ", ")+"; empty: the default")
	flags.StringToStringVar(&v.owners, flagVirtuousOwner, nil, "`field=owner`: name, email, phone or address, and partner, virtuous or none; may be repeated")
	flags.BoolVar(&v.acceptOtherOrganization, flagVirtuousOrganization, false,
		"the key may be of another organization: what is known of the gifts and contacts of the one before is deleted, and its webhook secret")
	flags.BoolVar(&v.noGiving, flagNoVirtuous, false, "end giving: the key is deleted, and donations wait")
}

// isRequest reports whether the flags need an onboarding request, which tests a key before it replaces the old one.
func (v *virtuousFlags) isRequest(changed func(string) bool) bool {
	return changed(flagVirtuousToken) || changed(flagVirtuousRefresh) || v.noGiving
}

// change returns the change of settings that the flags ask for, nil if there is none.
func (v *virtuousFlags) change(changed func(string) bool) (*operatorapi.VirtuousChange, error) {
	if !slices.ContainsFunc(virtuousSettings(), changed) && !changed(flagVirtuousSecret) {
		return nil, nil //nolint:nilnil // no change is no error
	}
	change := &operatorapi.VirtuousChange{}
	for name, set := range map[string]func(){
		flagVirtuousSource:       func() { change.TransactionSource = &v.source },
		flagVirtuousDesignations: func() { change.DesignationsField = &v.designations },
		flagVirtuousDefaults:     func() { change.Defaults = json.RawMessage(v.defaults) },
		flagVirtuousReview:       func() { change.NeedsReviewAfterHours = &v.reviewHours },
		flagVirtuousStuck:        func() { change.StuckAfterHours = &v.stuckHours },
		flagVirtuousImports:      func() { change.ImportsURL = &v.imports },
		flagVirtuousSince:        func() { change.GiftsSince = &v.since },
		flagVirtuousWebhook:      func() { change.CreateWebhook = &v.createWebhook },
	} {
		if changed(name) {
			set()
		}
	}
	if changed(flagVirtuousPolicy) || changed(flagVirtuousOwner) {
		change.Resolution = v.resolution(changed)
	}
	if changed(flagVirtuousDefaults) && !json.Valid(change.Defaults) {
		return nil, usage("--%s is not JSON: give an object such as '{\"batch\":\"AcmeGive\"}'", flagVirtuousDefaults)
	}
	return change, nil
}

// resolution returns the change of the rules of resolution.
func (v *virtuousFlags) resolution(changed func(string) bool) *operatorapi.ResolutionChange {
	change := &operatorapi.ResolutionChange{Owners: maps.Clone(v.owners)}
	for field, owner := range change.Owners {
		if owner == noSetting {
			change.Owners[field] = ""
		}
	}
	if changed(flagVirtuousPolicy) {
		change.Policy = &v.policy
	}
	return change
}

// virtuousSecrets are what the files that the flags name have.
type virtuousSecrets struct{ key, refresh, webhook string }

// message returns what a request says about Virtuous: the key or refresh token, and the settings as they are with the change. Without a
// change it has only the secrets.
func (v *virtuousFlags) message(current *operatorapi.Virtuous, change *operatorapi.VirtuousChange, secrets virtuousSecrets) (*rollcallv1.Virtuous, error) {
	if v.noGiving {
		return &rollcallv1.Virtuous{Remove: true}, nil
	}
	message := &rollcallv1.Virtuous{}
	if current != nil && current.DisabledReason != nil && *current.DisabledReason == store.GivingRemoved {
		current = nil
	}
	if change != nil {
		var err error
		if message, err = change.On(current); err != nil {
			return nil, usage("--%s is not a JSON object", flagVirtuousDefaults)
		}
	}
	message.Token, message.RefreshToken, message.WebhookSecret = secrets.key, secrets.refresh, secrets.webhook
	message.AcceptOtherOrganization = v.acceptOtherOrganization
	return message, nil
}

// requestVirtuous sets up giving, replaces its key, or ends it, and waits until that is done. It publishes an onboarding request.
func (a *app) requestVirtuous(ctx context.Context, customer, adminEmail string, flags virtuousFlags, change *operatorapi.VirtuousChange) error {
	secrets, err := a.virtuousSecrets(ctx, flags)
	if err != nil {
		return err
	}
	on, err := a.connect()
	if err != nil {
		return err
	}
	defer on.close()
	shown, err := ask[operatorapi.ConfigQuestion, operatorapi.Config](ctx, on, "config", "get", operatorapi.ConfigQuestion{CustomerID: customer})
	if err != nil && !operatorclient.IsUnknown(err) {
		return customerError(customer, err)
	}
	if secrets.webhook != "" && change != nil && !slices.ContainsFunc(virtuousSettingsOf(*change), func(set bool) bool { return set }) {
		change = nil // a secret beside a key changes no setting
	}
	message, err := flags.message(shown.Virtuous, change, secrets)
	if err != nil {
		return err
	}
	request := &rollcallv1.OnboardingRequest{CustomerId: customer, AdminEmail: adminEmail, Virtuous: message}
	if errs := request.Validate(customer, false); len(errs) > 0 {
		return usage("this request would be rejected:%s", fieldErrors(errs))
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
	return a.sayVirtuous(customer, flags, settled)
}

// virtuousSecrets reads the files that the flags name. The key and the refresh token exclude each other.
func (a *app) virtuousSecrets(ctx context.Context, flags virtuousFlags) (read virtuousSecrets, err error) {
	if flags.secretFile == "-" && (flags.tokenFile == "-" || flags.refreshFile == "-") {
		return read, usage("only one secret can come from standard input")
	}
	for _, one := range []struct {
		file string
		into *string
	}{{flags.tokenFile, &read.key}, {flags.refreshFile, &read.refresh}, {flags.secretFile, &read.webhook}} {
		if one.file == "" {
			continue
		}
		if *one.into, err = a.secretFrom(ctx, one.file); err != nil {
			return read, err
		}
	}
	return read, nil
}

// virtuousSettingsOf says which settings a change has.
func virtuousSettingsOf(change operatorapi.VirtuousChange) []bool {
	return []bool{
		change.TransactionSource != nil, change.DesignationsField != nil, len(change.Defaults) > 0, change.NeedsReviewAfterHours != nil,
		change.StuckAfterHours != nil, change.ImportsURL != nil, change.GiftsSince != nil, change.CreateWebhook != nil,
		change.Resolution != nil,
	}
}

func (a *app) sayVirtuous(customer string, flags virtuousFlags, settled operatorapi.Request) error {
	switch store.RequestState(settled.State) {
	case store.RequestRejected:
		return fmt.Errorf("nothing was changed:%s", fieldErrors(settled.Errors))
	case store.RequestDuplicate:
		a.progressLinef("%s: nothing to change", customer)
		return nil
	case store.RequestPending, store.RequestApplied, store.RequestSuperseded:
	}
	if err := requestError(customer, settled); err != nil {
		return err
	}
	if flags.noGiving {
		a.progressLinef("%s: giving has ended; the API key, or the refresh token, is deleted", customer)
		return nil
	}
	credential := "API key"
	if flags.refreshFile != "" {
		credential = "refresh token"
	}
	a.progressLinef("%s: Virtuous accepted the %s, and it is in force", customer, credential)
	return nil
}

// shownVirtuous lists the settings for giving, for `rollcall config show`.
func shownVirtuous(virtuous *operatorapi.Virtuous) [][2]string {
	if virtuous == nil {
		return [][2]string{{"virtuous", noSetting}}
	}
	enabled := yesNo(&virtuous.Enabled)
	if virtuous.DisabledReason != nil {
		enabled += ", " + *virtuous.DisabledReason
	}
	return [][2]string{
		{"virtuous", enabled},
		{"virtuous credential", shownCredential(virtuous.OAuth)},
		{"virtuous organization", virtuous.OrganizationName + " (" + virtuous.OrganizationID + "), " + virtuous.TimeZone},
		{"transaction source", setting(virtuous.TransactionSource, asInstallation)},
		{"designations field", virtuous.DesignationsField},
		{"defaults", string(virtuous.Defaults)},
		{"needs review after", fmt.Sprintf("%d hours", virtuous.NeedsReviewAfterHours)},
		{"stuck after", fmt.Sprintf("%d hours", virtuous.StuckAfterHours)},
		{"imports page", setting(virtuous.ImportsURL, noSetting)},
		{"gifts since", setting(virtuous.GiftsSince, "the onboarding")},
		{"webhook is created", yesNo(&virtuous.CreateWebhook)},
		{"webhook secret", yesNo(&virtuous.HasWebhookSecret)},
		{"resolution", virtuous.Resolution.Policy},
		{"owners of fields", shownOwners(virtuous.Resolution.Owners)},
	}
}

// shownCredential says what requests to Virtuous are sent with.
func shownCredential(oauth *operatorapi.VirtuousOAuth) string {
	if oauth == nil {
		return "API key"
	}
	return "OAuth; the access token ends " + oauth.AccessTokenExpiresAt.UTC().Format(time.RFC3339) + ", and is refreshed before"
}

// shownOwners writes owners as --virtuous-owner takes them.
func shownOwners(owners map[string]string) string {
	pairs := make([]string, 0, len(owners))
	for field, owner := range owners {
		pairs = append(pairs, field+"="+owner)
	}
	if len(pairs) == 0 {
		return noSetting
	}
	slices.Sort(pairs)
	return strings.Join(pairs, ",")
}
