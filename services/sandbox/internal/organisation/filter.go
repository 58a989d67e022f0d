package organisation

import (
	"strings"
	"time"

	"rollcall.dev/services/sandbox/internal/person"
)

// Filter narrows a list of users; all its parts must hold. Its zero value lets everybody through.
type Filter struct {
	NameLike  string // part of the full name, in any case
	EmailLike string // part of the email, in any case

	// Both ends belong to the range. A zero time is no limit.
	CreatedAfter, CreatedBefore time.Time
	UpdatedAfter, UpdatedBefore time.Time
}

// Active reports whether the filter can keep anybody out.
func (f Filter) Active() bool {
	return f.text() || !f.CreatedAfter.IsZero() || !f.CreatedBefore.IsZero() || !f.UpdatedAfter.IsZero() || !f.UpdatedBefore.IsZero()
}

func (f Filter) text() bool { return f.NameLike != "" || f.EmailLike != "" }

func (f Filter) times(r row) bool {
	return within(r.created, f.CreatedAfter, f.CreatedBefore) && within(r.updated, f.UpdatedAfter, f.UpdatedBefore)
}

func (f Filter) matches(p person.Person) bool {
	if f.NameLike != "" && !contains(p.FullName(), f.NameLike) {
		return false
	}
	return f.EmailLike == "" || p.Email != nil && contains(*p.Email, f.EmailLike)
}

func within(unix int64, from, to time.Time) bool {
	if !from.IsZero() {
		first := from.Unix()
		if from.Nanosecond() > 0 {
			first++ // a whole second is only after a fraction of one when it is the next
		}
		if unix < first {
			return false
		}
	}
	return to.IsZero() || unix <= to.Unix()
}

func contains(text, part string) bool {
	return strings.Contains(strings.ToLower(text), strings.ToLower(part))
}
