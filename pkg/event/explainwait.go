package event

import "rollcall.dev/pkg/window"

// explainWait gives the words for what work waits for without an alert.
func explainWait(code string) (text, remedy string) {
	switch code {
	case window.ReasonNotBefore:
		return "The backfill waits for the moment that was asked for (backfillNotBefore).",
			"Nothing has to be done. To begin earlier, onboard the customer again with another backfillNotBefore and all other settings."
	case window.ReasonQuietHours:
		return "The backfill waits for the end of the customer's quiet hours.",
			"Nothing has to be done. To go on earlier, onboard the customer again with other quietHours and all other settings."
	case "vomo_unavailable":
		return "VOMO does not answer, or not as it should; the work waits and tries again by itself.",
			"Nothing has to be done. If it stays, see how VOMO does, and whether VOMO_BASE_URL can be reached from here (rollcall doctor)."
	case "vomo_throttled":
		return "VOMO asks for a slower pace; the work waits and goes on by itself.",
			"Nothing has to be done. If it stays, another program spends the customer's requests, too: lower its limits, or ours with rollcall config set."
	case "destination_throttled":
		return "The destination asked for a pause; nothing is sent to it until the time that it named, a day at most.",
			"Nothing has to be done. If it stays, ask the destination's operator for a higher limit, or lower DESTINATION_SLOTS."
	case "lane_wanted":
		return "The work let another job of this customer go first, and goes on in a moment.", "Nothing has to be done."
	case ConditionLaneClosing:
		return "The job that was stopped finishes the request that it had sent; the next job of this customer starts after it.",
			"Nothing has to be done: it takes seconds, and CLAIM_TIMEOUT at most."
	case "paused":
		return "An operator paused the backfill.", "It goes on where it stopped with: rollcall backfill start <customer>."
	}
	return "Condition " + code + ".", "Look at the logs of the services."
}

// IsWait says whether work is parked for a reason by which nothing is wrong: an operator asked for it, another job of the
// customer goes first, or VOMO or the destination sets the pace.
func IsWait(code string) bool {
	switch code {
	case window.ReasonNotBefore, window.ReasonQuietHours, "lane_wanted", "vomo_throttled", "destination_throttled", "paused":
		return true
	}
	return false
}
