package scan_test

import (
	"context"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/scan"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/vomo"
)

var began = time.Date(2024, time.January, 1, 0, 0, 0, 0, time.UTC)

// source stands in for a VOMO organisation: it lists, filters and counts as VOMO does, and can be set to answer wrongly.
type source struct {
	users       []vomo.User // in the list's order
	newestFirst bool
	nextID      int
	now         time.Time

	honoredFilters func(vomo.Query) vomo.Query // returns the part of a query that the source honours
	reportTotal    func(total int) int         // returns the total in the answer
	repeats        bool                        // the page after the last one is the first one again
	noTotalPastEnd bool                        // a page after the last one has no total
	alwaysHasNext  bool                        // each page with users has a link to a next one
}

// newSource returns a source with users that were created some time apart.
func newSource(users int, apart time.Duration, newestFirst bool) *source {
	s := &source{now: began, newestFirst: newestFirst}
	for range users {
		s.now = s.now.Add(apart)
		s.addUser()
	}
	s.now = s.now.Add(time.Hour)
	return s
}

func (s *source) addUser() {
	s.nextID++
	user := vomo.User{ID: strconv.Itoa(s.nextID), CreatedAt: s.now.Truncate(time.Second), UpdatedAt: s.now.Truncate(time.Second)}
	if s.newestFirst {
		s.users = slices.Insert(s.users, 0, user)
	} else {
		s.users = append(s.users, user)
	}
}

// page returns the page as the source would answer now.
func (s *source) page(query vomo.Query, number int) vomo.Page {
	if s.repeats {
		page := s.listPage(query, (number-1)%(len(s.users)/scan.PageSize)+1)
		page.Number, page.More = number, true
		return page
	}
	page := s.listPage(query, number)
	page.More = page.More || s.alwaysHasNext && len(page.Users) > 0
	if s.noTotalPastEnd && number > 1 && len(page.Users) == 0 {
		page.Total = -1
	}
	return page
}

func (s *source) listPage(query vomo.Query, number int) vomo.Page {
	if s.honoredFilters != nil {
		query = s.honoredFilters(query)
	}
	total := 0
	var found []vomo.User
	for i := range s.users {
		user := &s.users[i]
		after, before := query.CreatedAfter, query.CreatedBefore
		if user.CreatedAt.IsZero() && (!after.IsZero() || !before.IsZero()) {
			continue // a user without created_at is in no window
		}
		if (after.IsZero() || !user.CreatedAt.Before(after)) && (before.IsZero() || !user.CreatedAt.After(before)) {
			if total/scan.PageSize == number-1 {
				found = append(found, *user)
			}
			total++
		}
	}
	page := vomo.Page{Number: number, Users: found, Total: total, More: number*scan.PageSize < total, Date: s.now}
	if s.reportTotal != nil {
		page.Total = s.reportTotal(total)
	}
	return page
}

// memorySeenUsers is a scan.SeenUsers in memory. Tests of package store cover the real one.
type memorySeenUsers struct {
	passes  map[string]int // the last pass that saw a user, by id
	created []time.Time    // sorted
}

func newSeenUsers() *memorySeenUsers { return &memorySeenUsers{passes: map[string]int{}} }

func (m *memorySeenUsers) NoteSeen(_ context.Context, _ int64, pass int, users []store.SeenUser) error {
	for _, user := range users {
		if _, seen := m.passes[user.ID]; !seen {
			if !user.CreatedAt.IsZero() {
				m.created = slices.Insert(m.created, m.createdBefore(&user.CreatedAt, 0), user.CreatedAt)
			}
		}
		m.passes[user.ID] = pass
	}
	return nil
}

// newOf returns how many of the users are not seen yet.
func (m *memorySeenUsers) newOf(users []store.SeenUser) (unseen int64) {
	for _, user := range users {
		if _, seen := m.passes[user.ID]; !seen {
			unseen++
		}
	}
	return unseen
}

// createdBefore returns how many users were created before at, or otherwise if at is nil.
func (m *memorySeenUsers) createdBefore(at *time.Time, otherwise int) int {
	if at == nil {
		return otherwise
	}
	index, _ := slices.BinarySearchFunc(m.created, *at, time.Time.Compare)
	return index
}

func (m *memorySeenUsers) CountSeen(context.Context, int64) (int64, error) {
	return int64(len(m.passes)), nil
}

func (m *memorySeenUsers) CountSeenBetween(_ context.Context, _ int64, from, to *time.Time) (int64, error) {
	return int64(m.createdBefore(to, len(m.created)) - m.createdBefore(from, 0)), nil
}

func (m *memorySeenUsers) CountSeenIn(_ context.Context, _ int64, pass int) (count int64, _ error) {
	for _, lastPass := range m.passes {
		if lastPass == pass {
			count++
		}
	}
	return count, nil
}

func (m *memorySeenUsers) NthCreated(_ context.Context, _ int64, from *time.Time, skip int) (*time.Time, error) {
	at := m.createdBefore(from, 0) + skip
	if at >= len(m.created) {
		return nil, nil //nolint:nilnil // nil means that there is no such user
	}
	return new(m.created[at]), nil
}

// scanned is the result of a scan.
type scanned struct {
	scan.Step
	processed, recovered int64
	requests             int
	seen                 *memorySeenUsers
}

// maxRequests is more than any scan in these tests needs.
const maxRequests = 20_000

// scanAll scans the source to its end. It calls afterRequest after each request with the request's number. If random is not
// nil, pages in flight reach the source in random order, as on a network.
func scanAll(t *testing.T, s *source, random *rand.Rand, afterRequest func(request int)) scanned {
	t.Helper()
	result := scanned{seen: newSeenUsers()}
	result.Cursor.NextPage = 1
	for !result.Done {
		query, options := scan.Query(result.Cursor), scan.Options(result.Cursor)
		flight := map[int]vomo.Page{}
		var waiting []vomo.Page
		for number := options.From; ; number++ {
			for len(flight) < options.Ahead {
				ahead := unsent(flight, number, options.Ahead)
				if random != nil {
					ahead = ahead[random.IntN(len(ahead)):]
				}
				flight[ahead[0]] = s.page(query, ahead[0])
				result.requests++
				require.Less(t, result.requests, maxRequests, "the scan must end")
				if afterRequest != nil {
					afterRequest(result.requests)
				}
			}
			page := flight[number]
			delete(flight, number)
			waiting = append(waiting, page)
			if random != nil && result.Cursor.Phase != store.PhaseWindows && page.More && len(waiting) == 1 && random.IntN(2) == 0 {
				continue // it is committed together with the next one
			}
			step, err := scan.Next(t.Context(), result.seen, 1, result.Cursor, result.seen.reads(waiting)...)
			waiting = nil
			require.NoError(t, err)
			result.Step = step
			result.processed += step.NewUsers
			result.recovered += step.Recovered
			if step.Done || step.CursorMoved {
				break
			}
		}
	}
	return result
}

// reads returns pages as a scan gets them that are committed together: a user on two of them is new on the first.
func (m *memorySeenUsers) reads(pages []vomo.Page) []scan.Read {
	counted := map[string]bool{}
	reads := make([]scan.Read, 0, len(pages))
	for _, page := range pages {
		read := scan.Read{Page: page, Users: seenOn(page)}
		for _, user := range read.Users {
			if !counted[user.ID] {
				read.New += m.newOf([]store.SeenUser{user})
			}
			counted[user.ID] = true
		}
		reads = append(reads, read)
	}
	return reads
}

// scanWithoutReadAhead scans the source to its end and reads no page ahead.
func scanWithoutReadAhead(t *testing.T, s *source, afterRequest func(request int)) scanned {
	t.Helper()
	result := scanned{seen: newSeenUsers()}
	result.Cursor.NextPage = 1
	for !result.Done {
		number := 1
		if result.Cursor.Phase != store.PhaseWindows || result.Cursor.WindowReading {
			number = result.Cursor.NextPage
		}
		page := s.page(scan.Query(result.Cursor), number)
		result.requests++
		require.Less(t, result.requests, maxRequests, "the scan must end")
		if afterRequest != nil {
			afterRequest(result.requests)
		}
		step, err := scan.Next(t.Context(), result.seen, 1, result.Cursor, scan.Read{Page: page, Users: seenOn(page), New: result.seen.newOf(seenOn(page))})
		require.NoError(t, err)
		result.Step = step
		result.processed += step.NewUsers
		result.recovered += step.Recovered
	}
	return result
}

func unsent(flight map[int]vomo.Page, from, ahead int) []int {
	var numbers []int
	for number := from; number < from+ahead; number++ {
		if _, sent := flight[number]; !sent {
			numbers = append(numbers, number)
		}
	}
	return numbers
}

func seenOn(page vomo.Page) []store.SeenUser {
	users := make([]store.SeenUser, 0, len(page.Users))
	for _, user := range page.Users {
		users = append(users, store.SeenUser{ID: user.ID, CreatedAt: user.CreatedAt})
	}
	return users
}

// requireNoneMissed fails if the scan missed a user that existed from its start to its end.
func (r scanned) requireNoneMissed(t *testing.T, s *source, firstUsers int) {
	t.Helper()
	for _, user := range s.users {
		number, err := strconv.Atoi(user.ID)
		require.NoError(t, err)
		_, seen := r.seen.passes[user.ID]
		require.True(t, seen || number > firstUsers, "user %s existed all the time", user.ID)
	}
	require.Equal(t, int64(len(r.seen.passes)), r.processed, "each user counts once")
}
