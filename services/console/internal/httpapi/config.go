package httpapi

import (
	"bytes"
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/pkg/vault"
	"rollcall.dev/services/console/internal/access"
)

// configChange changes the settings that it has. Secrets are sealed before they are passed on.
type configChange struct {
	PollCadenceMinutes *int32   `json:"pollCadenceMinutes,omitempty"`
	AdminEmail         *string  `json:"adminEmail,omitempty"`
	RequestsPerSecond  *float64 `json:"requestsPerSecond,omitempty"`
	RequestsPerMinute  *float64 `json:"requestsPerMinute,omitempty" doc:"0: no limit a minute."`
	Unset              []string `json:"unset,omitempty" enum:"adminEmail,limits.requestsPerSecond,limits.requestsPerMinute,writeBack" doc:"Settings that return to their default."`
	ExternalSystemURL  *string  `json:"externalSystemUrl,omitempty"`
	DestinationChange  string   `json:"destinationChange,omitempty" enum:"moved,new_system" doc:"With a new externalSystemUrl: the same system elsewhere, or another system."`
	DestinationToken   string   `json:"destinationToken,omitempty" writeOnly:"true"`
	Participations     *bool    `json:"participations,omitempty"`

	DestinationParticipations *bool                       `json:"destinationParticipations,omitempty"`
	WriteBack                 *operatorapi.WriteBack      `json:"writeBack,omitempty"`
	Virtuous                  *operatorapi.VirtuousChange `json:"virtuous,omitempty"`
	WebhookSecret             string                      `json:"virtuousWebhookSecret,omitempty" writeOnly:"true"`
}

func (a *api) configRoutes() {
	register(a, route{
		id: "get-config", method: http.MethodGet, path: "/customers/{customer}/config", right: access.Read, summary: "Show a customer's settings",
	}, func(ctx context.Context, by caller, input *OfCustomer) (operatorapi.Config, error) {
		return by.config(ctx, input.Customer)
	})
	register(a, route{
		id: "change-config", method: http.MethodPatch, path: "/customers/{customer}/config", right: access.Customers,
		summary:     "Change settings of a customer; what is left out stays",
		description: "With If-Match, nothing is changed if the settings are others than those of the ETag.",
	}, func(ctx context.Context, by caller, input *struct {
		OfCustomer

		IfMatch string `header:"If-Match" doc:"The ETag of the settings that were read."`
		Body    configChange
	},
	) (operatorapi.ConfigChanged, error) {
		if input.IfMatch != "" {
			if err := a.checkUnchanged(ctx, by, input.Customer, input.IfMatch); err != nil {
				return operatorapi.ConfigChanged{}, err
			}
		}
		change, err := input.Body.sealed(ctx, by, input.Customer)
		if err != nil {
			return operatorapi.ConfigChanged{}, err
		}
		return ask[operatorapi.ConfigChange, operatorapi.ConfigChanged](ctx, by, "config", "set", change)
	})
}

func (by caller) config(ctx context.Context, customer string) (operatorapi.Config, error) {
	return ask[operatorapi.ConfigQuestion, operatorapi.Config](ctx, by, "config", "get", operatorapi.ConfigQuestion{CustomerID: customer})
}

// checkUnchanged returns an error if the settings have another ETag.
func (a *api) checkUnchanged(ctx context.Context, by caller, customer, tag string) error {
	current, err := by.config(ctx, customer)
	if err != nil {
		return err
	}
	var encoded bytes.Buffer
	if err := huma.DefaultJSONFormat.Marshal(&encoded, current); err != nil {
		return err
	}
	if !matches(tag, a.tags.of(encoded.Bytes())) {
		return huma.Error412PreconditionFailed("the settings have changed since they were read: read them again")
	}
	return nil
}

// sealed returns the change as the service takes it.
func (c configChange) sealed(ctx context.Context, by caller, customer string) (operatorapi.ConfigChange, error) {
	change := operatorapi.ConfigChange{
		CustomerID: customer, PollCadenceMinutes: c.PollCadenceMinutes, AdminEmail: c.AdminEmail, RequestsPerSecond: c.RequestsPerSecond,
		RequestsPerMinute: c.RequestsPerMinute, Unset: c.Unset, ExternalSystemURL: c.ExternalSystemURL, DestinationChange: c.DestinationChange,
		Participations: c.Participations, DestinationParticipations: c.DestinationParticipations, WriteBack: c.WriteBack, Virtuous: c.Virtuous,
	}
	if c.DestinationToken == "" && c.WebhookSecret == "" {
		return change, nil
	}
	key, err := by.PublicKey(ctx)
	if err != nil {
		return change, err
	}
	if c.DestinationToken != "" {
		if change.DestinationTokenSealed, err = vault.SealToken(key.PublicKey, c.DestinationToken); err != nil {
			return change, err
		}
	}
	if c.WebhookSecret != "" {
		if change.Virtuous == nil {
			change.Virtuous = &operatorapi.VirtuousChange{}
		}
		change.Virtuous.WebhookSecretSealed, err = vault.SealToken(key.PublicKey, c.WebhookSecret)
	}
	return change, err
}
