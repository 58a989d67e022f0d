package vomo

import (
	"cmp"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"
)

// ErrInvalidScript is the error of a script with invalid steps.
var ErrInvalidScript = errors.New("not a valid script")

// The users that a step may choose.
const (
	Read   = "read"   // users that a list has shown since the script was set
	Unread = "unread" // users that no list has shown
	Any    = "any"
)

const (
	maxSteps  = 1_000
	maxPeople = 10_000 // of one step
)

// Script says how an organisation changes while a client reads its list, in the form of the control API. The same script
// does the same to the same organisation if the same lists are requested in the same order, and a list shows all of a
// step or nothing of it. A script does not survive a restart.
type Script struct {
	Seed  uint64 `json:"seed"`
	Steps []Step `json:"steps"`
}

// Step is a set of changes at one instant: edits, then deletions, then additions. The seed chooses the users, or
// positions name them, or both.
type Step struct {
	After    int    `json:"after"`              // list requests since the script was set
	Every    int    `json:"every,omitempty"`    // and again after each so many more; 0: never again
	Times    int    `json:"times,omitempty"`    // how often in all; 0: once, or without end if every is set
	Add      int    `json:"add,omitempty"`      // users who join now
	Edit     int    `json:"edit,omitempty"`     // users who get another phone number now
	Delete   int    `json:"delete,omitempty"`   //
	Of       string `json:"of,omitempty"`       // the users from which edit and delete choose: read, unread or any; "" is any
	EditAt   []int  `json:"editAt,omitempty"`   // positions in the list without filters, from 0;
	DeleteAt []int  `json:"deleteAt,omitempty"` // negative ones count from the end; those outside of the list name no user
}

// check returns an ErrInvalidScript that says what is invalid.
func (s Script) check() error {
	if len(s.Steps) == 0 || len(s.Steps) > maxSteps {
		return fmt.Errorf("%w: steps are 1 to %d", ErrInvalidScript, maxSteps)
	}
	for i, step := range s.Steps {
		if why := cmp.Or(step.wrongTime(), step.wrongPeople()); why != "" {
			return fmt.Errorf("%w: step %d: %s", ErrInvalidScript, i, why)
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
	total := s.Add + s.Edit + s.Delete + len(s.EditAt) + len(s.DeleteAt)
	switch {
	case s.Add < 0 || s.Edit < 0 || s.Delete < 0:
		return "add, edit and delete are not negative"
	case total < 1 || s.Add > maxPeople || s.Edit > maxPeople || s.Delete > maxPeople || total > maxPeople:
		return fmt.Sprintf("it changes 1 to %d people", maxPeople)
	case !slices.Contains([]string{"", Read, Unread, Any}, s.Of):
		return "of is read, unread or any"
	}
	return ""
}

// dueAfter reports whether the step is due after a number of list requests, and how often it was due before.
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

// pendingAfter reports whether the step is due after a later list request.
func (s Step) pendingAfter(lists int) bool {
	return lists < s.After || s.Every > 0 && (s.Times == 0 || lists < s.After+(s.Times-1)*s.Every)
}

// maxEvents is how many events a report names; the counts go on.
const maxEvents = 20_000

// Lives holds the scripts of the organisations. It may be used by many goroutines at once.
type Lives struct {
	nowFunc func() time.Time

	mu    sync.Mutex
	byOrg map[string]*running
}

// running is a script and what it has done.
type running struct {
	script Script

	mu     sync.Mutex // held for a list and the steps after it: the next list shows all of them
	read   map[int64]bool
	report Report
}

// Report is what a script has done.
type Report struct {
	Lists   int     `json:"lists"` // list requests since it was set
	Added   int     `json:"added"`
	Edited  int     `json:"edited"`
	Deleted int     `json:"deleted"`
	Pending bool    `json:"pending"` // a step may still be due
	Events  []Event `json:"events"`  // in order, the first 20,000
}

// Event is one change of one user.
type Event struct {
	After int    `json:"after"` // list requests
	What  string `json:"what"`  // add, edit or delete
	ID    int64  `json:"id"`
}

// NewLives returns lives without a script.
func NewLives(nowFunc func() time.Time) *Lives {
	return &Lives{nowFunc: nowFunc, byOrg: make(map[string]*running)}
}

// Set replaces an organisation's script. The counts begin at 0. Errors: ErrInvalidScript.
func (l *Lives) Set(org string, script Script) error {
	if err := script.check(); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.byOrg[org] = &running{script: script, read: make(map[int64]bool), report: Report{Events: []Event{}}}
	return nil
}

// Clear removes an organisation's script and reports whether there was one.
func (l *Lives) Clear(org string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	had := l.byOrg[org] != nil
	delete(l.byOrg, org)
	return had
}

// Report returns what an organisation's script has done, and whether there is one.
func (l *Lives) Report(org string) (Report, bool) {
	r := l.of(org)
	if r == nil {
		return Report{}, false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	report := r.report
	report.Events = slices.Clone(report.Events)
	report.Pending = slices.ContainsFunc(r.script.Steps, func(s Step) bool { return s.pendingAfter(report.Lists) })
	return report, true
}

// Read returns the organisation's Page, and then makes the changes that the script has for this list request.
func (l *Lives) Read(o *Organisation, filter Filter, offset, limit int) ([]Person, int) {
	r := l.of(o.Config().Name)
	if r == nil {
		return o.Page(filter, offset, limit)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	users, total := o.Page(filter, offset, limit)
	r.report.Lists++
	for _, user := range users {
		r.read[user.ID] = true
	}
	for i, step := range r.script.Steps {
		if time, due := step.dueAfter(r.report.Lists); due {
			dice := rand.New(rand.NewPCG(r.script.Seed, uint64(i)<<32|uint64(time))) //nolint:gosec // repeatable on purpose
			r.do(o, step, dice, l.nowFunc())
		}
	}
	return users, total
}

func (l *Lives) of(org string) *running {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.byOrg[org]
}

// do makes the changes of a step. All users are chosen before the first of them is changed.
func (r *running) do(o *Organisation, step Step, dice *rand.Rand, now time.Time) {
	edited, deleted := idsAt(o, step.EditAt), idsAt(o, step.DeleteAt)
	if step.Edit+step.Delete > 0 {
		candidates := r.candidates(o, step.Of)
		dice.Shuffle(len(candidates), func(i, j int) { candidates[i], candidates[j] = candidates[j], candidates[i] })
		cut := min(step.Edit, len(candidates))
		edited = append(edited, candidates[:cut]...)
		deleted = append(deleted, candidates[cut:min(cut+step.Delete, len(candidates))]...)
	}
	for _, id := range edited {
		r.edit(o, id, dice, now)
	}
	for _, id := range deleted {
		if o.Remove(id) {
			r.report.Deleted++
			r.note("delete", id)
		}
	}
	for range step.Add {
		user, err := o.Enrol(func(p *Person) { p.Created, p.Updated = now, now })
		if err != nil { // another user has the address of the invented one, by an edit
			continue
		}
		r.report.Added++
		r.note("add", user.ID)
	}
}

func (r *running) edit(o *Organisation, id int64, dice *rand.Rand, now time.Time) {
	phone := fmt.Sprintf("+1%d55501%02d", 201+dice.IntN(780), dice.IntN(100))
	_, err := o.Edit(id, func(p *Person) {
		p.Phone, p.Updated = &phone, now
		if now.Before(p.Created) { // an invented user may be created after the current time
			p.Updated = p.Created
		}
	})
	if err != nil { // two positions may name one user
		return
	}
	r.report.Edited++
	r.note("edit", id)
}

func (r *running) note(what string, id int64) {
	if len(r.report.Events) < maxEvents {
		r.report.Events = append(r.report.Events, Event{After: r.report.Lists, What: what, ID: id})
	}
}

// candidates returns the ids from which a step may choose, rising.
func (r *running) candidates(o *Organisation, of string) []int64 {
	ids := o.IDs()
	if of == Read || of == Unread {
		ids = slices.DeleteFunc(ids, func(id int64) bool { return r.read[id] != (of == Read) })
	}
	return ids
}

func idsAt(o *Organisation, positions []int) []int64 {
	ids := make([]int64, 0, len(positions))
	for _, position := range positions {
		if id, found := o.IDAt(position); found {
			ids = append(ids, id)
		}
	}
	return ids
}
