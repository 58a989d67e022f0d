package report

import (
	"context"

	"github.com/google/uuid"

	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/pkg/store"
)

// NextBatch returns the Next of a batch that ends with the nth of these letters.
func NextBatch(letters []store.ListedLetter, worked int, more bool) *string {
	return nextAfter(letters, worked, more || worked < len(letters))
}

// LeftAs returns a letter that a command did not change, with the reason.
func LeftAs(letter store.ListedLetter, reason string) operatorapi.LetterLeft {
	left := operatorapi.LetterLeft{ID: letter.ID.String(), CustomerID: letter.Customer, Kind: letter.Kind, Reason: reason}
	if letter.RecordID != nil {
		left.RecordID = *letter.RecordID
	}
	return left
}

// NamedLetters reads the letters whose ids a command has, each once. left has the ids that no letter or several letters
// have.
func NamedLetters(ctx context.Context, from store.Conn, command operatorapi.LettersCommand,
) (letters []store.ListedLetter, left []operatorapi.LetterLeft, err error) {
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
			left = append(left, operatorapi.LetterLeft{ID: command.IDs[i], Reason: operatorapi.LeftNotKnown})
		case 1:
			ids = append(ids, behind[0])
		default:
			left = append(left, operatorapi.LetterLeft{ID: command.IDs[i], Reason: operatorapi.LeftAmbiguous, IDs: textsOf(behind)})
		}
	}
	letters, err = from.LettersByID(ctx, ids)
	return letters, left, err
}

// mostFirst is how many letters a plan shows.
const mostFirst = 10

// PlanLetters answers rollcall.api.letters.count: it changes nothing.
func PlanLetters(ctx context.Context, from *store.Store, command operatorapi.LettersCommand) (operatorapi.LettersPlanned, error) {
	plan := operatorapi.LettersPlanned{First: []operatorapi.Letter{}, Left: []operatorapi.LetterLeft{}}
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
	plan.Count, plan.Stuck, err = from.CountLetters(ctx, storeFilter(question.LettersFilter, asOf))
	if command.Verb != operatorapi.VerbRetry {
		plan.Stuck = 0
	}
	return plan, err
}

func planNamed(ctx context.Context, from *store.Store, command operatorapi.LettersCommand, plan *operatorapi.LettersPlanned) error {
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
		if command.Verb != operatorapi.VerbRetry && reason != operatorapi.LeftSettled {
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
