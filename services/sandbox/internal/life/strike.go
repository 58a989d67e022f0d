package life

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"rollcall.dev/services/sandbox/internal/organisation"
	"rollcall.dev/services/sandbox/internal/person"
)

// do lets a step happen. All users that it strikes are chosen before the first of them is struck.
func (r *running) do(o *organisation.Organisation, step Step, dice *rand.Rand, now time.Time) {
	edited, deleted := at(o, step.EditAt), at(o, step.DeleteAt)
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
		user, err := o.Enrol(func(p *person.Person) { p.Created, p.Updated = now, now })
		if err != nil { // an edit gave another user the address that this one would have
			continue
		}
		r.report.Added++
		r.note("add", user.ID)
	}
}

func (r *running) edit(o *organisation.Organisation, id int64, dice *rand.Rand, now time.Time) {
	phone := fmt.Sprintf("+1%d55501%02d", 201+dice.IntN(780), dice.IntN(100))
	_, err := o.Edit(id, func(p *person.Person) {
		p.Phone, p.Updated = &phone, now
		if now.Before(p.Created) { // an invented user may be younger than the clock
			p.Updated = p.Created
		}
	})
	if err != nil { // by two positions that are one, or removed meanwhile
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

// candidates are the ids that a step may choose from, rising.
func (r *running) candidates(o *organisation.Organisation, of string) []int64 {
	ids := o.IDs()
	if of == Read || of == Unread {
		ids = slices.DeleteFunc(ids, func(id int64) bool { return r.read[id] != (of == Read) })
	}
	return ids
}

func at(o *organisation.Organisation, positions []int) []int64 {
	ids := make([]int64, 0, len(positions))
	for _, position := range positions {
		if id, found := o.IDAt(position); found {
			ids = append(ids, id)
		}
	}
	return ids
}
