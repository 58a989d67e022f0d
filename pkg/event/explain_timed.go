package event

// explainTimed has the words for the conditions that only time brings; "" for any other.
func explainTimed(code string) (text, remedy string) {
	switch code {
	case AlertPollStalled:
		return "No poll has come to its end for two cadences.",
			"See that the poller runs (rollcall doctor) and what its log says of this customer; rollcall poll now <customer> asks for one at once."
	case AlertBackfillStalled:
		return "The backfill is due, and no page of it has been committed for a quarter of an hour or more.",
			"See that a backfill worker runs and has free slots (rollcall doctor), and what its log says of this customer."
	case AlertReconcileStalled:
		return "No daily reconciliation has come to its end for two days.",
			"See that the reconciler runs (rollcall doctor) and what its log says; rollcall reconcile now <customer> asks for one at once."
	case AlertDLQAge:
		return "A dead letter has been open for longer than DLQ_MAX_AGE.",
			"Look at it with rollcall dlq ls <customer>, mend its cause, and retry or discard it."
	case AlertDLQGrowth:
		return "Unusually many dead letters were opened within an hour, and are open still.",
			"See what they have in common: rollcall dlq ls <customer>. It is often a field that the destination has begun to refuse."
	}
	return "", ""
}
