package report

import (
	"fmt"
	"strings"

	"rollcall.dev/pkg/deadletter"
	"rollcall.dev/pkg/store"
	rollcallv1 "rollcall.dev/proto/rollcall/v1"
)

// Why a letter was left as it was.
const (
	LeftNotKnown     = "not_known"
	LeftAmbiguous    = "ambiguous"
	LeftSettled      = "settled"
	LeftUnreadable   = "unreadable_record" // an entry of VOMO's list without so much as an id
	LeftNobodys      = "nobodys_message"   // under _unknown
	LeftOffboarded   = "customer_not_mirrored"
	LeftInHand       = "in_hand"
	LeftRedriveError = "redrive_failed"
)

// unreadablePrefix begins the ids of entries that had none, see package mirror.
const unreadablePrefix = "unreadable-"

// Stuck is why no retry takes a letter, "" where one does.
func Stuck(letter store.ListedLetter) string {
	switch {
	case letter.State == store.LettersSettled:
		return LeftSettled
	case letter.Kind == deadletter.KindMessage && letter.Customer == rollcallv1.UnknownCustomer:
		return LeftNobodys
	case letter.Kind == deadletter.KindMessage:
		return ""
	case letter.RecordID != nil && strings.HasPrefix(*letter.RecordID, unreadablePrefix):
		return LeftUnreadable
	case !letter.Mirrored:
		return LeftOffboarded
	}
	return ""
}

// ExplainLeft gives the words for a letter that was left as it was: why, and what helps.
func ExplainLeft(reason string) (text, remedy string) {
	switch reason {
	case LeftNotKnown:
		return "no letter has this id", "rollcall dlq ls lists open letters, with --state all settled ones too"
	case LeftAmbiguous:
		return "several letters' ids begin with it", "give more of the one that is meant"
	case LeftSettled:
		return "it is settled already", "nothing has to be done; rollcall dlq show says how it was settled"
	case LeftUnreadable:
		return "VOMO's entry had no id by which it could be read again",
			"have it mended in VOMO and read everybody again (rollcall backfill start <customer>), then discard the letter"
	case LeftNobodys:
		return "the message's subject named no readable customer",
			"see what it was (rollcall dlq show <id> --payload), have it published under the right subject, then discard the letter"
	case LeftOffboarded:
		return "its customer is not onboarded", "onboard the customer again first, or discard the letter"
	case LeftInHand:
		return "a job has it in hand, or has just settled it", "run the same command again in a moment"
	case LeftRedriveError:
		return "its message could not be published again", "the code and the log of the dlqretry service say why; run the same command again then"
	}
	return reason, "look at the letter with rollcall dlq show"
}

// ExplainLetter gives the words for a letter: what happened, and what an operator can do. stuck is why no retry
// takes it.
func ExplainLetter(letter Letter, stuck string) (text, remedy string) {
	text = what(letter)
	switch {
	case letter.State == string(store.LettersSettled):
		return text, "Nothing has to be done: " + settledWords(letter)
	case stuck != "":
		why, helps := ExplainLeft(stuck)
		return text, "No retry takes it: " + why + ". What helps: " + helps + "."
	case letter.Kind == deadletter.KindMessage:
		return text, "When its cause is mended, rollcall dlq retry publishes the message again; rollcall dlq discard gives it up."
	case letter.State == string(store.LettersWaiting):
		return text, "Nothing has to be done yet: it is tried again by itself. rollcall dlq retry tries it at once."
	case letter.ErrorClass == deadletter.ClassRetryable:
		return text, "It was tried as often or as long as the settings say (DLQ_RETRY_ATTEMPTS, DLQ_RETRY_AGE). See that the destination " +
			"works, then rollcall dlq retry."
	case letter.ErrorCode == codeSourceInvalid:
		return text, "Have the user mended in VOMO: the next poll reads it, and settles the letter by itself."
	}
	return text, "Mend the user in VOMO, where a newer version settles the letter by itself; or what the destination refuses, and then " +
		"rollcall dlq retry. rollcall dlq discard gives this version up."
}

const codeSourceInvalid = "source_record_invalid"

func what(letter Letter) string {
	if letter.Kind == deadletter.KindMessage {
		return whatOfMessage(letter.ErrorCode)
	}
	switch letter.ErrorCode {
	case codeSourceInvalid:
		return "VOMO's entry cannot be read: something that a user must have is missing, or is not what it should be."
	case "destination_timeout":
		return "The destination did not answer in time for this record."
	case "destination_unreachable":
		return "The destination could not be reached for this record."
	case "destination_5xx":
		return "The destination failed with an error of its own (5xx) at this record, while it took others."
	case "destination_throttled":
		return "The destination asked for fewer requests (429)."
	case "destination_broken_answer":
		return "The destination's answer could not be read: a page for people, cut short, or of a status that no write has."
	case "destination_redirect":
		return "The destination redirects, which is not followed: its final address has to be configured."
	case "internal":
		return "The record could not be written, for a reason of our own; the log of the job at that time says more."
	}
	if letter.ErrorClass == deadletter.ClassRetryable {
		return fmt.Sprintf("The destination did not take this record (%s); a later attempt may do better.", letter.ErrorCode)
	}
	return fmt.Sprintf("The destination refuses this record; %s is its own word, or its HTTP status, for why.", letter.ErrorCode)
}

func whatOfMessage(code string) string {
	switch code {
	case "customer_unreadable":
		return "The message's subject names no readable customer."
	case "message_unreadable", "request_invalid":
		return "The message is not what is published under its subject."
	case "too_many_deliveries":
		return "The message was delivered too often without an outcome: whoever worked it failed or died each time."
	case "too_many_attempts":
		return "The run was claimed too often without a committed page, and given up."
	}
	return fmt.Sprintf("The message could not be handled (%s).", code)
}

func settledWords(letter Letter) string {
	how := ""
	if letter.SettledHow != nil {
		how = *letter.SettledHow
	}
	switch how {
	case "retried":
		return "it was tried again, and taken."
	case "superseded":
		return "a newer version was written, or has a letter of its own."
	case "discarded":
		return "an operator discarded it."
	case store.SettledRedriven:
		return "its message was published again."
	case store.SettledByHand:
		return "an operator acknowledged it in the stream."
	case "":
		return "it is settled."
	}
	return "it is settled (" + how + ")."
}
