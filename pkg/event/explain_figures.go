package event

import "slices"

// Types of alerts about figures of the daily report of a customer's giving that are unusual. Each figure has one type, so a customer has one
// alert for each figure at most.
const (
	AlertGivingPending       = "giving_pending_high"
	AlertGivingSubmittedLate = "giving_submitted_late_high"
	AlertGivingNeedsReview   = "giving_needs_review_high"
	AlertGivingFailed        = "giving_failed_high"
	AlertGivingConflict      = "giving_conflict_high"
	AlertGivingLatency       = "giving_latency_high"
	AlertGivingRecovered     = "giving_recovered_share_high"
	AlertGivingDrift         = "giving_drift_high"
)

// GivingFigures returns the types of alerts about figures, in the order in which every process raises and clears them. In another order, two
// transactions could wait for each other.
func GivingFigures() []string {
	kinds := []string{
		AlertGivingPending, AlertGivingSubmittedLate, AlertGivingNeedsReview, AlertGivingFailed, AlertGivingConflict, AlertGivingLatency,
		AlertGivingRecovered, AlertGivingDrift,
	}
	slices.Sort(kinds)
	return kinds
}

// explainFigure explains the alerts about figures of the daily report. It returns "" for any other code.
func explainFigure(code string) (text, remedy string) {
	const shows = " To see all figures with what is usual, run: rollcall report <customer>."
	switch code {
	case AlertGivingPending:
		return "Many more donations than usual wait to be sent to Virtuous, some of them for hours.",
			"See what they wait for: rollcall status <customer>, and rollcall donation ls <customer> --status pending." + shows
	case AlertGivingSubmittedLate:
		return "Many more donations than usual were accepted by Virtuous more than 24 hours ago and have no gift yet.",
			"Ask the customer's staff whether they ran the imports in Virtuous. If they did, check that webhooks come (rollcall webhook verify <customer>), " +
				"and look up the gifts: rollcall reconcile now <customer> --category stuck." + shows
	case AlertGivingNeedsReview:
		return "Many more donations than usual need a match in Virtuous, or their number grows steadily.",
			"See by what Virtuous could not match them: rollcall review ls <customer> --kind donation. If many lack an email, a phone, an address or a " +
				"reference id, the platform should send more of them with each donation." + shows
	case AlertGivingFailed:
		return "Virtuous rejected many more donations than usual; they are not sent again by themselves.",
			"See what Virtuous rejects: rollcall donation ls <customer> --status failed. Fix the cause, then run rollcall donation retry or close." + shows
	case AlertGivingConflict:
		return "Many more gifts or contacts than usual differ from what the platform has, and no rule decides which side is right.",
			"See what differs: rollcall review ls <customer>. If one field has most of the conflicts, give it an owner." + shows
	case AlertGivingLatency:
		return "It takes much longer than usual until a donation that Virtuous accepted is confirmed by its gift.",
			"Ask the customer's staff whether they run the import every morning. If they do, check that webhooks come: rollcall webhook verify <customer>." + shows
	case AlertGivingRecovered:
		return "A much larger share of donations than usual was confirmed by a reconciliation and not by a webhook, so webhooks are lost.",
			"Check that webhooks come: rollcall webhook verify <customer>, and read the log of the service webhooks." + shows
	case AlertGivingDrift:
		return "The comparison of contacts found many more differences than usual between Virtuous and the platform.",
			"See which fields differ, and since when: rollcall reconcile log <customer> --category drift." + shows
	}
	return "", ""
}

// FigureFor returns the alert of an unusual figure, with what is usual for the customer.
func FigureFor(customer, code, baseline string) Alert {
	alert := AlertFor(customer, code)
	alert.Text += " " + baseline
	return alert
}
