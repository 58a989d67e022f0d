package operatorapi

import (
	"fmt"
	"time"

	"rollcall.dev/pkg/store"
)

// MaxPace is the fastest pace of a drain, in letters a minute; without a pace it goes as fast as it can.
const MaxPace = 100_000

// MaxDrains is the largest number of drains, or of lines of a ledger, in one page.
const MaxDrains = 200

// States of a drain.
const (
	DrainRunning = store.DrainRunning
	DrainDone    = store.DrainDone
	DrainAborted = store.DrainAborted
)

// FieldPace is the name of the field, for the errors of a question.
const FieldPace = "pacePerMinute"

// FieldVerb is the name of the field, for the errors of a question.
const FieldVerb = "verb"

// Drain is a retry or a discard of all letters that matched a filter when it was started. The dlqretry service works it in the background.
type Drain struct {
	ID             int64         `json:"id"`
	CustomerID     *string       `json:"customerId"` // null: of all customers
	Verb           string        `json:"verb"`       // retry, discard
	Filter         LettersFilter `json:"filter"`
	Note           *string       `json:"note"`
	State          string        `json:"state"` // running, done, aborted
	AskedBy        string        `json:"askedBy"`
	PacePerMinute  *int32        `json:"pacePerMinute"`  // null: as fast as it goes
	Planned        int64         `json:"planned"`        // letters that matched at the start
	Done           int64         `json:"done"`           // retried or discarded
	Left           int64         `json:"left"`           // left as they were, each with the reason in the ledger
	Remaining      int64         `json:"remaining"`      // planned ones that are not in the ledger: not reached yet, or settled before their turn
	EtaLowSeconds  *int64        `json:"etaLowSeconds"`  // while it is running: it ends in so long, at the earliest
	EtaHighSeconds *int64        `json:"etaHighSeconds"` // and at the latest; null: not known yet
	AsOf           time.Time     `json:"asOf"`
	CreatedAt      time.Time     `json:"createdAt"`
	EndedAt        *time.Time    `json:"endedAt"`
}

// DrainStart asks rollcall.api.drains.start for a drain of all letters that match the filter.
type DrainStart struct {
	LettersFilter

	Verb          string `json:"verb"`                    // retry, discard
	Note          string `json:"note,omitempty"`          // discard: why, at most 500 bytes
	PacePerMinute int32  `json:"pacePerMinute,omitempty"` // letters a minute; absent: as fast as it goes
}

// Validate returns the errors of each field. A filter must have a condition: an unset variable of a script must not mean all letters.
func (d *DrainStart) Validate() map[string][]string {
	command := d.Command()
	errs := command.Validate()
	add := func(field, text string) { errs[field] = append(errs[field], text) }
	filter := d.LettersFilter
	if filter.State == string(store.LettersOpen) {
		filter.State = ""
	}
	switch {
	case len(d.IDs) > 0:
		delete(errs, FieldIDs)
		add(FieldIDs, "is not for a drain: letters.retry and letters.discard take ids")
	case d.CustomerID == "" && !filter.Narrows():
		add(FieldCustomerID, "is needed, or another condition: an empty filter would mean all letters of all customers")
	}
	if d.Verb != VerbRetry && d.Verb != VerbDiscard {
		add(FieldVerb, "takes retry, discard")
	}
	if d.PacePerMinute < 0 || d.PacePerMinute > MaxPace {
		add(FieldPace, fmt.Sprintf("takes 1 to %d letters a minute", MaxPace))
	}
	return errs
}

// Command returns the command for all letters of the drain.
func (d *DrainStart) Command() LettersCommand {
	return LettersCommand{LettersFilter: d.LettersFilter, AllMatching: true, Note: d.Note, Verb: d.Verb}
}

// DrainsQuestion asks rollcall.api.drains.ls for drains, newest first.
type DrainsQuestion struct {
	CustomerID string `json:"customerId,omitempty"` // absent: of all
	Before     int64  `json:"before,omitempty"`     // ids below this one: the Next of the page before
	Limit      int32  `json:"limit,omitempty"`      // at most MaxDrains, by default 50
}

// DrainsReply is one page; Next is null on the last.
type DrainsReply struct {
	Drains []Drain `json:"drains"`
	Next   *int64  `json:"next"`
}

// DrainQuestion asks rollcall.api.drains.show for a drain with a page of its ledger, newest line first.
type DrainQuestion struct {
	ID      int64  `json:"id"`
	Outcome string `json:"outcome,omitempty"` // done or left; absent: both
	Before  int64  `json:"before,omitempty"`  // lines before this place: the Next of the page before
	Limit   int32  `json:"limit,omitempty"`   // at most MaxDrains, by default 50
}

// DrainItem is a line of the ledger: a letter that the drain has come to.
type DrainItem struct {
	LetterID   string    `json:"letterId"`
	CustomerID string    `json:"customerId"`
	Outcome    string    `json:"outcome"` // done, left
	Reason     *string   `json:"reason"`  // why it was left as it was
	Text       *string   `json:"text"`    // the reason in words
	Remedy     *string   `json:"remedy"`
	At         time.Time `json:"at"`
}

// DrainShown is a drain with a page of its ledger; Next is null on the last page.
type DrainShown struct {
	Drain

	Items []DrainItem `json:"items"`
	Next  *int64      `json:"next"`
}

// DrainCommand asks rollcall.api.drains.abort to end a drain before its next batch. What it has done stays done.
type DrainCommand struct {
	ID         int64  `json:"id"`
	CustomerID string `json:"customerId,omitempty"` // a guard: a drain of others is not found then
}
