package main

import (
	"context"
	"errors"
	"fmt"

	"rollcall.dev/pkg/destination"
	"rollcall.dev/pkg/vault"
	rollcallv1 "rollcall.dev/proto/rollcall/v1"
)

// requestSecrets is what of a request must not be stored in the clear.
type requestSecrets struct {
	VomoToken        string `json:"vomoToken"`
	DestinationToken string `json:"destinationToken,omitempty"`
}

// takeSecrets takes the secrets out of a request, opening those that came sealed to our key. What cannot be
// opened is an error of its field, not of ours.
func (i *intake) takeSecrets(ctx context.Context, request *rollcallv1.OnboardingRequest, errs rollcallv1.FieldErrors) (requestSecrets, error) {
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
	return secrets, nil
}

func (i *intake) openSecret(ctx context.Context, inClear, sealed, field string, errs rollcallv1.FieldErrors) (string, error) {
	if sealed == "" {
		return inClear, nil
	}
	plain, err := i.vault.OpenSealedToken(ctx, sealed)
	switch {
	case errors.Is(err, vault.ErrNotSealedToUs):
		errs.Add(field, "is not sealed to this installation's key: seal it to the key that `rollcall key` prints")
		return "", nil
	case err != nil:
		return "", fmt.Errorf("open sealed token: %w", err)
	case plain == "" || len(plain) > rollcallv1.MaxTokenBytes:
		errs.Add(field, "holds no token")
		return "", nil
	}
	return plain, nil
}

// kindRest is the only kind of destination so far.
const kindRest = "rest"

// checkDestination brings the two ways to name a destination into one, and checks its address.
func checkDestination(errs rollcallv1.FieldErrors, request *rollcallv1.OnboardingRequest, private destination.PrivateAccess) {
	field, address := "destination.url", request.GetDestination().GetUrl()
	if request.GetDestination() == nil {
		field, address = "externalSystemUrl", request.GetExternalSystemUrl()
		if address == "" {
			return // said already, or a token alone
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
