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

// By hand: go test ./pkg/scan -seeds 500.
var seeds = flag.Uint64("seeds", 40, "how many courses of events a test goes through")

func TestMain(m *testing.M) { testkit.Main(m) }

func TestAQuietOrganisationCostsItsPagesAndOneRequestAWindow(t *testing.T) {
	t.Parallel()
	for users, requests := range map[int]int{0: 1, 1: 1, 15: 1, 16: 2, 300: 20, 301: 21 + 2, 3000: 200 + 10, 3001: 201 + 11} {
		for _, newestFirst := range []bool{false, true} {
			s := newSource(users, time.Hour, newestFirst)
			result := read(t, s, nil, nil)
			require.True(t, result.Verified)
			require.Zero(t, result.recovered)
			require.Equal(t, int64(users), result.processed)
			// Pages past the end that were in flight are asked for in this test, and not by a client that knows the end.
			require.InDelta(t, requests, result.requests, scan.ReadAhead, "%d users", users)
		}
	}
}

func TestNobodyWhoWasThereAllTheTimeIsMissed(t *testing.T) {
	t.Parallel()
	for _, newestFirst := range []bool{false, true} {
		for seed := range *seeds {
			t.Run(fmt.Sprintf("newest first %t, seed %d", newestFirst, seed), func(t *testing.T) {
				t.Parallel()
				chance := rand.New(rand.NewPCG(seed, 1))
				users := 1 + chance.IntN(1200)
				s := newSource(users, time.Duration(1+chance.IntN(4000))*time.Second, newestFirst)
				joining := chance.IntN(2) == 0 // either, since an addition may hide a deletion while pages are in flight
				result := read(t, s, chance, func(int) {
					s.now = s.now.Add(time.Second)
					switch {
					case chance.IntN(6) > 0:
					case joining:
						for range 1 + chance.IntN(4) {
							s.join()
						}
					default:
						for range min(1+chance.IntN(4), len(s.users)) {
							at := chance.IntN(len(s.users))
							s.users = slices.Delete(s.users, at, at+1)
						}
					}
				})
				result.requireAll(t, s, users)
			})
		}
	}
}

// testdata/cases/past-the-end.md.
func TestAPageThatVanishesWhileTheListIsReadIsItsEndAndHidesNobody(t *testing.T) {
	t.Parallel()
	s := newSource(46, time.Hour, false)
	s.vanish = true
	result := readOneByOne(t, s, func(request int) {
		if request == 3 { // behind it, page 4 is asked for
			s.users = slices.Delete(s.users, 35, 36)
		}
	})
	require.True(t, result.Verified)
	result.requireAll(t, s, 46)
	require.Equal(t, int64(46), result.processed, "the one who is gone, too")
	require.Less(t, result.requests, 20)
}

func TestPagesThatVanishHideNobodyWhoeverLeaves(t *testing.T) {
	t.Parallel()
	for seed := range *seeds {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			chance := rand.New(rand.NewPCG(seed, 4))
			users := 16 + chance.IntN(600)
			s := newSource(users, time.Hour, seed%2 == 0)
			s.vanish = true
			result := readOneByOne(t, s, func(int) {
				if at := chance.IntN(len(s.users)); chance.IntN(4) == 0 && len(s.users) > 1 {
					s.users = slices.Delete(s.users, at, at+1)
				}
			})
			result.requireAll(t, s, users)
		})
	}
}

func TestALinkToAPageThatIsNeverThereCostsAFewRequests(t *testing.T) {
	t.Parallel()
	for users, requests := range map[int]int{15: 4, 45: 8, 600: 40 + 2*scan.ReadAhead + 20} {
		s := newSource(users, time.Hour, false)
		s.vanish, s.links = true, true
		result := readOneByOne(t, s, nil)
		require.True(t, result.Verified)
		result.requireAll(t, s, users)
		require.LessOrEqual(t, result.requests, requests, "%d users", users)
	}
}

func TestAListWithoutTotalsEndsAtAPageThatIsNotThere(t *testing.T) {
	t.Parallel()
	s := newSource(45, time.Hour, false)
	s.vanish, s.links, s.lie = true, true, func(int) int { return -1 }
	result := readOneByOne(t, s, nil)
	require.False(t, result.Verified)
	require.Equal(t, int64(45), result.processed)
	require.Equal(t, 4, result.requests)
}

func TestAnAdditionBetweenOtherReadsThanADeletionHidesNobody(t *testing.T) {
	t.Parallel()
	for seed := range *seeds {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			chance := rand.New(rand.NewPCG(seed, 2))
			users := 400 + chance.IntN(800)
			s := newSource(users, time.Hour, seed%2 == 0)
			result := read(t, s, nil, func(request int) { // one after the other: each read sees what came before it
				s.now = s.now.Add(time.Second)
				switch {
				case chance.IntN(3) > 0 || len(s.users) == 0:
				case request%2 == 0:
					s.join()
				default:
					at := chance.IntN(len(s.users))
					s.users = slices.Delete(s.users, at, at+1)
				}
			})
			result.requireAll(t, s, users)
		})
	}
}

func TestAFallOfTheTotalStepsBackBehindThePagesInFlight(t *testing.T) {
	t.Parallel()
	for gone, to := range map[int]int{1: 6, 15: 6, 16: 5, 30: 5, 500: 1} {
		total := int64(1000)
		cursor := store.Cursor{NextPage: 10, LastTotal: &total, FurthestPage: 9}
		step, err := scan.Next(t.Context(), newNotes(), 1, cursor,
			vomo.Page{Number: 10, Total: 1000 - gone, More: true}, nil)
		require.NoError(t, err)
		require.True(t, step.Moved)
		require.Equal(t, to, step.Cursor.NextPage, "%d gone", gone)
		require.Equal(t, int64(1000-gone), *step.Cursor.LastTotal)
	}
}

func TestADeletionThatASuccessorMeetsStepsBackToo(t *testing.T) {
	t.Parallel()
	s := newSource(600, time.Hour, false)
	result := read(t, s, nil, func(request int) {
		if request == 20 { // the cursor is all that one worker leaves to the next
			s.users = s.users[3:]
		}
	})
	require.Equal(t, 1, result.Cursor.StepsBack)
	require.True(t, result.Verified, "those who are gone are known to be gone")
	result.requireAll(t, s, 600)
	require.Equal(t, int64(600), result.processed)
	require.Positive(t, result.recovered)
}

func TestManyWhoJoinedInOneSecondAreReadTogether(t *testing.T) {
	t.Parallel()
	s := newSource(500, 0, false)
	s.now = s.now.Add(time.Minute)
	for range 500 {
		s.join()
	}
	deleted := false
	result := read(t, s, nil, func(request int) {
		if request == 40 && !deleted {
			deleted = true
			s.users = slices.Delete(s.users, 100, 101)
		}
	})
	require.True(t, result.Verified)
	result.requireAll(t, s, 1000)
}

func TestFiltersThatKnowDaysOnlyAreCountedByDays(t *testing.T) {
	t.Parallel()
	s := newSource(1000, 20*time.Minute, false) // 72 a day
	s.filters = func(query vomo.Query) vomo.Query {
		query.CreatedAfter = query.CreatedAfter.Truncate(24 * time.Hour)
		if !query.CreatedBefore.IsZero() {
			query.CreatedBefore = query.CreatedBefore.Truncate(24 * time.Hour).Add(24*time.Hour - time.Second)
		}
		return query
	}
	result := read(t, s, nil, func(request int) {
		if request == 30 {
			s.users = slices.Delete(s.users, 100, 103)
		}
	})
	require.Equal(t, store.UnitDay, result.Cursor.WindowUnit)
	require.True(t, result.Verified)
	result.requireAll(t, s, 1000)
	require.Less(t, result.requests, 150)
}

func TestFiltersThatAreIgnoredLeaveTheWholeSetAsOneWindow(t *testing.T) {
	t.Parallel()
	for _, gone := range []int{0, 2} {
		s := newSource(1000, time.Hour, false)
		s.filters = func(vomo.Query) vomo.Query { return vomo.Query{} }
		result := read(t, s, nil, func(request int) {
			if request == 30 {
				s.users = slices.Delete(s.users, 100, 100+gone)
			}
		})
		require.Equal(t, store.UnitNone, result.Cursor.WindowUnit)
		require.True(t, result.Verified)
		result.requireAll(t, s, 1000)
		require.Less(t, result.requests, 160, "at most one more reading")
	}
}

func TestATotalThatLiesNeverKeepsAScanFromItsEnd(t *testing.T) {
	t.Parallel()
	for name, lie := range map[string]func(chance *rand.Rand, total int) int{
		"too high":          func(_ *rand.Rand, total int) int { return total + 7 },
		"too low":           func(_ *rand.Rand, total int) int { return max(total-7, 0) },
		"always zero":       func(*rand.Rand, int) int { return 0 },
		"none":              func(*rand.Rand, int) int { return -1 },
		"enormous":          func(*rand.Rand, int) int { return 1 << 60 },
		"anything":          func(chance *rand.Rand, _ int) int { return chance.IntN(5000) },
		"up and down":       func(chance *rand.Rand, total int) int { return total + chance.IntN(2) },
		"none now and then": func(chance *rand.Rand, total int) int { return []int{total, -1}[chance.IntN(2)] },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for seed := range uint64(5) {
				chance := rand.New(rand.NewPCG(seed, 3))
				s := newSource(2000, time.Hour, false)
				s.lie = func(total int) int { return lie(chance, total) }
				result := read(t, s, nil, nil)
				if name != "up and down" && name != "none now and then" { // these tell the truth often enough to agree
					require.False(t, result.Verified)
				}
				require.Less(t, result.requests, 2500, "134 pages")
				result.requireAll(t, s, 2000)
			}
		})
	}
}

func TestAListThatGoesRoundHasAnEnd(t *testing.T) {
	t.Parallel()
	for _, total := range []int{-1, 15, 45, 1 << 40} {
		s := newSource(45, time.Hour, false)
		s.round, s.lie = true, func(int) int { return total }
		result := read(t, s, nil, nil)
		require.Equal(t, total == 45, result.Verified, "total %d", total)
		require.Equal(t, int64(45), result.processed)
		require.Less(t, result.requests, 150)
	}
}

func TestUsersWithoutATimeOfCreationAreReadAndLeftOutOfTheWindows(t *testing.T) {
	t.Parallel()
	s := newSource(700, time.Hour, false)
	for i := 0; i < len(s.users); i += 3 {
		s.users[i].CreatedAt = time.Time{}
	}
	result := read(t, s, nil, nil)
	require.Equal(t, int64(700), result.processed)
	require.True(t, result.Verified)
	require.Less(t, result.requests, 60)
}
