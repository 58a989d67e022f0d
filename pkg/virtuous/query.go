package virtuous

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tidwall/gjson"

	"rollcall.dev/pkg/fault"
)

const (
	mostPerPage  = 100
	leastPerPage = 10
	// mostIDsPerPage is for rows of which only the ids are read. Some of the vendor's documents say that no page may have more than mostPerPage.
	mostIDsPerPage = 1000
	// growth is the part of the largest page by which one grows again after a page that came in time.
	growth = 10
)

var (
	// ErrPageRepeats means that a page has records that an earlier page had: Virtuous ignores the cursor, and the query
	// would never end.
	ErrPageRepeats = errors.New("Virtuous sent records again that an earlier page had")
	// ErrUnsorted means that a page is not in the order of the ids, so that the next one would skip records.
	ErrUnsorted = errors.New("Virtuous' page is not in the order of the ids")
)

// Page is a page of a query.
type Page[T any] struct {
	Records []T
	// Bad are entries of the page that are no records.
	Bad []BadRecord
	// Cursor is the highest id so far: a query that starts after it continues behind this page.
	Cursor int64
	// Date is Virtuous' clock at the answer, zero if it does not say.
	Date time.Time
}

// BadRecord is an entry of an answer or a delivery that is no record.
type BadRecord struct {
	Raw     json.RawMessage
	Problem string // what is wrong, in our own words
}

// GiftsModifiedSince returns the gifts that were modified since a time, page by page in the order of their ids, those with
// ids above after. The query may be less precise than the time: the answer may have older gifts, too. An error is
// delivered in its page's place and ends the query.
func (c *Client) GiftsModifiedSince(ctx context.Context, since time.Time, after int64) iter.Seq2[Page[Gift], error] {
	return pages(ctx, c, giftQuery(), readGift, func(g Gift) int64 { return g.ID }, after, func(o options) ([]condition, error) {
		return one(c.modifiedSince(o, since))
	})
}

// ContactsModifiedSince is GiftsModifiedSince for contacts, archived ones too.
func (c *Client) ContactsModifiedSince(ctx context.Context, since time.Time, after int64) iter.Seq2[Page[Contact], error] {
	return pages(ctx, c, contactQuery(), readContact, func(c Contact) int64 { return c.ID }, after, func(o options) ([]condition, error) {
		return one(c.modifiedSince(o, since))
	})
}

// GiftsByTransactionSource is GiftsModifiedSince for the gifts of one source. A zero since means of any time. The error is
// ErrUnsupportedQuery if Virtuous does not offer the source as a parameter: look up each transaction then.
func (c *Client) GiftsByTransactionSource(ctx context.Context, source string, since time.Time, after int64) iter.Seq2[Page[Gift], error] {
	return pages(ctx, c, giftQuery(), readGift, func(g Gift) int64 { return g.ID }, after, func(o options) ([]condition, error) {
		parameter, operator, err := o.choose([]string{"Transaction Source"}, "Transaction Source", []string{"Is", "Equals"})
		if err != nil {
			return nil, err
		}
		conditions := []condition{{Parameter: parameter, Operator: operator, Value: source}}
		if since.IsZero() {
			return conditions, nil
		}
		modified, err := c.modifiedSince(o, since)
		return append(conditions, modified), err
	})
}

// GiftIDs returns the ids of all gifts that Virtuous has, page by page, those above after. Deleted gifts are in no query. The rows of this query
// have no version, and are short: a page has up to a thousand. Only an empty page ends the query.
func (c *Client) GiftIDs(ctx context.Context, after int64) iter.Seq2[Page[int64], error] {
	kind := giftQuery()
	kind.full, kind.most = "", mostIDsPerPage
	return pages(ctx, c, kind, readRowID, func(id int64) int64 { return id }, after, func(options) ([]condition, error) { return nil, nil })
}

// readRowID returns the id of a row.
func readRowID(row gjson.Result) (int64, error) {
	id, ok := readID(row.Get("id"))
	if !row.IsObject() || !ok {
		return 0, ErrNotRecord
	}
	return id, nil
}

// kindOfQuery has what differs between the queries of gifts and of contacts.
type kindOfQuery struct {
	kind            string   // the first part of the address
	full            string   // the last part of the address, for complete records; "" for abbreviated ones
	most            int      // records on a page
	ids             []string // the parameter of the ids, in the spellings in use
	sortBy          []string // the words for their order, likewise
	includeArchived bool
}

func giftQuery() kindOfQuery {
	return kindOfQuery{kind: "Gift", full: "FullGift", most: mostPerPage, ids: []string{"Gift Id", "Id"}, sortBy: []string{"Gift Id", "Id"}}
}

func contactQuery() kindOfQuery {
	return kindOfQuery{
		kind: "Contact", full: "FullContact", most: mostPerPage, ids: []string{"Contact Id", "Id"}, sortBy: []string{"Contact Id", "Id"}, includeArchived: true,
	}
}

// condition is one condition of a query.
type condition struct {
	Parameter string `json:"parameter"`
	Operator  string `json:"operator"`
	Value     string `json:"value"`
}

func one(single condition, err error) ([]condition, error) { return []condition{single}, err }

type queryBody struct {
	Groups          []queryGroup `json:"groups"`
	SortBy          string       `json:"sortBy"`
	Descending      bool         `json:"descending"`
	IncludeArchived bool         `json:"includeArchived,omitempty"`
}

type queryGroup struct {
	Conditions []condition `json:"conditions"`
}

// modifiedSince returns the condition for records that were modified since a time. The parameter in UTC is preferred. The
// other one is the organization's day. An operator that excludes its value gets an earlier one.
func (c *Client) modifiedSince(o options, since time.Time) (condition, error) {
	const utc, day = "Last Modified DateTime UTC", "Last Modified Date"
	including := []string{"OnOrAfter", "GreaterThanOrEqual", "Is On Or After", "Is After Or On"}
	excluding := []string{"After", "GreaterThan", "Is After"}
	parameter, operator, err := o.choose([]string{utc, day}, day, slices.Concat(including, excluding))
	if err != nil {
		return condition{}, err
	}
	isExcluding := slices.ContainsFunc(excluding, func(other string) bool { return strings.EqualFold(other, operator) })
	if !strings.EqualFold(parameter, utc) {
		date := since.In(c.zone)
		if isExcluding {
			date = date.AddDate(0, 0, -1)
		}
		return condition{Parameter: parameter, Operator: operator, Value: DateOf(date).String()}, nil
	}
	at := since.UTC().Truncate(time.Second)
	if isExcluding {
		at = at.Add(-time.Second)
	}
	return condition{Parameter: parameter, Operator: operator, Value: at.Format(time.RFC3339)}, nil
}

// pages returns the pages of a query. The cursor is the highest id of the page before, so records that change meanwhile
// move no other record.
func pages[T any](ctx context.Context, c *Client, kind kindOfQuery, decode func(gjson.Result) (T, error), idOf func(T) int64,
	after int64, conditions func(options) ([]condition, error),
) iter.Seq2[Page[T], error] {
	return func(yield func(Page[T], error) bool) {
		q, err := c.prepare(ctx, kind, conditions)
		if err != nil {
			yield(Page[T]{Cursor: after}, fmt.Errorf("query %ss: %w", kind.kind, err))
			return
		}
		for cursor := after; ; {
			r, err := q.fetch(ctx, cursor)
			if err != nil {
				yield(Page[T]{Cursor: cursor}, fmt.Errorf("query %ss: %w", kind.kind, err))
				return
			}
			page, isLast, err := decodePage(r, cursor, q.fullPage(), decode, idOf)
			if errors.Is(err, ErrUnsorted) && q.sortOtherwise() {
				continue
			}
			if err != nil {
				yield(Page[T]{Cursor: cursor}, fmt.Errorf("query %ss: %w", kind.kind, err))
				return
			}
			q.remember()
			cursor = page.Cursor
			if !yield(page, nil) || isLast {
				return
			}
		}
	}
}

// query is a query while it is read.
type query struct {
	client     *Client
	kind       kindOfQuery
	conditions []condition
	id         condition // with the cursor as its value
	take       int       // how many records the next page may have
	most       int       // to which take grows again
	asked      int       // how many the last one might have
	sort       int       // in kind.sortBy
	tried      int       // how many sort words were tried
}

func (c *Client) prepare(ctx context.Context, kind kindOfQuery, conditions func(options) ([]condition, error)) (*query, error) {
	o, err := c.optionsOf(ctx, kind.kind)
	if err != nil {
		return nil, err
	}
	q := &query{client: c, kind: kind, take: kind.most, most: kind.most, tried: 1}
	if q.conditions, err = conditions(o); err != nil {
		return nil, err
	}
	if q.id.Parameter, q.id.Operator, err = o.choose(kind.ids, kind.ids[0], []string{"GreaterThan", "Is Greater Than"}); err != nil {
		return nil, err
	}
	cached, _ := c.customer.options.get(kind.kind)
	q.sort = cached.sortBy
	return q, nil
}

// sortOtherwise goes on to the next word for the order, and reports whether there is one: clients use several.
func (q *query) sortOtherwise() bool {
	if q.tried >= len(q.kind.sortBy) {
		return false
	}
	q.tried++
	q.sort = (q.sort + 1) % len(q.kind.sortBy)
	return true
}

// remember keeps the word for the order that worked, for the customer's next query.
func (q *query) remember() {
	if q.tried > 1 {
		q.client.customer.options.put(q.kind.kind, func(entry *cachedOptions) { entry.sortBy = q.sort })
	}
	q.tried = len(q.kind.sortBy)
}

// fetch requests the page behind a cursor. After a timeout it asks for half as many records, down to leastPerPage; after a
// page that came in time, the next has some more. A page that is rejected is tried with mostPerPage records, if it had more.
func (q *query) fetch(ctx context.Context, cursor int64) (reply, error) {
	for {
		q.id.Value = strconv.FormatInt(cursor, 10)
		body, err := json.Marshal(queryBody{
			Groups: []queryGroup{{append(slices.Clone(q.conditions), q.id)}},
			SortBy: q.kind.sortBy[q.sort], IncludeArchived: q.kind.includeArchived,
		})
		if err != nil {
			return reply{}, fmt.Errorf("write the query: %w", err)
		}
		path := []string{q.kind.kind, "Query"}
		if q.kind.full != "" {
			path = append(path, q.kind.full)
		}
		one := call{
			method: http.MethodPost, path: path, body: body,
			query: url.Values{"skip": {"0"}, "take": {strconv.Itoa(q.take)}}, timeout: q.client.queryTimeout,
			mayBeSlow: true,
		}
		var r reply
		if q.take > leastPerPage { // a timeout is answered with a shorter page instead of another attempt
			r, err = q.client.readOnce(ctx, one)
		} else {
			r, err = q.client.read(ctx, one)
		}
		switch {
		case err == nil:
			q.asked, q.take = q.take, min(q.take+q.kind.most/growth, q.most)
			return r, nil
		case errors.Is(err, ErrTimeout) && q.take > leastPerPage:
			q.take = max(q.take/2, leastPerPage)
		case errors.Is(err, ErrRejected) && q.take > mostPerPage: // perhaps for its length
			q.take, q.most = mostPerPage, mostPerPage
		case errors.Is(err, ErrRejected) && q.sortOtherwise():
		case errors.Is(err, ErrRejected): // a name may have changed: the next query reads the options again
			q.client.customer.options.expire(q.kind.kind)
			return reply{}, err
		default:
			return reply{}, err
		}
	}
}

// fullPage returns from how many records on the last page was a full one; 0: any is, so that only an empty page ends the query. What a list of
// ids lacks counts as deleted, so it ends only where nothing is left.
func (q *query) fullPage() int {
	if q.kind.full == "" {
		return 0
	}
	return q.asked
}

// decodePage returns the page of an answer, and whether it is the last one.
func decodePage[T any](r reply, cursor int64, asked int, decode func(gjson.Result) (T, error), idOf func(T) int64) (page Page[T], isLast bool, err error) {
	list, total, err := listOf(r)
	if err != nil {
		return page, false, err
	}
	page.Date, page.Cursor = r.date, cursor
	rows, objects, isSorted := 0, 0, true
	list.ForEach(func(_, row gjson.Result) bool {
		rows++
		if row.IsObject() {
			objects++
		}
		record, err := decode(row)
		if err != nil {
			page.Bad = append(page.Bad, BadRecord{Raw: json.RawMessage(row.Raw), Problem: err.Error()})
			return true
		}
		page.Records = append(page.Records, record)
		isSorted = isSorted && idOf(record) >= page.Cursor
		page.Cursor = max(page.Cursor, idOf(record))
		return true
	})
	// total counts the records behind the cursor. Without it, only an empty page is surely the last one, because Virtuous
	// may return fewer records than were asked for. A full page is never the last one, in case total counts the page alone.
	isLast = rows == 0 || total >= 0 && rows >= total && rows < asked
	repeats := slices.ContainsFunc(page.Records, func(record T) bool { return idOf(record) <= cursor })
	switch {
	case repeats:
		return page, false, fault.Unknown("virtuous_page_repeats", answerFault(r, ErrPageRepeats))
	case !isSorted && !isLast:
		return page, false, fault.Unknown("virtuous_unsorted", answerFault(r, ErrUnsorted))
	case rows > 0 && len(page.Records) == 0 && (objects > 0 || !isLast): // entries that are null hide nothing if they are the last ones
		return page, false, unknownAnswer(r, "none of its records has an id")
	}
	return page, isLast, nil
}

// listOf returns the list of an answer, and how many records there are in all, -1 if it does not say.
func listOf(r reply) (list gjson.Result, total int, err error) {
	value, err := objectOf(r)
	if err != nil {
		return gjson.Result{}, 0, err
	}
	list = value.Get("list")
	if !list.IsArray() {
		return gjson.Result{}, 0, unknownAnswer(r, "it has no list")
	}
	total, err = strconv.Atoi(textAt(value, "total"))
	if err != nil || total < 0 {
		total = -1
	}
	return list, total, nil
}

// answerFault returns an error about an answer that is a success.
func answerFault(r reply, err error) error {
	return &AnswerError{Status: r.status, RequestID: r.requestID, err: err}
}
