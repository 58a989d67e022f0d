// Package life lets the people of an organisation come, change and go while a client reads its list.
//
// It owns the scripts: what happens after which list request, and to which users. It promises that a script with the
// same seed does the same to the same organisation when the same lists are asked for in the same order, and
// that a list shows either all of a step or nothing of it. A script is not kept over a restart.
package life

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
)

// ErrInvalid is the kind of a script that cannot be.
var ErrInvalid = errors.New("not a valid script")

// The users that a step may strike.
const (
	Read   = "read"   // users that a list has shown since the script was set
	Unread = "unread" // users that no list has shown
	Any    = "any"
)

const (
	maxSteps  = 1_000
	maxPeople = 10_000 // that one step strikes
)

// Script is what happens to an organisation, as the control API takes it.
type Script struct {
	Seed  uint64 `json:"seed"`
	Steps []Step `json:"steps"`
}

// Step is what happens at once: edits first, then deletions, then additions. The users that it strikes are chosen by the
// seed, by position, or both.
type Step struct {
	After    int    `json:"after"`              // list requests that were answered since the script was set
	Every    int    `json:"every,omitempty"`    // and again after each so many more; 0 is never again
	Times    int    `json:"times,omitempty"`    // how often in all; 0 is once, and with every without end
	Add      int    `json:"add,omitempty"`      // users who join now
	Edit     int    `json:"edit,omitempty"`     // users who get another phone number now
	Delete   int    `json:"delete,omitempty"`   //
	Of       string `json:"of,omitempty"`       // the users that edit and delete choose from: read, unread or any; "" is any
	EditAt   []int  `json:"editAt,omitempty"`   // positions in the list without filters as it then is, from 0;
	DeleteAt []int  `json:"deleteAt,omitempty"` // negative ones from its end; those behind an end strike no user
}

// check returns what is wrong with a script as an ErrInvalid.
func (s Script) check() error {
	if len(s.Steps) == 0 || len(s.Steps) > maxSteps {
		return fmt.Errorf("%w: steps are 1 to %d", ErrInvalid, maxSteps)
	}
	for i, step := range s.Steps {
		if why := cmp.Or(step.wrongTime(), step.wrongPeople()); why != "" {
			return fmt.Errorf("%w: step %d: %s", ErrInvalid, i, why)
		}
	}
	return nil
}

func (s Step) wrongTime() string {
	switch {
	case s.After < 1:
		return "after is 1 or more"
	case s.Every < 0 || s.Times < 0:
		return "every and times are not negative"
	case s.Every == 0 && s.Times > 1:
		return "times above 1 needs every"
	}
	return ""
}

func (s Step) wrongPeople() string {
	struck := s.Add + s.Edit + s.Delete + len(s.EditAt) + len(s.DeleteAt)
	switch {
	case s.Add < 0 || s.Edit < 0 || s.Delete < 0:
		return "add, edit and delete are not negative"
	case struck < 1 || s.Add > maxPeople || s.Edit > maxPeople || s.Delete > maxPeople || struck > maxPeople:
		return fmt.Sprintf("it strikes 1 to %d people", maxPeople)
	case !slices.Contains([]string{"", Read, Unread, Any}, s.Of):
		return "of is read, unread or any"
	}
	return ""
}

// dueAfter reports whether the step comes after a list request, and as the how-manieth time.
func (s Step) dueAfter(lists int) (time int, due bool) {
	switch {
	case lists < s.After:
		return 0, false
	case lists == s.After:
		return 0, true
	case s.Every == 0 || (lists-s.After)%s.Every != 0:
		return 0, false
	}
	time = (lists - s.After) / s.Every
	return time, s.Times == 0 || time < s.Times
}

// pendingAfter reports whether the step comes at all after a later list request.
func (s Step) pendingAfter(lists int) bool {
	return lists < s.After || s.Every > 0 && (s.Times == 0 || lists < s.After+(s.Times-1)*s.Every)
}
