package event

import (
	"strings"

	"rollcall.dev/pkg/store"
)

// explainTimed has the words for the conditions that only time or many customers bring; "" for any other.
func explainTimed(code string) (text, remedy string) {
	switch code {
	case AlertPollStalled:
		return "No poll has come to its end for two cadences.",
			"See that the poller runs (rollcall doctor) and what its log says of this customer; rollcall poll now <customer> asks for one at once."
	case AlertBackfillStalled:
		return "The backfill does not get on: no page of it has been committed for a quarter of an hour or more.",
			"If rollcall status <customer> says what it waits for, do what helps there. Otherwise see that a backfill worker runs and has " +
				"free slots (rollcall doctor), and what its log says of this customer."
	case AlertReconcileStalled:
		return "No daily reconciliation has come to its end for two days.",
			"See that the reconciler runs (rollcall doctor) and what its log says; rollcall reconcile now <customer> asks for one at once."
	case AlertContactShared:
		return "Two VOMO users are one record at the destination, which shows the one that was written last. Both count as mirrored.",
			"The destination matches people by their address, or by another field that the two share: give each an address of their own in VOMO, " +
				"or have the destination match by external_id. It is over when an edit of either brings an id of its own."
	case AlertDLQAge:
		return "A dead letter has been open for longer than DLQ_MAX_AGE.",
			"Look at it with rollcall dlq ls <customer>, mend its cause, and retry or discard it."
	case ConditionStampsLag:
		return "VOMO stamps changes up to <lag> behind its own clock. Polls would miss them, so polls ask for changes from that much earlier.",
			"Tell VOMO's support that updated_at lags behind the Date of the answers: the clock of its database may be wrong. " +
				"Polls reach back less again by themselves, a day after the last late change."
	case AlertDLQGrowth:
		return "Unusually many dead letters were opened within an hour, and are open still.",
			"See what they have in common: rollcall dlq ls <customer>. It is often a field that the destination has begun to refuse."
	case AlertVomoRefusesMany:
		return "VOMO refuses the tokens of many customers at once. Their work is parked as vomo_unavailable and tried again by itself; " +
				"no customer stays switched off for it, and no customer is mailed.",
			"See how VOMO does. Nothing has to be done here: it is over as soon as VOMO takes these tokens again."
	case ConditionDLQDepth:
		return "Ten or more dead letters are open.",
			"Look at them with rollcall dlq ls <customer>; those in review wait for somebody."
	}
	return "", ""
}

// StalledFor is the alert of a stall whose work is parked for a reason: it has the reason's words and remedy. Detail is what
// stopped the last attempt, "" where that is not known.
func StalledFor(customer, code, parkedFor, detail string) Alert {
	alert := AlertFor(customer, code)
	text, remedy := ExplainFor(customer, parkedFor)
	alert.Text += " It waits (" + parkedFor + "): " + WithDetail(text, detail)
	alert.Remedy = remedy
	return alert
}

// SharedContactFor is the alert of two users who share a record. The record's id is left out where it may be a person's
// address.
func SharedContactFor(customer string, shared store.SharedContact) Alert {
	alert := AlertFor(customer, AlertContactShared)
	pair := "VOMO users " + shared.VomoID + " and " + shared.OtherVomoID
	alert.Text = strings.Replace(alert.Text, "Two VOMO users", pair, 1)
	if !strings.ContainsFunc(shared.ExternalID, func(c rune) bool { return !isIDLetter(c) }) {
		alert.Text = strings.Replace(alert.Text, "at the destination", "at the destination ("+shared.ExternalID+")", 1)
	}
	return alert
}

func isIDLetter(c rune) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_'
}

// WithDetail is a condition's text with what stopped the last attempt.
func WithDetail(text, detail string) string {
	if detail == "" {
		return text
	}
	return text + " The last attempt: " + strings.TrimSuffix(detail, ".") + "."
}
