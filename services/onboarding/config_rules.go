package main

import (
	"encoding/json"
	"fmt"
	"slices"

	"rollcall.dev/pkg/report"
	"rollcall.dev/pkg/store"
	rollcallv1 "rollcall.dev/proto/rollcall/v1"
)

// validate holds the change against the rules of onboarding, with a request that asks for the change alone.
func (o *operators) validate(customer store.Customer, asked report.ConfigChange) rollcallv1.FieldErrors {
	request := &rollcallv1.OnboardingRequest{CustomerId: customer.ID, VomoToken: "unchanged", ExternalSystemUrl: customer.ExternalSystemURL}
	if asked.ExternalSystemURL != nil {
		request.ExternalSystemUrl = *asked.ExternalSystemURL
	}
	if asked.PollCadenceMinutes != nil {
		request.PollCadenceMinutes = *asked.PollCadenceMinutes
	}
	if asked.AdminEmail != nil {
		request.AdminEmail = *asked.AdminEmail
	}
	if asked.RequestsPerSecond != nil || asked.RequestsPerMinute != nil {
		request.Limits = &rollcallv1.Limits{RequestsPerMinute: asked.RequestsPerMinute}
		if asked.RequestsPerSecond != nil {
			request.Limits.RequestsPerSecond = *asked.RequestsPerSecond
		}
	}
	errs := request.Validate(customer.ID, false)
	switch {
	case asked.ExternalSystemURL == nil:
	case *asked.ExternalSystemURL == "": // a request without one may be a token alone, a change to nothing is none
		errs[fieldURL] = []string{"must not be empty"}
	case len(errs[fieldURL]) == 0:
		checkDestination(errs, request, o.private)
	}
	if asked.PollCadenceMinutes != nil && *asked.PollCadenceMinutes == 0 {
		errs.Add(fieldCadence, fmt.Sprintf("must be 1 to %d minutes", rollcallv1.MaxPollCadenceMinutes))
	}
	for _, name := range asked.Unset {
		if !slices.Contains([]string{report.FieldAdminEmail, report.FieldRequestsPerSecond, report.FieldRequestsPerMinute}, name) {
			errs.Add("unset", "names a setting that cannot be left out")
		}
	}
	switch asked.DestinationChange {
	case "", report.DestinationNewSystem:
	case report.DestinationMoved:
		if asked.ExternalSystemURL == nil {
			errs.Add(fieldDestinationChange, "says that the destination moved, without an address: give externalSystemUrl")
		}
	default:
		errs.Add(fieldDestinationChange, `is neither "moved" (the same system under another address) nor "new_system"`)
	}
	return errs
}

// planned is the customer as it would be, and what of it is new.
func planned(customer store.Customer, asked report.ConfigChange) (store.Customer, []report.Change, error) {
	next := customer
	if asked.PollCadenceMinutes != nil {
		next.PollCadenceMinutes = *asked.PollCadenceMinutes
	}
	if asked.AdminEmail != nil {
		next.AdminEmail = asked.AdminEmail
	}
	if asked.RequestsPerSecond != nil {
		next.RequestsPerSecond = asked.RequestsPerSecond
	}
	if asked.RequestsPerMinute != nil {
		next.RequestsPerMinute = asked.RequestsPerMinute
	}
	unset := func(name string) bool { return slices.Contains(asked.Unset, name) }
	if unset(report.FieldAdminEmail) || (next.AdminEmail != nil && *next.AdminEmail == "") {
		next.AdminEmail = nil
	}
	if unset(report.FieldRequestsPerSecond) || (next.RequestsPerSecond != nil && *next.RequestsPerSecond == 0) {
		next.RequestsPerSecond = nil
	}
	if unset(report.FieldRequestsPerMinute) {
		next.RequestsPerMinute = nil
	}
	if asked.ExternalSystemURL != nil && *asked.ExternalSystemURL != customer.ExternalSystemURL {
		next.ExternalSystemURL = *asked.ExternalSystemURL
		var err error
		if next.Destination, err = withURL(customer.Destination, next.ExternalSystemURL); err != nil {
			return next, nil, err
		}
	}
	changes := []report.Change{}
	note := func(field string, same bool, from, to any) {
		if !same {
			changes = append(changes, report.Change{Field: field, From: from, To: to})
		}
	}
	note(fieldURL, next.ExternalSystemURL == customer.ExternalSystemURL, customer.ExternalSystemURL, next.ExternalSystemURL)
	note(fieldCadence, next.PollCadenceMinutes == customer.PollCadenceMinutes, customer.PollCadenceMinutes, next.PollCadenceMinutes)
	note(report.FieldAdminEmail, equal(next.AdminEmail, customer.AdminEmail), customer.AdminEmail, next.AdminEmail)
	note(report.FieldRequestsPerSecond, equal(next.RequestsPerSecond, customer.RequestsPerSecond), customer.RequestsPerSecond, next.RequestsPerSecond)
	note(report.FieldRequestsPerMinute, equal(next.RequestsPerMinute, customer.RequestsPerMinute), customer.RequestsPerMinute, next.RequestsPerMinute)
	return next, changes, nil
}

// withURL changes the address of a stored destination and leaves whatever else is there.
func withURL(stored []byte, address string) ([]byte, error) {
	fields := map[string]json.RawMessage{}
	if err := json.Unmarshal(stored, &fields); err != nil {
		return nil, fmt.Errorf("decode destination: %w", err)
	}
	encoded, err := json.Marshal(address)
	if err != nil {
		return nil, fmt.Errorf("encode address: %w", err)
	}
	fields["url"] = encoded
	changed, err := json.Marshal(fields)
	if err != nil {
		return nil, fmt.Errorf("encode destination: %w", err)
	}
	return changed, nil
}
