package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/spf13/pflag"

	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/pkg/store"
	rollcallv1 "rollcall.dev/proto/rollcall/v1"
)

// Flags of `rollcall config set` about Virtuous.
const (
	flagVirtuousToken        = "virtuous-token-file"
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
	flagNoVirtuous           = "no-virtuous"
)

// virtuousSettings are the flags that change a setting, without those about the key and the secret.
func virtuousSettings() []string {
	return []string{
		flagVirtuousSource, flagVirtuousDesignations, flagVirtuousDefaults, flagVirtuousReview, flagVirtuousStuck, flagVirtuousImports,
		flagVirtuousSince, flagVirtuousWebhook,
	}
}

// virtuousFlags say how donations go into the customer's Virtuous.
type virtuousFlags struct {
	tokenFile, secretFile                            string
	source, designations, defaults, imports, since   string
	reviewHours, stuckHours                          int32
	createWebhook, acceptOtherOrganization, noGiving bool
}

func (v *virtuousFlags) register(flags *pflag.FlagSet) {
	flags.StringVar(&v.tokenFile, flagVirtuousToken, "", "`file` with the API key of the customer's Virtuous; - is standard input")
	flags.StringVar(&v.secretFile, flagVirtuousSecret, "", "`file` with the secret that signs webhooks; - is standard input")
	flags.StringVar(&v.source, flagVirtuousSource, "", "`name` under which Virtuous knows the donations; empty: the installation's")
	flags.StringVar(&v.designations, flagVirtuousDesignations, "", "`name` of a transaction's list: designations or giftDesignations; empty: the default")
	flags.StringVar(&v.defaults, flagVirtuousDefaults, "", "`JSON` object of fields that are merged into every transaction; {} for none")
	flags.Int32Var(&v.reviewHours, flagVirtuousReview, 0, "`hours` after which a donation without a gift needs review; 0: the default")
	flags.Int32Var(&v.stuckHours, flagVirtuousStuck, 0, "`hours` after which a donation without a gift is looked up; 0: the default")
	flags.StringVar(&v.imports, flagVirtuousImports, "", "`URL` of the page in Virtuous on which imports are run; empty: none")
	flags.StringVar(&v.since, flagVirtuousSince, "", "`date` from which on modified gifts are read, such as 2026-01-31; empty: since onboarding")
	flags.BoolVar(&v.createWebhook, flagVirtuousWebhook, false, "create a webhook subscription at Virtuous; =false: create none")
	flags.BoolVar(&v.acceptOtherOrganization, flagVirtuousOrganization, false,
		"the key may be of another organization: what is known of the gifts and contacts of the one before is deleted, and its webhook secret")
	flags.BoolVar(&v.noGiving, flagNoVirtuous, false, "end giving: the key is deleted, and donations wait")
}

// isRequest reports whether the flags need an onboarding request, which tests a key before it replaces the old one.
func (v *virtuousFlags) isRequest(changed func(string) bool) bool {
	return changed(flagVirtuousToken) || v.noGiving
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
	if changed(flagVirtuousDefaults) && !json.Valid(change.Defaults) {
		return nil, usage("--%s is not JSON: give an object such as '{\"batch\":\"AcmeGive\"}'", flagVirtuousDefaults)
	}
	return change, nil
}

// message returns what a request says about Virtuous: the key, and the settings as they are with the change. Without a change it has only
// the key.
func (v *virtuousFlags) message(current *operatorapi.Virtuous, change *operatorapi.VirtuousChange, key, secret string) (*rollcallv1.Virtuous, error) {
	if v.noGiving {
		return &rollcallv1.Virtuous{Remove: true}, nil
	}
	if change == nil {
		return &rollcallv1.Virtuous{Token: key, WebhookSecret: secret, AcceptOtherOrganization: v.acceptOtherOrganization}, nil
	}
	if current != nil && current.DisabledReason != nil && *current.DisabledReason == store.GivingRemoved {
		current = nil
	}
	message, err := change.On(current)
	if err != nil {
		return nil, usage("--%s is not a JSON object", flagVirtuousDefaults)
	}
	message.Token, message.WebhookSecret, message.AcceptOtherOrganization = key, secret, v.acceptOtherOrganization
	return message, nil
}

// requestVirtuous sets up giving, replaces its key, or ends it, and waits until that is done. It publishes an onboarding request.
func (a *app) requestVirtuous(ctx context.Context, customer, adminEmail string, flags virtuousFlags, change *operatorapi.VirtuousChange) error {
	if flags.tokenFile == "-" && flags.secretFile == "-" {
		return usage("only one secret can come from standard input")
	}
	var key, secret string
	var err error
	if flags.tokenFile != "" {
		if key, err = a.secretFrom(ctx, flags.tokenFile); err != nil {
			return err
		}
	}
	if flags.secretFile != "" {
		if secret, err = a.secretFrom(ctx, flags.secretFile); err != nil {
			return err
		}
	}
	on, err := a.connect()
	if err != nil {
		return err
	}
	defer on.close()
	shown, err := ask[operatorapi.ConfigQuestion, operatorapi.Config](ctx, on, "config", "get", operatorapi.ConfigQuestion{CustomerID: customer})
	if err != nil && !isUnknown(err) {
		return customerError(customer, err)
	}
	if secret != "" && change != nil && !slices.ContainsFunc(virtuousSettingsOf(*change), func(set bool) bool { return set }) {
		change = nil // a secret beside a key changes no setting
	}
	message, err := flags.message(shown.Virtuous, change, key, secret)
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
	return a.sayVirtuous(customer, flags.noGiving, settled)
}

// virtuousSettingsOf says which settings a change has.
func virtuousSettingsOf(change operatorapi.VirtuousChange) []bool {
	return []bool{
		change.TransactionSource != nil, change.DesignationsField != nil, len(change.Defaults) > 0, change.NeedsReviewAfterHours != nil,
		change.StuckAfterHours != nil, change.ImportsURL != nil, change.GiftsSince != nil, change.CreateWebhook != nil,
	}
}

func (a *app) sayVirtuous(customer string, removed bool, settled operatorapi.Request) error {
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
	if removed {
		a.progressLinef("%s: giving has ended; the API key is deleted", customer)
		return nil
	}
	a.progressLinef("%s: Virtuous accepted the API key, and it is in force", customer)
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
	}
}
