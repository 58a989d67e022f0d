package resolution_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/giving/resolution"
)

// system is one of two systems that keep a phone number, each in its own form.
type system struct {
	value     string
	form      func(value string) string
	changedAt time.Time
	writes    int
}

func (s *system) set(value string, at time.Time) { s.value, s.changedAt = s.form(value), at }

// pairing has the two systems compared over and over, as the reconciler does it.
type pairing struct {
	partner, virtuous system
	rules             resolution.Rules
	confirms          bool // the platform says when it has taken a value

	field resolution.Field
	now   time.Time
}

func (p *pairing) pair() resolution.Pair {
	return resolution.Pair{Partner: p.partner.value, Virtuous: p.virtuous.value}
}

// compare decides once, and has the decision carried out.
func (p *pairing) compare() resolution.Verdict {
	p.now = p.now.Add(time.Minute)
	verdict := p.field.Judge(resolution.FieldPhone, p.rules, p.pair(), p.partner.value != p.virtuous.value, false,
		resolution.Occasion{PartnerAt: p.partner.changedAt, VirtuousAt: p.virtuous.changedAt}, p.now)
	pair := p.pair()
	p.field.Compared, p.field.DecideAnew, p.field.Ordered = &pair, false, 0
	switch verdict.Decision {
	case resolution.ToVirtuous:
		p.virtuous.writes++
		p.virtuous.set(p.partner.value, p.now)
		pair = p.pair()
		p.field.Compared, p.field.IsOpen = &pair, false
	case resolution.ToPartner:
		p.partner.writes++
		p.field.IsOpen, p.field.IsAsked = true, true
		if p.confirms {
			p.field.IsOpen, p.field.IsAsked, p.field.AppliedAt = false, false, p.now
		}
		p.partner.set(p.virtuous.value, p.now)
	case resolution.Review, resolution.Conflict:
		p.field.IsOpen, p.field.IsAsked = true, false
	default:
		if verdict.Settles {
			p.field.IsOpen, p.field.IsAsked = false, false
		}
	}
	return verdict
}

// settled compares until nothing is done any more.
func (p *pairing) settled(t *testing.T) (last resolution.Verdict) {
	t.Helper()
	for range 20 {
		verdict := p.compare()
		if verdict.Decision == 0 && !verdict.Settles {
			return last
		}
		last = verdict
	}
	require.Fail(t, "the two systems never settle")
	return last
}

func national(value string) string { return strings.TrimPrefix(value, "+1 ") }

func dashed(value string) string { return strings.ReplaceAll(national(value), " ", "-") }

// Nothing in Compare knows that these forms are the same number: each difference of form looks like a change.
func TestTwoFormsOfAValueSettleAfterOneWriteEachAtMost(t *testing.T) {
	t.Parallel()
	for name, rules := range map[string]resolution.Rules{
		"most recent":              {Policy: resolution.MostRecentWins},
		"the platform owns it":     {Owners: map[string]string{resolution.FieldPhone: resolution.OwnerPartner}},
		"Virtuous owns it":         {Owners: map[string]string{resolution.FieldPhone: resolution.OwnerVirtuous}},
		"Virtuous is right":        {},
		"each field has its owner": {Policy: resolution.OwnersOnly, Owners: map[string]string{resolution.FieldPhone: resolution.OwnerPartner}},
	} {
		for _, changed := range []string{"platform", "Virtuous"} {
			for _, confirms := range []bool{true, false} {
				t.Run(name+", a change of "+changed, func(t *testing.T) {
					t.Parallel()
					p := &pairing{
						partner: system{form: func(value string) string { return "+1 " + national(value) }}, virtuous: system{form: dashed}, rules: rules,
						confirms: confirms, now: noon,
					}
					p.partner.set("555 010 0123", noon)
					p.virtuous.set("555 010 0123", noon)
					pair := p.pair()
					p.field.Compared = &pair // in these two forms, they count as equal
					if changed == "platform" {
						p.partner.set("555 010 0199", noon.Add(time.Second))
					} else {
						p.virtuous.set("555 010 0199", noon.Add(time.Second))
					}
					last := p.settled(t)
					require.LessOrEqual(t, p.partner.writes, 1)
					require.LessOrEqual(t, p.virtuous.writes, 1)
					require.NotEqual(t, resolution.ReasonTurns, last.Reason)
					require.Zero(t, p.compare(), "another comparison changes nothing")
				})
			}
		}
	}
}

// Both sides put their own value back each time.
func TestAPingPongStops(t *testing.T) {
	t.Parallel()
	for name, rules := range map[string]resolution.Rules{
		"most recent":          {Policy: resolution.MostRecentWins},
		"the platform owns it": {Owners: map[string]string{resolution.FieldPhone: resolution.OwnerPartner}},
		"Virtuous owns it":     {Owners: map[string]string{resolution.FieldPhone: resolution.OwnerVirtuous}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := &pairing{partner: system{form: national}, virtuous: system{form: national}, rules: rules, now: noon}
			p.partner.set("one", noon.Add(time.Second))
			p.virtuous.set("two", noon)
			var last resolution.Verdict
			for i := range 20 {
				if last = p.compare(); last.Decision == resolution.Conflict {
					break
				}
				p.compare() // what the other side made of it
				p.now = p.now.Add(time.Minute)
				if p.partner.value != "one" {
					p.partner.set("one", p.now)
				}
				if i%2 == 0 && p.virtuous.value != "two" {
					p.virtuous.set("two", p.now)
				}
			}
			require.Equal(t, resolution.Verdict{Decision: resolution.Conflict, Reason: resolution.ReasonTurns}, last)
			require.LessOrEqual(t, p.partner.writes+p.virtuous.writes, 4)
			require.Zero(t, p.compare(), "the conflict waits for a person")
		})
	}
}

func TestAFieldIsJudgedByWhatWasDecidedBefore(t *testing.T) {
	t.Parallel()
	now, before := resolution.Pair{Partner: "p2", Virtuous: "v1"}, resolution.Pair{Partner: "p1", Virtuous: "v1"}
	recent := resolution.Rules{Policy: resolution.MostRecentWins}
	type field = resolution.Field
	pair := func(partner, virtuous string) *resolution.Pair {
		return &resolution.Pair{Partner: partner, Virtuous: virtuous}
	}
	review := resolution.Verdict{Decision: resolution.Review, Reason: resolution.ReasonPartnerChange}
	toVirtuous, toPartner := resolution.Verdict{Decision: resolution.ToVirtuous}, resolution.Verdict{Decision: resolution.ToPartner}
	settles := resolution.Verdict{Settles: true}
	for name, c := range map[string]struct {
		field  field
		rules  resolution.Rules
		equal  bool
		isSent bool
		want   resolution.Verdict
	}{
		"equal, and nothing was open":        {equal: true},
		"equal by now":                       {field: field{IsOpen: true}, equal: true, want: settles},
		"compared before":                    {field: field{Compared: &now, IsOpen: true}},
		"a write that got no answer":         {field: field{Compared: pair("p2", "v0"), IsOpen: true, IsWriting: true}, want: toVirtuous},
		"another value, in place of a write": {field: field{Compared: &before, IsOpen: true, IsWriting: true}, rules: recent, want: toVirtuous},
		"an operator took the platform's":    {field: field{Compared: &now, IsOpen: true, Ordered: resolution.ToVirtuous}, want: toVirtuous},
		"an operator took Virtuous'":         {field: field{Compared: &now, IsOpen: true, Ordered: resolution.ToPartner}, want: toPartner},
		"other rules":                        {field: field{Compared: &now, IsOpen: true, DecideAnew: true}, want: toPartner},
		"the platform's form of a value":     {field: field{Compared: &before, AppliedAt: noon.Add(-23 * time.Hour)}, want: settles},
		"a later change of the platform":     {field: field{Compared: &before, AppliedAt: noon.Add(-25 * time.Hour)}, want: review},
		"never compared, a new version":      {want: review},
		"never compared, as it was sent":     {isSent: true, want: toPartner},
		"only the platform changed":          {field: field{Compared: &before}, rules: recent, want: toVirtuous},
		"only Virtuous changed":              {field: field{Compared: pair("p2", "v0")}, rules: recent, want: toPartner},
		"both changed, and neither says when": {
			field: field{Compared: pair("p0", "v0")}, rules: recent, want: resolution.Verdict{Decision: resolution.Conflict, Reason: resolution.ReasonNoRule},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := c.field.Judge(resolution.FieldEmail, c.rules, now, !c.equal, c.isSent, resolution.Occasion{}, noon)
			require.Equal(t, c.want, got)
		})
	}
}
