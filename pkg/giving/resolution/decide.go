package resolution

import "time"

// Policies say which side is right about a field that has no owner.
const (
	// VirtuousCanonical has Virtuous be right. What the platform changes is shown to the customer's staff.
	VirtuousCanonical = "virtuous_canonical"
	// MostRecentWins has the side be right that changed last.
	MostRecentWins = "most_recent_wins"
	// OwnersOnly leaves a field without an owner to the customer's staff.
	OwnersOnly = "owners"
)

// Owners of a field.
const (
	OwnerPartner  = "partner"
	OwnerVirtuous = "virtuous"
)

// Rules are a customer's.
type Rules struct {
	Policy string            // "" is VirtuousCanonical
	Owners map[string]string // by field; a field that is not in it has no owner
}

// Decision is what is done about a difference.
type Decision int

// Decisions.
const (
	// ToVirtuous writes the platform's value to Virtuous.
	ToVirtuous Decision = iota + 1
	// ToPartner tells the platform to take Virtuous' value.
	ToPartner
	// Review leaves both sides as they are, and shows the platform's change to the customer's staff: Virtuous is right by the rules.
	Review
	// Conflict leaves both sides as they are: the rules do not say which is right.
	Conflict
)

// String returns the decision's name, as in logs and tables.
func (d Decision) String() string {
	switch d {
	case ToVirtuous:
		return "to_virtuous"
	case ToPartner:
		return "to_partner"
	case Review:
		return "review"
	default:
		return "conflict"
	}
}

// Occasion is on what a difference was found, and when the two sides changed.
type Occasion struct {
	IsPartnersChange bool      // the platform has just published a version that differs
	OnlyChanged      string    // OwnerPartner or OwnerVirtuous: the one side that changed since the last comparison; "": both, or there was none
	PartnerAt        time.Time // when the whole contact changed; zero: the platform does not say
	VirtuousAt       time.Time // zero: Virtuous does not say
}

// sameTime is by how much two times may differ that count as equal: Virtuous' endpoints round differently.
const sameTime = 10 * time.Millisecond

// Decide returns what is done about a difference in a field. An owner or a policy that this version does not know, because a later one
// stored it, is a Conflict: it writes nothing, and a guess could overwrite the right value.
func (r Rules) Decide(field string, o Occasion) Decision {
	switch r.Owners[field] {
	case OwnerPartner:
		return ToVirtuous
	case OwnerVirtuous:
		return ToPartner
	case "":
		return r.decideUnowned(o)
	default:
		return Conflict
	}
}

func (r Rules) decideUnowned(o Occasion) Decision {
	switch r.Policy {
	case MostRecentWins:
		return o.mostRecent()
	case VirtuousCanonical, "":
		if o.IsPartnersChange {
			return Review
		}
		return ToPartner
	default: // OwnersOnly among them
		return Conflict
	}
}

// mostRecent decides by which side changed last. The times are those of whole contacts, and rollcall's own writes move that of Virtuous: where only
// one side has changed the field since the last comparison, its change is the last one, whatever they say.
func (o Occasion) mostRecent() Decision {
	switch o.OnlyChanged {
	case OwnerPartner:
		return ToVirtuous
	case OwnerVirtuous:
		return ToPartner
	}
	switch between := o.PartnerAt.Sub(o.VirtuousAt); {
	case o.PartnerAt.IsZero() || o.VirtuousAt.IsZero() || between.Abs() < sameTime:
		return Conflict
	case between > 0:
		return ToVirtuous
	default:
		return ToPartner
	}
}
