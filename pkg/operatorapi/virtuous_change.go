package operatorapi

import (
	"fmt"
	"maps"
	"slices"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/structpb"

	rollcallv1 "rollcall.dev/proto/rollcall/v1"
)

// On returns the settings with the change applied, as an onboarding message has them. current is nil for settings that start anew. The error
// says that the defaults are no object.
func (c VirtuousChange) On(current *Virtuous) (*rollcallv1.Virtuous, error) {
	message := &rollcallv1.Virtuous{}
	defaults := c.Defaults
	var rules Resolution
	if current != nil {
		message.DesignationsField, message.CreateWebhook = current.DesignationsField, current.CreateWebhook
		message.NeedsReviewAfterHours = int32(min(current.NeedsReviewAfterHours, 1<<20)) //nolint:gosec // bounded
		message.StuckAfterHours = int32(min(current.StuckAfterHours, 1<<20))             //nolint:gosec // bounded
		rules = current.Resolution
		assign(&message.TransactionSource, current.TransactionSource)
		assign(&message.ImportsUrl, current.ImportsURL)
		assign(&message.GiftsSince, current.GiftsSince)
		if len(defaults) == 0 {
			defaults = current.Defaults
		}
	}
	assign(&message.TransactionSource, c.TransactionSource)
	assign(&message.DesignationsField, c.DesignationsField)
	assign(&message.NeedsReviewAfterHours, c.NeedsReviewAfterHours)
	assign(&message.StuckAfterHours, c.StuckAfterHours)
	assign(&message.ImportsUrl, c.ImportsURL)
	assign(&message.GiftsSince, c.GiftsSince)
	assign(&message.CreateWebhook, c.CreateWebhook)
	message.Resolution = c.Resolution.on(rules)
	if len(defaults) == 0 {
		return message, nil
	}
	message.Defaults = &structpb.Struct{}
	if err := protojson.Unmarshal(defaults, message.GetDefaults()); err != nil {
		return nil, fmt.Errorf("read defaults: %w", err)
	}
	return message, nil
}

// on returns the rules with the change applied; nil for the default, which a message leaves out.
func (c *ResolutionChange) on(current Resolution) *rollcallv1.Resolution {
	rules := &rollcallv1.Resolution{Policy: current.Policy, Owners: maps.Clone(current.Owners)}
	if c != nil {
		assign(&rules.Policy, c.Policy)
		for field, owner := range c.Owners {
			if owner == "" && slices.Contains(rollcallv1.ResolutionFields(), field) {
				delete(rules.GetOwners(), field)
				continue
			}
			if rules.Owners == nil {
				rules.Owners = map[string]string{}
			}
			rules.Owners[field] = owner // a field that there is not is kept, so that validation names it
		}
	}
	if rules.GetPolicy() == rollcallv1.ResolutionPolicies()[0] {
		rules.Policy = ""
	}
	if rules.GetPolicy() == "" && len(rules.GetOwners()) == 0 {
		return nil
	}
	return rules
}

func assign[T any](into, value *T) {
	if value != nil {
		*into = *value
	}
}
