package main

import (
	"rollcall.dev/pkg/store"
	rollcallv1 "rollcall.dev/proto/rollcall/v1"
)

// sidesOf returns the sides of the customer that a request is about. The request has no secrets any more.
func sidesOf(request *rollcallv1.OnboardingRequest, secrets requestSecrets) store.Sides {
	return store.Sides{Mirror: secrets.VomoToken != "", Giving: request.GetVirtuous() != nil}
}

// checkSource adds an error if a request that sets up giving names no source of transactions, and the installation has none. A request
// with only a key keeps the customer's source: whether there is one is known when the request is settled.
func (i *intake) checkSource(errs rollcallv1.FieldErrors, request *rollcallv1.OnboardingRequest) {
	virtuous := request.GetVirtuous()
	if virtuous == nil || virtuous.GetRemove() || virtuous.KeyOnly() || virtuous.GetTransactionSource() != "" || i.source != "" {
		return
	}
	errs.Add(fieldSource, rollcallv1.MissingSource)
}
