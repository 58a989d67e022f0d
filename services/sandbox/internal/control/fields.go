package control

import (
	"encoding/json"
	"fmt"
	"time"

	"rollcall.dev/services/sandbox/internal/person"
)

// given is a field of a request: left out, null or a value.
type given[T any] struct {
	isGiven bool
	value   *T // nil for null
}

// UnmarshalJSON is called for a field that is there, null too.
func (g *given[T]) UnmarshalJSON(text []byte) error {
	g.isGiven = true
	if err := json.Unmarshal(text, &g.value); err != nil {
		return fmt.Errorf("decode field: %w", err)
	}
	return nil
}

func (g given[T]) set(into *T) {
	if g.value != nil {
		*into = *g.value
	}
}

func (g given[T]) setNullable(into **T) {
	if g.isGiven {
		*into = g.value
	}
}

// userFields are what a request says of a user. A value is not checked: VOMO may hold odd ones too.
type userFields struct {
	FirstName        given[string]    `json:"first_name"`
	LastName         given[string]    `json:"last_name"`
	Email            given[string]    `json:"email"`
	Address          given[string]    `json:"address"`
	Phone            given[string]    `json:"phone"`
	Birthday         given[string]    `json:"birthday"`
	Gender           given[string]    `json:"gender"`
	UserStatus       given[string]    `json:"user_status"`
	MembershipStatus given[string]    `json:"membership_status"`
	MembershipRole   given[string]    `json:"membership_role"`
	CreatedAt        given[time.Time] `json:"created_at"` // RFC 3339
	UpdatedAt        given[time.Time] `json:"updated_at"`
}

// wrongNull names a field that is null and must not be; "" is none.
func (f userFields) wrongNull() string {
	for _, field := range []struct {
		name string
		null bool
	}{
		{"first_name", f.FirstName.isGiven && f.FirstName.value == nil},
		{"last_name", f.LastName.isGiven && f.LastName.value == nil},
		{"membership_status", f.MembershipStatus.isGiven && f.MembershipStatus.value == nil},
		{"membership_role", f.MembershipRole.isGiven && f.MembershipRole.value == nil},
		{"created_at", f.CreatedAt.isGiven && f.CreatedAt.value == nil},
		{"updated_at", f.UpdatedAt.isGiven && f.UpdatedAt.value == nil},
	} {
		if field.null {
			return field.name
		}
	}
	return ""
}

// apply sets the fields that are given; times that are not stay as they are.
func (f userFields) apply(p *person.Person) {
	f.FirstName.set(&p.FirstName)
	f.LastName.set(&p.LastName)
	f.Email.setNullable(&p.Email)
	f.Address.setNullable(&p.Address)
	f.Phone.setNullable(&p.Phone)
	f.Birthday.setNullable(&p.Birthday)
	f.Gender.setNullable(&p.Gender)
	f.UserStatus.setNullable(&p.UserStatus)
	f.MembershipStatus.set(&p.MembershipStatus)
	f.MembershipRole.set(&p.MembershipRole)
	f.CreatedAt.set(&p.Created)
	f.UpdatedAt.set(&p.Updated)
}

// enrolment makes a newly invented user the one that the fields describe. Times that are not given are now.
func (f userFields) enrolment(now time.Time) func(*person.Person) {
	return func(p *person.Person) {
		p.Created, p.Updated = now, now
		// One time that is given pulls along the other, which would be on the wrong side of it.
		if at := f.UpdatedAt.value; at != nil && at.Before(now) {
			p.Created = *at
		}
		if at := f.CreatedAt.value; at != nil && at.After(now) {
			p.Updated = *at
		}
		f.apply(p)
	}
}

// edition changes a user as the fields say, and the time of update, which is now unless they say.
func (f userFields) edition(now time.Time) func(*person.Person) {
	return func(p *person.Person) {
		p.Updated = now
		if now.Before(p.Created) { // an invented user may be younger than the clock
			p.Updated = p.Created
		}
		f.apply(p)
	}
}
