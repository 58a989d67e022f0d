package main

import (
	"context"
	"errors"
	"fmt"
	"maps"

	"rollcall.dev/pkg/virtuous"
	"rollcall.dev/pkg/vomo"
	rollcallv1 "rollcall.dev/proto/rollcall/v1"
)

// credentialCheck is what VOMO or Virtuous said of a credential. Both fields nil: it is accepted.
type credentialCheck struct {
	rejected rollcallv1.FieldErrors // the request is rejected
	delayed  error                  // the answer says nothing about the credential: the request is tried again
}

// checkCredentials tests the credentials of the proposed sides, and fills in what the answers say. If one is rejected, the request is
// rejected, whatever the other side said. settled says that the request was rejected or put off.
func (s *settler) checkCredentials(ctx context.Context, proposed *proposal) (settled bool, err error) {
	errs := rollcallv1.FieldErrors{}
	var delayed error
	note := func(check credentialCheck) {
		maps.Copy(errs, check.rejected)
		if delayed == nil {
			delayed = check.delayed
		}
	}
	if proposed.sides.Mirror {
		check, err := s.checkToken(ctx, proposed)
		if err != nil {
			return false, err
		}
		note(check)
	}
	// A refresh token may work once: it is not used for a request that is rejected already.
	if proposed.sides.Giving && (len(errs) == 0 || proposed.secrets.VirtuousRefreshToken == "") {
		check, err := s.checkKey(ctx, proposed)
		if err != nil {
			return false, err
		}
		note(check)
	}
	switch {
	case len(errs) > 0:
		return true, s.reject(ctx, proposed.pending, errs)
	case delayed != nil:
		return true, s.delay(ctx, proposed.pending, delayed)
	}
	return false, nil
}

// checkToken tests the VOMO token. A request with only a token of an unknown customer is rejected before any request is sent.
func (s *settler) checkToken(ctx context.Context, proposed *proposal) (credentialCheck, error) {
	request, customer := proposed.request, proposed.pending.Customer
	proposed.limits, proposed.tokenOnly = s.limits.With(request.OwnLimits()), request.TokenOnly()
	if proposed.tokenOnly {
		current, errs, err := tokenOwner(ctx, s.store.Conn, customer)
		if err != nil || errs != nil {
			return credentialCheck{rejected: errs}, err
		}
		proposed.limits = s.limits.With(current.RequestsPerSecond, current.RequestsPerMinute)
	}
	page, err := s.testToken(ctx, customer, proposed.secrets.VomoToken, proposed.limits)
	switch {
	case err == nil:
		proposed.usersTotal = int64(max(page.Total, 0))
		proposed.wanted, err = customerOf(customer, request)
		return credentialCheck{}, err
	case errors.Is(err, vomo.ErrUnauthorized), errors.Is(err, vomo.ErrForbidden):
		many, looking := s.store.VomoRefusesMany(ctx)
		if looking != nil || many {
			return credentialCheck{delayed: err}, looking // the rejection says nothing about this token
		}
		errs := rollcallv1.FieldErrors{}
		errs.Add("vomoToken", "Token rejected by VOMO API")
		return credentialCheck{rejected: errs}, nil
	case ctx.Err() != nil:
		return credentialCheck{}, fmt.Errorf("test the token: %w", err)
	}
	return credentialCheck{delayed: err}, nil
}

// Names of settings for Virtuous in the onboarding message.
const (
	fieldVirtuousToken = "virtuous.token"
	fieldSource        = "virtuous.transactionSource"
	fieldRemove        = "virtuous.remove"
	fieldCreateWebhook = "virtuous.createWebhook"
)

// checkKey tests the key of Virtuous with one request. A removal needs no key.
func (s *settler) checkKey(ctx context.Context, proposed *proposal) (credentialCheck, error) {
	if proposed.request.GetVirtuous().GetRemove() {
		return credentialCheck{}, nil
	}
	client, check, err := s.clientOf(ctx, proposed)
	if err != nil || client == nil {
		return check, err
	}
	found, err := client.Organization(ctx) // the organization that the key is of
	errs := rollcallv1.FieldErrors{}
	switch {
	case err == nil && found.IsDisabled:
		errs.Add(proposed.secrets.keyField(), "is of an organization that is not enabled at Virtuous")
		proposed.secrets.noteUsed(errs)
		return credentialCheck{rejected: errs}, nil
	case err == nil:
		proposed.organization = found
		return credentialCheck{}, nil
	case errors.Is(err, virtuous.ErrUnauthorized), errors.Is(err, virtuous.ErrForbidden):
		many, looking := s.store.VirtuousRefusesMany(ctx)
		if looking != nil || many {
			return credentialCheck{delayed: err}, looking
		}
		errs.Add(proposed.secrets.keyField(), "Key rejected by Virtuous API")
		return credentialCheck{rejected: errs}, nil
	case ctx.Err() != nil:
		return credentialCheck{}, fmt.Errorf("test the key: %w", err)
	}
	return credentialCheck{delayed: err}, nil
}
