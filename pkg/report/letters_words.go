package report

import (
	"fmt"
	"strings"

	"rollcall.dev/pkg/deadletter"
	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/pkg/store"
	rollcallv1 "rollcall.dev/proto/rollcall/v1"
)

// unreadablePrefix begins the ids that package mirror gives to entries without an id.
const unreadablePrefix = "unreadable-"

// Stuck returns why no retry can work a letter, or "".
func Stuck(letter store.ListedLetter) string {
	switch {
	case letter.State == store.LettersSettled:
		return operatorapi.LeftSettled
	case letter.Kind == deadletter.KindMessage && letter.Customer == rollcallv1.UnknownCustomer:
		return operatorapi.LeftUnknownCustomer
	case deadletter.HoldsMessage(letter.Kind), letter.Kind == deadletter.KindWriteback:
		return ""
	case letter.RecordID != nil && strings.HasPrefix(*letter.RecordID, unreadablePrefix):
		return operatorapi.LeftUnreadable
	case !letter.Mirrored:
		return operatorapi.LeftOffboarded
	}
	return ""
}

// ExplainLetter returns the text and the remedy of a letter. stuck is the result of Stuck.
func ExplainLetter(letter operatorapi.Letter, stuck string) (text, remedy string) {
	text = what(letter)
	switch {
	case letter.State == string(store.LettersSettled):
		return text, "Nothing has to be done: " + settledWords(letter)
	case stuck != "":
		why, helps := operatorapi.ExplainLeft(stuck)
		return text, "No retry can help: " + why + ". What helps: " + helps + "."
	case letter.Kind == deadletter.KindMessage:
		return text, "After its cause is fixed, rollcall dlq retry publishes the message again. rollcall dlq discard gives it up."
	case letter.Kind == deadletter.KindDonation:
		return text, "Have the platform publish the donation again as it should be: a valid message with its id settles the letter. After a change of " +
			"settings, rollcall dlq retry publishes this message again. rollcall dlq discard gives it up."
	case letter.Kind == deadletter.KindContact:
		return text, "Have the platform publish the contact again as it should be: a valid message with its referenceId settles the letter. After a change " +
			"of settings, rollcall dlq retry publishes this message again. rollcall dlq discard gives it up."
	case letter.Kind == deadletter.KindWriteback:
		return text, "After its cause is fixed, rollcall dlq retry writes the values again. A newer message for the same user replaces them. " +
			"rollcall dlq discard gives them up."
	case letter.State == string(store.LettersWaiting):
		return text, "Nothing has to be done yet: the letter is retried automatically. rollcall dlq retry retries it at once."
	case letter.ErrorClass == deadletter.ClassRetryable:
		return text, "It was retried as often or as long as the settings say (DLQ_RETRY_ATTEMPTS, DLQ_RETRY_AGE). Check that the destination " +
			"works, then run rollcall dlq retry."
	case letter.Kind == deadletter.KindUserDelete:
		return text, "VOMO deleted this user. Delete the record at the destination, or change what it rejects, and then run rollcall dlq retry: " +
			"VOMO is asked once more before anything is deleted. rollcall dlq discard leaves the record as it is."
	case letter.ErrorCode == codeSourceInvalid:
		return text, "Have the user corrected in VOMO: the next poll reads it and settles the letter."
	}
	return text, "Correct the user in VOMO: a newer version settles the letter. Or change what the destination rejects, and then run " +
		"rollcall dlq retry. rollcall dlq discard gives this version up."
}

const codeSourceInvalid = "source_record_invalid"

func what(letter operatorapi.Letter) string {
	if letter.Kind == deadletter.KindMessage {
		return whatOfMessage(letter.ErrorCode)
	}
	if letter.Kind == deadletter.KindUserDelete {
		return fmt.Sprintf("The destination did not delete a user that VOMO deleted (%s).", letter.ErrorCode)
	}
	if letter.Kind == deadletter.KindWriteback {
		return whatOfWriteback(letter.ErrorCode)
	}
	if letter.Kind == deadletter.KindDonation {
		return whatOfDonation(letter.ErrorCode)
	}
	if letter.Kind == deadletter.KindContact {
		return whatOfContact(letter.ErrorCode)
	}
	switch letter.ErrorCode {
	case codeSourceInvalid:
		return "VOMO's entry cannot be read: a required field is missing or invalid."
	case "destination_timeout":
		return "The destination did not answer in time for this record."
	case "destination_unreachable":
		return "The destination could not be reached for this record."
	case "destination_5xx":
		return "The destination failed with an internal error (5xx) for this record, and accepted others."
	case "destination_throttled":
		return "The destination asked for fewer requests (429)."
	case "destination_broken_answer":
		return "The destination's answer could not be read: it was a web page, incomplete, or had an unexpected status."
	case "destination_redirect":
		return "The destination answers with a redirect, which rollcall does not follow: configure its final address."
	case "internal":
		return "The record could not be written because of an error in rollcall; the job's log of that time has details."
	}
	if letter.ErrorClass == deadletter.ClassRetryable {
		return fmt.Sprintf("The destination did not accept this record (%s); a later attempt may succeed.", letter.ErrorCode)
	}
	return fmt.Sprintf("The destination rejects this record; %s is the destination's code, or its HTTP status.", letter.ErrorCode)
}

func whatOfWriteback(code string) string {
	switch code {
	case "writeback_off":
		return "Nothing may be written back to VOMO for this customer (writeBack is not set)."
	case "field_not_owned":
		return "The external system does not own any of the fields that it wants to write (writeBack)."
	case "writeback_incomplete":
		return "VOMO requires a field that neither VOMO nor the request has; the letter's reason names it."
	case "vomo_user_without_email":
		return "VOMO has no address of the user, and finds users by their address."
	case "user_unknown":
		return "No mirrored user has the external id, and the request has no address to find the user by."
	case "source_not_found":
		return "VOMO has no such user, or hides the user from this token."
	case "source_unreadable", codeSourceInvalid:
		return "VOMO's record of the user cannot be read."
	}
	return fmt.Sprintf("VOMO rejected the values (%s); the letter's reason names the fields.", code)
}

func whatOfDonation(code string) string {
	switch code {
	case "donation_invalid":
		return "The message is no valid donation; the letter's reason names the fields. Nothing was sent to Virtuous."
	case "donation_differs":
		return "A donation with this id and another content was captured before, and stays as it is."
	case codeGivingOff:
		return whatOfGivingOff
	}
	return fmt.Sprintf("The donation could not be captured (%s).", code)
}

const (
	codeGivingOff   = "giving_off"
	whatOfGivingOff = "The customer has no giving: its onboarding has no side of Virtuous, or it was removed."
)

func whatOfContact(code string) string {
	switch code {
	case "contact_invalid":
		return "The message is no valid contact; the letter's reason names the fields. Nothing was sent to Virtuous."
	case codeGivingOff:
		return whatOfGivingOff
	}
	return fmt.Sprintf("The contact could not be captured (%s).", code)
}

func whatOfMessage(code string) string {
	switch code {
	case "customer_unreadable":
		return "The message's subject contains no valid customer id."
	case "message_unreadable", "request_invalid", "writeback_invalid":
		return "The message does not have the form that its subject requires."
	case "applied_invalid":
		return "The message that the platform has Virtuous' values by now cannot be read; the letter's reason names the fields. Nothing was settled."
	case "applied_unknown":
		return "The platform says that it has Virtuous' values of a contact that rollcall does not know as the platform's. Nothing was settled."
	case codeGivingOff:
		return whatOfGivingOff
	case "webhook_unreadable":
		return "A record of a webhook, or a whole delivery, cannot be read; the letter's reason says why."
	case "webhook_unapplied":
		return "A part of a webhook could not be applied in several attempts; the log of the service donations says why. Retry it when the cause is gone."
	case "webhook_part_unreadable":
		return "The message is no part of a delivery as the service webhooks publishes it."
	case "too_many_deliveries":
		return "The message was delivered too often without a result: the worker failed or died each time."
	case "too_many_attempts":
		return "The run was claimed too often without committing a page, and was given up."
	}
	return fmt.Sprintf("The message could not be handled (%s).", code)
}

func settledWords(letter operatorapi.Letter) string {
	how := ""
	if letter.SettledHow != nil {
		how = *letter.SettledHow
	}
	switch how {
	case "retried":
		return "it was retried and accepted."
	case "superseded":
		return "a newer version was written, or has a letter of its own."
	case "discarded":
		return "an operator discarded it."
	case "offboarded":
		return "the customer was offboarded. If it returns, a record's letter opens again."
	case store.SettledRedriven:
		if letter.Kind == deadletter.KindWriteback {
			return "its values were tried again."
		}
		return "its message was published again."
	case store.SettledByHand:
		return "an operator acknowledged it in the stream."
	case "":
		return "it is settled."
	}
	return "it is settled (" + how + ")."
}
