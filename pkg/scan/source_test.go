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

// source is a VOMO organisation: it lists, filters and counts as VOMO does, and may lie.
type source struct {
	users       []vomo.User // in the list's order
	newestFirst bool
	nextID      int
	now         time.Time

	filters func(vomo.Query) vomo.Query // what it honours of a query
	lie     func(total int) int
	round   bool // behind the last page comes the first one
	// vanish: a page behind the last one is not there, and counts nobody. links: each page speaks of another behind it.
	vanish, links bool
}

// newSource has users who joined some time apart.
func newSource(users int, apart time.Duration, newestFirst bool) *source {
	s := &source{now: began, newestFirst: newestFirst}
	for range users {
		s.now = s.now.Add(apart)
		s.join()
	}
	s.now = s.now.Add(time.Hour)
	return s
}

func (s *source) join() {
	s.nextID++
	user := vomo.User{ID: strconv.Itoa(s.nextID), CreatedAt: s.now.Truncate(time.Second), UpdatedAt: s.now.Truncate(time.Second)}
	if s.newestFirst {
		s.users = slices.Insert(s.users, 0, user)
	} else {
		s.users = append(s.users, user)
	}
}

// page answers as of now.
func (s *source) page(query vomo.Query, number int) vomo.Page {
	if s.round {
		page := s.shown(query, (number-1)%(len(s.users)/scan.PageSize)+1)
		page.Number, page.More = number, true
		return page
	}
	page := s.shown(query, number)
	page.More = page.More || s.links && len(page.Users) > 0
	if s.vanish && number > 1 && len(page.Users) == 0 {
		page.Total = -1
	}
	return page
}

func (s *source) shown(query vomo.Query, number int) vomo.Page {
	if s.filters != nil {
		query = s.filters(query)
	}
	total := 0
	var found []vomo.User
	for i := range s.users {
		user := &s.users[i]
		after, before := query.CreatedAfter, query.CreatedBefore
		if user.CreatedAt.IsZero() && (!after.IsZero() || !before.IsZero()) {
			continue // it is in no window
		}
		if (after.IsZero() || !user.CreatedAt.Before(after)) && (before.IsZero() || !user.CreatedAt.After(before)) {
			if total/scan.PageSize == number-1 {
				found = append(found, *user)
			}
			total++
		}
	}
	page := vomo.Page{Number: number, Users: found, Total: total, More: number*scan.PageSize < total, Date: s.now}
	if s.lie != nil {
		page.Total = s.lie(total)
	}
	return page
}

// notes are a scan's, in memory: what the store does with them is the store's test.
type notes struct {
	passes map[string]int
	times  []time.Time // of creation, in order
}

func newNotes() *notes { return &notes{passes: map[string]int{}} }

func (n *notes) NoteSeen(_ context.Context, _ int64, pass int, users []store.SeenUser) (int64, error) {
	var fresh int64
	for _, user := range users {
		if _, met := n.passes[user.ID]; !met {
			fresh++
			if !user.CreatedAt.IsZero() {
				n.times = slices.Insert(n.times, n.before(&user.CreatedAt, 0), user.CreatedAt)
			}
		}
		n.passes[user.ID] = pass
	}
	return fresh, nil
}

// before is how many were created before at, and otherwise where there is no such time.
func (n *notes) before(at *time.Time, otherwise int) int {
	if at == nil {
		return otherwise
	}
	index, _ := slices.BinarySearchFunc(n.times, *at, time.Time.Compare)
	return index
}

func (n *notes) CountSeen(context.Context, int64) (int64, error) { return int64(len(n.passes)), nil }

func (n *notes) CountSeenBetween(_ context.Context, _ int64, from, to *time.Time) (int64, error) {
	return int64(n.before(to, len(n.times)) - n.before(from, 0)), nil
}

func (n *notes) CountSeenIn(_ context.Context, _ int64, pass int) (count int64, _ error) {
	for _, in := range n.passes {
		if in == pass {
			count++
		}
	}
	return count, nil
}

func (n *notes) NthCreated(_ context.Context, _ int64, from *time.Time, skip int) (*time.Time, error) {
	at := n.before(from, 0) + skip
	if at >= len(n.times) {
		return nil, nil //nolint:nilnil // nil is no such time
	}
	return new(n.times[at]), nil
}

// scanned is how a scan ended.
type scanned struct {
	scan.Step
	processed, recovered int64
	requests             int
	notes                *notes
}

// requestsAtMost is what no scan in these tests may need.
const requestsAtMost = 20_000

// read scans the source to its end. happen is called after every request with its number. With chance, pages in
// flight reach the source in any order, as they do on a network.
func read(t *testing.T, s *source, chance *rand.Rand, happen func(request int)) scanned {
	t.Helper()
	result := scanned{notes: newNotes()}
	result.Cursor.NextPage = 1
	for !result.Done {
		query, options := scan.Query(result.Cursor), scan.Options(result.Cursor)
		flight := map[int]vomo.Page{}
		for number := options.From; ; number++ {
			for len(flight) < options.Ahead {
				ahead := unsent(flight, number, options.Ahead)
				if chance != nil {
					ahead = ahead[chance.IntN(len(ahead)):]
				}
				flight[ahead[0]] = s.page(query, ahead[0])
				result.requests++
				require.Less(t, result.requests, requestsAtMost, "the scan has an end")
				if happen != nil {
					happen(result.requests)
				}
			}
			page := flight[number]
			delete(flight, number)
			step, err := scan.Next(t.Context(), result.notes, 1, result.Cursor, page, seen(page))
			require.NoError(t, err)
			result.Step = step
			result.processed += step.Fresh
			result.recovered += step.Recovered
			if step.Done || step.Moved {
				break
			}
		}
	}
	return result
}

// readOneByOne reads the source to its end, no page ahead.
func readOneByOne(t *testing.T, s *source, happen func(request int)) scanned {
	t.Helper()
	result := scanned{notes: newNotes()}
	result.Cursor.NextPage = 1
	for !result.Done {
		number := 1
		if result.Cursor.Phase != store.PhaseWindows || result.Cursor.WindowReading {
			number = result.Cursor.NextPage
		}
		page := s.page(scan.Query(result.Cursor), number)
		result.requests++
		require.Less(t, result.requests, requestsAtMost, "the scan has an end")
		if happen != nil {
			happen(result.requests)
		}
		step, err := scan.Next(t.Context(), result.notes, 1, result.Cursor, page, seen(page))
		require.NoError(t, err)
		result.Step = step
		result.processed += step.Fresh
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

func seen(page vomo.Page) []store.SeenUser {
	users := make([]store.SeenUser, 0, len(page.Users))
	for _, user := range page.Users {
		users = append(users, store.SeenUser{ID: user.ID, CreatedAt: user.CreatedAt})
	}
	return users
}

// requireAll fails where somebody who was there all the time was not met.
func (r scanned) requireAll(t *testing.T, s *source, joinedBefore int) {
	t.Helper()
	for _, user := range s.users {
		number, err := strconv.Atoi(user.ID)
		require.NoError(t, err)
		_, met := r.notes.passes[user.ID]
		require.True(t, met || number > joinedBefore, "user %s was there all the time", user.ID)
	}
	require.Equal(t, int64(len(r.notes.passes)), r.processed, "each counts once")
}
