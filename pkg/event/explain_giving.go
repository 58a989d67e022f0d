package event

import (
	"strconv"
	"strings"
)

// Conditions of giving that are shown in a status only.
const (
	ConditionDonationsFailed     = "donations_failed"
	ConditionDonationsNeedReview = "donations_need_review"
	ConditionContactsFailed      = "contacts_failed"
	ConditionContactsNeedReview  = "contacts_need_review"
	ConditionGivingConflicts     = "giving_conflicts"
)

// traceOne is the part of a remedy that leads to the runbook about one record.
const traceOne = " For one donation or gift, run: rollcall record <customer> gift <id> (docs/giving.md#where-is-my-record)."

// explainGiving explains the conditions of giving. It returns "" for any other code.
func explainGiving(code string) (text, remedy string) {
	switch code {
	case AlertVirtuousAuthFailed:
		return "Virtuous rejected the customer's API key, or its refresh token, so donations wait; they are captured, and none is lost. " +
				"The mirror of VOMO goes on.",
			"Ask the customer for a new API key, then run the following command; donations continue where they stopped: " +
				"rollcall config set <customer> --virtuous-token-file <file>. For a customer with OAuth (rollcall config show <customer>), ask for a new " +
				"refresh token, and give it with --virtuous-refresh-token-file <file>."
	case AlertVirtuousForbidden:
		return "Virtuous accepts the customer's API key, but does not allow it all that giving needs. " +
				"What it does not allow waits, and is tried again every 15 minutes.",
			"Ask the customer's admin to give the key's permission group the right to read contacts, gifts and projects and to write gift transactions, " +
				"or to create a key that has it. For a new key, run: rollcall config set <customer> --virtuous-token-file <file>."
	case AlertVirtuousRefusesMany:
		return "Virtuous rejects the API keys of many customers at once. Their donations wait and are retried automatically; giving stays switched off " +
				"for no customer, and no customer gets a mail.",
			"Check the status of Virtuous. Nothing has to be done here: the alert is cleared as soon as Virtuous accepts these keys again."
	case AlertGivingPendingAge:
		return "Donations or contacts have been waiting to be sent to Virtuous for longer than GIVING_PENDING_AGE.",
			"See what they wait for: rollcall status <customer>. If it names nothing, check that the service donations runs (rollcall doctor), and what its " +
				"log says about this customer. None is lost; all are sent once the cause is gone." + traceOne
	case AlertWebhookSignatures:
		return "Many webhooks of Virtuous in a row had a wrong signature and were rejected, so gifts do not arrive.",
			"Compare the secret of the subscription at Virtuous with the customer's (rollcall config set <customer> --virtuous-webhook-secret-file <file>), and " +
				"the header with WEBHOOK_SIGNATURE_HEADER. The alert is cleared when webhooks with a right signature come."
	case AlertWebhookOrphaned:
		return "A webhook subscription that is not used stays at Virtuous, or may: the answer with its id was lost, or it could not be deleted for an hour.",
			"Ask the customer's admin to delete the subscription in Virtuous, under Settings, Webhooks."
	case AlertImportNotRun:
		return "Virtuous accepted donations days ago, and none of the same day has become a gift: staff have not run the import of that day.",
			"Ask the customer's staff to run the waiting imports in Virtuous. To see how many donations wait, run: rollcall status <customer>." + traceOne
	case AlertWebhookSilent:
		return "A reconciliation found gifts or contacts that changed in Virtuous, and no webhook was delivered for 24 hours. Changes arrive late; none is lost.",
			"Check in Virtuous, under Settings, Webhooks, that the subscription is active and has the address of the service webhooks, and that this address " +
				"can be reached from outside." + traceOne
	case AlertGiftDeletionsHeld:
		return "Virtuous no longer lists unusually many gifts: none of them is marked as deleted until an operator approves it.",
			"Look at it with rollcall deletions show <customer> --entity gift. If the customer's staff deleted these gifts, run " +
				"rollcall deletions approve <customer> --entity gift; otherwise run rollcall deletions reject <customer> --entity gift. It expires " +
				"after 14 days and then marks nothing."
	}
	return explainGivingConditions(code)
}

// explainGivingConditions explains what raises no alert.
func explainGivingConditions(code string) (text, remedy string) {
	switch code {
	case ConditionDonationsFailed:
		return "Virtuous rejected donations; they are not sent again by themselves.",
			"To see how many there are, run: rollcall status <customer>. Mend the cause that each event donation.failed names, and publish the donation again." +
				traceOne
	case ConditionDonationsNeedReview:
		return "Virtuous accepted donations days ago and has no gifts of them: an import was not run, or a donation needs a match.",
			"Have the customer's staff look at the imports in Virtuous. To see how many donations there are, run: rollcall status <customer>." + traceOne
	case ConditionContactsFailed:
		return "Virtuous rejected contacts; they are not sent again by themselves.",
			"See which: rollcall contact ls <customer> --status failed. Mend the cause that each event contact.failed names, and publish the contact again."
	case ConditionContactsNeedReview:
		return "Virtuous accepted contacts days ago and does not have them: an import was not run, or a contact needs a match.",
			"Have the customer's staff look at the imports in Virtuous. See which: rollcall contact ls <customer> --status needs_review."
	case ConditionGivingConflicts:
		return "Gifts or contacts differ from what the platform has, and no rule decides which side is right.", "Decide: rollcall review ls <customer>."
	case "virtuous_no_key":
		return "There is no API key for the customer's Virtuous that could be opened, so donations wait; they are captured, and none is lost.",
			"Ask the customer for an API key, then run: rollcall config set <customer> --virtuous-token-file <file>."
	case "virtuous_unavailable":
		return "Virtuous does not answer, or its answers are broken. Donations wait and are retried automatically.",
			"Nothing has to be done. If this lasts, check the status of Virtuous, and whether VIRTUOUS_BASE_URL can be reached from here."
	case "virtuous_query_failed":
		return "Virtuous rejects the requests of a reconciliation, or answers them with something else. It is tried again; donations and webhooks go on.",
			"If this lasts, look for the status in the log of the service reconciler, and ask Virtuous' support about it."
	case "virtuous_throttled":
		return "Virtuous asks for a slower pace. Donations wait and continue automatically.",
			"Nothing has to be done. If this lasts, another integration of the customer uses up its requests to Virtuous."
	}
	return "", ""
}

// OrphanedWebhooksFor returns the alert about subscriptions that stay at Virtuous, with their ids; 0 is an id that is not known.
func OrphanedWebhooksFor(customer string, ids []int64) Alert {
	alert := AlertFor(customer, AlertWebhookOrphaned)
	var named []string
	for _, id := range ids {
		if id != 0 {
			named = append(named, strconv.FormatInt(id, 10))
		}
	}
	if len(named) > 0 {
		alert.Text += " Its id: " + strings.Join(named, ", ") + "."
	}
	return alert
}
