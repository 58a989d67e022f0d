package record

import "rollcall.dev/pkg/operatorapi"

// recordWords are those of gifts and contacts whose two sides are compared.
func recordWords() map[Cause]words {
	return map[Cause]words{
		GiftDeleted: {
			state: operatorapi.CauseAct, text: "Gift {gift} was deleted at Virtuous.",
			next:    "Ask the customer's staff whether they meant to. The platform got the event gift.deleted. A new donation needs an id of its own.",
			command: "rollcall gift show {customer} {gift}",
		},
		GiftReversed: {
			state: operatorapi.CauseAct, text: "Gift {gift} takes back another gift: it is a reversal.",
			next: "Ask the customer's staff which gift it is about.", command: "rollcall gift show {customer} {gift}",
		},
		DeletionMissed: {
			state: operatorapi.CauseAct, text: "Gift {gift} is known here, and Virtuous does not have it any more: the webhook of its deletion did not arrive.",
			next: "Apply the deletion here.", command: "rollcall record {customer} gift {id} --fix", fixable: true,
		},
		GiftDeletionHeld: {
			state: operatorapi.CauseAct,
			text:  "Gift {gift} is not in Virtuous' list of gifts. So many are missing there that the search for deleted gifts is held for approval.",
			next: "See them with rollcall deletions show {customer} --entity gift, and ask the customer's staff whether they deleted them. If they did, " +
				"approve: each gift is asked for, and a 404 deletes it. Otherwise run rollcall deletions reject {customer} --entity gift.",
			command: "rollcall deletions approve {customer} --entity gift",
		},
		ValuesDiffer: {
			state: operatorapi.CauseAct, text: "Virtuous' record is not what is stored here; it differs in {why}. The webhook of the change did not arrive.",
			next: "Apply Virtuous' values here.", command: "rollcall record {customer} {kind} {id} --fix", fixable: true,
		},
		InConflict: {
			state: operatorapi.CauseAct, text: "Both sides differ, and no rule decides which is right.",
			next: "Decide.", command: "rollcall review ls {customer} --kind {kind}",
		},
		PartnerPending: {
			state: operatorapi.CauseWait, text: "The platform has not confirmed yet that it took over Virtuous' values.",
			next: "Wait for the platform, which says on rollcall.giving.applied.{customer} that it has them.",
		},
		VirtuousPending: {
			state: operatorapi.CauseWait, text: "The platform's values are on their way to Virtuous.", next: "Nothing has to be done: they are written by themselves.",
		},
		ContactKnown: {state: operatorapi.CauseOK, text: "Contact {contact} is known here as Virtuous has it.", next: nothing},
		ContactMerged: {
			state: operatorapi.CauseOK, text: "The contact was merged into contact {contact}, which has its gifts and donations now.",
			next: nothing, command: "rollcall record {customer} contact {contact}",
		},
		ContactArchived: {state: operatorapi.CauseOK, text: "The contact is archived at Virtuous.", next: "Nothing has to be done, unless staff meant to keep it."},
		ContactUnknown: {
			state: operatorapi.CauseAct,
			text: "No contact that is stored here, and none at Virtuous, has this id or reference. " +
				"One that the platform published may still be on its way.",
			next:    "Compare the id and the customer with the platform's. Contacts that webhooks missed are read by the command.",
			command: "rollcall reconcile now {customer} --category missed_webhook",
		},
		ContactGone: {
			state: operatorapi.CauseAct, text: "The contact is known here, and Virtuous does not have it any more. Virtuous has no webhook for that.",
			next: "Ask the customer's staff whether it was merged or deleted.", command: "rollcall contact show {customer} {contact}",
		},
	}
}

// userWords are those of users of VOMO.
func userWords() map[Cause]words {
	return map[Cause]words{
		UserMirrored: {
			state: operatorapi.CauseOK, text: "The destination has the user, in the version that VOMO had at {why}.",
			next: "Nothing has to be done. To read the user from VOMO again, run the command.", command: "rollcall resync {customer} {id}",
		},
		UserInactive: {
			state: operatorapi.CauseAct, text: "The customer is paused, or VOMO rejected its token: nothing is read or written.",
			next: "See why, and resume the customer or give it a token that works.", command: "rollcall status {customer}",
		},
		UserLetter: {
			state: operatorapi.CauseAct, text: "The user could not be mirrored ({why}), and its letter waits for an operator.",
			next: "See what was wrong, and retry it when the cause is gone.", command: "rollcall dlq show {letter}",
		},
		UserLetterWaits: {
			state: operatorapi.CauseWait, text: "The user could not be mirrored ({why}). Its letter is retried by itself.",
			next: "Nothing has to be done. To retry it at once, run the command.", command: "rollcall dlq retry {letter}",
		},
		UserDeletionHeld: {
			state: operatorapi.CauseAct, text: "VOMO does not have the user any more, and the search that found it is held for approval.",
			next: "Look at the users, and approve or reject.", command: "rollcall deletions show {customer} --run {run}",
		},
		UserDeletionFailed: {
			state: operatorapi.CauseAct, text: "VOMO deleted the user, and the destination rejected the deletion ({why}).",
			next: "See the user's letters, and retry them when the cause is gone.", command: "rollcall dlq ls {customer} --kind user_delete",
		},
		UserDeleted: {
			state: operatorapi.CauseOK, text: "VOMO deleted the user, and so did the destination.",
			next: "Nothing has to be done. If it was a mistake, undo it.", command: "rollcall deletions undo {customer} {id}",
		},
		UserMissing: {
			state: operatorapi.CauseWait, text: "The last scan did not show the user. It is not deleted unless VOMO does not find it by its id either ({why}).",
			next: "To read the user from VOMO now, run the command.", command: "rollcall resync {customer} {id}", fixable: true,
		},
		UserWriteback: {
			state: operatorapi.CauseWait, text: "The destination has the user. Values for VOMO wait to be written.", next: "Nothing has to be done.",
		},
		UserWritebackStuck: {
			state: operatorapi.CauseAct, text: "The destination has the user. Values for VOMO were not written: they are in the state {why}.",
			next: "Decide about them.", command: "rollcall review ls {customer}",
		},
		UserBackfill: {
			state: operatorapi.CauseWait, text: "The first backfill is not complete, so the user may not have been read yet.",
			next: "Wait for the backfill. To read the user at once, run the command.", command: "rollcall resync {customer} {id}", fixable: true,
		},
		UserUnknown: {
			state: operatorapi.CauseAct, text: "The user is not mirrored, and no letter has it.",
			next: "Read the user from VOMO now: that mirrors it if VOMO has it.", command: "rollcall resync {customer} {id}", fixable: true,
		},
	}
}
