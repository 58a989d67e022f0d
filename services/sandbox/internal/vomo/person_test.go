package vomo_test

import (
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"rollcall.dev/services/sandbox/internal/vomo"
)

const size = 5_000

func everybody() []vomo.Person {
	people := make([]vomo.Person, size)
	for i := range people {
		people[i] = vomo.Generator{Seed: 5}.At(int64(i))
	}
	return people
}

func TestPeopleAreAsMixedAsRealOnes(t *testing.T) {
	t.Parallel()
	count := map[string]int{}
	note := func(what string, is bool) {
		if is {
			count[what]++
		}
	}
	for _, p := range everybody() {
		note("no email", p.Email == nil)
		note("mixed-case email", p.Email != nil && *p.Email != strings.ToLower(*p.Email))
		note("no phone", p.Phone == nil)
		note("unicode", utf8.RuneCountInString(p.FullName()) != len(p.FullName()))
		note("apostrophe", strings.Contains(p.FullName(), "'"))
		note("hyphen", strings.Contains(p.FullName(), "-"))
		note("CJK", strings.ContainsAny(p.FullName(), "王李伟秀"))
		note("Arabic", strings.ContainsAny(p.FullName(), "محمدفاطمة"))
		note("verified", p.UserStatus != nil && *p.UserStatus == "VERIFIED")
		note("volunteer", p.MembershipRole == "VOLUNTEER")
	}

	require.InDelta(t, 0.03*size, count["no email"], 0.01*size)
	require.InDelta(t, 0.08*size, count["mixed-case email"], 0.02*size)
	require.InDelta(t, 0.12*size, count["no phone"], 0.02*size)
	require.InDelta(t, 0.81*size, count["verified"], 0.03*size)
	require.InDelta(t, 0.93*size, count["volunteer"], 0.02*size)
	for _, what := range []string{"unicode", "apostrophe", "hyphen", "CJK", "Arabic"} {
		require.Greater(t, count[what], size/100, what)
	}
}

func TestEveryEmailIsReservedDistinctAndCarriesItsID(t *testing.T) {
	t.Parallel()
	form := regexp.MustCompile(`^[A-Za-z_.]+[0-9]+@(?i:example)\.(org|com|net)$`)
	seen := map[string]bool{}
	for _, p := range everybody() {
		if p.Email == nil {
			continue
		}
		require.Regexp(t, form, *p.Email)
		require.False(t, seen[strings.ToLower(*p.Email)])
		seen[strings.ToLower(*p.Email)] = true
		id, found := vomo.IDInEmail(*p.Email)
		require.True(t, found)
		require.Equal(t, p.ID, id)
	}
	for _, other := range []string{"", "none", "nia@example.org", "7@", "a99999999999999999999@example.org"} {
		id, found := vomo.IDInEmail(other)
		require.Equal(t, other == "7@", found, other)
		require.True(t, !found || id == 7)
	}
}

func TestTimesAreWholeSecondsInThePastAndManyShareOne(t *testing.T) {
	t.Parallel()
	var before time.Time
	created, updated := map[time.Time]int{}, map[time.Time]int{}
	for _, p := range everybody() {
		require.False(t, p.Created.Before(before), "later ids are not created earlier")
		require.False(t, p.Updated.Before(p.Created))
		require.False(t, p.Updated.After(time.Date(2026, 6, 30, 18, 0, 0, 0, time.UTC)))
		require.Zero(t, p.Updated.Nanosecond())
		before = p.Created
		created[p.Created]++
		updated[p.Updated]++
	}
	most := func(times map[time.Time]int) (most int) {
		for _, n := range times {
			most = max(most, n)
		}
		return most
	}
	require.GreaterOrEqual(t, most(created), 40)
	require.Greater(t, most(updated), 45, "one second fills many pages")
	require.Greater(t, len(updated), size/2)
	require.Greater(t, before.Year(), 2022, "they spread over years")
}
