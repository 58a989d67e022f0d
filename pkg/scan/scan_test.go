package scan_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/scan"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/testkit"
	"rollcall.dev/pkg/vomo"
)

// To run more: go test ./pkg/scan -seeds 500.
var seeds = flag.Uint64("seeds", 40, "number of random scenarios per test")

func TestMain(m *testing.M) { testkit.Main(m) }

func TestUnchangedListCostsItsPagesAndOneRequestPerWindow(t *testing.T) {
	t.Parallel()
	for users, requests := range map[int]int{0: 1, 1: 1, 15: 1, 16: 2, 300: 20, 301: 21 + 2, 3000: 200 + 10, 3001: 201 + 11} {
		for _, newestFirst := range []bool{false, true} {
			s := newSource(users, time.Hour, newestFirst)
			result := scanAll(t, s, nil, nil)
			require.True(t, result.Verified)
			require.Zero(t, result.recovered)
			require.Equal(t, int64(users), result.processed)
			// This test also requests the pages past the end that were in flight; a client that knows the end does not.
			require.InDelta(t, requests, result.requests, scan.ReadAhead, "%d users", users)
		}
	}
}

func TestNoUserThatExistedAllTheTimeIsMissed(t *testing.T) {
	t.Parallel()
	for _, newestFirst := range []bool{false, true} {
		for seed := range *seeds {
			t.Run(fmt.Sprintf("newest first %t, seed %d", newestFirst, seed), func(t *testing.T) {
				t.Parallel()
				random := rand.New(rand.NewPCG(seed, 1))
				users := 1 + random.IntN(1200)
				s := newSource(users, time.Duration(1+random.IntN(4000))*time.Second, newestFirst)
				adding := random.IntN(2) == 0 // not both: while pages are in flight, an addition may hide a deletion
				result := scanAll(t, s, random, func(int) {
					s.now = s.now.Add(time.Second)
					switch {
					case random.IntN(6) > 0:
					case adding:
						for range 1 + random.IntN(4) {
							s.addUser()
						}
					default:
						for range min(1+random.IntN(4), len(s.users)) {
							at := random.IntN(len(s.users))
							s.users = slices.Delete(s.users, at, at+1)
						}
					}
				})
				result.requireNoneMissed(t, s, users)
			})
		}
	}
}

// testdata/cases/past-the-end.md describes this case.
func TestPageThatDisappearsDuringTheScanEndsTheListAndHidesNoUser(t *testing.T) {
	t.Parallel()
	s := newSource(46, time.Hour, false)
	s.noTotalPastEnd = true
	result := scanWithoutReadAhead(t, s, func(request int) {
		if request == 3 { // page 4 is requested next
			s.users = slices.Delete(s.users, 35, 36)
		}
	})
	require.True(t, result.Verified)
	result.requireNoneMissed(t, s, 46)
	require.Equal(t, int64(46), result.processed, "including the deleted user")
	require.Less(t, result.requests, 20)
}

func TestPagesThatDisappearHideNoUserWhateverIsDeleted(t *testing.T) {
	t.Parallel()
	for seed := range *seeds {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			random := rand.New(rand.NewPCG(seed, 4))
			users := 16 + random.IntN(600)
			s := newSource(users, time.Hour, seed%2 == 0)
			s.noTotalPastEnd = true
			result := scanWithoutReadAhead(t, s, func(int) {
				if at := random.IntN(len(s.users)); random.IntN(4) == 0 && len(s.users) > 1 {
					s.users = slices.Delete(s.users, at, at+1)
				}
			})
			result.requireNoneMissed(t, s, users)
		})
	}
}

func TestLinkToAMissingPageCostsFewRequests(t *testing.T) {
	t.Parallel()
	for users, requests := range map[int]int{15: 4, 45: 8, 600: 40 + 2*scan.ReadAhead + 20} {
		s := newSource(users, time.Hour, false)
		s.noTotalPastEnd, s.alwaysHasNext = true, true
		result := scanWithoutReadAhead(t, s, nil)
		require.True(t, result.Verified)
		result.requireNoneMissed(t, s, users)
		require.LessOrEqual(t, result.requests, requests, "%d users", users)
	}
}

func TestListWithoutTotalsEndsAtAMissingPage(t *testing.T) {
	t.Parallel()
	s := newSource(45, time.Hour, false)
	s.noTotalPastEnd, s.alwaysHasNext, s.reportTotal = true, true, func(int) int { return -1 }
	result := scanWithoutReadAhead(t, s, nil)
	require.False(t, result.Verified)
	require.Equal(t, int64(45), result.processed)
	require.Equal(t, 4, result.requests)
}

func TestAdditionsAndDeletionsBetweenDifferentRequestsHideNoUser(t *testing.T) {
	t.Parallel()
	for seed := range *seeds {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			random := rand.New(rand.NewPCG(seed, 2))
			users := 400 + random.IntN(800)
			s := newSource(users, time.Hour, seed%2 == 0)
			result := scanAll(t, s, nil, func(request int) { // requests come one after the other: each sees all changes before it
				s.now = s.now.Add(time.Second)
				switch {
				case random.IntN(3) > 0 || len(s.users) == 0:
				case request%2 == 0:
					s.addUser()
				default:
					at := random.IntN(len(s.users))
					s.users = slices.Delete(s.users, at, at+1)
				}
			})
			result.requireNoneMissed(t, s, users)
		})
	}
}

func TestFallOfTheTotalStepsBackBehindThePagesInFlight(t *testing.T) {
	t.Parallel()
	for deleted, to := range map[int]int{1: 6, 15: 6, 16: 5, 30: 5, 500: 1} {
		total := int64(1000)
		cursor := store.Cursor{NextPage: 10, LastTotal: &total, FurthestPage: 9}
		step, err := scan.Next(t.Context(), newSeenUsers(), 1, cursor,
			scan.Read{Page: vomo.Page{Number: 10, Total: 1000 - deleted, More: true}})
		require.NoError(t, err)
		require.True(t, step.CursorMoved)
		require.Equal(t, to, step.Cursor.NextPage, "%d deleted", deleted)
		require.Equal(t, int64(1000-deleted), *step.Cursor.LastTotal)
	}
}

func TestScanThatContinuesFromItsCursorStepsBackAfterADeletion(t *testing.T) {
	t.Parallel()
	s := newSource(600, time.Hour, false)
	result := scanAll(t, s, nil, func(request int) {
		if request == 20 { // the next worker has nothing but the cursor
			s.users = s.users[3:]
		}
	})
	require.Equal(t, 1, result.Cursor.StepsBack)
	require.True(t, result.Verified, "the deleted users are no longer counted")
	result.requireNoneMissed(t, s, 600)
	require.Equal(t, int64(600), result.processed)
	require.Positive(t, result.recovered)
}

func TestManyUsersCreatedInOneSecondAreReadTogether(t *testing.T) {
	t.Parallel()
	s := newSource(500, 0, false)
	s.now = s.now.Add(time.Minute)
	for range 500 {
		s.addUser()
	}
	deleted := false
	result := scanAll(t, s, nil, func(request int) {
		if request == 40 && !deleted {
			deleted = true
			s.users = slices.Delete(s.users, 100, 101)
		}
	})
	require.True(t, result.Verified)
	result.requireNoneMissed(t, s, 1000)
}

func TestFiltersWithDayResolutionGetWindowsOfWholeDays(t *testing.T) {
	t.Parallel()
	s := newSource(1000, 20*time.Minute, false) // 72 a day
	s.honoredFilters = func(query vomo.Query) vomo.Query {
		query.CreatedAfter = query.CreatedAfter.Truncate(24 * time.Hour)
		if !query.CreatedBefore.IsZero() {
			query.CreatedBefore = query.CreatedBefore.Truncate(24 * time.Hour).Add(24*time.Hour - time.Second)
		}
		return query
	}
	result := scanAll(t, s, nil, func(request int) {
		if request == 30 {
			s.users = slices.Delete(s.users, 100, 103)
		}
	})
	require.Equal(t, store.UnitDay, result.Cursor.WindowUnit)
	require.True(t, result.Verified)
	result.requireNoneMissed(t, s, 1000)
	require.Less(t, result.requests, 150)
}

func TestIgnoredFiltersMakeTheWholeListOneWindow(t *testing.T) {
	t.Parallel()
	for _, deleted := range []int{0, 2} {
		s := newSource(1000, time.Hour, false)
		s.honoredFilters = func(vomo.Query) vomo.Query { return vomo.Query{} }
		result := scanAll(t, s, nil, func(request int) {
			if request == 30 {
				s.users = slices.Delete(s.users, 100, 100+deleted)
			}
		})
		require.Equal(t, store.UnitNone, result.Cursor.WindowUnit)
		require.True(t, result.Verified)
		result.requireNoneMissed(t, s, 1000)
		require.Less(t, result.requests, 160, "at most one more reading of the list")
	}
}

func TestWrongTotalsNeverKeepAScanFromEnding(t *testing.T) {
	t.Parallel()
	for name, report := range map[string]func(random *rand.Rand, total int) int{
		"too high":          func(_ *rand.Rand, total int) int { return total + 7 },
		"too low":           func(_ *rand.Rand, total int) int { return max(total-7, 0) },
		"always zero":       func(*rand.Rand, int) int { return 0 },
		"missing":           func(*rand.Rand, int) int { return -1 },
		"enormous":          func(*rand.Rand, int) int { return 1 << 60 },
		"anything":          func(random *rand.Rand, _ int) int { return random.IntN(5000) },
		"up and down":       func(random *rand.Rand, total int) int { return total + random.IntN(2) },
		"sometimes missing": func(random *rand.Rand, total int) int { return []int{total, -1}[random.IntN(2)] },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for seed := range uint64(5) {
				random := rand.New(rand.NewPCG(seed, 3))
				s := newSource(2000, time.Hour, false)
				s.reportTotal = func(total int) int { return report(random, total) }
				result := scanAll(t, s, nil, nil)
				if name != "up and down" && name != "sometimes missing" { // these are right often enough to agree
					require.False(t, result.Verified)
				}
				require.Less(t, result.requests, 2500, "134 pages")
				result.requireNoneMissed(t, s, 2000)
			}
		})
	}
}

func TestScanOfARepeatingListEnds(t *testing.T) {
	t.Parallel()
	for _, total := range []int{-1, 15, 45, 1 << 40} {
		s := newSource(45, time.Hour, false)
		s.repeats, s.reportTotal = true, func(int) int { return total }
		result := scanAll(t, s, nil, nil)
		require.Equal(t, total == 45, result.Verified, "total %d", total)
		require.Equal(t, int64(45), result.processed)
		require.Less(t, result.requests, 150)
	}
}

func TestUsersWithoutCreatedAtAreReadButInNoWindow(t *testing.T) {
	t.Parallel()
	s := newSource(700, time.Hour, false)
	for i := 0; i < len(s.users); i += 3 {
		s.users[i].CreatedAt = time.Time{}
	}
	result := scanAll(t, s, nil, nil)
	require.Equal(t, int64(700), result.processed)
	require.True(t, result.Verified)
	require.Less(t, result.requests, 60)
}

func TestScanThatStepsBackForgetsNoUserOfThePagesCommittedTogether(t *testing.T) {
	t.Parallel()
	total := int64(1000)
	cursor := store.Cursor{NextPage: 10, LastTotal: &total, FurthestPage: 9}
	seen := newSeenUsers()
	page := func(number, total int, ids ...string) scan.Read {
		read := scan.Read{Page: vomo.Page{Number: number, Total: total, More: true}, New: int64(len(ids))}
		for _, id := range ids {
			read.Users = append(read.Users, store.SeenUser{ID: id})
		}
		return read
	}

	step, err := scan.Next(t.Context(), seen, 1, cursor, page(10, 999, "a"), page(11, 1000, "b", "c"))

	require.NoError(t, err)
	require.True(t, step.CursorMoved, "a user was deleted before page 10, and another one added before page 11")
	require.Equal(t, 6, step.Cursor.NextPage)
	require.Equal(t, int64(999), *step.Cursor.LastTotal, "page 11 is read again")
	require.Equal(t, 10, step.Cursor.FurthestPage)
	require.Equal(t, int64(3), step.NewUsers)
	count, err := seen.CountSeen(t.Context(), 1)
	require.NoError(t, err)
	require.Equal(t, int64(3), count)
}
