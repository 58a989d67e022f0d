package givingapi

import (
	"context"
	"errors"
	"time"

	"go.uber.org/zap"

	"rollcall.dev/pkg/connector"
	"rollcall.dev/pkg/giving/subscription"
	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/pkg/service"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/virtuous"
)

// replayBatch is how many parts of deliveries one answer has applied again.
const replayBatch = 1000

func (a *API) webhooks(ctx context.Context, question operatorapi.WebhookQuestion) (operatorapi.WebhooksReply, error) {
	if _, err := a.Store.Customer(ctx, question.CustomerID); err != nil {
		return operatorapi.WebhooksReply{}, err
	}
	known, err := a.Subscriptions.Of(ctx, question.CustomerID)
	return operatorapi.WebhooksReply{Webhooks: shownWebhooks(known)}, err
}

func (a *API) addWebhook(ctx context.Context, question operatorapi.WebhookQuestion) (operatorapi.Webhook, error) {
	added, err := a.Subscriptions.Add(ctx, question.CustomerID)
	if err != nil {
		return operatorapi.Webhook{}, answered(err)
	}
	return a.present(ctx, added)
}

func (a *API) rotateWebhook(ctx context.Context, question operatorapi.WebhookQuestion) (operatorapi.Webhook, error) {
	rotated, err := a.Subscriptions.Rotate(ctx, question.CustomerID)
	if err != nil {
		return operatorapi.Webhook{}, answered(err)
	}
	return a.present(ctx, rotated)
}

// present returns a subscription as it is stored now.
func (a *API) present(ctx context.Context, one store.Subscription) (operatorapi.Webhook, error) {
	known, err := a.Subscriptions.Of(ctx, one.Customer)
	for _, stored := range known {
		if stored.ID == one.ID {
			one = stored
		}
	}
	return shownWebhook(one), err
}

func (a *API) removeWebhook(ctx context.Context, question operatorapi.WebhookQuestion) (operatorapi.WebhooksReply, error) {
	removed, err := a.Subscriptions.Remove(ctx, question.CustomerID)
	if err != nil {
		return operatorapi.WebhooksReply{}, answered(err)
	}
	return operatorapi.WebhooksReply{Webhooks: shownWebhooks(removed)}, nil
}

func (a *API) verifyWebhook(ctx context.Context, question operatorapi.WebhookQuestion) (operatorapi.WebhookVerified, error) {
	found, err := a.Subscriptions.Verify(ctx, question.CustomerID)
	if err != nil {
		return operatorapi.WebhookVerified{}, answered(err)
	}
	verified := operatorapi.WebhookVerified{Differences: append([]string{}, found.Differences...), Orphans: shownWebhooks(found.Orphans)}
	if found.Subscription != nil {
		shown := shownWebhook(*found.Subscription)
		verified.Webhook = &shown
	}
	return verified, nil
}

func shownWebhooks(known []store.Subscription) []operatorapi.Webhook {
	shown := make([]operatorapi.Webhook, 0, len(known))
	for _, one := range known {
		shown = append(shown, shownWebhook(one))
	}
	return shown
}

func shownWebhook(one store.Subscription) operatorapi.Webhook {
	return operatorapi.Webhook{
		ID: one.ID, State: one.State, WebhookID: unless(0, one.VirtuousID), PayloadURL: one.PayloadURL, Events: append([]string{}, one.Toggles...),
		RequestedAt: one.RequestedAt, CreatedAt: one.CreatedAt, VerifiedAt: one.VerifiedAt, Differences: one.Differences,
		LastError: unless("", one.LastError), EndedAt: one.EndedAt, RotatingSince: one.RotatingSince,
	}
}

// answered returns the error that an operator gets. Errors of Virtuous name fields and codes, and no data.
func answered(err error) error {
	var text string
	switch {
	case errors.Is(err, store.ErrNotFound):
		return err
	case errors.Is(err, subscription.ErrAnswerLost):
		text = "Virtuous may have created the subscription, but its answer was lost. Add it again: what the lost one sends is applied once. " +
			"The customer's admin can delete the lost one in Virtuous, under Settings, Webhooks"
	case errors.Is(err, connector.ErrNoCredential), errors.Is(err, subscription.ErrNoPublicURL), errors.Is(err, subscription.ErrNoGiving),
		errors.Is(err, subscription.ErrPaused), errors.Is(err, subscription.ErrExists), errors.Is(err, subscription.ErrUnderWay),
		errors.Is(err, subscription.ErrNone):
		text = err.Error()
	case errors.Is(err, virtuous.ErrUnauthorized), errors.Is(err, virtuous.ErrForbidden), errors.Is(err, virtuous.ErrRejected),
		errors.Is(err, virtuous.ErrNotFound):
		text = err.Error()
	case errors.Is(err, virtuous.ErrUnavailable), errors.Is(err, virtuous.ErrThrottled), errors.Is(err, virtuous.ErrUnknownAnswer),
		errors.Is(err, context.DeadlineExceeded):
		return &service.BusyError{Text: err.Error()}
	default:
		return err
	}
	return &service.ConflictError{Text: text}
}

// replay has a batch of parts of deliveries applied again.
func (a *API) replay(ctx context.Context, question operatorapi.WebhookReplay) (operatorapi.WebhookReplayed, error) {
	if _, err := a.Store.Customer(ctx, question.CustomerID); err != nil {
		return operatorapi.WebhookReplayed{}, err
	}
	if !question.From.Before(question.To) {
		return operatorapi.WebhookReplayed{}, &service.FieldsError{Errors: map[string][]string{"to": {"must be after from"}}}
	}
	after := store.Replay{LastAt: question.From.Add(-time.Microsecond), LastID: 1<<63 - 1}
	if question.After != nil {
		after = store.Replay{LastAt: question.After.ReceivedAt, LastID: question.After.ID}
	}
	var batch store.Replay
	err := a.Store.InTx(ctx, func(ctx context.Context, tx *store.Tx) (err error) {
		batch, err = tx.ReplayInbox(ctx, question.CustomerID, after, question.To, replayBatch)
		return err
	})
	if err != nil {
		return operatorapi.WebhookReplayed{}, err
	}
	replayed := operatorapi.WebhookReplayed{Parts: batch.Parts, Records: batch.Records}
	if batch.Seen == replayBatch {
		replayed.Next = &operatorapi.WebhookPos{ReceivedAt: batch.LastAt, ID: batch.LastID}
	}
	a.Logger.Info("an operator had deliveries applied again", zap.String("customer", question.CustomerID), zap.Int64("parts", batch.Parts))
	a.Applied()
	return replayed, nil
}
