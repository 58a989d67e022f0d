package httpapi

import (
	"context"
	"net/http"
	"time"

	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/services/console/internal/access"
)

// lettersInput filters letters. A parameter that is left out selects all of them.
type lettersInput struct {
	Paging

	Customer         string   `query:"customer" maxLength:"63" doc:"The customer's id, or _unknown for letters without a customer."`
	Kind             string   `query:"kind" doc:"user, user_delete, message, writeback or donation."`
	State            string   `query:"state" doc:"open (the default), waiting, review, settled or all."`
	ErrorCode        string   `query:"errorCode"`
	ErrorClass       string   `query:"errorClass" doc:"retryable or permanent."`
	OlderThanSeconds int64    `query:"olderThanSeconds" doc:"First failed so long ago, or longer."`
	NewerThanSeconds int64    `query:"newerThanSeconds" doc:"First failed later than so long ago."`
	RecordID         string   `query:"recordId"`
	Text             string   `query:"text" doc:"In the error code, record id, original subject or job."`
	IDs              []string `query:"ids" doc:"Ids of letters, comma-separated."`
}

// letterCursor is where a page of letters begins. All pages of a list have the ages of the first.
type letterCursor struct {
	Before string     `json:"b"`
	AsOf   *time.Time `json:"a"`
}

func (i *lettersInput) question(by caller) (operatorapi.LettersQuestion, error) {
	at, err := decodeCursor[letterCursor](i.Cursor)
	if err != nil {
		return operatorapi.LettersQuestion{}, err
	}
	customer, err := by.narrow(i.Customer)
	return operatorapi.LettersQuestion{Before: at.Before, Limit: i.Limit, LettersFilter: operatorapi.LettersFilter{
		CustomerID: customer, Kind: i.Kind, State: i.State, ErrorCode: i.ErrorCode, ErrorClass: i.ErrorClass,
		OlderThanSeconds: i.OlderThanSeconds, NewerThanSeconds: i.NewerThanSeconds, RecordID: i.RecordID, Text: i.Text, IDs: i.IDs, AsOf: at.AsOf,
	}}, err
}

// letterPage returns a page of letters or of their details.
func letterPage[T any](letters []T, asOf time.Time, next *string) (Page[T], error) {
	var at *letterCursor
	if next != nil {
		at = &letterCursor{Before: *next, AsOf: &asOf}
	}
	page, err := pageOf(letters, at)
	page.AsOf = &asOf
	return page, err
}

// LetterInput names one letter, by its whole id: a shorter one could say that another customer's letter begins with it.
type LetterInput struct {
	Letter string `path:"letter" format:"uuid"`
}

func (a *api) letterRoutes() {
	register(a, route{
		id: "list-letters", method: http.MethodGet, path: "/letters", right: access.Read,
		summary: "List letters: records and messages that could not be handled, newest first",
	}, func(ctx context.Context, by caller, input *lettersInput) (Page[operatorapi.Letter], error) {
		question, err := input.question(by)
		if err != nil {
			return Page[operatorapi.Letter]{}, err
		}
		found, err := ask[operatorapi.LettersQuestion, operatorapi.LettersReply](ctx, by, "letters", "ls", question)
		if err != nil {
			return Page[operatorapi.Letter]{}, err
		}
		return letterPage(found.Letters, found.AsOf, found.Next)
	})
	register(a, route{
		id: "count-letters-by-code", method: http.MethodGet, path: "/letters/codes", right: access.Read,
		summary: "Count letters by error code, the most frequent first",
	}, func(ctx context.Context, by caller, input *lettersInput) (Page[operatorapi.LettersOfCode], error) {
		question, err := input.question(by)
		if err != nil {
			return Page[operatorapi.LettersOfCode]{}, err
		}
		question.Codes, question.Limit = true, 1
		found, err := ask[operatorapi.LettersQuestion, operatorapi.LettersReply](ctx, by, "letters", "ls", question)
		if err != nil {
			return Page[operatorapi.LettersOfCode]{}, err
		}
		return letterPage(found.Codes, found.AsOf, nil)
	})
	register(a, route{
		id: "export-letters", method: http.MethodGet, path: "/letters/export", right: access.Read,
		summary: "List letters with their attempts, never what messages held",
	}, func(ctx context.Context, by caller, input *lettersInput) (Page[operatorapi.LetterDetail], error) {
		question, err := input.question(by)
		if err != nil {
			return Page[operatorapi.LetterDetail]{}, err
		}
		found, err := ask[operatorapi.LettersQuestion, operatorapi.LettersExport](ctx, by, "letters", "export", question)
		if err != nil {
			return Page[operatorapi.LetterDetail]{}, err
		}
		return letterPage(found.Letters, found.AsOf, found.Next)
	})
	register(a, route{
		id: "get-letter", method: http.MethodGet, path: "/letters/{letter}", right: access.Read,
		summary:     "Show everything of one letter except the payload",
		description: "destinationAnswer is null without the right donors, because a destination's answer may quote a person.",
	}, func(ctx context.Context, by caller, input *LetterInput) (operatorapi.LetterShown, error) {
		shown, err := by.letter(ctx, input.Letter)
		if !by.principal.May(access.Donors) {
			shown.DestinationAnswer = nil
		}
		return shown, err
	})
	register(a, route{
		id: "get-letter-payload", method: http.MethodGet, path: "/letters/{letter}/payload", right: access.Donors,
		summary: "Show one piece of what a message held; this is audited",
	}, func(ctx context.Context, by caller, input *struct {
		LetterInput

		Secrets bool `query:"secrets" doc:"With tokens and secrets in the clear; needs the right admin."`
		Offset  int  `query:"offset" minimum:"0" doc:"The next of the piece before."`
	},
	) (operatorapi.LetterPayload, error) {
		if input.Secrets && !by.principal.May(access.Admin) {
			return operatorapi.LetterPayload{}, forbidden(by.principal, access.Admin)
		}
		if _, err := by.letter(ctx, input.Letter); err != nil {
			return operatorapi.LetterPayload{}, err
		}
		return ask[operatorapi.LetterPayloadQuestion, operatorapi.LetterPayload](ctx, by, "letters", "payload",
			operatorapi.LetterPayloadQuestion{ID: input.Letter, Secrets: input.Secrets, Offset: input.Offset})
	})
	a.letterCommandRoutes()
	a.drainRoutes()
}

func (a *api) letterCommandRoutes() {
	type commandInput struct{ Body operatorapi.LettersCommand }
	register(a, route{
		id: "plan-letters", method: http.MethodPost, path: "/letters/count", right: access.Read,
		summary: "Say which letters a retry or a discard would change; nothing is changed",
	}, func(ctx context.Context, by caller, input *commandInput) (operatorapi.LettersPlanned, error) {
		command, err := narrowCommand(by, input.Body)
		if err != nil {
			return operatorapi.LettersPlanned{}, err
		}
		return ask[operatorapi.LettersCommand, operatorapi.LettersPlanned](ctx, by, "letters", "count", command)
	})
	for verb, summary := range map[string]string{
		operatorapi.VerbRetry:   "Try letters again now: those with these ids, or one batch of all that match",
		operatorapi.VerbDiscard: "Give letters up: those with these ids, or one batch of all that match",
	} {
		register(a, route{
			id: verb + "-letters", method: http.MethodPost, path: "/letters/" + verb, right: access.Letters, summary: summary,
			description: "A large filter is worked batch by batch: send next as before, and asOf, until next is null.",
		}, func(ctx context.Context, by caller, input *commandInput) (operatorapi.LettersDone, error) {
			command, err := narrowCommand(by, input.Body)
			if err != nil {
				return operatorapi.LettersDone{}, err
			}
			command.Verb = ""
			return ask[operatorapi.LettersCommand, operatorapi.LettersDone](ctx, by, "letters", verb, command)
		})
	}
}

// narrowCommand returns the command, narrowed to the principal's customer.
func narrowCommand(by caller, command operatorapi.LettersCommand) (operatorapi.LettersCommand, error) {
	var err error
	command.CustomerID, err = by.narrow(command.CustomerID)
	return command, err
}

// letter returns a letter that the principal sees.
func (by caller) letter(ctx context.Context, id string) (operatorapi.LetterShown, error) {
	shown, err := ask[operatorapi.LetterQuestion, operatorapi.LetterShown](ctx, by, "letters", "show", operatorapi.LetterQuestion{ID: id})
	if err == nil && !by.principal.Sees(shown.CustomerID) {
		return operatorapi.LetterShown{}, errNotFound
	}
	return shown, err
}
