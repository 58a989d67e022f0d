package resolution

import "time"

// Reasons of a conflict.
const (
	ReasonPartnerChange = "partner_change"  // the platform changed a field, and Virtuous is right by the rules
	ReasonNoRule        = "no_rule"         // the rules do not say which side is right
	ReasonTurns         = "turns"           // the two sides kept correcting each other
	ReasonDuplicate     = "duplicate_email" // another contact at Virtuous has the email address
	ReasonRejected      = "rejected"        // Virtuous did not take the value
	ReasonCannotWrite   = "cannot_write"    // there is no request that writes this field
)

// echoWithin is for how long after the platform said that it has Virtuous' value its next version of the field is its own form of this value.
const echoWithin = 24 * time.Hour

// Pair is the two values of a field, in a form that only says whether they are the same as before.
type Pair struct{ Partner, Virtuous string }

// Field is what is known of a field from before.
type Field struct {
	Compared   *Pair     // the last comparison; nil: there was none
	IsOpen     bool      // a difference waits: for the platform, for a write, or for a person
	IsWriting  bool      // the platform's value was to be written, and it is not known whether it was
	IsAsked    bool      // the platform is to take Virtuous' value, and has not said that it did
	Ordered    Decision  // of an operator: ToVirtuous or ToPartner; 0: there is none
	DecideAnew bool      // the rules have changed
	AppliedAt  time.Time // when the platform said that it has Virtuous' value; zero: it did not
	Turns      Turns
}

// Verdict is what is done about a field.
type Verdict struct {
	Decision Decision // 0: nothing
	Settles  bool     // the difference ends: the values are equal, or count as equal
	Reason   string   // of Review and Conflict
}

// Judge returns what is done about a field of which the two sides have these values. differs says whether they differ after normalisation. Pairs that were
// compared before are left as they were decided then, so that what each side makes of a value in its own form settles. isSent says whether
// the platform's version was a transaction to Virtuous, and is no change of its own. f.Turns is changed.
func (f *Field) Judge(field string, rules Rules, now Pair, differs, isSent bool, o Occasion, at time.Time) Verdict {
	if verdict, isKnown := f.known(now, differs, at); isKnown {
		return verdict
	}
	o.IsPartnersChange = !isSent
	if f.Compared != nil {
		byPartner, byVirtuous := f.Compared.Partner != now.Partner, f.Compared.Virtuous != now.Virtuous
		o.IsPartnersChange = byPartner
		switch {
		case byPartner && !byVirtuous:
			o.OnlyChanged = OwnerPartner
		case byVirtuous && !byPartner:
			o.OnlyChanged = OwnerVirtuous
		}
	}
	decision := rules.Decide(field, o)
	again := f.isAgain(decision, now)
	if again && f.IsAsked {
		return Verdict{} // it may be the platform's form of the value: only the platform can say so
	}
	switch taken := f.Turns.Take(decision, again, at); {
	case taken == Review:
		return Verdict{Decision: Review, Reason: ReasonPartnerChange}
	case taken == Conflict && decision != Conflict:
		return Verdict{Decision: Conflict, Reason: ReasonTurns}
	case taken == Conflict:
		return Verdict{Decision: Conflict, Reason: ReasonNoRule}
	default:
		return Verdict{Decision: taken}
	}
}

// known returns what follows without the rules: from equal values, from an operator's decision, and from what was decided before.
func (f *Field) known(now Pair, differs bool, at time.Time) (verdict Verdict, isKnown bool) {
	switch {
	case !differs:
		return Verdict{Settles: f.IsOpen}, true
	case f.Ordered != 0:
		f.Turns = Turns{}
		f.Turns.Take(f.Ordered, false, at)
		return Verdict{Decision: f.Ordered}, true
	case f.DecideAnew:
		return Verdict{}, false
	case f.IsWriting && f.Compared != nil && f.Compared.Partner == now.Partner:
		return Verdict{Decision: ToVirtuous}, true // Virtuous' value may be another one because the write was made
	case f.Compared != nil && *f.Compared == now:
		return Verdict{}, true
	case f.isEcho(now, at):
		return Verdict{Settles: true}, true
	}
	return Verdict{}, false
}

// isEcho reports whether the platform's value is its form of the value of Virtuous that it has just taken.
func (f *Field) isEcho(now Pair, at time.Time) bool {
	return !f.IsOpen && !f.AppliedAt.IsZero() && at.Before(f.AppliedAt.Add(echoWithin)) && f.Compared != nil && f.Compared.Virtuous == now.Virtuous
}

// isAgain reports whether a value goes the way that it went the last time.
func (f *Field) isAgain(decision Decision, now Pair) bool {
	if f.Compared == nil || f.DecideAnew || decision != f.Turns.Last {
		return false
	}
	return decision == ToVirtuous && f.Compared.Partner == now.Partner || decision == ToPartner && f.Compared.Virtuous == now.Virtuous
}
