package virtuous

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/tidwall/gjson"

	"rollcall.dev/pkg/fault"
)

// ErrUnsupportedQuery means that Virtuous' own list has no parameter or operator for a query.
var ErrUnsupportedQuery = errors.New("Virtuous does not offer this query")

// options are the parameters of a query, each with its operators. They differ from organization to organization.
type options map[string][]string

// optionsCache keeps the options of both kinds of record for a day.
type optionsCache struct {
	age time.Duration
	now func() time.Time

	mu     sync.Mutex
	byKind map[string]cachedOptions
}

type cachedOptions struct {
	options options
	readAt  time.Time
	sortBy  int // the place of the sort word that worked, in the kind's list
}

func (o *optionsCache) get(kind string) (cached cachedOptions, isFresh bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	cached, known := o.byKind[kind]
	return cached, known && o.now().Sub(cached.readAt) < o.age
}

func (o *optionsCache) put(kind string, change func(*cachedOptions)) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.byKind == nil {
		o.byKind = map[string]cachedOptions{}
	}
	cached := o.byKind[kind]
	change(&cached)
	o.byKind[kind] = cached
}

// expire has the options of a kind read again.
func (o *optionsCache) expire(kind string) {
	o.put(kind, func(entry *cachedOptions) { entry.readAt = time.Time{} })
}

// optionsOf returns the options of a kind's queries. If Virtuous has no such list, or one that cannot be read, it returns
// nil, which stands for the names that are known from other clients.
func (c *Client) optionsOf(ctx context.Context, kind string) (options, error) {
	cached, isFresh := c.customer.options.get(kind)
	if isFresh {
		return cached.options, nil
	}
	r, err := c.read(ctx, call{method: http.MethodGet, path: []string{kind, "QueryOptions"}})
	value, isJSON := document(r.body)
	switch {
	case err == nil && !isJSON: // a page of something before Virtuous, perhaps: it is not kept
		return cached.options, nil
	case err == nil:
		cached.options = readOptions(value)
	case cached.options != nil: // an old list is better than none, and names seldom change
		return cached.options, nil
	case !errors.Is(err, ErrNotFound) && !errors.Is(err, ErrRejected):
		return nil, fmt.Errorf("read the options of queries: %w", err)
	}
	c.customer.options.put(kind, func(entry *cachedOptions) {
		entry.options, entry.readAt = cached.options, c.customer.options.now()
	})
	return cached.options, nil
}

// readOptions returns the options in an answer, nil if it has none.
func readOptions(value gjson.Result) options {
	read := options{}
	for option := range objects(value.Get("options")) {
		operators := []string{}
		for operator := range objects(option.Get("operatorOptions")) {
			operators = append(operators, textAt(operator, "operator"))
		}
		read[textAt(option, "parameter")] = operators
	}
	if len(read) == 0 {
		return nil
	}
	return read
}

// choose returns the first of the parameters that is listed, with the first of the operators that it has, both as the list
// spells them. Without a list it returns fallback and the first operator.
func (o options) choose(parameters []string, fallback string, operators []string) (parameter, operator string, err error) {
	if o == nil {
		return fallback, operators[0], nil
	}
	for _, wanted := range parameters {
		for _, listed := range slices.Sorted(maps.Keys(o)) {
			offered := o[listed]
			if !strings.EqualFold(listed, wanted) {
				continue
			}
			for _, operator := range operators {
				at := slices.IndexFunc(offered, func(other string) bool { return strings.EqualFold(other, operator) })
				if at >= 0 {
					return listed, offered[at], nil
				}
			}
		}
	}
	return "", "", fault.Unknown("virtuous_unsupported_query", fmt.Errorf("%w: %s", ErrUnsupportedQuery, parameters[0]))
}
