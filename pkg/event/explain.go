package event

import (
	"strings"

	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/window"
)

// ConditionUnverified is shown in a status and raises no alert: no user is known to be missing.
const ConditionUnverified = "backfill_unverified"

// More conditions that are shown in a status only.
const (
	ConditionPaused      = "customer_paused"
	ConditionPollFailing = "poll_failing"
	ConditionDLQDepth    = "dlq_depth"
	ConditionOffboarded  = "offboarded"
	ConditionStampsLag   = "vomo_stamps_lag"
	ConditionLaneClosing = "lane_closing"
)

// Explain returns a condition's text and remedy, the same in alerts, the status and on pages: what is wrong, and what an operator
// can do about it.
func Explain(code string) (text, remedy string) {
	for _, explain := range []func(string) (string, string){explainTimed, explainBus, explainWriteBack, explainGiving, explainFigure} {
		if text, remedy = explain(code); text != "" {
			return text, remedy
		}
	}
	switch code {
	case "disabled":
		return "The integration is switched off.",
			"Give it a new VOMO token; all settings are kept: rollcall config set <customer> --vomo-token-file <file>."
	case ConditionOffboarded:
		return "The customer was offboarded: nothing is read or written, and its credentials and its data key are deleted.",
			"Nothing has to be done. Until its mapping is purged, a return needs no backfill: rollcall offboard <customer> --dry-run says when that is."
	case AlertDestinationDown:
		return "The destination does not accept records, so syncing is paused and retried automatically.",
			"Check whether the destination is healthy. Syncing continues within a minute after it accepts records again."
	case AlertDestinationRedirect:
		return "The destination answers with a redirect. rollcall does not follow redirects, so syncing is paused and retried automatically.",
			"Onboard the customer again with the URL to which the redirect leads as its destination, and all other settings unchanged. " +
				"Syncing continues within a minute."
	case AlertDestinationUnclear:
		return "The destination answers with a success status, but its body does not say whether it accepted the record: it is no JSON, or a " +
				"207 without a result. Syncing is paused and retried automatically.",
			"Check that the URL leads to the destination's API, and that it answers with JSON or without a body. Syncing continues within a minute."
	case AlertDestinationNotPublic:
		return "The destination's name resolves to a private, local or reserved address, so nothing is sent to it and syncing is paused.",
			"Let the name resolve to a public address or, if the private address is intended, add its host:port to ALLOW_PRIVATE_HOSTS. " +
				"Syncing continues within a minute."
	case AlertDestinationAuthFailed:
		return "The destination rejects our credentials, so syncing is paused and retried automatically.",
			"Set a valid token: rollcall config set <customer> --destination-token-file <file>."
	case AlertAuthFailed:
		return "VOMO rejected the customer's token, so syncing is paused.",
			"Ask the customer for a new token, then run the following command; syncing continues where it stopped: " +
				"rollcall config set <customer> --vomo-token-file <file>."
	case AlertVomoForbidden:
		return "VOMO accepts the customer's token, but does not allow it to read users, so syncing is paused and retried automatically.",
			"Ask the customer's admin to allow the token in VOMO to read users, or to create a token that may. For a new token, run: " +
				"rollcall config set <customer> --vomo-token-file <file>."
	case AlertEmailChanged:
		return "A user's address changed in VOMO; the destination has the new one.",
			"If the destination matches people by their address, check that this created no second record."
	case ConditionPaused:
		return "An operator paused the customer: nothing is read or written.", "To continue, run: rollcall resume <customer>."
	case ConditionPollFailing:
		return "The last poll did not complete. It is retried automatically.",
			"The job log and the poller's log show the reason. If polls keep failing, poll_stalled is raised."
	case AlertBackfillFailed:
		return "The backfill was given up.",
			"Read its dead letter and the service's log, fix the cause, and start a new one: rollcall backfill start <customer>."
	case ConditionUnverified:
		return "The last backfill read every page, but VOMO's own counts differ from the number of users that it read.",
			"Run another one when few users change: rollcall backfill start <customer>. If the counts still differ, VOMO's totals are wrong."
	case "rewrite_unfinished":
		return "Some users have not been written again yet, after the destination was replaced or a rewrite was requested.",
			"The backfill writes them. If none is running, start one: rollcall backfill start <customer>."
	}
	return explainWait(code)
}

func explainWriteBack(code string) (text, remedy string) {
	switch code {
	case AlertEmailMismatch:
		return "The external system has another address of a user than VOMO. Nothing was written to VOMO: it would add a second user.",
			"Compare the two addresses and decide: rollcall review ls <customer>."
	case AlertWritebackForbidden:
		return "VOMO accepts the customer's token, but does not allow it to write users. Write-backs wait and are retried automatically; the mirror goes on.",
			"Ask the customer's admin to allow the token in VOMO to write users, or end the write-back: rollcall config set <customer> --write-back none."
	}
	return "", ""
}

// ExplainFor is Explain with the customer's id in the commands, so that they can be run unchanged.
func ExplainFor(customer, code string) (text, remedy string) {
	text, remedy = Explain(code)
	return text, strings.ReplaceAll(remedy, "<customer>", customer)
}

// Severity returns how urgent an alert is.
func Severity(code string) string {
	switch code {
	case AlertOutboxStalled, AlertMessageNotErased, AlertOnboardingLetter, AlertKeeperUnavailable, AlertDatabaseUnavailable, AlertAuthFailed, AlertBackfillFailed,
		AlertDestinationAuthFailed, AlertDestinationNotPublic, AlertDestinationRedirect, AlertVomoForbidden, AlertPollStalled, AlertBackfillStalled,
		AlertVomoRefusesMany, AlertDeletionsHeld, AlertGiftDeletionsHeld, AlertEmailMismatch, AlertWritebackForbidden, AlertVirtuousAuthFailed,
		AlertVirtuousForbidden, AlertVirtuousRefusesMany:
		return "high"
	default:
		return "medium"
	}
}

// AlertFor returns the alert of a condition, with its text and remedy.
func AlertFor(customer, code string) Alert {
	text, remedy := ExplainFor(customer, code)
	return Alert{Customer: customer, Type: code, Severity: Severity(code), Text: text, Remedy: remedy}
}

// explainTimed explains the conditions that depend on time or on many customers. It returns "" for any other code.
func explainTimed(code string) (text, remedy string) {
	switch code {
	case AlertPollStalled:
		return "No poll has completed for two cadences.",
			"Check that the poller runs (rollcall doctor) and what its log says about this customer. To request a poll at once, run: rollcall poll now <customer>."
	case AlertBackfillStalled:
		return "The backfill makes no progress: it has committed no page for 15 minutes or more.",
			"If rollcall status <customer> names the reason, follow the remedy there. Otherwise check that a backfill worker runs and has " +
				"free slots (rollcall doctor), and what its log says about this customer."
	case AlertReconcileStalled:
		return "No daily reconciliation has completed for two days.",
			"Check that the reconciler runs (rollcall doctor) and what its log says. To request one at once, run: rollcall reconcile now <customer>."
	case AlertEndpointFailing:
		return "An endpoint did not get a webhook within three days, or answered 410 and is disabled.",
			"rollcall endpoint ls says which, and rollcall endpoint deliveries <endpoint> --state failed shows the answers. When it works again: rollcall " +
				"endpoint set <endpoint> --enable if it is disabled, then rollcall endpoint replay <endpoint> --since 3d. The next success clears the alert."
	case AlertContactShared:
		return "Two VOMO users are one record at the destination, which has the data of the user that was written last. Both count as mirrored.",
			"The destination matches people by their address, or by another field that the two users share. Give each user their own address in VOMO, " +
				"or let the destination match by external_id. The alert is cleared when an edit of either user gets its own id."
	case AlertDeletionsHeld:
		return "A deletion scan is held: nothing is deleted until an operator approves it.",
			"Look at it with rollcall deletions show <customer>. If VOMO's admins deleted these users, run rollcall deletions approve <customer>; " +
				"otherwise run rollcall deletions reject <customer>. It expires after 14 days and then deletes nothing."
	case AlertDLQAge:
		return "A dead letter has been open for longer than DLQ_MAX_AGE.",
			"List it with rollcall dlq ls <customer>, fix its cause, and retry or discard it."
	case ConditionStampsLag:
		return "VOMO's updated_at lags behind its own clock by up to <lag>. Polls would miss such changes, so they request changes from that much earlier.",
			"Tell VOMO's support that updated_at lags behind the Date header of its responses: the clock of its database may be wrong. " +
				"Polls stop reaching back a day after the last late change."
	case AlertDLQGrowth:
		return "Unusually many dead letters were opened within an hour and are still open.",
			"Check what they have in common: rollcall dlq ls <customer>. Often the destination has started to reject a field."
	case AlertVomoRefusesMany:
		return "VOMO rejects the tokens of many customers at once. Their work is parked as vomo_unavailable and retried automatically; " +
				"no customer stays switched off, and no customer gets a mail.",
			"Check VOMO's status. Nothing has to be done here: the alert is cleared as soon as VOMO accepts these tokens again."
	case ConditionDLQDepth:
		return "Ten or more dead letters are open.",
			"List them with rollcall dlq ls <customer>. Letters in review wait for an operator."
	}
	return "", ""
}

// StalledFor returns the alert of a stalled run that is parked, with the text and remedy of the park reason. detail is the
// error of the last attempt, or "".
func StalledFor(customer, code, parkedFor, detail string) Alert {
	alert := AlertFor(customer, code)
	text, remedy := ExplainFor(customer, parkedFor)
	alert.Text += " The run is parked (" + parkedFor + "): " + WithDetail(text, detail)
	alert.Remedy = remedy
	return alert
}

// SharedContactFor returns the alert of two users that share a record. It omits the record's id if that may be a person's
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

// WithDetail returns a condition's text with the error of the last attempt.
func WithDetail(text, detail string) string {
	if detail == "" {
		return text
	}
	return text + " The last attempt: " + strings.TrimSuffix(detail, ".") + "."
}

// explainBus explains the conditions of NATS, Postgres and the key service. It returns "" for any other code.
func explainBus(code string) (text, remedy string) {
	switch code {
	case AlertOutboxStalled:
		return "NATS has rejected messages for two minutes or more. The messages wait in Postgres.",
			"Run rollcall doctor to find the cause: NATS is down, its store is full, or a stream has reached a limit. Services continue within 30 s after it is fixed."
	case AlertAuditUnpartitioned:
		return "The audit, or the log of reconciliations with Virtuous, has lines outside of its months, in its default partition. " +
				"Nothing is lost, but these lines cannot be dropped with a month.",
			"The services move the lines of past months by themselves, within hours. If the alert stays for longer than a month, the log of any service " +
				"says why it cannot make the months (the audit's months were not made): a missing right, or a lock that another session holds."
	case AlertMessageNotErased:
		return "A message that may have a token or a person's data in the clear could not be erased, because its stream denies deletions. Both stay " +
				"readable in the stream's files.",
			"If a token was in the clear, have it replaced in VOMO. A stream's deny-delete cannot be undone: stop the services, run nats stream rm " +
				"ROLLCALL_ONBOARDING (or ROLLCALL_WRITEBACK, as the service's log says) and rollcall migrate, and start the services."
	case AlertOnboardingLetter:
		return "An onboarding or offboarding message became a dead letter: the request was not carried out.",
			"rollcall dlq ls <customer> shows the reason. Fix it and retry the letter, or publish a new message and discard the letter: " +
				"rollcall dlq retry <customer>, rollcall dlq discard <customer>."
	case AlertKeeperUnavailable:
		return "The key service (SECRETS_URL) does not answer or rejects our requests, so no key can be opened. All work is paused and retried automatically.",
			"Check that the key service runs and is unsealed, that it can be reached from here, and that VAULT_SERVER_TOKEN is valid (rollcall doctor). " +
				"Work continues within 30 s."
	case AlertDatabaseUnavailable:
		return "Postgres does not answer, or accepts no writes. All work is paused and retried automatically.",
			"Check that Postgres runs, can be reached from here and accepts writes (DATABASE_URL, rollcall doctor). Work continues within 30 s; nothing is lost."
	}
	return "", ""
}

// explainWait explains the park reasons that raise no alert.
func explainWait(code string) (text, remedy string) {
	switch code {
	case window.ReasonNotBefore:
		return "The backfill waits for the time that was set (backfillNotBefore).",
			"Nothing has to be done. To start earlier, onboard the customer again with another backfillNotBefore and all other settings unchanged."
	case window.ReasonQuietHours:
		return "The backfill or deletion scan waits for the end of the customer's quiet hours.",
			"Nothing has to be done. To continue earlier, onboard the customer again with other quietHours and all other settings unchanged."
	case "vomo_unavailable":
		return "VOMO does not answer, or its answers are broken. Syncing is paused and retried automatically.",
			"Nothing has to be done. If this lasts, check VOMO's status, and whether VOMO_BASE_URL can be reached from here (rollcall doctor)."
	case "vomo_throttled":
		return "VOMO asks for a slower pace. The work waits and continues automatically.",
			"Nothing has to be done. If this lasts, another program also uses the customer's requests: lower its limits, or ours with rollcall config set."
	case "destination_throttled":
		return "The destination asked for a pause; nothing is sent to it until the time that it named, a day at most.",
			"Nothing has to be done. If this lasts, ask the destination's operator for a higher limit, or lower DESTINATION_CONCURRENCY."
	case "probe_inconclusive":
		return "The destination accepted none of the records with which it was tested, so it is not known whether it works again.",
			"Check whether the destination is healthy. It is tested again within an hour, and with the next change of a user."
	case "paced":
		return "The refresh of participations has used its share of this minute's requests, and continues with the next.", "Nothing has to be done."
	case "lane_wanted":
		return "The work lets another job of this customer go first, and continues in a moment.", "Nothing has to be done."
	case ConditionLaneClosing:
		return "The stopped job finishes the request that it has sent. The next job of this customer starts after that.",
			"Nothing has to be done: this takes seconds, and CLAIM_TIMEOUT at most."
	case "paused":
		return "An operator paused the backfill.", "To continue where it stopped, run: rollcall backfill start <customer>."
	}
	return "Condition " + code + ".", "Check the logs of the services."
}

// IsWait returns whether a park reason is no problem: an operator requested it, another job of the customer goes first, or VOMO
// or the destination limits the rate.
func IsWait(code string) bool {
	switch code {
	case window.ReasonNotBefore, window.ReasonQuietHours, "lane_wanted", "paced", "vomo_throttled", "destination_throttled", "paused":
		return true
	}
	return false
}
