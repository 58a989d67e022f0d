package vomo

import (
	"net/url"
	"strconv"
	"time"
)

// Query filters the people of a scan; a zero time is no filter. VOMO takes both ends as inclusive and may
// honour the day only, so people outside the filter's exact times have to be expected.
type Query struct {
	UpdatedAfter, UpdatedBefore time.Time
	CreatedAfter, CreatedBefore time.Time
}

// values is the whole query string of one page: the number and every filter, each time.
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
