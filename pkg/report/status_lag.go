package report

import (
	"fmt"
	"strings"
	"time"

	"rollcall.dev/pkg/event"
)

// stampsLag says how far VOMO's updated_at lie behind its clock.
func (s standing) stampsLag() Reason {
	text, remedy := event.ExplainFor(s.customer.ID, event.ConditionStampsLag)
	text = strings.ReplaceAll(text, "<lag>", inHours(s.customer.StampLag))
	return Reason{Code: event.ConditionStampsLag, Text: text, Remedy: remedy, Since: s.customer.StampLagSince}
}

func inHours(d time.Duration) string {
	hours, minutes := int(d.Hours()), int(d.Minutes())%60
	switch {
	case hours == 0:
		return fmt.Sprintf("%d min", minutes)
	case minutes == 0:
		return fmt.Sprintf("%d h", hours)
	}
	return fmt.Sprintf("%d h %d min", hours, minutes)
}
