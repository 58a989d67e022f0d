package vomo

import (
	"net/url"
	"strconv"
	"time"
)

// Query filters the users of a scan; a zero time means no filter. VOMO treats both ends as inclusive and may use only
// the day, so the answer may contain users outside the exact times.
type Query struct {
	UpdatedAfter, UpdatedBefore time.Time
	CreatedAfter, CreatedBefore time.Time
}

// values returns the query string of one page, with the number and every filter each time.
func (q Query) values(number int) url.Values {
	values := url.Values{"page": {strconv.Itoa(number)}}
	for name, at := range map[string]time.Time{
		"updated_after":  q.UpdatedAfter,
		"updated_before": q.UpdatedBefore,
		"created_after":  q.CreatedAfter,
		"created_before": q.CreatedBefore,
	} {
		if !at.IsZero() {
			values.Set(name, at.UTC().Format(time.RFC3339))
		}
	}
	return values
}
