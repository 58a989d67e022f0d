package operatorapi

import (
	"fmt"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/structpb"

	rollcallv1 "rollcall.dev/proto/rollcall/v1"
)

// On returns the settings with the change applied, as an onboarding message has them. current is nil for settings that start anew. The error
// says that the defaults are no object.
func (c VirtuousChange) On(current *Virtuous) (*rollcallv1.Virtuous, error) {
	message := &rollcallv1.Virtuous{}
	defaults := c.Defaults
	if current != nil {
		message.DesignationsField, message.CreateWebhook = current.DesignationsField, current.CreateWebhook
		message.NeedsReviewAfterHours = int32(min(current.NeedsReviewAfterHours, 1<<20)) //nolint:gosec // bounded
		message.StuckAfterHours = int32(min(current.StuckAfterHours, 1<<20))             //nolint:gosec // bounded
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
	if len(defaults) == 0 {
		return message, nil
	}
	message.Defaults = &structpb.Struct{}
	if err := protojson.Unmarshal(defaults, message.GetDefaults()); err != nil {
		return nil, fmt.Errorf("read defaults: %w", err)
	}
	return message, nil
}

func assign[T any](into, value *T) {
	if value != nil {
		*into = *value
	}
}
