package organisation

import (
	"slices"
	"strings"
	"time"

	"rollcall.dev/services/sandbox/internal/person"
)

// Fields are what an upsert may set. Email is the key; a nil pointer leaves a field as it is.
type Fields struct {
	Email                string
	FirstName, LastName  string
	Birthday, Gender     string
	Phone, Address, Role *string
}

// Upsert updates the user who has the email, in any case, or adds one. It returns the user as they stand
// after it and whether they are new. An unchanged user keeps the time of update.
func (o *Organisation) Upsert(fields Fields, now time.Time) (user person.Person, created bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	id, found := o.owner(fields.Email)
	if !found {
		return o.add(fields, seconds(now)), true
	}
	before := o.person(id)
	after := fields.applied(before)
	if same(before, after) {
		return before, false
	}
	after.Updated = seconds(now)
	o.put(after)
	return after, false
}

func (o *Organisation) add(fields Fields, now time.Time) person.Person {
	user := fields.applied(person.Person{
		ID:               o.nextID,
		UserStatus:       new("UNVERIFIED"),
		MembershipStatus: "ACCEPTED",
		MembershipRole:   "VOLUNTEER",
		Created:          now,
		Updated:          now,
	})
	o.nextID++
	o.put(user)
	return user
}

// owner finds the user of an email without a scan: an invented address carries its id.
func (o *Organisation) owner(email string) (int64, bool) {
	if id, found := o.emails[strings.ToLower(email)]; found {
		return id, true
	}
	id, found := person.IDInEmail(email)
	if !found {
		return 0, false
	}
	if _, isHere := o.at(id); !isHere {
		return 0, false
	}
	user := o.person(id)
	return id, user.Email != nil && strings.EqualFold(*user.Email, email)
}

func (f Fields) applied(p person.Person) person.Person {
	p.FirstName, p.LastName = f.FirstName, f.LastName
	p.Email, p.Birthday, p.Gender = new(f.Email), new(f.Birthday), new(f.Gender)
	if f.Phone != nil {
		p.Phone = f.Phone
	}
	if f.Address != nil {
		p.Address = f.Address
	}
	if f.Role != nil {
		p.MembershipRole = *f.Role
	}
	return p
}

func same(a, b person.Person) bool {
	texts := func(p person.Person) []*string {
		return []*string{&p.FirstName, &p.LastName, p.Email, p.Phone, p.Address, p.Birthday, p.Gender, &p.MembershipRole}
	}
	return slices.EqualFunc(texts(a), texts(b), func(x, y *string) bool {
		return x == y || x != nil && y != nil && *x == *y
	})
}
