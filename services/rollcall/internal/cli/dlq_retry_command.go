package cli

import (
	"context"
	"fmt"
	"slices"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/pkg/store"
)

// letterCommand holds the flags of `dlq retry` and `dlq discard`.
type letterCommand struct {
	letterFlags

	verb                       string // operatorapi.VerbRetry or VerbDiscard
	note                       string
	allMatching, dryRun, force bool
}

const selectionHelp = `

Name letters by their ids, or by at least the first 8 characters of them; --all-matching selects all letters that match the
filter, of one customer or of all. Letters that cannot be changed are listed and do not stop the rest. --dry-run prints how
many letters it would change, shows the first ones and changes nothing. If the command was stopped, run it again: it does the
rest.

It exits 0 when it changed every letter that it could, 1 when a named letter was left, or when running it again may help.`

func (a *app) dlqRetry() *cobra.Command {
	asked := letterCommand{verb: operatorapi.VerbRetry}
	command := &cobra.Command{
		Use:   "retry <id>... | [customer] --all-matching",
		Short: "Try dead letters again now",
		Long: `Tries dead letters again: a user's letter is due now, whether it waited or was in review, and the user is read from VOMO and
written as it is there now; a message is published again. By ids it does not ask; --all-matching asks on a terminal, and needs
--force elsewhere.` + selectionHelp,
		Example: `  rollcall dlq retry 1f0c9a72 77d01be3
  rollcall dlq retry acme --all-matching --error-code destination_5xx --dry-run
  rollcall dlq retry acme --all-matching --error-code destination_5xx`,
		RunE: func(command *cobra.Command, args []string) error { return a.runLetters(command, asked, args) },
	}
	asked.addTo(command, "retry")
	return command
}

func (a *app) dlqDiscard() *cobra.Command {
	asked := letterCommand{verb: operatorapi.VerbDiscard}
	command := &cobra.Command{
		Use:   "discard <id>... | [customer] --all-matching",
		Short: "Give dead letters up: settle them as they are",
		Long: `Settles dead letters as discarded, each with a line in the audit. Nothing is written to the destination, and a message is
gone for good. A user who still differs is met again by the next full read, and gets a new letter if it is rejected again. On a
terminal it asks; elsewhere it needs --force.` + selectionHelp,
		Example: `  rollcall dlq discard 1f0c9a72 --note "left the organisation"
  rollcall dlq discard acme --all-matching --older-than 30d --state review`,
		RunE: func(command *cobra.Command, args []string) error { return a.runLetters(command, asked, args) },
	}
	asked.addTo(command, "discard")
	command.Flags().StringVar(&asked.note, "note", "", "`why`, at most 500 bytes; it is kept with the letter, so no person's data")
	return command
}

func (c *letterCommand) addTo(command *cobra.Command, verb string) {
	c.add(command)
	flags := command.Flags()
	flags.BoolVar(&c.allMatching, "all-matching", false, verb+" all letters that match the filter")
	flags.BoolVarP(&c.dryRun, "dry-run", "n", false, "say what it would change, and change nothing")
	flags.BoolVarP(&c.force, "force", "f", false, "do not ask")
}

// question returns the question for the service; args are ids, or one customer.
func (c *letterCommand) question(command *cobra.Command, args []string) (operatorapi.LettersCommand, error) {
	question := operatorapi.LettersCommand{AllMatching: c.allMatching, Note: c.note}
	customer, ids := "", slices.Clone(c.ids)
	switch {
	case c.allMatching && len(args) > 1:
		return question, usage("--all-matching takes one customer at most, or none for all")
	case c.allMatching:
		customer = oneCustomer(args)
	default:
		for _, arg := range args {
			if !isLetterID(arg) {
				return question, usage("%q is no letter's id, of which at least the first %d characters are needed; --all-matching takes all "+
					"letters of a customer", arg, store.ShortestLetterID)
			}
		}
		ids = append(ids, args...)
	}
	filter, err := c.filter(command, customer)
	if err != nil {
		return question, err
	}
	filter.IDs = ids
	question.LettersFilter = filter
	switch state := store.LetterStates(c.state); {
	case c.allMatching && len(ids) > 0:
		return question, usage("--all-matching and ids exclude one another: name letters, or take all that the filter means")
	case !c.allMatching && len(ids) == 0:
		return question, usage("say which letters by their ids, or take all that the filter means with --all-matching")
	case len(ids) > 0 && filter.Narrows():
		return question, usage("a filter goes with --all-matching: letters that are named by their ids are named already")
	case state == store.LettersSettled, state == store.LettersAll:
		return question, usage("--state takes open, waiting or review here: a settled letter is settled")
	case len(c.note) > operatorapi.MaxNote:
		return question, usage("--note takes at most %d bytes, and this one has %d", operatorapi.MaxNote, len(c.note))
	}
	return question, nil
}

// asks reports whether the command asks for confirmation.
func (c *letterCommand) asks() bool { return c.verb == operatorapi.VerbDiscard || c.allMatching }

func (a *app) runLetters(command *cobra.Command, asked letterCommand, args []string) error {
	question, err := asked.question(command, args)
	if err != nil {
		return err
	}
	if asked.asks() && !asked.dryRun && !asked.force && !a.StdinTerminal {
		return usage("there is no terminal to ask on: --force %s without asking; --dry-run says what it would take", thirdPerson(asked.verb))
	}
	on, err := a.connectForLetters()
	if err != nil {
		return err
	}
	defer on.close()
	ctx := command.Context()
	plan, err := planLetters(ctx, on, asked.verb, question)
	if err != nil {
		return lettersError(question.CustomerID, err)
	}
	document := lettersDocument{Action: asked.verb, DryRun: asked.dryRun, Count: plan.Count, Stuck: plan.Stuck, Left: plan.Left}
	if asked.dryRun || plan.Count == 0 {
		document.First, document.Complete = plan.First, true
		return a.printPlan(asked, plan, document)
	}
	if asked.asks() && !asked.force {
		word := confirmWord(question.CustomerID, plan)
		if err := a.confirmTyping(ctx, word, confirmText(asked, plan, word), "nothing was "+past(asked.verb)); err != nil {
			return err
		}
	}
	if question.AsOf = &plan.AsOf; plan.AsOf.IsZero() {
		question.AsOf = nil
	}
	return a.work(ctx, on, asked, question, document)
}

// planLetters asks which letters the command would change. Many named letters need several questions.
func planLetters(ctx context.Context, on *link, verb string, question operatorapi.LettersCommand) (operatorapi.LettersPlanned, error) {
	whole := operatorapi.LettersPlanned{First: []operatorapi.Letter{}, Left: []operatorapi.LetterLeft{}}
	question.Verb = verb
	for part := range parts(question) {
		plan, err := ask[operatorapi.LettersCommand, operatorapi.LettersPlanned](ctx, on, "letters", "count", part)
		if err != nil {
			return whole, err
		}
		whole.Count, whole.Stuck, whole.AsOf = whole.Count+plan.Count, whole.Stuck+plan.Stuck, plan.AsOf
		whole.First, whole.Left = append(whole.First, plan.First...), append(whole.Left, plan.Left...)
	}
	return whole, nil
}

// parts yields the questions of a command: one, or one for each hundred named letters.
func parts(question operatorapi.LettersCommand) func(yield func(operatorapi.LettersCommand) bool) {
	return func(yield func(operatorapi.LettersCommand) bool) {
		if len(question.IDs) == 0 {
			yield(question)
			return
		}
		for ids := range slices.Chunk(question.IDs, operatorapi.MaxLetterIDs) {
			part := question
			part.IDs = ids
			if !yield(part) {
				return
			}
		}
	}
}

// printPlan prints what a command would change, or that there is nothing to change.
func (a *app) printPlan(asked letterCommand, plan operatorapi.LettersPlanned, document lettersDocument) error {
	if a.json {
		if err := a.document(document); err != nil {
			return err
		}
	} else {
		a.printLeft(nil, plan.Left)
		switch {
		case plan.Count == 0:
			sayf(a.out, "Nothing to %s: no open letter matches.", asked.verb)
		default:
			sayf(a.out, "%s would be %s%s", counted(plan.Count, "letter"), past(asked.verb), stuckText(plan))
			if err := printList(a, letterList(plan.First, plan.AsOf, false)); err != nil {
				return err
			}
			if more := plan.Count - int64(len(plan.First)); more > 0 {
				sayf(a.log, "and %s more", humanize.Comma(more))
			}
		}
	}
	if len(plan.Left) > 0 {
		return fmt.Errorf("%s cannot be %s", counted(len(plan.Left), "named letter"), past(asked.verb))
	}
	return nil
}

// confirmWord returns the word that confirms: the customer if all letters are that customer's, or else "all".
func confirmWord(customer string, plan operatorapi.LettersPlanned) string {
	if customer != "" {
		return customer
	}
	if int64(len(plan.First)) < plan.Count {
		return "all"
	}
	for _, letter := range plan.First {
		if letter.CustomerID != plan.First[0].CustomerID {
			return "all"
		}
	}
	return plan.First[0].CustomerID
}

func confirmText(asked letterCommand, plan operatorapi.LettersPlanned, word string) string {
	whose := "of " + word
	if word == "all" {
		whose = "of all customers"
	}
	text := fmt.Sprintf("%s %s will be %s%s.", counted(plan.Count, "letter"), whose, past(asked.verb), stuckText(plan))
	if asked.verb == operatorapi.VerbDiscard {
		text += " This cannot be taken back."
	}
	return text
}

func stuckText(plan operatorapi.LettersPlanned) string {
	if plan.Stuck == 0 {
		return ""
	}
	return fmt.Sprintf(", but for %s of them that no retry takes", humanize.Comma(plan.Stuck))
}

func past(verb string) string {
	if verb == operatorapi.VerbDiscard {
		return "discarded"
	}
	return "retried"
}

func thirdPerson(verb string) string {
	if verb == operatorapi.VerbDiscard {
		return "discards"
	}
	return "retries"
}
