package resolution_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/giving/resolution"
	rollcallv1 "rollcall.dev/proto/rollcall/v1"
)

func TestStoredRulesAreReadAndWritten(t *testing.T) {
	t.Parallel()
	owned := map[string]string{resolution.FieldEmail: resolution.OwnerPartner}
	for stored, want := range map[string]resolution.Rules{
		`{}`:                            {},
		`{"policy":"most_recent_wins"}`: {Policy: resolution.MostRecentWins},
		`{"policy":"owners"}`:           {Policy: resolution.OwnersOnly},
		`{"owners":{"email":"partner"}}`: {
			Owners: owned,
		},
		`{"policy":"owners","owners":{"email":"partner"}}`: {Policy: resolution.OwnersOnly, Owners: owned},
	} {
		require.Equal(t, want, resolution.Parse([]byte(stored)), stored)
		encoded, err := want.Encode()
		require.NoError(t, err)
		require.Equal(t, stored, string(encoded))
	}
	require.Empty(t, resolution.Parse(nil))
	encoded, err := resolution.Rules{Policy: resolution.VirtuousCanonical, Owners: map[string]string{}}.Encode()
	require.NoError(t, err)
	require.Equal(t, "{}", string(encoded), "the default has one form")
}

// What a later version stores, while services of this one still run.
func TestRulesThatThisVersionDoesNotKnowAreLeftToStaff(t *testing.T) {
	t.Parallel()
	recent := resolution.Occasion{PartnerAt: noon, VirtuousAt: noon.Add(-1)}
	changed := resolution.Occasion{IsPartnersChange: true, PartnerAt: noon, VirtuousAt: noon.AddDate(0, 0, -1)}
	for stored, want := range map[string]map[string]resolution.Decision{
		`{"policy":"longest_wins"}`:                              {"name": resolution.Conflict, "email": resolution.Conflict},
		`{"policy":"longest_wins","owners":{"email":"partner"}}`: {"name": resolution.Conflict, "email": resolution.ToVirtuous},
		`{"owners":{"email":"both"}}`:                            {"name": resolution.ToPartner, "email": resolution.Conflict},
		`{"owners":{"birthday":"partner"}}`:                      {"name": resolution.ToPartner, "email": resolution.ToPartner},
		`{"owners":{"email":{"owner":"partner"}}}`:               {"name": resolution.Conflict, "email": resolution.Conflict},
		`{"policy":"most_recent_wins","except":["email"]}`:       {"name": resolution.Conflict, "email": resolution.Conflict},
		`{"policy":{"name":"owners"}}`:                           {"name": resolution.Conflict, "email": resolution.Conflict},
		`["owners"]`:                                             {"name": resolution.Conflict, "email": resolution.Conflict},
		`{"owners":{"email":"partner"},"since":"2027-01-01","policy":"most_recent_wins"}`: {"name": resolution.Conflict, "email": resolution.Conflict},
	} {
		rules := resolution.Parse([]byte(stored))
		for field, decision := range want {
			require.Equal(t, decision, rules.Decide(field, recent), "%s: %s", stored, field)
			if decision == resolution.ToPartner {
				decision = resolution.Review
			}
			require.Equal(t, decision, rules.Decide(field, changed), "%s: %s after a change of the platform", stored, field)
		}
	}
}

// The module of the messages stands alone, so that it has lists of its own.
func TestMessagesKnowTheSameRules(t *testing.T) {
	t.Parallel()
	require.Equal(t, []string{resolution.VirtuousCanonical, resolution.MostRecentWins, resolution.OwnersOnly}, rollcallv1.ResolutionPolicies())
	require.Equal(t, []string{resolution.OwnerPartner, resolution.OwnerVirtuous}, rollcallv1.ResolutionOwners())
	require.Equal(t, resolution.Fields(), rollcallv1.ResolutionFields())
}
