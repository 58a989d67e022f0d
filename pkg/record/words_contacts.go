package record

import "rollcall.dev/pkg/operatorapi"

// What the platform's contacts that wait for an import need.
const (
	contactImport = "Ask staff to run the waiting imports in Virtuous{imports}. The contact that the import finds or adds confirms it."
	contactMatch  = "Ask staff to look for it in the imports of Virtuous{imports}, under Match Needed and Update Needed, and to run the import. " +
		"If they discarded it, close it when it is in needs_review: rollcall contact close {customer} {id} --reason <why>."
	contactShow   = "rollcall contact show {customer} {id} --reference"
	contactReview = "rollcall contact ls {customer} --status needs_review"
)

// contactWords are those of the platform's contacts that Virtuous accepted and that are not confirmed.
func contactWords() map[Cause]words {
	return map[Cause]words{
		ContactSubmittedWaits: {
			state: operatorapi.CauseWait,
			text: "Virtuous accepted the contact's transaction less than 48 hours ago, and has no contact with the reference yet: it may still be in the " +
				"nightly batch.",
			next: "Wait for tonight's import, and for staff to run it.",
		},
		ContactSubmittedUnasked: {
			state: operatorapi.CauseAct,
			text:  "Virtuous accepted the contact's transaction more than 48 hours ago, and whether it has the contact is not known: {why}.",
			next:  "Remove what is in the way, and ask again.", command: "rollcall record {customer} contact {id}",
		},
		ContactSubmittedImportNotRun: {
			state: operatorapi.CauseAct,
			text: "Virtuous accepted the contact's transaction more than 48 hours ago, and has no contact with the reference, nor one of any other " +
				"contact of that day: the import was not run.",
			next: contactImport, command: contactShow,
		},
		ContactSubmittedNeedsMatch: {
			state: operatorapi.CauseAct,
			text: "Virtuous accepted the contact's transaction more than 48 hours ago, and has no contact with the reference: likely in the " +
				"needs-update bucket.",
			next: contactMatch, command: contactShow,
		},
		ContactReviewImportNotRun: {
			state: operatorapi.CauseAct, text: "The contact needs review: no contact of that day was imported, so the import was not run.",
			next: contactImport, command: contactReview,
		},
		ContactReviewMatchNeeded: {
			state: operatorapi.CauseAct, text: "The contact needs review: others of that day were imported, so it likely needs a match.",
			next: contactMatch, command: contactReview,
		},
	}
}

// contactEndWords are those of the platform's contacts that were rejected, ended or confirmed.
func contactEndWords() map[Cause]words {
	return map[Cause]words{
		ContactNotCaptured: {
			state: operatorapi.CauseAct, text: "The platform's contact was not captured: its message was rejected ({why}).",
			next:    "The letter names the fields. Have the platform publish the contact as it should be; that settles the letter.",
			command: "rollcall dlq show {letter}",
		},
		ContactVersionRejected: {
			state: operatorapi.CauseAct, text: "A later version of the contact was rejected ({why}). The version before it stands.",
			next:    "The letter names the fields. Have the platform publish the contact as it should be; that settles the letter.",
			command: "rollcall dlq show {letter}",
		},
		ContactFailed: {
			state: operatorapi.CauseAct, text: "Virtuous rejected the contact: {why}.",
			next:    "Publish the contact with other content: it is sent by itself. Or mend the cause at Virtuous, and send it again.",
			command: "rollcall contact retry {customer} {id}",
		},
		ContactUnreadable: {
			state: operatorapi.CauseAct, text: "The contact was not sent: it was sealed with a data key that was destroyed when the customer was offboarded.",
			next: "Have the platform publish the contact again: it is sent by itself.", command: "rollcall contact submit {customer} <file>",
		},
		ContactClosed: {
			state: operatorapi.CauseOK, text: "The contact was closed: {why}.",
			next: "Nothing has to be done. If the platform publishes a newer version, it is sent. If Virtuous has the contact, it is confirmed all the same.",
		},
		ContactConfirmed: {
			state: operatorapi.CauseOK, text: "The platform's contact is contact {contact} at Virtuous, and is known here as Virtuous has it.", next: nothing,
		},
		ContactCompareWaits: {
			state: operatorapi.CauseWait,
			text:  "The platform's contact is contact {contact} at Virtuous. The platform's newest version is not compared with it yet.",
			next:  "Wait: nothing of that version is written to Virtuous before it is compared.", command: contactShow,
		},
	}
}
