package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"rollcall.dev/pkg/destination"
	"rollcall.dev/pkg/vault"
	rollcallv1 "rollcall.dev/proto/rollcall/v1"
)

// requestSecrets are the parts of a request that must not be stored in the clear.
type requestSecrets struct {
	VomoToken        string `json:"vomoToken"`
	DestinationToken string `json:"destinationToken,omitempty"`
	VirtuousToken    string `json:"virtuousToken,omitempty"`
	WebhookSecret    string `json:"webhookSecret,omitempty"`

	VirtuousRefreshToken string          `json:"virtuousRefreshToken,omitempty"`
	Obtained             *obtainedTokens `json:"obtained,omitempty"` // for VirtuousRefreshToken
}

// extractSecrets removes the secrets from a request, and opens the sealed ones. If one cannot be opened, that is an error of
// its field, not a failure on our side.
func (i *intake) extractSecrets(ctx context.Context, request *rollcallv1.OnboardingRequest, errs rollcallv1.FieldErrors) (requestSecrets, error) {
	var secrets requestSecrets
	var err error
	if secrets.VomoToken, err = i.openSecret(ctx, request.GetVomoToken(), request.GetVomoTokenSealed(), "vomoTokenSealed", errs); err != nil {
		return requestSecrets{}, err
	}
	request.VomoToken, request.VomoTokenSealed = "", ""
	if target := request.GetDestination(); target != nil {
		if secrets.DestinationToken, err = i.openSecret(ctx, target.GetToken(), target.GetTokenSealed(), "destination.tokenSealed", errs); err != nil {
			return requestSecrets{}, err
		}
		target.Token, target.TokenSealed = "", ""
	}
	virtuous := request.GetVirtuous()
	if virtuous == nil {
		return secrets, nil
	}
	if secrets.VirtuousToken, err = i.openSecret(ctx, virtuous.GetToken(), virtuous.GetTokenSealed(), "virtuous.tokenSealed", errs); err != nil {
		return requestSecrets{}, err
	}
	refresh, refreshSealed := virtuous.GetRefreshToken(), virtuous.GetRefreshTokenSealed()
	if secrets.VirtuousRefreshToken, err = i.openSecret(ctx, refresh, refreshSealed, "virtuous.refreshTokenSealed", errs); err != nil {
		return requestSecrets{}, err
	}
	secrets.WebhookSecret, err = i.openSecret(ctx, virtuous.GetWebhookSecret(), virtuous.GetWebhookSecretSealed(), "virtuous.webhookSecretSealed", errs)
	if err != nil {
		return requestSecrets{}, err
	}
	virtuous.Token, virtuous.TokenSealed, virtuous.WebhookSecret, virtuous.WebhookSecretSealed = "", "", "", ""
	virtuous.RefreshToken, virtuous.RefreshTokenSealed = "", ""
	return secrets, nil
}

func (i *intake) openSecret(ctx context.Context, inClear, sealed, field string, errs rollcallv1.FieldErrors) (string, error) {
	if sealed == "" {
		return inClear, nil
	}
	return openSealed(ctx, i.vault, sealed, field, errs)
}

// openSealed opens a secret that is sealed to the installation's key, and adds an error of its field if that is not possible; "" for none.
func openSealed(ctx context.Context, keys *vault.Vault, sealed, field string, errs rollcallv1.FieldErrors) (string, error) {
	if sealed == "" {
		return "", nil
	}
	plain, err := keys.OpenSealedToken(ctx, sealed)
	switch {
	case errors.Is(err, vault.ErrNotSealedToUs):
		errs.Add(field, "is not sealed to this installation's key: seal it to the key that `rollcall key` prints")
		return "", nil
	case err != nil:
		return "", fmt.Errorf("open sealed token: %w", err)
	case plain == "" || len(plain) > rollcallv1.MaxTokenBytes || strings.ContainsFunc(plain, func(c rune) bool { return c <= ' ' || c > '~' }):
		errs.Add(field, "contains no token")
		return "", nil
	}
	return plain, nil
}

// kindRest is the only kind of destination so far.
const kindRest = "rest"

// checkDestination converts both forms of a destination into one, and checks its address.
func checkDestination(errs rollcallv1.FieldErrors, request *rollcallv1.OnboardingRequest, private destination.PrivateAccess) {
	field, address := "destination.url", request.GetDestination().GetUrl()
	if request.GetDestination() == nil {
		field, address = "externalSystemUrl", request.GetExternalSystemUrl()
		if address == "" {
			return // already reported, or a token-only request
		}
	} else if kind := request.GetDestination().GetKind(); kind != kindRest && kind != "" {
		errs.Add("destination.kind", `is not a kind that this version knows: "rest"`)
		return
	}
	if err := destination.CheckURL(address, private); err != nil {
		errs.Add(field, err.Error())
		return
	}
	if request.GetDestination() == nil {
		request.Destination = &rollcallv1.Destination{Kind: kindRest, Url: address}
		request.ExternalSystemUrl = ""
	}
}
