package virtuous

import (
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/fault"
)

// crm answers queries over records with the ids 1 to total, as Virtuous does.
type crm struct {
	total   int
	options string // of QueryOptions; "" answers 404
	change  func(w http.ResponseWriter, q asked) bool

	mu    sync.Mutex
	asked []asked
}

// asked is a query that the server got.
type asked struct {
	path string
	take int
	skip string
	body struct {
		Groups []struct {
			Conditions []condition `json:"conditions"`
		} `json:"groups"`
		SortBy          string `json:"sortBy"`
		Descending      *bool  `json:"descending"`
		IncludeArchived *bool  `json:"includeArchived"`
	}
	after int
}

func (q asked) conditions() []condition { return q.body.Groups[0].Conditions }

func (c *crm) serve(w http.ResponseWriter, r *http.Request) {
	if strings.HasSuffix(r.URL.Path, "/QueryOptions") {
		if c.options == "" {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		answering(200, c.options)(w, r)
		return
	}
	q := asked{path: r.URL.Path, skip: r.URL.Query().Get("skip")}
	var err error
	if q.take, err = strconv.Atoi(r.URL.Query().Get("take")); err != nil || json.NewDecoder(r.Body).Decode(&q.body) != nil {
		w.WriteHeader(http.StatusTeapot)
		return
	}
	for _, one := range q.conditions() {
		if strings.HasSuffix(one.Parameter, "Id") {
			q.after, err = strconv.Atoi(one.Value)
		}
	}
	c.mu.Lock()
	c.asked = append(c.asked, q)
	c.mu.Unlock()
	if err == nil && (c.change == nil || !c.change(w, q)) {
		answering(200, c.page(q, q.take))(w, r)
	}
}

// page returns the rows behind the query's cursor.
func (c *crm) page(q asked, take int) string {
	var rows []string
	for id := q.after + 1; id <= min(q.after+take, c.total); id++ {
		rows = append(rows, fmt.Sprintf(`{"id":%d}`, id))
	}
	return fmt.Sprintf(`{"list":[%s],"total":%d}`, strings.Join(rows, ","), max(c.total-q.after, 0))
}

func (c *crm) takes() []int {
	c.mu.Lock()
	defer c.mu.Unlock()
	var takes []int
	for _, q := range c.asked {
		takes = append(takes, q.take)
	}
	return takes
}

func collect[T any](t *testing.T, pages iter.Seq2[Page[T], error]) (records []T, sizes []int) {
	t.Helper()
	for page, err := range pages {
		require.NoError(t, err)
		records = append(records, page.Records...)
		sizes = append(sizes, len(page.Records))
	}
	return records, sizes
}

func failure[T any](t *testing.T, pages iter.Seq2[Page[T], error]) error {
	t.Helper()
	var failed error
	for _, err := range pages {
		require.NoError(t, failed, "an error ends the query")
		failed = err
	}
	require.Error(t, failed)
	return failed
}

var since = time.Date(2026, 11, 27, 3, 4, 5, 678, time.UTC)

func TestModifiedGiftsAreReadByTheirIDs(t *testing.T) {
	t.Parallel()
	server := &crm{total: 250, options: string(payload(t, "recorded/gift_designation_query_options.json"))}
	f := newFixture(t, server.serve)
	gifts, sizes := collect(t, f.GiftsModifiedSince(t.Context(), since, 0))
	require.Len(t, gifts, 250)
	require.Equal(t, []int{100, 100, 50}, sizes)
	require.EqualValues(t, 250, gifts[249].ID)
	for i, q := range server.asked {
		require.Equal(t, "/api/Gift/Query/FullGift", q.path)
		require.Equal(t, "0", q.skip)
		require.Equal(t, []condition{
			{"Last Modified DateTime UTC", "OnOrAfter", "2026-11-27T03:04:05Z"}, {"Gift Id", "GreaterThan", strconv.Itoa(100 * i)},
		}, q.conditions())
		require.Equal(t, "Gift Id", q.body.SortBy)
		require.False(t, *q.body.Descending)
		require.Nil(t, q.body.IncludeArchived)
	}
}

func TestIDsOfAllGiftsAreReadAThousandByOneRequestUntilNothingIsLeft(t *testing.T) {
	t.Parallel()
	server := &crm{total: 2500}
	f := newFixture(t, server.serve)
	ids, sizes := collect(t, f.GiftIDs(t.Context(), 100))
	require.Len(t, ids, 2400)
	require.Equal(t, []int{1000, 1000, 400, 0}, sizes, "only an empty page says that nothing is left")
	require.EqualValues(t, 101, ids[0])
	require.Equal(t, "/api/Gift/Query", server.asked[0].path)
	require.Equal(t, []condition{{"Gift Id", "GreaterThan", "100"}}, server.asked[0].conditions())
	require.Equal(t, []int{1000, 1000, 1000, 1000}, server.takes())
}

func TestPageOfIDsIsShorterIfItsLengthIsRejected(t *testing.T) {
	t.Parallel()
	server := &crm{total: 250, change: func(w http.ResponseWriter, q asked) bool {
		if q.take > 100 {
			w.WriteHeader(http.StatusBadRequest)
		}
		return q.take > 100
	}}
	f := newFixture(t, server.serve)
	ids, sizes := collect(t, f.GiftIDs(t.Context(), 0))
	require.Len(t, ids, 250)
	require.Equal(t, []int{100, 100, 50, 0}, sizes)
	require.Equal(t, []int{1000, 100, 100, 100, 100}, server.takes(), "it does not grow again")
}

func TestModifiedContactsIncludeArchivedOnes(t *testing.T) {
	t.Parallel()
	server := &crm{total: 3}
	f := newFixture(t, server.serve)
	contacts, _ := collect(t, f.ContactsModifiedSince(t.Context(), since, 1))
	require.Len(t, contacts, 2, "behind the id")
	q := server.asked[0]
	require.Equal(t, "/api/Contact/Query/FullContact", q.path)
	require.True(t, *q.body.IncludeArchived)
	require.Equal(t, []condition{{"Last Modified Date", "OnOrAfter", "2026-11-27"}, {"Contact Id", "GreaterThan", "1"}}, q.conditions())
}

func TestNamesOfQueriesComeFromTheOptions(t *testing.T) {
	t.Parallel()
	option := func(parameter string, operators ...string) string {
		var offered []string
		for _, operator := range operators {
			offered = append(offered, fmt.Sprintf(`{"operator":%q}`, operator))
		}
		return fmt.Sprintf(`{"parameter":%q,"operatorOptions":[%s]}`, parameter, strings.Join(offered, ","))
	}
	phoenix := zoneOf("US/Arizona")
	for name, test := range map[string]struct {
		options []string
		want    condition
	}{
		"the organization's day":  {[]string{option("Last Modified Date", "Is", "OnOrAfter")}, condition{"Last Modified Date", "OnOrAfter", "2026-11-26"}},
		"an operator with spaces": {[]string{option("Last Modified Date", "Is After Or On")}, condition{"Last Modified Date", "Is After Or On", "2026-11-26"}},
		"a day that is excluded":  {[]string{option("Last Modified Date", "Is After", "Is")}, condition{"Last Modified Date", "Is After", "2026-11-25"}},
		"UTC and excluded": {[]string{option("Last Modified DateTime UTC", "after")}, condition{"Last Modified DateTime UTC",
			"after", "2026-11-27T03:04:04Z"}},
		"UTC is preferred": {[]string{option("Last Modified Date", "OnOrAfter"), option("last modified datetime utc",
			"GreaterThanOrEqual")}, condition{"last modified datetime utc", "GreaterThanOrEqual", "2026-11-27T03:04:05Z"}},
		"UTC without an operator": {[]string{option("Last Modified Date", "OnOrAfter"), option("Last Modified DateTime UTC", "Is")},
			condition{"Last Modified Date", "OnOrAfter", "2026-11-26"}},
		"including before exclude": {[]string{option("Last Modified Date", "After", "GreaterThanOrEqual")},
			condition{"Last Modified Date", "GreaterThanOrEqual", "2026-11-26"}},
	} {
		server := &crm{total: 1, options: `{"options":[` + strings.Join(append(test.options, option("Gift Id", "GreaterThan")), ",") + `]}`}
		f := newFixture(t, server.serve, func(cfg *Config) { cfg.Zone = phoenix })
		collect(t, f.GiftsModifiedSince(t.Context(), since, 0))
		require.Equal(t, test.want, server.asked[0].conditions()[0], name)
	}
}

func TestQueryThatIsNotOfferedIsAnError(t *testing.T) {
	t.Parallel()
	server := &crm{total: 1, options: `{"options":[{"parameter":"Gift Id","operatorOptions":[{"operator":"Is"},{"operator":"GreaterThan"}]}]}`}
	f := newFixture(t, server.serve)
	err := failure(t, f.GiftsModifiedSince(t.Context(), since, 0))
	require.ErrorIs(t, err, ErrUnsupportedQuery)
	require.Equal(t, "virtuous_unsupported_query", fault.CodeOf(err))
	require.ErrorIs(t, failure(t, f.GiftsByTransactionSource(t.Context(), "AcmeGive", time.Time{}, 0)), ErrUnsupportedQuery)
	require.Empty(t, server.asked)
}

func TestGiftsOfASourceAreQueried(t *testing.T) {
	t.Parallel()
	server := &crm{total: 120, options: string(payload(t, "recorded/gift_designation_query_options.json"))}
	f := newFixture(t, server.serve)
	gifts, _ := collect(t, f.GiftsByTransactionSource(t.Context(), "AcmeGive", since, 0))
	require.Len(t, gifts, 120)
	require.Equal(t, []condition{
		{"Transaction Source", "Is", "AcmeGive"}, {"Last Modified DateTime UTC", "OnOrAfter", "2026-11-27T03:04:05Z"}, {"Gift Id", "GreaterThan", "0"},
	}, server.asked[0].conditions())
	collect(t, f.GiftsByTransactionSource(t.Context(), "AcmeGive", time.Time{}, 100))
	require.Equal(t, []condition{{"Transaction Source", "Is", "AcmeGive"}, {"Gift Id", "GreaterThan", "100"}}, server.asked[2].conditions())
}

func TestOptionsAreReadOnceADayForAllClientsOfACustomer(t *testing.T) {
	t.Parallel()
	now := testNow
	customers := NewCustomers(CustomersConfig{Now: func() time.Time { return now }})
	server := &crm{total: 1, options: string(payload(t, "recorded/gift_designation_query_options.json"))}
	f := newFixture(t, server.serve, func(cfg *Config) { cfg.Customer = customers.Of("acme") })
	optionsRead := func() int {
		count := 0
		for _, r := range f.got() {
			if r.path == "/api/Gift/QueryOptions" {
				count++
			}
		}
		return count
	}
	for range 3 {
		collect(t, f.GiftsModifiedSince(t.Context(), since, 0))
	}
	require.Equal(t, 1, optionsRead())
	now = now.Add(24*time.Hour - time.Second)
	collect(t, f.GiftsModifiedSince(t.Context(), since, 0))
	require.Equal(t, 1, optionsRead())
	now = now.Add(time.Second)
	collect(t, f.GiftsModifiedSince(t.Context(), since, 0))
	require.Equal(t, 2, optionsRead())
}

func TestOldOptionsAreUsedWhileVirtuousIsDown(t *testing.T) {
	t.Parallel()
	now, down := testNow, false
	customers := NewCustomers(CustomersConfig{Now: func() time.Time { return now }})
	server := &crm{total: 1, options: string(payload(t, "recorded/gift_designation_query_options.json"))}
	f := newFixture(t, func(w http.ResponseWriter, r *http.Request) {
		if down && strings.HasSuffix(r.URL.Path, "QueryOptions") {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		server.serve(w, r)
	}, func(cfg *Config) { cfg.Customer = customers.Of("acme") })
	collect(t, f.GiftsModifiedSince(t.Context(), since, 0))
	now, down = now.Add(48*time.Hour), true
	collect(t, f.GiftsModifiedSince(t.Context(), since, 0))
	require.Equal(t, "Last Modified DateTime UTC", server.asked[1].conditions()[0].Parameter)

	err := failure(t, f.ContactsModifiedSince(t.Context(), since, 0))
	require.ErrorIs(t, err, ErrForbidden, "without an old list")
}

func TestUnreadableOptionsStandForTheKnownNames(t *testing.T) {
	t.Parallel()
	for _, options := range []string{`{}`, `{"options":null}`, `{"options":[]}`, `{"options":[null,1]}`} {
		server := &crm{total: 1, options: options}
		f := newFixture(t, server.serve)
		collect(t, f.GiftsModifiedSince(t.Context(), since, 0))
		require.Equal(t, condition{"Last Modified Date", "OnOrAfter", "2026-11-27"}, server.asked[0].conditions()[0], options)
	}
}

func TestPageInsteadOfOptionsIsNotKept(t *testing.T) {
	t.Parallel()
	server := &crm{total: 1, options: `<html>`}
	f := newFixture(t, server.serve)
	collect(t, f.GiftsModifiedSince(t.Context(), since, 0))
	server.options = string(payload(t, "recorded/gift_designation_query_options.json"))
	collect(t, f.GiftsModifiedSince(t.Context(), since, 0))
	require.Equal(t, "Last Modified Date", server.asked[0].conditions()[0].Parameter)
	require.Equal(t, "Last Modified DateTime UTC", server.asked[1].conditions()[0].Parameter)
}

func TestPageIsHalvedAfterATimeoutAndGrowsSlowly(t *testing.T) {
	t.Parallel()
	server := &crm{total: 400}
	timeouts := 4
	server.change = func(w http.ResponseWriter, _ asked) bool {
		if timeouts--; timeouts >= 0 {
			w.WriteHeader(http.StatusGatewayTimeout)
			return true
		}
		return false
	}
	f := newFixture(t, server.serve)
	gifts, _ := collect(t, f.GiftsModifiedSince(t.Context(), since, 0))
	require.Len(t, gifts, 400)
	require.Equal(t, []int{100, 50, 25, 12, 10, 20, 30, 40, 50, 60, 70, 80, 90}, server.takes())
	require.Empty(t, f.naps)
}

func TestShortestPageThatTimesOutEndsTheQuery(t *testing.T) {
	t.Parallel()
	server := &crm{total: 400, change: func(w http.ResponseWriter, _ asked) bool { w.WriteHeader(http.StatusGatewayTimeout); return true }}
	f := newFixture(t, server.serve)
	err := failure(t, f.GiftsModifiedSince(t.Context(), since, 0))
	require.ErrorIs(t, err, ErrTimeout)
	require.False(t, f.customer.isOpen(), "a slow query does not hold back submissions")
	require.Equal(t, []int{100, 50, 25, 12, 10, 10, 10}, server.takes())
}

func TestOtherFaultsOfAPageAreRepeatedWithTheSameSize(t *testing.T) {
	t.Parallel()
	failures := 2
	server := &crm{total: 5, change: func(w http.ResponseWriter, _ asked) bool {
		failures--
		if failures >= 0 {
			w.WriteHeader(http.StatusBadGateway)
		}
		return failures >= 0
	}}
	f := newFixture(t, server.serve)
	gifts, _ := collect(t, f.GiftsModifiedSince(t.Context(), since, 0))
	require.Len(t, gifts, 5)
	require.Equal(t, []int{100, 100, 100}, server.takes())
}

func TestPageThatRepeatsEndsTheQuery(t *testing.T) {
	t.Parallel()
	server := &crm{total: 500}
	server.change = func(w http.ResponseWriter, q asked) bool { // it ignores the conditions
		q.after = 0
		_, err := w.Write([]byte(server.page(q, q.take)))
		return err == nil
	}
	f := newFixture(t, server.serve)
	var pages int
	var failed error
	for page, err := range f.GiftsModifiedSince(t.Context(), since, 0) {
		pages++
		if failed = err; err != nil {
			require.EqualValues(t, 100, page.Cursor, "where a next run continues")
		}
	}
	require.Equal(t, 2, pages)
	require.ErrorIs(t, failed, ErrPageRepeats)
	require.Equal(t, "virtuous_page_repeats", fault.CodeOf(failed))
}

func TestServerThatLimitsThePageLosesNoRecord(t *testing.T) {
	t.Parallel()
	for name, write := range map[string]func(c *crm, q asked) string{
		"ten records whatever is asked": func(c *crm, q asked) string { return c.page(q, 10) },
		"no total":                      func(c *crm, q asked) string { return strings.Replace(c.page(q, q.take), `"total"`, `"count"`, 1) },
		"the total of the page": func(c *crm, q asked) string {
			page, _, _ := strings.Cut(c.page(q, q.take), `,"total"`)
			return page + fmt.Sprintf(`,"total":%d}`, min(q.take, max(c.total-q.after, 0)))
		},
		"the total of all": func(c *crm, q asked) string {
			page, _, _ := strings.Cut(c.page(q, q.take), `,"total"`)
			return page + fmt.Sprintf(`,"total":%d}`, c.total)
		},
	} {
		server := &crm{total: 230}
		server.change = func(w http.ResponseWriter, q asked) bool {
			_, err := w.Write([]byte(write(server, q)))
			return err == nil
		}
		f := newFixture(t, server.serve)
		gifts, _ := collect(t, f.GiftsModifiedSince(t.Context(), since, 0))
		require.Len(t, gifts, 230, name)
	}
}

func TestPageOutOfOrderIsAskedForWithTheOtherWord(t *testing.T) {
	t.Parallel()
	server := &crm{total: 250}
	server.change = func(w http.ResponseWriter, q asked) bool {
		if q.body.SortBy == "Id" {
			return false
		}
		var page struct {
			List  []json.RawMessage `json:"list"`
			Total int               `json:"total"`
		}
		err := json.Unmarshal([]byte(server.page(q, q.take)), &page)
		slices.Reverse(page.List)
		return errors.Join(err, json.NewEncoder(w).Encode(page)) == nil
	}
	f := newFixture(t, server.serve)
	gifts, _ := collect(t, f.GiftsModifiedSince(t.Context(), since, 0))
	require.Len(t, gifts, 250)
	require.Len(t, server.asked, 4, "one page was asked for twice")
	collect(t, f.GiftsModifiedSince(t.Context(), since, 0))
	require.Len(t, server.asked, 7, "the next query begins with the word that worked")

	never := &crm{total: 250}
	never.change = func(w http.ResponseWriter, _ asked) bool {
		_, err := w.Write([]byte(`{"list":[{"id":2},{"id":1}],"total":250}`))
		return err == nil
	}
	err := failure(t, newFixture(t, never.serve).GiftsModifiedSince(t.Context(), since, 0))
	require.ErrorIs(t, err, ErrUnsorted)
	require.Len(t, never.asked, 2)
}

func TestOnlyPageMayBeInAnyOrder(t *testing.T) {
	t.Parallel()
	f := newFixture(t, func(w http.ResponseWriter, r *http.Request) {
		answering(200, `{"list":[{"id":2},{"id":1}],"total":"2"}`)(w, r)
	})
	gifts, _ := collect(t, f.GiftsModifiedSince(t.Context(), since, 0))
	require.Len(t, gifts, 2)
}

func TestRejectedOrderIsAskedForWithTheOtherWord(t *testing.T) {
	t.Parallel()
	server := &crm{total: 3, change: func(w http.ResponseWriter, q asked) bool {
		if q.body.SortBy != "Id" {
			w.WriteHeader(http.StatusBadRequest)
		}
		return q.body.SortBy != "Id"
	}}
	contacts, _ := collect(t, newFixture(t, server.serve).ContactsModifiedSince(t.Context(), since, 0))
	require.Len(t, contacts, 3)

	rejecting := &crm{change: func(w http.ResponseWriter, _ asked) bool { w.WriteHeader(http.StatusBadRequest); return true }}
	err := failure(t, newFixture(t, rejecting.serve).ContactsModifiedSince(t.Context(), since, 0))
	require.ErrorIs(t, err, ErrRejected)
	require.Len(t, rejecting.asked, 2)
}

func TestRejectedQueryReadsTheOptionsAgain(t *testing.T) {
	t.Parallel()
	renamed := false
	server := &crm{total: 1, options: string(payload(t, "recorded/gift_designation_query_options.json"))}
	server.change = func(w http.ResponseWriter, q asked) bool {
		rejected := renamed && q.conditions()[0].Parameter != "Last Modified Date"
		if rejected {
			w.WriteHeader(http.StatusBadRequest)
		}
		return rejected
	}
	f := newFixture(t, server.serve)
	collect(t, f.GiftsModifiedSince(t.Context(), since, 0))
	renamed, server.options = true, strings.Replace(server.options, "Last Modified DateTime UTC", "Modified UTC", 1)
	require.ErrorIs(t, failure(t, f.GiftsModifiedSince(t.Context(), since, 0)), ErrRejected)
	collect(t, f.GiftsModifiedSince(t.Context(), since, 0))
}

func TestBrokenRowDoesNotStopTheOthers(t *testing.T) {
	t.Parallel()
	f := newFixture(t, answering(200, `{"list":[{"id":1},null,{"name":"Ana"},{"id":4}],"total":4}`, "Date", "Fri, 20 Feb 2026 06:50:00 GMT"))
	for page, err := range f.GiftsModifiedSince(t.Context(), since, 0) {
		require.NoError(t, err)
		require.Len(t, page.Records, 2)
		require.EqualValues(t, 4, page.Cursor)
		require.Equal(t, time.Date(2026, 2, 20, 6, 50, 0, 0, time.UTC), page.Date)
		require.Len(t, page.Bad, 2)
		require.JSONEq(t, `{"name":"Ana"}`, string(page.Bad[1].Raw))
		require.NotContains(t, page.Bad[1].Problem, "Ana")
	}
}

func TestAnswerThatIsNoPageEndsTheQuery(t *testing.T) {
	t.Parallel()
	for _, body := range []string{``, `[]`, `{}`, `{"list":null}`, `{"list":{}}`, `<html>`, `{"list":[{"name":"Ana"}],"total":1}`} {
		err := failure(t, newFixture(t, answering(200, body)).GiftsModifiedSince(t.Context(), since, 0))
		require.ErrorIs(t, err, ErrUnknownAnswer, body)
		requireDiscreet(t, err)
	}
}

func TestNullEntriesAloneEndTheQuery(t *testing.T) {
	t.Parallel()
	f := newFixture(t, answering(200, `{"list":[null],"total":1}`))
	for page, err := range f.GiftsModifiedSince(t.Context(), since, 7) {
		require.NoError(t, err)
		require.Empty(t, page.Records)
		require.Len(t, page.Bad, 1)
	}
	require.Len(t, f.got(), 2, "the options, and one page")
}

func TestEmptyAnswerIsOneEmptyPage(t *testing.T) {
	t.Parallel()
	gifts, sizes := collect(t, newFixture(t, answering(200, `{"list":[],"total":0}`)).GiftsModifiedSince(t.Context(), since, 7))
	require.Empty(t, gifts)
	require.Equal(t, []int{0}, sizes)
}

func TestQueryMayBeLeftEarly(t *testing.T) {
	t.Parallel()
	server := &crm{total: 500}
	f := newFixture(t, server.serve)
	for page, err := range f.GiftsModifiedSince(t.Context(), since, 0) {
		require.NoError(t, err)
		require.EqualValues(t, 100, page.Cursor)
		break
	}
	require.Len(t, server.asked, 1)
}
