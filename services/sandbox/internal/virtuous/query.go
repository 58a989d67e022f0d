package virtuous

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"rollcall.dev/services/sandbox/internal/faults"
	"rollcall.dev/services/sandbox/internal/gifts"
)

// query is the body of a query. skip and take in it are ignored, as by the server that working clients met: they belong
// into the query string.
type query struct {
	Groups []struct {
		Conditions []condition `json:"conditions"`
	} `json:"groups"`
	SortBy          string `json:"sortBy"`
	Descending      bool   `json:"descending"`
	IncludeArchived bool   `json:"includeArchived"`
}

type condition struct {
	Parameter      string `json:"parameter"`
	Operator       string `json:"operator"`
	Value          text   `json:"value"`
	SecondaryValue text   `json:"secondaryValue"`
	Values         []text `json:"values"`
}

// queryOf is what a query is asked of.
type queryOf[T any] struct {
	columns []column[T]
	all     []T // by rising id
	row     func(T) any
	hidden  func(T, query) bool // nil: none
}

const usualTake = 10

// answerQuery answers one page of a query.
func answerQuery[T any](c *call, of queryOf[T]) {
	var asked query
	if len(c.body) > 0 {
		if err := decode(c.body, &asked); err != nil {
			c.invalid("query", "INVALID", "The query is not valid.")
			return
		}
	}
	skip, take, ok := c.page()
	if !ok {
		return
	}
	if slow := c.is.Settings.SlowTake; slow > 0 && take > slow {
		c.gatewayTimeout()
		return
	}
	same := slices.ContainsFunc(c.api.Gate.BendsOf(c.of), func(r faults.Rule) bool { return r.Kind == faults.SamePage })
	groups, field, err := groupsOf(c, of.columns, asked, same)
	if err != nil {
		c.invalid(field, "INVALID", err.Error())
		return
	}
	order, found := orderOf(of.columns, asked.SortBy)
	if !found {
		c.invalid("query.SortBy", "INVALID", "The sort field is not valid.")
		return
	}
	if same {
		skip = 0
	}
	var matching []T
	for _, one := range of.all {
		if (of.hidden == nil || !of.hidden(one, asked)) && groups.match(one) {
			matching = append(matching, one)
		}
	}
	slices.SortStableFunc(matching, func(x, y T) int {
		if asked.Descending {
			return order(y, x)
		}
		return order(x, y)
	})
	rows := []any{}
	for _, one := range matching[min(skip, len(matching)):min(skip+take, len(matching))] {
		rows = append(rows, of.row(one))
	}
	c.json(struct {
		List  []any `json:"list"`
		Total int   `json:"total"`
	}{rows, len(matching)})
}

// page reads skip and take of the query string. It answers the request if they are invalid.
func (c *call) page() (skip, take int, ok bool) {
	skip, take = 0, usualTake
	for name, into := range map[string]*int{"skip": &skip, "take": &take} {
		given := c.r.URL.Query().Get(name)
		if given == "" {
			continue
		}
		number, err := strconv.Atoi(given)
		if err != nil || number < 0 || number > 1_000_000_000 {
			c.invalid(name, "INVALID", "The value '"+given+"' is not valid for "+name+".")
			return 0, 0, false
		}
		*into = number
	}
	if take > c.is.Settings.MaxTake {
		c.invalid("take", "OUT_OF_RANGE", "The maximum for take is "+strconv.Itoa(c.is.Settings.MaxTake)+".")
		return 0, 0, false
	}
	return skip, take, true
}

// filters are groups of conditions: one group must match, with all of its conditions.
type filters[T any] [][]func(T) bool

func (f filters[T]) match(one T) bool {
	return len(f) == 0 || slices.ContainsFunc(f, func(group []func(T) bool) bool {
		return !slices.ContainsFunc(group, func(holds func(T) bool) bool { return !holds(one) })
	})
}

// groupsOf reads the conditions. withoutIDs leaves out those on the record's own id. An error comes with its field.
func groupsOf[T any](c *call, columns []column[T], asked query, withoutIDs bool) (filters[T], string, error) {
	var groups filters[T]
	for i, group := range asked.Groups {
		var conditions []func(T) bool
		for j, condition := range group.Conditions {
			field := fmt.Sprintf("query.Groups[%d].Conditions[%d]", i, j)
			at := slices.IndexFunc(columns, func(o column[T]) bool { return o.name == condition.Parameter })
			if at < 0 {
				return nil, field + ".Parameter", errors.New("The parameter is not valid.") //nolint:revive,staticcheck // shown to clients
			}
			if columns[at].id && withoutIDs {
				continue
			}
			operator, known := columns[at].operator(condition.Operator, c.is.Settings.Operators)
			if !known {
				return nil, field + ".Operator", errors.New("The operator is not valid.") //nolint:revive,staticcheck // shown to clients
			}
			holds, err := columns[at].test(operator, condition, c.now.In(c.o.Zone()))
			if err != nil {
				return nil, field + ".Value", err
			}
			conditions = append(conditions, holds)
		}
		groups = append(groups, conditions)
	}
	return groups, "", nil
}

// orderOf returns the comparison of a sort field. "" sorts by id, and so do equals.
func orderOf[T any](columns []column[T], sortBy string) (func(x, y T) int, bool) {
	if sortBy == "" {
		sortBy = "Id"
	}
	at := slices.IndexFunc(columns, func(o column[T]) bool { return slices.Contains(o.sorts, sortBy) })
	if at < 0 {
		return nil, false
	}
	value := columns[at].cells
	if columns[at].order != nil {
		value = columns[at].order
	}
	return func(x, y T) int {
		a, b := value(x), value(y)
		if len(a) == 0 || len(b) == 0 {
			return cmp.Compare(len(a), len(b))
		}
		return a[0].compare(b[0])
	}, true
}

// cell is one value of a record: a text, a number, or an instant.
type cell struct {
	text   string
	number int64
	at     time.Time
	isSet  bool
}

func (c cell) compare(other cell) int {
	return cmp.Or(c.at.Compare(other.at), cmp.Compare(c.number, other.number), cmp.Compare(strings.ToLower(c.text), strings.ToLower(other.text)))
}

func oneText(value string) []cell  { return []cell{{text: value, isSet: value != ""}} }
func oneNumber(value int64) []cell { return []cell{{number: value, isSet: true}} }
func oneBool(value bool) []cell    { return []cell{{isSet: value}} }

// oneDay is a day in the organisation's zone.
func oneDay(at time.Time, zone *time.Location) []cell {
	return []cell{{text: at.In(zone).Format(gifts.Day), isSet: true}}
}

func oneInstant(at time.Time) []cell { return []cell{{at: at.UTC(), isSet: true}} }
