package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/pkg/operatorclient"
	"rollcall.dev/pkg/service"
	"rollcall.dev/pkg/store"
)

// lettersTimeout is longer than the service's own timeout for a batch of letters.
const lettersTimeout = 12 * time.Second

func (a *app) dlq() *cobra.Command {
	command := &cobra.Command{
		Use:     "dlq",
		Aliases: []string{"letters"},
		Short:   "Look at dead letters, retry, discard and export them",
		Long: `A dead letter is a user that the destination rejected (kind user), a message that could not be handled (kind message), or
a user whose values VOMO rejected or that may not be written back (kind writeback).
Waiting letters are retried automatically; letters in review wait for an operator. A letter is settled when the destination
accepted it or a newer version of the user, or when it is discarded. rollcall drain start retries or discards many letters in the
background.`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			return usage("say which: dlq ls, show, retry, discard or export")
		},
	}
	command.AddCommand(a.dlqLs(), a.dlqShow(), a.dlqRetry(), a.dlqDiscard(), a.dlqExport())
	return command
}

// connectForLetters connects with a timeout that is long enough for letters.
func (a *app) connectForLetters() (*link, error) {
	on, err := a.connect()
	if err != nil {
		return nil, err
	}
	on.Timeout = max(on.Timeout, lettersTimeout)
	return on, nil
}

// letterError says which letter a service's error is about.
func letterError(id string, err error) error {
	var refused *operatorclient.RejectedError
	switch {
	case operatorclient.IsUnknown(err):
		return fmt.Errorf("letter %q is not known: rollcall dlq ls lists open letters, with --state all settled ones too", id)
	case errors.As(err, &refused) && refused.Code != service.CodeInternal:
		return errors.New(refused.Text)
	}
	return err
}

// lettersError lists a service's errors about a filter.
func lettersError(customer string, err error) error {
	var refused *operatorclient.RejectedError
	if errors.As(err, &refused) && len(refused.Fields.Errors) > 0 {
		return fmt.Errorf("the service does not accept this filter:%s", fieldErrors(refused.Fields.Errors))
	}
	return customerError(customer, err)
}

func (a *app) dlqLs() *cobra.Command {
	var asked letterFlags
	var listed listFlags
	command := &cobra.Command{
		Use:     "ls [customer]",
		Aliases: []string{"list"},
		Short:   "Count dead letters by error code, and list them, newest first",
		Example: `  rollcall dlq ls acme
  rollcall dlq ls --state review --error-code http_422 --older-than 3d --all`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(command *cobra.Command, args []string) error {
			filter, err := asked.filter(command, oneCustomer(args))
			if err != nil {
				return err
			}
			rows, err := listed.rows()
			if err != nil {
				return err
			}
			on, err := a.connectForLetters()
			if err != nil {
				return err
			}
			defer on.close()
			letters, err := listLetters(command.Context(), on, filter, rows)
			if err != nil {
				return lettersError(filter.CustomerID, err)
			}
			if a.json {
				return a.document(letters)
			}
			if err := a.printCodes(letters.Codes, letters.AsOf); err != nil {
				return err
			}
			return printList(a, letterList(letters.Letters, letters.AsOf, letters.Next != nil))
		},
	}
	asked.add(command)
	listed.add(command)
	return command
}

// listLetters joins the service's pages. All pages count ages from the time of the first one.
func listLetters(ctx context.Context, on *link, filter operatorapi.LettersFilter, rows int) (operatorapi.LettersReply, error) {
	whole := operatorapi.LettersReply{Letters: []operatorapi.Letter{}}
	err := paged[operatorapi.LettersQuestion, operatorapi.LettersReply, string]{
		noun: "letters", verb: "ls", rows: rows, atOnce: operatorapi.MaxLetters,
		question: func(at string, rows int32) operatorapi.LettersQuestion {
			question := letterPages(filter, &whole.AsOf)(at, rows)
			question.Codes = at == ""
			return question
		},
		take: func(page operatorapi.LettersReply) (int, *string, error) {
			if page.Codes != nil {
				whole.Codes = page.Codes
			}
			whole.Letters = append(whole.Letters, page.Letters...)
			whole.AsOf, whole.Next = page.AsOf, page.Next
			return len(page.Letters), page.Next, nil
		},
	}.ask(ctx, on)
	return whole, err
}

// printCodes prints how many letters have each error code, above the list of letters.
func (a *app) printCodes(codes []operatorapi.LettersOfCode, asOf time.Time) error {
	if len(codes) == 0 {
		return nil
	}
	rows := a.table()
	rows.row("ERROR", "CLASS", "LETTERS", "IN REVIEW", "OLDEST")
	for _, code := range codes {
		age := max(int64(asOf.Sub(code.OldestAt).Seconds()), 0)
		rows.row(code.ErrorCode, code.ErrorClass, humanize.Comma(code.Letters), humanize.Comma(code.Review), seconds(age))
	}
	rows.row()
	return rows.end()
}

// letterPages returns the questions for pages of letters. asOf is the time of the page before.
func letterPages(filter operatorapi.LettersFilter, asOf *time.Time) func(at string, rows int32) operatorapi.LettersQuestion {
	return func(at string, rows int32) operatorapi.LettersQuestion {
		question := operatorapi.LettersQuestion{LettersFilter: filter, Limit: rows}
		if at != "" {
			question.AsOf, question.Before = asOf, at
		}
		return question
	}
}

// letterList lists letters, each by the beginning of its id.
func letterList(letters []operatorapi.Letter, asOf time.Time, more bool) listing[operatorapi.Letter] {
	shown := slices.Clone(letters)
	for i, id := range shortIDs(letters) {
		shown[i].ID = id
	}
	return listing[operatorapi.Letter]{
		columns: []any{"ID", "CUSTOMER", "KIND", "RECORD", "ERROR", "CLASS", "ATTEMPTS", "AGE", "STATE", "JOB"},
		items:   shown, none: "No dead letter matches.", more: more,
		row: func(letter operatorapi.Letter) []any {
			return []any{
				letter.ID, letter.CustomerID, letter.Kind, textOr(letter.RecordID, "-"), letter.ErrorCode, letter.ErrorClass,
				letter.Attempts, seconds(letter.AgeSeconds), letterState(letter, asOf), letter.Job,
			}
		},
	}
}

// shortIDs returns the shortest beginning of each id that is unique among these letters and that commands accept.
func shortIDs(letters []operatorapi.Letter) []string {
	short := make([]string, len(letters))
	for i := range letters {
		short[i] = letters[i].ID
	}
	for length := store.ShortestLetterID; length < len("00000000-0000-0000-0000-000000000000"); length++ {
		met := map[string]int{}
		for _, letter := range letters {
			met[letter.ID[:min(length, len(letter.ID))]]++
		}
		left := false
		for i, letter := range letters {
			prefix := letter.ID[:min(length, len(letter.ID))]
			switch {
			case met[prefix] > 1:
				left = true
			case len(short[i]) > length:
				short[i] = prefix
			}
		}
		if !left {
			break
		}
	}
	return short
}

// letterState returns a letter's state, and when it is retried.
func letterState(letter operatorapi.Letter, asOf time.Time) string {
	switch {
	case letter.State == string(store.LettersSettled) && letter.SettledHow != nil:
		return "settled, " + *letter.SettledHow
	case letter.NextAttemptAt == nil:
		return letter.State
	case !letter.NextAttemptAt.After(asOf):
		return letter.State + ", due now"
	}
	return letter.State + ", in " + seconds(int64(letter.NextAttemptAt.Sub(asOf).Round(time.Second)/time.Second))
}

func textOr(value *string, otherwise string) string {
	if value == nil {
		return otherwise
	}
	return *value
}
