package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"

	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/pkg/report"
	"rollcall.dev/pkg/store"
	rollcallv1 "rollcall.dev/proto/rollcall/v1"
)

// validate checks the change by the rules of onboarding, as a request that has only the change.
func (o *operators) validate(customer store.Customer, asked operatorapi.ConfigChange) rollcallv1.FieldErrors {
	if !customer.Mirrors() && changesMirror(asked) {
		return rollcallv1.FieldErrors{rollcallv1.FieldBody: {"changes settings of a mirror, and the customer has none: onboard it with a VOMO token first"}}
	}
	request := changeAsRequest(customer, asked)
	errs := request.Validate(customer.ID, false)
	switch {
	case asked.ExternalSystemURL == nil:
	case *asked.ExternalSystemURL == "": // an onboarding request may omit the URL; a change cannot remove it
		errs[fieldURL] = []string{"must not be empty"}
	case len(errs[fieldURL]) == 0:
		checkDestination(errs, request, o.private)
	}
	if asked.PollCadenceMinutes != nil && *asked.PollCadenceMinutes == 0 {
		errs.Add(fieldCadence, fmt.Sprintf("must be 1 to %d minutes", rollcallv1.MaxPollCadenceMinutes))
	}
	for _, name := range asked.Unset {
		if !slices.Contains([]string{
			operatorapi.FieldAdminEmail, operatorapi.FieldRequestsPerSecond, operatorapi.FieldRequestsPerMinute, operatorapi.FieldWriteBack,
		}, name) {
			errs.Add("unset", "names a setting that cannot be removed")
		}
	}
	switch asked.DestinationChange {
	case "", operatorapi.DestinationNewSystem:
	case operatorapi.DestinationMoved:
		if asked.ExternalSystemURL == nil {
			errs.Add(fieldDestinationChange, "says that the destination moved, without an address: give externalSystemUrl")
		}
	default:
		errs.Add(fieldDestinationChange, `is neither "moved" (the same system under another address) nor "new_system"`)
	}
	return errs
}

// changeAsRequest returns an onboarding request that has only the change.
func changeAsRequest(customer store.Customer, asked operatorapi.ConfigChange) *rollcallv1.OnboardingRequest {
	request := &rollcallv1.OnboardingRequest{CustomerId: customer.ID, VomoToken: "unchanged", ExternalSystemUrl: customer.ExternalSystemURL}
	if !customer.Mirrors() {
		request = &rollcallv1.OnboardingRequest{CustomerId: customer.ID, Virtuous: &rollcallv1.Virtuous{Token: "unchanged"}}
	}
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
	if asked.WriteBack != nil {
		request.WriteBack = &rollcallv1.WriteBack{Fields: asked.WriteBack.Fields, Create: asked.WriteBack.Create}
	}
	return request
}

// changesMirror reports whether the change is about the mirror. The admin's address is of both sides.
func changesMirror(asked operatorapi.ConfigChange) bool {
	asked.CustomerID, asked.AdminEmail, asked.Virtuous = "", nil, nil
	asked.Unset = slices.DeleteFunc(slices.Clone(asked.Unset), func(name string) bool { return name == operatorapi.FieldAdminEmail })
	if len(asked.Unset) == 0 {
		asked.Unset = nil
	}
	return !reflect.DeepEqual(asked, operatorapi.ConfigChange{})
}

// planned returns the customer with the change applied, and the changed settings.
func planned(customer store.Customer, asked operatorapi.ConfigChange) (store.Customer, []operatorapi.Change, error) {
	next := customer
	if asked.PollCadenceMinutes != nil {
		next.PollCadenceMinutes = *asked.PollCadenceMinutes
	}
	if asked.AdminEmail != nil {
		next.AdminEmail = asked.AdminEmail
	}
	if asked.Participations != nil {
		next.Participations = *asked.Participations
	}
	if slices.Contains(asked.Unset, operatorapi.FieldAdminEmail) || (next.AdminEmail != nil && *next.AdminEmail == "") {
		next.AdminEmail = nil
	}
	planLimits(&next, asked)
	if asked.ExternalSystemURL != nil && *asked.ExternalSystemURL != customer.ExternalSystemURL {
		next.ExternalSystemURL = *asked.ExternalSystemURL
	}
	had, has, err := planDestination(&next, asked)
	if err != nil {
		return next, nil, err
	}
	if err := planWriteBack(&next, asked); err != nil {
		return next, nil, err
	}
	changes := []operatorapi.Change{}
	note := func(field string, same bool, from, to any) {
		if !same {
			changes = append(changes, operatorapi.Change{Field: field, From: from, To: to})
		}
	}
	note(fieldURL, next.ExternalSystemURL == customer.ExternalSystemURL, customer.ExternalSystemURL, next.ExternalSystemURL)
	note(fieldCadence, next.PollCadenceMinutes == customer.PollCadenceMinutes, customer.PollCadenceMinutes, next.PollCadenceMinutes)
	note(operatorapi.FieldAdminEmail, equal(next.AdminEmail, customer.AdminEmail), customer.AdminEmail, next.AdminEmail)
	note(operatorapi.FieldRequestsPerSecond, equal(next.RequestsPerSecond, customer.RequestsPerSecond), customer.RequestsPerSecond, next.RequestsPerSecond)
	note(operatorapi.FieldRequestsPerMinute, equal(next.RequestsPerMinute, customer.RequestsPerMinute), customer.RequestsPerMinute, next.RequestsPerMinute)
	note(operatorapi.FieldParticipations, next.Participations == customer.Participations, customer.Participations, next.Participations)
	note(operatorapi.FieldDestinationParticipations, had == has, had, has)
	from, err := report.WriteBackOf(customer)
	if err != nil {
		return next, nil, err
	}
	to, err := report.WriteBackOf(next)
	note(operatorapi.FieldWriteBack, isSameWriteBack(customer, next), from, to)
	return next, changes, err
}

// planLimits applies the change of the limits.
func planLimits(next *store.Customer, asked operatorapi.ConfigChange) {
	if asked.RequestsPerSecond != nil {
		next.RequestsPerSecond = asked.RequestsPerSecond
	}
	if asked.RequestsPerMinute != nil {
		next.RequestsPerMinute = asked.RequestsPerMinute
	}
	unset := func(name string) bool { return slices.Contains(asked.Unset, name) }
	if unset(operatorapi.FieldRequestsPerSecond) || (next.RequestsPerSecond != nil && *next.RequestsPerSecond == 0) {
		next.RequestsPerSecond = nil
	}
	if unset(operatorapi.FieldRequestsPerMinute) {
		next.RequestsPerMinute = nil
	}
}

// planWriteBack applies the change of what the external system may write to VOMO.
func planWriteBack(next *store.Customer, asked operatorapi.ConfigChange) (err error) {
	switch {
	case slices.Contains(asked.Unset, operatorapi.FieldWriteBack):
		next.WriteBack = nil
	case asked.WriteBack != nil:
		next.WriteBack, err = store.WriteBack(*asked.WriteBack).Encode()
	}
	return err
}

// planDestination changes the address of the stored destination and whether it has fields for participations, which it had before and has
// then. All other fields stay.
func planDestination(next *store.Customer, asked operatorapi.ConfigChange) (had, has bool, err error) {
	var stored storedDestination
	fields := map[string]json.RawMessage{}
	if err := errors.Join(json.Unmarshal(next.Destination, &stored), json.Unmarshal(next.Destination, &fields)); err != nil {
		return false, false, fmt.Errorf("decode destination: %w", err)
	}
	had, has = stored.Participations, stored.Participations
	if asked.DestinationParticipations != nil {
		has = *asked.DestinationParticipations
	}
	if has == had && (asked.ExternalSystemURL == nil || stored.URL == next.ExternalSystemURL) {
		return had, has, nil
	}
	if fields["url"], err = json.Marshal(next.ExternalSystemURL); err != nil {
		return false, false, fmt.Errorf("encode destination: %w", err)
	}
	if delete(fields, "participations"); has {
		fields["participations"] = json.RawMessage("true")
	}
	if next.Destination, err = json.Marshal(fields); err != nil {
		return false, false, fmt.Errorf("encode destination: %w", err)
	}
	return had, has, nil
}
