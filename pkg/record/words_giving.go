package record

import "rollcall.dev/pkg/operatorapi"

// pendingWords are those of donations and contacts that Virtuous does not have yet.
func pendingWords() map[Cause]words {
	const goesOn = "Nothing has to be done: it is sent by itself."
	return map[Cause]words{
		PendingUnderWay: {
			state: operatorapi.CauseWait, text: "The {record} is being sent to Virtuous now.", next: "Ask again in a minute.",
			command: "rollcall record {customer} {kind} {id}",
		},
		PendingPaused: {
			state: operatorapi.CauseAct, text: "The customer is paused, so nothing is sent. The {record} is captured and waits.",
			next: "Resume the customer.", command: "rollcall resume {customer}",
		},
		PendingAuthFailed: {
			state: operatorapi.CauseAct, text: "Virtuous rejected the customer's API key, or its refresh token, so donations and contacts wait.",
			next: "Ask the customer for a new API key and set it; they continue where they stopped. For a customer with OAuth, " +
				"give a new refresh token with --virtuous-refresh-token-file <file>.",
			command: "rollcall config set {customer} --virtuous-token-file <file>",
		},
		PendingRemoved: {
			state: operatorapi.CauseAct, text: "Giving was removed from the customer. The {record} waits until it returns.",
			next: "Set giving up again, or close the {record}.", command: "rollcall {record} close {customer} {id} --reason <why>",
		},
		PendingForbidden: {
			state: operatorapi.CauseAct, text: "Virtuous accepts the API key, but does not allow it to submit transactions. It is tried again every 15 minutes.",
			next:    "Have the customer's admin give the key's permission group the right to submit gift and contact transactions. For a new key, run the command.",
			command: "rollcall config set {customer} --virtuous-token-file <file>",
		},
		PendingThrottled: {
			state: operatorapi.CauseWait,
			text:  "Virtuous asks for a slower pace, or the customer's share of the requests is used up. Donations and contacts wait until {why}.",
			next:  goesOn,
		},
		PendingNoKey: {
			state: operatorapi.CauseAct, text: "There is no API key for the customer's Virtuous that can be opened.",
			next: "Ask the customer for an API key and set it.", command: "rollcall config set {customer} --virtuous-token-file <file>",
		},
		PendingUnavailable: {
			state: operatorapi.CauseWait, text: "Virtuous does not answer, or its answers are broken. Donations and contacts wait until {why}, and are tried again.",
			next: goesOn + " If it lasts, check the status of Virtuous.",
		},
		PendingHeld: {
			state: operatorapi.CauseWait, text: "The customer's giving is left alone for a while: {why}.", next: goesOn + " The status says more.",
			command: "rollcall status {customer}",
		},
		PendingProjects: {
			state: operatorapi.CauseWait, text: "The donation waits for the list of the customer's projects, by which its designations are checked: {why}.",
			next: goesOn,
		},
		PendingRetried: {
			state: operatorapi.CauseWait, text: "The last attempt did not succeed ({why}). It is repeated by itself, up to an hour later each time.",
			next: goesOn + " If it lasts, check the status of Virtuous.",
		},
		PendingTurn: {state: operatorapi.CauseWait, text: "The {record} is captured, and waits for its turn.", next: goesOn},
		PendingNotSent: {
			state: operatorapi.CauseAct, text: "The {record} has been due for more than 15 minutes, and no attempt began.",
			next: "Check that the service donations runs.", command: "rollcall doctor",
		},
	}
}

// givingWords are those of customers, and of donations that Virtuous never had or that are confirmed.
func givingWords() map[Cause]words {
	return map[Cause]words{
		Confirmed:        {state: operatorapi.CauseOK, text: "The donation is gift {gift} at Virtuous, and both sides agree.", next: nothing},
		GiftKnown:        {state: operatorapi.CauseOK, text: "Gift {gift} is known here as Virtuous has it. It is of no donation of ours.", next: nothing},
		ConfirmedUnasked: {state: operatorapi.CauseOK, text: "The record is consistent here. Virtuous was not asked: {why}.", next: nothing},
		Offboarded: {
			state: operatorapi.CauseAct, text: "The customer was offboarded: nothing is sent or received for it any more.",
			next: "Onboard the customer again if it is to return.", command: "rollcall status {customer}",
		},
		NoGiving: {
			state: operatorapi.CauseAct, text: "The customer has no giving, so there are no gifts and contacts of it here.",
			next: "Set giving up.", command: "rollcall config set {customer} --virtuous-token-file <file> --virtuous-source <source>",
		},
		Unknown: {
			state: operatorapi.CauseAct, text: "Neither rollcall nor Virtuous knows this id, and no letter has it.",
			next:    "Compare the id and the customer with the platform's. If the platform has the donation, have it publish it.",
			command: "rollcall donation submit {customer} <file>",
		},
		UnknownUnasked: {
			state: operatorapi.CauseAct, text: "The id is not known here. Virtuous was not asked: {why}.",
			next: "Remove what is in the way, and ask again.", command: "rollcall record {customer} {kind} {id}",
		},
		NotCaptured: {
			state: operatorapi.CauseAct, text: "The donation was not captured: its message is not valid ({why}).",
			next:    "The letter names the fields. Have the platform publish the donation as it should be; that settles the letter.",
			command: "rollcall dlq show {letter}",
		},
		ContentRejected: {
			state: operatorapi.CauseAct, text: "A later message had the same id and other content, and was rejected ({why}). The first donation stands.",
			next: "See the letter, and decide which content is right.", command: "rollcall dlq show {letter}",
		},
	}
}

// submittedWords are those of donations that Virtuous accepted, or rejected.
func submittedWords() map[Cause]words {
	const ask = "Ask staff to look for it in the imports of Virtuous{imports}, under Match Needed and Update Needed, and to run the import. " +
		"If they discarded it, close it when it is in needs_review: rollcall donation close {customer} {id} --reason <why>."
	return map[Cause]words{
		SubmittedWaits: {
			state: operatorapi.CauseWait,
			text:  "Virtuous accepted the donation less than 48 hours ago, and no gift of it is known yet: it may still be in the nightly batch.",
			next:  "Wait for tonight's import, and for staff to run it.",
		},
		SubmittedUnasked: {
			state: operatorapi.CauseAct, text: "Virtuous accepted the donation more than 48 hours ago, and whether it has a gift is not known: {why}.",
			next: "Remove what is in the way, and ask again.", command: "rollcall record {customer} gift {id}",
		},
		SubmittedImportNotRun: {
			state: operatorapi.CauseAct,
			text: "Virtuous accepted the donation more than 48 hours ago and has no gift, nor one of any other donation of that day: " +
				"the import was not run.",
			next: "Ask staff to run the waiting imports in Virtuous{imports}.", command: "rollcall donation show {customer} {id}",
		},
		SubmittedNeedsMatch: {
			state: operatorapi.CauseAct, text: "Virtuous accepted the donation more than 48 hours ago and has no gift: likely in the needs-update bucket.",
			next: ask, command: "rollcall donation show {customer} {id}",
		},
		MissedWebhook: {
			state: operatorapi.CauseAct, text: "Virtuous has the {kind}, and its webhook did not arrive.",
			next: "Apply it here.", command: "rollcall record {customer} {kind} {id} --fix", fixable: true,
		},
		WebhookWaits: {
			state: operatorapi.CauseWait, text: "A webhook about the record was received, and is not applied yet ({why}).",
			next: "Nothing has to be done: it is applied by itself, unless the customer is paused.",
		},
		WebhookLetter: {
			state: operatorapi.CauseAct, text: "A webhook about the record could not be applied, and became a letter ({why}).",
			next: "See what was wrong. A retry has it applied again.", command: "rollcall dlq retry {letter}",
		},
		ReviewImportNotRun: {
			state: operatorapi.CauseAct, text: "The donation needs review: no donation of that day has become a gift, so the import was not run.",
			next: "Ask staff to run the waiting imports in Virtuous{imports}. Its gift confirms the donation.", command: "rollcall review ls {customer} --kind donation",
		},
		ReviewMatchNeeded: {
			state: operatorapi.CauseAct, text: "The donation needs review: others of that day became gifts, so it likely needs a match.",
			next: ask, command: "rollcall review ls {customer} --kind donation",
		},
		Failed: {
			state: operatorapi.CauseAct, text: "Virtuous rejected the donation: {why}.",
			next:    "Publish the donation with other content, or mend the cause at Virtuous and send it again.",
			command: "rollcall donation retry {customer} {id}",
		},
		Closed: {
			state: operatorapi.CauseOK, text: "The donation was closed: {why}.", next: "Nothing has to be done. If its gift is seen, it is confirmed all the same.",
		},
	}
}
