package record

import (
	"maps"
	"slices"
	"strings"

	"rollcall.dev/pkg/operatorapi"
)

// Cause is why a record is as it is.
type Cause string

// Causes of donations and gifts.
const (
	Confirmed       Cause = "confirmed"
	GiftKnown       Cause = "gift_known"
	Offboarded      Cause = "customer_offboarded"
	NoGiving        Cause = "no_giving"
	Unknown         Cause = "unknown_everywhere"
	UnknownUnasked  Cause = "unknown_here_not_asked"
	NotCaptured     Cause = "not_captured"
	ContentRejected Cause = "other_content_rejected"

	PendingUnderWay    Cause = "pending_under_way"
	PendingPaused      Cause = "pending_paused"
	PendingAuthFailed  Cause = "pending_auth_failed"
	PendingRemoved     Cause = "pending_giving_removed"
	PendingForbidden   Cause = "pending_forbidden"
	PendingThrottled   Cause = "pending_throttled"
	PendingNoKey       Cause = "pending_no_key"
	PendingUnavailable Cause = "pending_unavailable"
	PendingHeld        Cause = "pending_held"
	PendingProjects    Cause = "pending_projects"
	PendingRetried     Cause = "pending_retried"
	PendingTurn        Cause = "pending_turn"
	PendingNotSent     Cause = "pending_not_sent"

	SubmittedWaits        Cause = "submitted_waits"
	SubmittedUnasked      Cause = "submitted_not_asked"
	SubmittedImportNotRun Cause = "submitted_import_not_run"
	SubmittedNeedsMatch   Cause = "submitted_match_needed"
	MissedWebhook         Cause = "missed_webhook"
	WebhookWaits          Cause = "webhook_waits"
	WebhookLetter         Cause = "webhook_letter"

	ReviewImportNotRun Cause = "review_import_not_run"
	ReviewMatchNeeded  Cause = "review_match_needed"
	Failed             Cause = "failed"
	Closed             Cause = "closed"

	GiftDeleted      Cause = "gift_deleted"
	GiftReversed     Cause = "gift_reversed"
	DeletionMissed   Cause = "gift_deletion_missed"
	GiftDeletionHeld Cause = "gift_deletion_held"
	ValuesDiffer     Cause = "values_differ"
	InConflict       Cause = "conflict"
	PartnerPending   Cause = "partner_pending"
	VirtuousPending  Cause = "virtuous_pending"
	ConfirmedUnasked Cause = "consistent_here_not_asked"
)

// Causes of contacts.
const (
	ContactKnown    Cause = "contact_known"
	ContactMerged   Cause = "contact_merged"
	ContactArchived Cause = "contact_archived"
	ContactGone     Cause = "contact_gone"
	ContactUnknown  Cause = "contact_unknown"
)

// Causes of the platform's contacts on their way into Virtuous. Those of pending ones are those of donations.
const (
	ContactNotCaptured           Cause = "contact_not_captured"
	ContactVersionRejected       Cause = "contact_version_rejected"
	ContactSubmittedWaits        Cause = "contact_submitted_waits"
	ContactSubmittedUnasked      Cause = "contact_submitted_not_asked"
	ContactSubmittedImportNotRun Cause = "contact_submitted_import_not_run"
	ContactSubmittedNeedsMatch   Cause = "contact_submitted_match_needed"
	ContactReviewImportNotRun    Cause = "contact_review_import_not_run"
	ContactReviewMatchNeeded     Cause = "contact_review_match_needed"
	ContactFailed                Cause = "contact_failed"
	ContactUnreadable            Cause = "contact_unreadable"
	ContactClosed                Cause = "contact_closed"
	ContactConfirmed             Cause = "contact_confirmed"
	ContactCompareWaits          Cause = "contact_compare_waits"
)

// Causes of users.
const (
	UserMirrored       Cause = "user_mirrored"
	UserInactive       Cause = "user_customer_inactive"
	UserLetter         Cause = "user_letter"
	UserLetterWaits    Cause = "user_letter_waits"
	UserDeletionHeld   Cause = "user_deletion_held"
	UserDeletionFailed Cause = "user_deletion_failed"
	UserDeleted        Cause = "user_deleted"
	UserMissing        Cause = "user_missing_in_scan"
	UserWriteback      Cause = "user_writeback_waits"
	UserWritebackStuck Cause = "user_writeback_stuck"
	UserBackfill       Cause = "user_backfill_not_complete"
	UserUnknown        Cause = "user_unknown"
)

// words are what is said about a cause. In texts and commands, {customer}, {id}, {gift}, {contact}, {letter}, {run}, {why} and {imports} stand for what
// is known of the record, and {record} for what the platform has: a donation or a contact.
type words struct {
	state   string // of operatorapi: ok, wait, act
	text    string
	next    string
	command string
	fixable bool
}

const nothing = "Nothing has to be done."

// table returns what is said about every cause.
func table() map[Cause]words {
	all := map[Cause]words{}
	for _, part := range []map[Cause]words{
		pendingWords(), givingWords(), submittedWords(), contactWords(), contactEndWords(), recordWords(), userWords(),
	} {
		maps.Copy(all, part)
	}
	return all
}

// Causes returns every cause, in the order of their names.
func Causes() []Cause { return slices.Sorted(maps.Keys(table())) }

// Explain returns a cause with its words; values replace the names in braces.
func Explain(cause Cause, values map[string]string) operatorapi.TraceCause {
	said := table()[cause]
	pairs := make([]string, 0, 2*len(values))
	for name, value := range values {
		pairs = append(pairs, "{"+name+"}", value)
	}
	filled := strings.NewReplacer(pairs...)
	explained := operatorapi.TraceCause{
		Code: string(cause), State: said.state, Text: filled.Replace(said.text), Next: filled.Replace(said.next), Fixable: said.fixable,
	}
	if said.command != "" {
		command := filled.Replace(said.command)
		explained.Command = &command
	}
	return explained
}
