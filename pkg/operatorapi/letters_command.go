package operatorapi

import (
	"fmt"
	"time"

	"rollcall.dev/pkg/store"
)

// LettersCommand asks rollcall.api.letters.retry or discard to change the letters with these ids, or, batch by batch, all
// letters that match the filter. rollcall.api.letters.count answers which letters it would change.
type LettersCommand struct {
	LettersFilter

	AllMatching bool   `json:"allMatching,omitempty"` // must be true if no ids are given
	Before      string `json:"before,omitempty"`      // letters behind this place: the Next of the batch before
	Limit       int32  `json:"limit,omitempty"`       // at most 500 in one batch, which is also the default
	Note        string `json:"note,omitempty"`        // discard: why, at most 500 bytes
	Verb        string `json:"verb,omitempty"`        // count: of what, retry or discard
}

// Verbs of commands on letters.
const (
	VerbRetry   = "retry"
	VerbDiscard = "discard"
)

// MaxLettersBatch is the largest number of letters in one batch of a command.
const MaxLettersBatch = 500

// LettersPlanned says which letters a command would change.
type LettersPlanned struct {
	Count int64        `json:"count"`
	Stuck int64        `json:"stuck"` // how many of them no retry accepts
	First []Letter     `json:"first"` // the newest
	Left  []LetterLeft `json:"left"`  // named letters that it would not take
	AsOf  time.Time    `json:"asOf"`
}

// LettersDone is the result of one batch. Each batch of a command is requested with the AsOf of the first batch. Next is
// null after the last.
type LettersDone struct {
	Matched int64        `json:"matched"`
	Done    int64        `json:"done"`
	Left    []LetterLeft `json:"left"` // those that were left as they were, each with the reason
	AsOf    time.Time    `json:"asOf"`
	Next    *string      `json:"next"`
}

// Validate returns the errors of each field.
func (c *LettersCommand) Validate() map[string][]string {
	errs := c.LettersFilter.Validate()
	add := func(field, text string) { errs[field] = append(errs[field], text) }
	if _, ok := ParseLetterPosition(c.Before); !ok {
		add(FieldBefore, "takes the next of the batch before")
	}
	switch {
	case len(c.IDs) > 0 && c.AllMatching:
		add(FieldIDs, "goes without allMatching: either these letters, or all that a filter means")
	case len(c.IDs) > 0 && c.Narrows():
		add(FieldIDs, "goes without a filter other than the customer: the letters are named already")
	case len(c.IDs) == 0 && !c.AllMatching:
		add(FieldIDs, "takes the letters that are meant; allMatching must be said where none are named")
	}
	if state := store.LetterStates(c.State); state == store.LettersSettled || state == store.LettersAll {
		add(FieldState, "takes open, waiting, review: a settled letter is settled")
	}
	if len(c.Note) > MaxNote {
		add(FieldNote, fmt.Sprintf("takes at most %d bytes", MaxNote))
	}
	return errs
}

// Question returns the question for the letters of the command's batch.
func (c *LettersCommand) Question() LettersQuestion {
	limit := c.Limit
	if limit <= 0 {
		limit = MaxLettersBatch
	}
	return LettersQuestion{LettersFilter: c.LettersFilter, Before: c.Before, Limit: limit}
}

// LetterLeft is a letter that the command did not change, with the reason.
type LetterLeft struct {
	ID         string   `json:"id"` // as it was asked for, if no letter has it
	CustomerID string   `json:"customerId,omitempty"`
	Kind       string   `json:"kind,omitempty"`
	RecordID   string   `json:"recordId,omitempty"`
	Reason     string   `json:"reason"`
	Text       string   `json:"text,omitempty"` // more about it, if the reason alone does not say enough
	Code       string   `json:"code,omitempty"` // of the error, if there was one
	IDs        []string `json:"ids,omitempty"`  // of an ambiguous name: some of the letters that it may mean
}

// Values of LetterLeft.Reason.
const (
	LeftNotKnown        = "not_known"
	LeftAmbiguous       = "ambiguous"
	LeftSettled         = "settled"
	LeftUnreadable      = "unreadable_record" // an entry of VOMO's list without an id
	LeftUnknownCustomer = "nobodys_message"   // under _unknown
	LeftOffboarded      = "customer_not_mirrored"
	LeftInHand          = "in_hand"
	LeftRedriveError    = "redrive_failed"
)

// ExplainLeft returns the text and the remedy of a LetterLeft.Reason.
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
	case LeftUnknownCustomer:
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
