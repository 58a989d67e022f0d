package event

import "strings"

// ConditionUnverified stands in a status, and raises no alert: no user is known to be missing.
const ConditionUnverified = "backfill_unverified"

// More conditions that stand in a status alone.
const (
	ConditionPaused      = "customer_paused"
	ConditionPollFailing = "poll_failing"
	ConditionDLQDepth    = "dlq_depth"
	ConditionOffboarded  = "offboarded"
	ConditionStampsLag   = "vomo_stamps_lag"
	ConditionLaneClosing = "lane_closing"
)

// Explain gives the words for a condition, the same in an alert, in a status and on a page: what is wrong, and
// what an operator can do about it.
func Explain(code string) (text, remedy string) {
	if text, remedy = explainTimed(code); text != "" {
		return text, remedy
	}
	if text, remedy = explainBus(code); text != "" {
		return text, remedy
	}
	switch code {
	case "disabled":
		return "The integration is switched off.",
			"Give it a VOMO token that works; all settings stay: rollcall config set <customer> --vomo-token-file <file>."
	case ConditionOffboarded:
		return "The customer was offboarded: nothing is read or written, and its credentials are deleted.",
			"Nothing has to be done. To begin again, onboard it again."
	case AlertDestinationDown:
		return "The destination does not take records; the work waits and tries again by itself.",
			"Look at the destination's own health. The work goes on within a minute after it answers again."
	case AlertDestinationRedirect:
		return "The destination answers with a redirect, which is not followed, so it gets no records; the work waits and tries again by itself.",
			"Onboard the customer again with the URL that the redirect leads to as its destination, and all other settings as they are. " +
				"The work goes on within a minute."
	case AlertDestinationUnclear:
		return "The destination answers with a status of success and a body that does not say whether it took the record: no JSON, or a " +
				"207 without a result. The work waits and tries again by itself.",
			"See that the URL leads to the destination's API, and that it answers with JSON or with no body. The work goes on within a minute."
	case AlertDestinationNotPublic:
		return "The destination's name leads to a private, local or reserved address, so nothing is sent there; the work waits.",
			"Have the name lead to a public address or, if this is meant, add its host:port to ALLOW_PRIVATE_HOSTS. The work goes on within a minute."
	case AlertDestinationAuthFailed:
		return "The destination refuses our credentials; the work waits and tries again by itself.",
			"Give one that works: rollcall config set <customer> --destination-token-file <file>."
	case AlertAuthFailed:
		return "VOMO refuses the customer's token; the work waits.",
			"Ask the customer for a new token and give it; all settings stay, and the work goes on where it stopped: " +
				"rollcall config set <customer> --vomo-token-file <file>."
	case AlertVomoForbidden:
		return "VOMO knows the customer's token, but does not let it read users; the work waits and tries again by itself.",
			"Ask the customer's admin in VOMO to let the token read users, or for a token that may, and give that: " +
				"rollcall config set <customer> --vomo-token-file <file>."
	case AlertEmailChanged:
		return "A user's address changed in VOMO; the destination has the new one.",
			"If the destination matches people by their address, see that no second record came of it."
	case ConditionPaused:
		return "An operator paused the customer: nothing is read or written.", "It goes on with: rollcall resume <customer>."
	case ConditionPollFailing:
		return "The last poll did not come to its end; it is tried again by itself.",
			"The job log and the poller's log say why. If it stays, poll_stalled is raised."
	case AlertBackfillFailed:
		return "The backfill was given up.",
			"Read its dead letter and the service's log, mend the cause, and begin a new one: rollcall backfill start <customer>."
	case ConditionUnverified:
		return "The last backfill read every page, but VOMO's own counts do not agree with what it read.",
			"Run another one when the organisation is quiet: rollcall backfill start <customer>. If it stays, VOMO's totals are wrong."
	case "rewrite_unfinished":
		return "Not everybody has been written again yet, after the destination was replaced or a rewrite was asked for.",
			"The backfill does it. Where none runs, begin one: rollcall backfill start <customer>."
	}
	return explainWait(code)
}

// ExplainFor is Explain with the customer's id in its commands, so that they can be run as they stand.
func ExplainFor(customer, code string) (text, remedy string) {
	text, remedy = Explain(code)
	return text, strings.ReplaceAll(remedy, "<customer>", customer)
}

// Severity of an alert: how soon an operator has to look.
func Severity(code string) string {
	switch code {
	case AlertOutboxStalled, AlertMessageNotErased, AlertOnboardingLetter, AlertKeeperUnavailable, AlertDatabaseUnavailable, AlertAuthFailed, AlertBackfillFailed,
		AlertDestinationAuthFailed, AlertDestinationNotPublic, AlertDestinationRedirect, AlertVomoForbidden, AlertPollStalled, AlertBackfillStalled,
		AlertVomoRefusesMany:
		return "high"
	default:
		return "medium"
	}
}

// AlertFor is the alert of a condition, with its words.
func AlertFor(customer, code string) Alert {
	text, remedy := ExplainFor(customer, code)
	return Alert{Customer: customer, Type: code, Severity: Severity(code), Text: text, Remedy: remedy}
}
