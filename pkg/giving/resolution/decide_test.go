package resolution_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/giving/resolution"
)

var noon = time.Date(2026, time.March, 2, 12, 0, 0, 0, time.UTC)

// The matrix: each rule by which side changed last, and on what the difference was found.
func TestRulesDecideByFieldAndTime(t *testing.T) {
	t.Parallel()
	const (
		toVirtuous = resolution.ToVirtuous
		toPartner  = resolution.ToPartner
		review     = resolution.Review
		conflict   = resolution.Conflict
	)
	times := []struct {
		name              string
		partner, virtuous time.Time
	}{
		{"the platform changed last", noon.Add(time.Second), noon},
		{"Virtuous changed last", noon, noon.Add(time.Second)},
		{"10 ms apart", noon.Add(10 * time.Millisecond), noon},
		{"9 ms apart", noon.Add(9 * time.Millisecond), noon},
		{"equal", noon, noon},
		{"the platform does not say", time.Time{}, noon},
		{"Virtuous does not say", noon, time.Time{}},
		{"neither says", time.Time{}, time.Time{}},
	}
	all := func(d resolution.Decision) []resolution.Decision {
		return []resolution.Decision{d, d, d, d, d, d, d, d}
	}
	recent := []resolution.Decision{toVirtuous, toPartner, toVirtuous, conflict, conflict, conflict, conflict, conflict}
	owned := func(owner string) map[string]string { return map[string]string{resolution.FieldEmail: owner} }
	ofName := map[string]string{resolution.FieldName: resolution.OwnerPartner}
	mostRecent, ownersOnly := resolution.MostRecentWins, resolution.OwnersOnly
	for name, c := range map[string]struct {
		rules            resolution.Rules
		drifted, changed []resolution.Decision // by the times; changed: the platform has just published the version
	}{
		"no rules":                       {resolution.Rules{}, all(toPartner), all(review)},
		"Virtuous is right":              {resolution.Rules{Policy: resolution.VirtuousCanonical}, all(toPartner), all(review)},
		"Virtuous, but for this field":   {resolution.Rules{Owners: owned(resolution.OwnerPartner)}, all(toVirtuous), all(toVirtuous)},
		"Virtuous owns the field":        {resolution.Rules{Owners: owned(resolution.OwnerVirtuous)}, all(toPartner), all(toPartner)},
		"most recent wins":               {resolution.Rules{Policy: mostRecent}, recent, recent},
		"most recent, but owned":         {resolution.Rules{Policy: mostRecent, Owners: owned(resolution.OwnerPartner)}, all(toVirtuous), all(toVirtuous)},
		"owners only, and it has none":   {resolution.Rules{Policy: ownersOnly}, all(conflict), all(conflict)},
		"owners only, and it has one":    {resolution.Rules{Policy: ownersOnly, Owners: owned(resolution.OwnerPartner)}, all(toVirtuous), all(toVirtuous)},
		"an owner of another field only": {resolution.Rules{Policy: ownersOnly, Owners: ofName}, all(conflict), all(conflict)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for i, at := range times {
				for isChange, want := range map[bool][]resolution.Decision{false: c.drifted, true: c.changed} {
					got := c.rules.Decide(resolution.FieldEmail, resolution.Occasion{IsPartnersChange: isChange, PartnerAt: at.partner, VirtuousAt: at.virtuous})
					require.Equal(t, want[i], got, "%s, a change of the platform: %t: %s instead of %s", at.name, isChange, got, want[i])
				}
			}
		})
	}
}

func TestAFieldThatChangesItsDirectionThreeTimesInADayIsStopped(t *testing.T) {
	t.Parallel()
	var turns resolution.Turns
	take := func(d resolution.Decision, after time.Duration) resolution.Decision {
		return turns.Take(d, false, noon.Add(after))
	}
	require.Equal(t, resolution.ToVirtuous, take(resolution.ToVirtuous, 0))
	require.Equal(t, resolution.ToVirtuous, take(resolution.ToVirtuous, time.Hour), "the same direction is no change")
	require.Equal(t, resolution.ToPartner, take(resolution.ToPartner, 2*time.Hour), "the first")
	require.Equal(t, resolution.Review, take(resolution.Review, 3*time.Hour), "nothing is written")
	require.Equal(t, resolution.ToVirtuous, take(resolution.ToVirtuous, 4*time.Hour), "the second")
	require.Equal(t, resolution.Conflict, take(resolution.ToPartner, 5*time.Hour), "the third")
	require.Equal(t, resolution.Conflict, take(resolution.ToPartner, 6*time.Hour), "it stays stopped")
	require.Equal(t, resolution.ToPartner, take(resolution.ToPartner, 30*time.Hour), "a day after the last but one")
}

func TestTwoChangesADayGoOn(t *testing.T) {
	t.Parallel()
	var turns resolution.Turns
	directions := []resolution.Decision{resolution.ToVirtuous, resolution.ToPartner}
	for i := range 30 {
		require.Equal(t, directions[i%2], turns.Take(directions[i%2], false, noon.Add(time.Duration(i)*12*time.Hour)), "change %d", i)
	}
}
