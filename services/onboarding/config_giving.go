package main

import (
	"context"
	"errors"
	"maps"
	"slices"

	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/pkg/report"
	"rollcall.dev/pkg/service"
	"rollcall.dev/pkg/store"
	rollcallv1 "rollcall.dev/proto/rollcall/v1"
)

// fieldWebhookSecret is the name of the webhook secret in a change.
const fieldWebhookSecret = "virtuous.webhookSecretSealed"

// changeGiving writes a change of the settings for giving, and returns what it changed. Donations that were captured keep their source and
// their fields.
func (o *operators) changeGiving(ctx context.Context, tx *store.Tx, customer string, asked operatorapi.ConfigChange, secret string,
) ([]operatorapi.Change, error) {
	if asked.Virtuous == nil {
		return nil, nil
	}
	current, err := tx.VirtuousConfig(ctx, customer)
	if errors.Is(err, store.ErrNotFound) || (err == nil && current.RemovedAt != nil) {
		return nil, conflict("giving of %q is not set up: give a key, with rollcall config set %s --virtuous-token-file <file>", customer, customer)
	}
	if err != nil {
		return nil, err
	}
	next, errs := plannedGiving(current, *asked.Virtuous)
	if next.TransactionSource == "" && current.TransactionSource != "" && o.source == "" {
		errs.Add(fieldSource, rollcallv1.MissingSource)
	}
	wanted := next.CreateWebhook && !current.CreateWebhook
	if wanted && o.publicURL == "" {
		errs.Add(fieldCreateWebhook, noPublicURL)
	}
	if len(errs) > 0 {
		return nil, &service.FieldsError{Errors: errs}
	}
	if err := tx.ChangeVirtuous(ctx, next); err != nil {
		return nil, err
	}
	if wanted {
		if err := tx.WantSubscription(ctx, customer); err != nil {
			return nil, err
		}
	}
	changes := givingChanges(current, next)
	if secret == "" {
		return changes, nil
	}
	secrets := webhookSecrets{vault: o.vault.On(tx.Conn), tx: tx, customer: customer}
	changed, err := secrets.replace(ctx, secret)
	if errors.Is(err, errSecretOnItsWay) {
		return nil, conflict("%v", err)
	}
	if changed {
		changes = append(changes, operatorapi.Change{Field: "virtuous.webhookSecret"})
	}
	return changes, err
}

// plannedGiving returns the settings with the change applied, and what is wrong with them.
func plannedGiving(current store.VirtuousConfig, asked operatorapi.VirtuousChange) (store.VirtuousConfig, rollcallv1.FieldErrors) {
	errs := rollcallv1.FieldErrors{}
	settings := report.VirtuousSettings(current)
	if asked.Resolution == nil {
		settings.Resolution = operatorapi.Resolution{} // they stay, also if a later version stored what this one rejects
	}
	message, err := asked.On(&settings)
	if err != nil {
		errs.Add("virtuous.defaults", "has the wrong type: expected an object")
		return current, errs
	}
	message.ValidateSettings(errs)
	next, err := givingOf(message)
	if err != nil {
		errs.Add("virtuous.defaults", "cannot be stored")
	}
	next.Customer, next.Enabled, next.DisabledReason = current.Customer, current.Enabled, current.DisabledReason
	if asked.Resolution == nil {
		next.Resolution = current.Resolution
	}
	return next, errs
}

// givingChanges lists the settings that differ, by their names in the onboarding message.
func givingChanges(current, next store.VirtuousConfig) (changes []operatorapi.Change) {
	from, to := report.VirtuousSettings(current), report.VirtuousSettings(next)
	for _, one := range []struct {
		field    string
		same     bool
		from, to any
	}{
		{fieldSource, equal(from.TransactionSource, to.TransactionSource), from.TransactionSource, to.TransactionSource},
		{"virtuous.designationsField", from.DesignationsField == to.DesignationsField, from.DesignationsField, to.DesignationsField},
		{"virtuous.defaults", isSameJSON(from.Defaults, to.Defaults), from.Defaults, to.Defaults},
		{"virtuous.needsReviewAfterHours", from.NeedsReviewAfterHours == to.NeedsReviewAfterHours, from.NeedsReviewAfterHours, to.NeedsReviewAfterHours},
		{"virtuous.stuckAfterHours", from.StuckAfterHours == to.StuckAfterHours, from.StuckAfterHours, to.StuckAfterHours},
		{"virtuous.importsUrl", equal(from.ImportsURL, to.ImportsURL), from.ImportsURL, to.ImportsURL},
		{"virtuous.giftsSince", equal(from.GiftsSince, to.GiftsSince), from.GiftsSince, to.GiftsSince},
		{fieldCreateWebhook, from.CreateWebhook == to.CreateWebhook, from.CreateWebhook, to.CreateWebhook},
	} {
		if !one.same {
			changes = append(changes, operatorapi.Change{Field: one.field, From: one.from, To: one.to})
		}
	}
	return append(changes, resolutionChanges(from.Resolution, to.Resolution)...)
}

// resolutionChanges lists the policy, and each field whose owner changes. Null means that the field has no owner.
func resolutionChanges(from, to operatorapi.Resolution) (changes []operatorapi.Change) {
	if from.Policy != to.Policy {
		changes = append(changes, operatorapi.Change{Field: "virtuous.resolution.policy", From: from.Policy, To: to.Policy})
	}
	fields := maps.Clone(from.Owners)
	maps.Copy(fields, to.Owners)
	for _, field := range slices.Sorted(maps.Keys(fields)) {
		if from.Owners[field] != to.Owners[field] {
			changes = append(changes, operatorapi.Change{
				Field: operatorapi.FieldVirtuousOwners + field, From: orNull(from.Owners[field]), To: orNull(to.Owners[field]),
			})
		}
	}
	return changes
}

func orNull(text string) any {
	if text == "" {
		return nil
	}
	return text
}
