package rollcallv1

import (
	"slices"
	"strings"
)

// ResolutionPolicies returns the policies about fields of a contact that have no owner. The first is the default.
func ResolutionPolicies() []string {
	return []string{"virtuous_canonical", "most_recent_wins", "owners"}
}

// ResolutionOwners returns the sides that may own a field of a contact.
func ResolutionOwners() []string { return []string{"partner", "virtuous"} }

// ResolutionFields returns the fields of a contact that may have an owner.
func ResolutionFields() []string { return []string{"name", "email", "phone", "address"} }

// validate adds what is wrong with the rules. It names only fields that there are: others may be anything that was put there.
func (r *Resolution) validate(errs FieldErrors) {
	if policy := r.GetPolicy(); policy != "" && !slices.Contains(ResolutionPolicies(), policy) {
		errs.Add("virtuous.resolution.policy", "must be "+oneOf(ResolutionPolicies())+", or left out for "+ResolutionPolicies()[0])
	}
	known := 0
	for _, field := range ResolutionFields() {
		owner, isOwned := r.GetOwners()[field]
		if !isOwned {
			continue
		}
		known++
		if !slices.Contains(ResolutionOwners(), owner) {
			errs.Add("virtuous.resolution.owners."+field, "must be "+oneOf(ResolutionOwners())+", or left out")
		}
	}
	if known < len(r.GetOwners()) {
		errs.Add("virtuous.resolution.owners", "must have no other fields than "+strings.Join(ResolutionFields(), ", "))
	}
}

// oneOf lists the values that a field may have.
func oneOf(values []string) string {
	last := len(values) - 1
	return strings.Join(values[:last], ", ") + " or " + values[last]
}
