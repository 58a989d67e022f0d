package resolution

import (
	"slices"
	"time"
)

const (
	// mostTurns is how often a field may change its direction within turnsWithin. Then two systems are correcting each other.
	mostTurns   = 3
	turnsWithin = 24 * time.Hour
)

// Turns is in which direction a field was written last, and when the two sides disagreed about it since.
type Turns struct {
	Last Decision    `json:"last,omitempty"` // ToVirtuous or ToPartner; 0: it was never written
	At   []time.Time `json:"at,omitempty"`   // of the last turnsWithin
}

// Take notes a decision. again says that the value goes where it went the last time: the other side did not keep it, which is a turn, too. Take
// returns Conflict in place of a decision with which the field would turn too often.
func (t *Turns) Take(decision Decision, again bool, now time.Time) Decision {
	t.At = slices.DeleteFunc(t.At, func(at time.Time) bool { return !at.After(now.Add(-turnsWithin)) })
	if decision != ToVirtuous && decision != ToPartner {
		return decision
	}
	if t.Last != 0 && (t.Last != decision || again) && len(t.At) < mostTurns {
		t.At = append(t.At, now)
	}
	if len(t.At) >= mostTurns { // it stays stopped, in both directions
		return Conflict
	}
	t.Last = decision
	return decision
}
