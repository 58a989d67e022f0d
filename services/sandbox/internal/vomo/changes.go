package vomo

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// ErrUnknown is returned for a user who is not in the organisation.
var ErrUnknown = errors.New("is not known")

// Edit changes a user as VOMO's staff can. change gets the user, and may set everything but the id. Errors: ErrUnknown;
// ErrTaken for an email that another user has; ErrInvalid for an update before the creation.
func (o *Organisation) Edit(id int64, change func(*Person)) (Person, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.edit(id, change)
}

func (o *Organisation) edit(id int64, change func(*Person)) (Person, error) {
	if _, found := o.indexOf(id); !found {
		return Person{}, fmt.Errorf("user %d: %w", id, ErrUnknown)
	}
	return o.changed(o.person(id), change)
}

// Enrol adds a user as VOMO's staff can. change gets an invented user. Errors: as Edit's.
func (o *Organisation) Enrol(change func(*Person)) (Person, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.enrol(change)
}

func (o *Organisation) enrol(change func(*Person)) (Person, error) {
	user, err := o.changed(o.people.At(o.nextID-FirstID), change)
	if err == nil {
		o.nextID++
	}
	return user, err
}

// changed applies a change and stores the result.
func (o *Organisation) changed(user Person, change func(*Person)) (Person, error) {
	id := user.ID
	change(&user)
	user.ID, user.Created, user.Updated = id, seconds(user.Created), seconds(user.Updated)
	if user.Updated.Before(user.Created) {
		return Person{}, fmt.Errorf("update of user %d before the creation: %w", id, ErrInvalid)
	}
	if user.Email != nil && *user.Email != "" {
		if owner, found := o.owner(*user.Email); found && owner != id {
			return Person{}, fmt.Errorf("email of user %d: %w", id, ErrTaken)
		}
	}
	o.put(user)
	return user, nil
}

// put stores a user and moves them to their position in the list.
func (o *Organisation) put(user Person) {
	if i, found := o.indexOf(user.ID); found {
		o.leave(o.rows[i])
	}
	o.enter(o.keep(user))
}

// keep is put without the order of updates.
func (o *Organisation) keep(user Person) row {
	i, found := o.indexOf(user.ID)
	if !found {
		o.rows = slices.Insert(o.rows, i, row{})
	}
	o.rows[i] = row{id: user.ID, created: user.Created.Unix(), updated: user.Updated.Unix()}
	o.forgetEmail(user.ID)
	o.edited[user.ID] = user
	if user.Email != nil {
		o.emails[strings.ToLower(*user.Email)] = user.ID
	}
	o.changes++
	return o.rows[i]
}

// Fields are what an upsert may set. Email is the key. A nil pointer does not change the field.
type Fields struct {
	Email                string
	FirstName, LastName  string
	Birthday, Gender     string
	Phone, Address, Role *string
}

// Upsert updates the user who has the email (in any case), or adds one. It returns the user after that, and whether the
// user is new. An upsert that changes nothing does not change the time of update. Of a member of another organisation it
// changes the role only, and the answer is a success all the same.
func (o *Organisation) Upsert(fields Fields, now time.Time) (user Person, created bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	id, found := o.owner(fields.Email)
	if !found {
		return o.add(fields, seconds(now)), true
	}
	before := o.person(id)
	after := before
	if !before.BelongsElsewhere {
		after = fields.applied(before)
	} else if fields.Role != nil {
		after.MembershipRole = *fields.Role
	}
	if same(before, after) {
		return before, false
	}
	after.Updated = seconds(now)
	o.put(after)
	return after, false
}

func (o *Organisation) add(fields Fields, now time.Time) Person {
	user := fields.applied(Person{
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

// owner finds the user of an email without a scan: an invented address contains the id.
func (o *Organisation) owner(email string) (int64, bool) {
	if id, found := o.emails[strings.ToLower(email)]; found {
		return id, true
	}
	id, found := IDInEmail(email)
	if !found {
		return 0, false
	}
	if _, isHere := o.indexOf(id); !isHere {
		return 0, false
	}
	user := o.person(id)
	return id, user.Email != nil && strings.EqualFold(*user.Email, email)
}

func (f Fields) applied(p Person) Person {
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

func same(a, b Person) bool {
	texts := func(p Person) []*string {
		return []*string{&p.FirstName, &p.LastName, p.Email, p.Phone, p.Address, p.Birthday, p.Gender, &p.MembershipRole}
	}
	return slices.EqualFunc(texts(a), texts(b), func(x, y *string) bool {
		return x == y || x != nil && y != nil && *x == *y
	})
}

// Batch makes changes at one instant: a list shows all of them or none. It is valid only inside the function that
// AtOnce calls.
type Batch struct{ organisation *Organisation }

// AtOnce calls a function that makes changes. The function holds the organisation's lock and must call only methods of
// the batch. If it returns an error, nothing has changed.
func (o *Organisation) AtOnce(do func(Batch) error) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	// To copy everything is simpler than to undo each kind of change.
	rows, byUpdate := slices.Clone(o.rows), slices.Clone(o.byUpdate)
	edited, emails := maps.Clone(o.edited), maps.Clone(o.emails)
	nextID, changes := o.nextID, o.changes
	err := do(Batch{organisation: o})
	if err != nil {
		o.rows, o.byUpdate, o.edited, o.emails, o.nextID, o.changes = rows, byUpdate, edited, emails, nextID, changes
	}
	return err
}

// Edit is the organisation's Edit.
func (b Batch) Edit(id int64, change func(*Person)) (Person, error) {
	return b.organisation.edit(id, change)
}

// Enrol is the organisation's Enrol.
func (b Batch) Enrol(change func(*Person)) (Person, error) {
	return b.organisation.enrol(change)
}

// Remove deletes users. Errors: ErrUnknown for an id that no user has, or that is named twice.
func (b Batch) Remove(ids []int64) error {
	for _, id := range ids {
		if !b.organisation.remove(id) {
			return fmt.Errorf("user %d: %w", id, ErrUnknown)
		}
	}
	return nil
}
