package report

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"rollcall.dev/pkg/store"
)

// LettersCommand asks rollcall.api.letters.retry or discard for the letters with these ids, or, batch by batch, for
// all that the filter means; rollcall.api.letters.count tells beforehand what it would take.
type LettersCommand struct {
	LettersFilter

	AllMatching bool   `json:"allMatching,omitempty"` // must be said where no ids are given
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

// MaxLettersBatch is how many letters one batch of a command takes.
const MaxLettersBatch = 500

// LettersPlanned is what a command would take.
type LettersPlanned struct {
	Count int64        `json:"count"`
	Stuck int64        `json:"stuck"` // how many of them no retry takes
	First []Letter     `json:"first"` // the newest
	Left  []LetterLeft `json:"left"`  // named letters that it would not take
	AsOf  time.Time    `json:"asOf"`
}

// LettersDone is what became of one batch. The batches of one command are asked for with the AsOf of the first; Next
// is null after the last.
type LettersDone struct {
	Matched int64        `json:"matched"`
	Done    int64        `json:"done"`
	Left    []LetterLeft `json:"left"` // those that were left as they were, each with the reason
	AsOf    time.Time    `json:"asOf"`
	Next    *string      `json:"next"`
}

// LetterLeft is a letter that was left as it was.
type LetterLeft struct {
	ID         string   `json:"id"` // as it was asked for, where no letter has it
	CustomerID string   `json:"customerId,omitempty"`
	Kind       string   `json:"kind,omitempty"`
	RecordID   string   `json:"recordId,omitempty"`
	Reason     string   `json:"reason"`
	Text       string   `json:"text,omitempty"` // more about it, where the reason alone does not say enough
	Code       string   `json:"code,omitempty"` // of the error, where there was one
	IDs        []string `json:"ids,omitempty"`  // of an ambiguous name: some of the letters that it may mean
}

// Validate gives what is wrong with each field.
func (c *LettersCommand) Validate() map[string][]string {
	errs := c.LettersFilter.Validate()
	add := func(field, text string) { errs[field] = append(errs[field], text) }
	if _, ok := placeOf(c.Before); !ok {
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

// Question is the page of the list that a command's batch works.
func (c *LettersCommand) Question() LettersQuestion {
	limit := c.Limit
	if limit <= 0 {
		limit = MaxLettersBatch
	}
	return LettersQuestion{LettersFilter: c.LettersFilter, Before: c.Before, Limit: limit}
}

// NextBatch is the Next of a batch that ends with the nth of these letters.
func NextBatch(letters []store.ListedLetter, worked int, more bool) *string {
	return nextAfter(letters, worked, more || worked < len(letters))
}

// LeftAs says why a letter was left as it was.
func LeftAs(letter store.ListedLetter, reason string) LetterLeft {
	left := LetterLeft{ID: letter.ID.String(), CustomerID: letter.Customer, Kind: letter.Kind, Reason: reason}
	if letter.RecordID != nil {
		left.RecordID = *letter.RecordID
	}
	return left
}

// NamedLetters reads the letters that a command names, each once, and says of which names no one letter has them.
func NamedLetters(ctx context.Context, from store.Conn, command LettersCommand) (letters []store.ListedLetter, left []LetterLeft, err error) {
	named := make([]store.LetterIDs, 0, len(command.IDs))
	for _, name := range command.IDs {
		ids, _ := store.LetterIDsLike(name)
		named = append(named, ids)
	}
	found, err := from.LettersNamed(ctx, command.CustomerID, named, mostAmbiguous)
	if err != nil {
		return nil, nil, err
	}
	ids := make([]uuid.UUID, 0, len(found))
	for i, behind := range found {
		switch len(behind) {
		case 0:
			left = append(left, LetterLeft{ID: command.IDs[i], Reason: LeftNotKnown})
		case 1:
			ids = append(ids, behind[0])
		default:
			left = append(left, LetterLeft{ID: command.IDs[i], Reason: LeftAmbiguous, IDs: textsOf(behind)})
		}
	}
	letters, err = from.LettersByID(ctx, ids)
	return letters, left, err
}

// mostFirst is how many letters a plan shows.
const mostFirst = 10

// PlanLetters answers rollcall.api.letters.count: it changes nothing.
func PlanLetters(ctx context.Context, from *store.Store, command LettersCommand) (LettersPlanned, error) {
	plan := LettersPlanned{First: []Letter{}, Left: []LetterLeft{}}
	if len(command.IDs) > 0 {
		err := planNamed(ctx, from, command, &plan)
		return plan, err
	}
	question := command.Question()
	question.Limit = mostFirst
	letters, asOf, _, err := LettersBatch(ctx, from, question, mostFirst, false)
	if err != nil {
		return plan, err
	}
	plan.AsOf = asOf
	for _, letter := range letters {
		plan.First = append(plan.First, letterOf(letter, asOf))
	}
	plan.Count, plan.Stuck, err = from.CountLetters(ctx, question.of(asOf))
	if command.Verb != VerbRetry {
		plan.Stuck = 0
	}
	return plan, err
}

func planNamed(ctx context.Context, from *store.Store, command LettersCommand, plan *LettersPlanned) error {
	asOf, err := AsOf(ctx, from, command.LettersFilter)
	if err != nil {
		return err
	}
	letters, left, err := NamedLetters(ctx, from.Conn, command)
	if err != nil {
		return err
	}
	plan.AsOf = asOf
	plan.Left = append(plan.Left, left...)
	for _, letter := range letters {
		reason := Stuck(letter)
		if command.Verb != VerbRetry && reason != LeftSettled {
			reason = ""
		}
		if reason != "" {
			plan.Left = append(plan.Left, LeftAs(letter, reason))
			continue
		}
		plan.Count++
		plan.First = append(plan.First, letterOf(letter, asOf)) // all of them: the operator has named each
	}
	return nil
}
