package organisation

import (
	"errors"
	"fmt"
	"strings"

	"rollcall.dev/services/sandbox/internal/person"
)

// ErrUnknown is returned for a user who is not in the organisation.
var ErrUnknown = errors.New("is not known")

// Edit changes a user as VOMO's own staff can: change gets the user as they stand, and may set everything but
// the id. Errors: ErrUnknown; ErrTaken for an email that is another user's; ErrInvalid for a user who was
// updated before they were created.
func (o *Organisation) Edit(id int64, change func(*person.Person)) (person.Person, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.edit(id, change)
}

func (o *Organisation) edit(id int64, change func(*person.Person)) (person.Person, error) {
	if _, found := o.at(id); !found {
		return person.Person{}, fmt.Errorf("user %d: %w", id, ErrUnknown)
	}
	return o.changed(o.person(id), change)
}

// Enrol adds a user as VOMO's own staff can: change gets a newly invented one. Errors: as Edit's.
func (o *Organisation) Enrol(change func(*person.Person)) (person.Person, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.enrol(change)
}

func (o *Organisation) enrol(change func(*person.Person)) (person.Person, error) {
	user, err := o.changed(o.people.At(o.nextID-person.FirstID), change)
	if err == nil {
		o.nextID++
	}
	return user, err
}

// changed applies a change and keeps what comes of it.
func (o *Organisation) changed(user person.Person, change func(*person.Person)) (person.Person, error) {
	id := user.ID
	change(&user)
	user.ID, user.Created, user.Updated = id, seconds(user.Created), seconds(user.Updated)
	if user.Updated.Before(user.Created) {
		return person.Person{}, fmt.Errorf("update of user %d before the creation: %w", id, ErrInvalid)
	}
	if user.Email != nil && *user.Email != "" {
		if owner, found := o.owner(*user.Email); found && owner != id {
			return person.Person{}, fmt.Errorf("email of user %d: %w", id, ErrTaken)
		}
	}
	o.put(user)
	return user, nil
}

// put keeps a user as they are now and gives them their place in the list.
func (o *Organisation) put(user person.Person) {
	if i, found := o.at(user.ID); found {
		o.leave(o.rows[i])
	}
	o.enter(o.keep(user))
}

// keep is put without the order of updates.
func (o *Organisation) keep(user person.Person) row {
	i, found := o.at(user.ID)
	if !found {
		o.rows = append(o.rows, row{}) // ids only rise
	}
	o.rows[i] = row{id: user.ID, created: user.Created.Unix(), updated: user.Updated.Unix()}
	o.forget(user.ID)
	o.edited[user.ID] = user
	if user.Email != nil {
		o.emails[strings.ToLower(*user.Email)] = user.ID
	}
	o.changes++
	return o.rows[i]
}
