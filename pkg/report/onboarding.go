package report

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"rollcall.dev/pkg/giving/resolution"
	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/pkg/store"
)

// ConfigOf answers rollcall.api.config.get. It returns store.ErrNotFound for a customer that was not onboarded.
func ConfigOf(ctx context.Context, from store.Conn, customerID string) (operatorapi.Config, error) {
	customer, err := from.Customer(ctx, customerID)
	if err != nil {
		return operatorapi.Config{}, err
	}
	names, err := from.CredentialNames(ctx, customerID)
	if err != nil {
		return operatorapi.Config{}, err
	}
	var stored struct {
		Kind      string `json:"kind"`
		BatchSize *int32 `json:"batchSize"`

		Participations bool `json:"participations"`
	}
	if err := json.Unmarshal(customer.Destination, &stored); err != nil {
		return operatorapi.Config{}, fmt.Errorf("decode destination: %w", err)
	}
	var quiet *operatorapi.QuietHours
	if len(customer.QuietHours) > 0 {
		if err := json.Unmarshal(customer.QuietHours, &quiet); err != nil {
			return operatorapi.Config{}, fmt.Errorf("decode quiet hours: %w", err)
		}
	}
	writeBack, err := WriteBackOf(customer)
	if err != nil {
		return operatorapi.Config{}, err
	}
	virtuous, err := virtuousOf(ctx, from, customerID, names)
	if err != nil {
		return operatorapi.Config{}, err
	}
	return operatorapi.Config{
		CustomerID: customer.ID, Enabled: customer.Enabled, PausedAt: customer.PausedAt, OffboardedAt: customer.OffboardedAt,
		ExternalSystemURL: customer.ExternalSystemURL, DestinationKind: stored.Kind, BatchSize: stored.BatchSize,
		HasParticipations: stored.Participations, Participations: customer.Participations,
		HasDestinationAuth: slices.Contains(names, store.CredentialDestinationToken), PollCadenceMinutes: customer.PollCadenceMinutes,
		AdminEmail:        customer.AdminEmail,
		Limits:            operatorapi.ConfigLimits{RequestsPerSecond: customer.RequestsPerSecond, RequestsPerMinute: customer.RequestsPerMinute},
		BackfillNotBefore: customer.BackfillNotBefore, QuietHours: quiet, WriteBack: writeBack, Virtuous: virtuous,
	}, nil
}

// virtuousOf returns the customer's settings for giving; nil if it was never set up. credentials are the names of those that there are.
func virtuousOf(ctx context.Context, from store.Conn, customerID string, credentials []string) (*operatorapi.Virtuous, error) {
	config, err := from.VirtuousConfig(ctx, customerID)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil //nolint:nilnil // no giving is no error
	}
	if err != nil {
		return nil, err
	}
	shown := VirtuousSettings(config)
	shown.HasWebhookSecret = slices.Contains(credentials, store.CredentialWebhookSecret)
	if !slices.Contains(credentials, store.CredentialVirtuousRefreshToken) {
		return &shown, nil
	}
	oauth, err := from.OAuth(ctx, customerID)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return nil, err
	}
	if err == nil {
		shown.OAuth = &operatorapi.VirtuousOAuth{AccessTokenExpiresAt: oauth.AccessExpiresAt, RefreshedAt: oauth.RefreshedAt}
	}
	return &shown, nil
}

// VirtuousSettings returns settings for giving as they are shown, without the webhook secret.
func VirtuousSettings(config store.VirtuousConfig) operatorapi.Virtuous {
	return operatorapi.Virtuous{
		Enabled: config.Enabled, DisabledReason: unlessEmpty(config.DisabledReason), OrganizationID: config.OrganizationID,
		OrganizationName: config.OrganizationName, TimeZone: config.TimeZone, Culture: config.Culture,
		TransactionSource: unlessEmpty(config.TransactionSource), DesignationsField: config.DesignationsField, Defaults: config.Defaults,
		NeedsReviewAfterHours: config.NeedsReviewAfterHours, StuckAfterHours: config.StuckAfterHours,
		ImportsURL: unlessEmpty(config.ImportsURL), GiftsSince: unlessEmpty(config.GiftsSince), CreateWebhook: config.CreateWebhook,
		Resolution: resolutionOf(config),
	}
}

// resolutionOf returns the rules of resolution as they are shown: with the default policy by its name.
func resolutionOf(config store.VirtuousConfig) operatorapi.Resolution {
	rules := resolution.Parse(config.Resolution)
	shown := operatorapi.Resolution{Policy: rules.Policy, Owners: rules.Owners}
	if shown.Policy == "" {
		shown.Policy = resolution.VirtuousCanonical
	}
	if shown.Owners == nil {
		shown.Owners = map[string]string{}
	}
	return shown
}

func unlessEmpty(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}

// WriteBackOf returns what a customer's external system may write to VOMO; nil if it may write nothing.
func WriteBackOf(customer store.Customer) (*operatorapi.WriteBack, error) {
	settings, err := customer.WritesBack()
	if err != nil || len(settings.Fields) == 0 {
		return nil, err
	}
	shown := operatorapi.WriteBack(settings)
	return &shown, nil
}

// RequestOf answers rollcall.api.requests.get. It returns store.ErrNotFound for a message that was not read yet.
func RequestOf(ctx context.Context, from *store.Store, origin store.Origin) (operatorapi.Request, error) {
	outcome, err := from.RequestOutcome(ctx, origin)
	if err != nil {
		return operatorapi.Request{}, err
	}
	shown := operatorapi.Request{
		CustomerID: outcome.Customer, State: string(outcome.State), Attempts: outcome.Attempts,
		ReceivedAt: outcome.ReceivedAt, SettledAt: outcome.SettledAt,
	}
	if outcome.Errors != nil {
		if err := json.Unmarshal(outcome.Errors, &shown.Errors); err != nil {
			return operatorapi.Request{}, fmt.Errorf("decode errors of a request: %w", err)
		}
	}
	return shown, nil
}
