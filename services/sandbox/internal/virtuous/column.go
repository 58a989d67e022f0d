package virtuous

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"rollcall.dev/services/sandbox/internal/gifts"
)

// Kinds of a column, as QueryOptions names them. Both kinds of dates are called Date there.
const (
	kindInt     = "Int"
	kindDecimal = "Decimal"
	kindText    = "String"
	kindList    = "List"
	kindBool    = "Boolean"
	kindDay     = "Date"    // the organisation's day; a time in a value is ignored
	kindInstant = "Instant" // UTC
)

// column is one parameter of a query.
type column[T any] struct {
	name   string
	kind   string
	values []string // of a list
	sorts  []string // names as sort field
	id     bool     // it is the record's own id
	cells  func(T) []cell
	order  func(T) []cell // nil: cells
}

// operators returns the operators of the column in the form of one word.
func (c column[T]) operators() []string {
	switch c.kind {
	case kindInt, kindDecimal:
		return []string{"Is", "LessThan", "LessThanOrEqual", "GreaterThan", "GreaterThanOrEqual", "Between"}
	case kindText:
		return []string{"Is", "IsKnown", "IsNotKnown", "Contains", "StartsWith", "EndsWith"}
	case kindList:
		return []string{"Is", "IsNot"}
	case kindBool:
		return []string{"IsTrue", "IsFalse"}
	}
	return []string{
		"Is", "LessThan", "LessThanOrEqual", "Before", "OnOrBefore", "GreaterThan", "GreaterThanOrEqual", "After", "OnOrAfter", "Between",
	}
}

// guideName returns the operator of a date as the vendor's guides write it. One spelling is valid in an organisation.
func guideName(operator string) string {
	switch operator {
	case "Is":
		return "Is On"
	case "Before":
		return "Is Before"
	case "OnOrBefore":
		return "Is Before Or On"
	case "After":
		return "Is After"
	case "OnOrAfter":
		return "Is After Or On"
	case "Between":
		return "Is Between"
	}
	return ""
}

// named returns the column's operators by the name that the organisation uses.
func (c column[T]) named(spelling string) (names []string, operatorOf map[string]string) {
	operatorOf = make(map[string]string)
	isDate := c.kind == kindDay || c.kind == kindInstant
	for _, operator := range c.operators() {
		name := operator
		if spelling == "guide" && isDate {
			if name = guideName(operator); name == "" {
				continue
			}
		}
		names = append(names, name)
		operatorOf[name] = operator
	}
	return names, operatorOf
}

func (c column[T]) operator(name, spelling string) (string, bool) {
	_, operatorOf := c.named(spelling)
	operator, known := operatorOf[name]
	return operator, known
}

var errValue = errors.New("The value is not valid.") //nolint:revive,staticcheck // clients see the text

// test returns the function that reports whether a condition holds for a record. now is in the organisation's zone.
func (c column[T]) test(operator string, asked condition, now time.Time) (func(T) bool, error) {
	value, second := cell{}, cell{}
	var err error
	if !slices.Contains([]string{"IsKnown", "IsNotKnown", "IsTrue", "IsFalse"}, operator) {
		value, err = c.parse(string(asked.Value), now)
	}
	if err == nil && operator == "Between" {
		second, err = c.parse(string(asked.SecondaryValue), now)
	}
	if err != nil {
		return nil, err
	}
	return func(one T) bool {
		cells := c.cells(one)
		if operator == "IsNot" || operator == "IsNotKnown" || operator == "IsFalse" {
			return !slices.ContainsFunc(cells, func(found cell) bool { return holds(found, operator, value, second) })
		}
		return slices.ContainsFunc(cells, func(found cell) bool { return holds(found, operator, value, second) })
	}, nil
}

// holds compares one value. For a negative operator it reports whether the value contradicts it.
func holds(found cell, operator string, value, second cell) bool {
	order := found.compare(value)
	low, wanted := strings.ToLower(found.text), strings.ToLower(value.text)
	switch operator {
	case "IsKnown", "IsNotKnown", "IsTrue", "IsFalse":
		return found.isSet
	case "LessThan", "Before":
		return order < 0
	case "LessThanOrEqual", "OnOrBefore":
		return order <= 0
	case "GreaterThan", "After":
		return order > 0
	case "GreaterThanOrEqual", "OnOrAfter":
		return order >= 0
	case "Between":
		return order >= 0 && found.compare(second) <= 0
	case "Contains":
		return strings.Contains(low, wanted)
	case "StartsWith":
		return strings.HasPrefix(low, wanted)
	case "EndsWith":
		return strings.HasSuffix(low, wanted)
	}
	return order == 0 // Is and IsNot
}

// parse reads the value of a condition.
func (c column[T]) parse(value string, now time.Time) (cell, error) {
	switch c.kind {
	case kindInt:
		number, err := strconv.ParseInt(value, 10, 64)
		if err != nil {
			return cell{}, errValue
		}
		return cell{number: number}, nil
	case kindDecimal:
		amount, err := gifts.ParseAmount(value)
		if err != nil {
			return cell{}, errValue
		}
		return cell{number: int64(amount)}, nil
	case kindDay:
		return parseDay(value, now)
	case kindInstant:
		return parseInstant(value, now)
	}
	if value == "" {
		return cell{}, errValue
	}
	return cell{text: value}, nil
}

// parseDay reads a day in one of the forms that clients send. The time of an instant is ignored, and so is its zone: only the
// digits of the date count.
func parseDay(value string, now time.Time) (cell, error) {
	if day, found := relative(value, now); found {
		return cell{text: day.Format(gifts.Day)}, nil
	}
	date, _, _ := strings.Cut(value, "T")
	for _, form := range []string{gifts.Day, "1/2/2006"} {
		if day, err := time.Parse(form, date); err == nil {
			return cell{text: day.Format(gifts.Day)}, nil
		}
	}
	return cell{}, errValue
}

func parseInstant(value string, now time.Time) (cell, error) {
	if day, found := relative(value, now); found {
		return cell{at: day.UTC()}, nil
	}
	for _, form := range []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999", gifts.Day, "1/2/2006"} {
		if at, err := time.Parse(form, value); err == nil {
			return cell{at: at.UTC()}, nil
		}
	}
	return cell{}, errValue
}

// relativeDays are the values that name a day by its distance to today.
func relativeDays() []string {
	return []string{"180 Days Ago", "270 Days Ago", "30 Days Ago", "60 Days Ago", "90 Days Ago", "Today", "Tomorrow", "Yesterday"}
}

// relative returns the start of the day that a value names, and whether it names one.
func relative(value string, now time.Time) (time.Time, bool) {
	year, month, day := now.Date()
	if !slices.Contains(relativeDays(), value) {
		return time.Time{}, false
	}
	switch value {
	case "Today":
	case "Tomorrow":
		day++
	case "Yesterday":
		day--
	default:
		number, _, _ := strings.Cut(value, " ")
		days, err := strconv.Atoi(number)
		if err != nil {
			return time.Time{}, false
		}
		day -= days
	}
	return time.Date(year, month, day, 0, 0, 0, 0, now.Location()), true
}

type option struct {
	Parameter       string           `json:"parameter"`
	Type            string           `json:"type"`
	OperatorOptions []operatorOption `json:"operatorOptions"`
	ValueOptions    []string         `json:"valueOptions"`
}

type operatorOption struct {
	Operator              string `json:"operator"`
	MultipleValuesAllowed bool   `json:"multipleValuesAllowed"`
	ValueRequired         bool   `json:"valueRequired"`
}

// optionsOf answers QueryOptions.
func optionsOf[T any](c *call, columns []column[T]) any {
	options := []option{}
	for _, col := range columns {
		one := option{Parameter: col.name, Type: col.kind, OperatorOptions: []operatorOption{}, ValueOptions: append([]string{}, col.values...)}
		if col.kind == kindDay || col.kind == kindInstant {
			one.Type, one.ValueOptions = kindDay, relativeDays()
		}
		names, operatorOf := col.named(c.is.Settings.Operators)
		for _, name := range names {
			needsNone := slices.Contains([]string{"IsKnown", "IsNotKnown", "IsTrue", "IsFalse"}, operatorOf[name])
			one.OperatorOptions = append(one.OperatorOptions, operatorOption{Operator: name, ValueRequired: !needsNone})
		}
		options = append(options, one)
	}
	return map[string]any{"options": options}
}

// withoutUTC drops the UTC parameters if the organisation does not have them.
func withoutUTC[T any](c *call, columns []column[T]) []column[T] {
	if c.is.Settings.UTCParameters {
		return columns
	}
	return slices.DeleteFunc(columns, func(o column[T]) bool { return o.kind == kindInstant })
}
