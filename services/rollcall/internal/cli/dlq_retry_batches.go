package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/dustin/go-humanize"
	"github.com/schollz/progressbar/v3"

	"rollcall.dev/pkg/operatorapi"
)

// lettersDocument is `dlq retry --json` and `dlq discard --json`.
type lettersDocument struct {
	Action   string                   `json:"action"` // retry, discard
	DryRun   bool                     `json:"dryRun"`
	Count    int64                    `json:"count"`           // how many matched at the start
	Stuck    int64                    `json:"stuck"`           // how many of these cannot be retried
	Done     int64                    `json:"done"`            // how many were retried or discarded
	Left     []operatorapi.LetterLeft `json:"left"`            // those that were left as they were, each with the reason
	First    []operatorapi.Letter     `json:"first,omitempty"` // a dry run: the newest of them, or those that were named
	Complete bool                     `json:"complete"`        // false if it was stopped
}

// work asks for batch after batch, and prints the results.
func (a *app) work(ctx context.Context, on *link, asked letterCommand, question operatorapi.LettersCommand, document lettersDocument) error {
	document.Left = []operatorapi.LetterLeft{}
	progress := a.lettersProgress(asked.verb, document.Count)
	failure := a.batches(ctx, on, asked.verb, question, func(done operatorapi.LettersDone) {
		document.Done += done.Done
		document.Left = append(document.Left, done.Left...)
		if !a.json {
			a.printLeft(progress, done.Left)
		}
		progress.show(document.Done + int64(len(document.Left)))
	})
	progress.end()
	document.Complete = failure == nil
	if a.json {
		if err := a.document(document); err != nil {
			return err
		}
	} else if failure == nil || document.Done > 0 {
		sayf(a.out, "%s %s%s", counted(document.Done, "letter"), past(asked.verb), consequenceOf(asked.verb, len(document.Left)))
	}
	if failure != nil {
		return fmt.Errorf("stopped after %s of %s; running the same command again does the rest: %w",
			humanize.Comma(document.Done), humanize.Comma(document.Count), lettersError(question.CustomerID, failure))
	}
	return leftError(question, document.Left)
}

// batches asks for one batch after another.
func (a *app) batches(ctx context.Context, on *link, verb string, question operatorapi.LettersCommand, took func(operatorapi.LettersDone)) error {
	for part := range parts(question) {
		err := paged[operatorapi.LettersCommand, operatorapi.LettersDone, string]{
			noun: "letters", verb: verb,
			question: func(at string, _ int32) operatorapi.LettersCommand {
				part.Before = at
				return part
			},
			take: func(done operatorapi.LettersDone) (int, *string, error) {
				took(done)
				if done.Next != nil {
					part.AsOf = &done.AsOf
				}
				return 0, done.Next, nil
			},
		}.ask(ctx, on)
		if err != nil && ctx.Err() != nil {
			return errInterrupted
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func consequenceOf(verb string, left int) string {
	text := ""
	if verb == operatorapi.VerbRetry {
		text = "; users' are due now and worked in their customer's turn, messages are published again"
	}
	if left > 0 {
		text += "; " + humanize.Comma(int64(left)) + " left as they were"
	}
	return text
}

// leftError returns nil if the service handled every letter that it could. A named letter that was left is always an error;
// for a filter, the count of letters that cannot be retried was printed before.
func leftError(question operatorapi.LettersCommand, left []operatorapi.LetterLeft) error {
	again := 0
	for _, one := range left {
		if one.Reason == operatorapi.LeftInHand || one.Reason == operatorapi.LeftRedriveError {
			again++
		}
	}
	switch {
	case len(question.IDs) > 0 && len(left) > 0:
		return fmt.Errorf("%s left as they were", counted(len(left), "named letter"))
	case again > 0:
		return fmt.Errorf("%s may be taken by another run of the same command", counted(again, "letter"))
	}
	return nil
}

// printLeft prints for each unchanged letter the reason and the remedy.
func (a *app) printLeft(progress *lettersProgress, left []operatorapi.LetterLeft) {
	for _, one := range left {
		if progress != nil {
			progress.clear()
		}
		text, remedy := operatorapi.ExplainLeft(one.Reason)
		about := one.ID
		if one.CustomerID != "" {
			about += " (" + one.CustomerID + ", " + one.Kind
			if one.RecordID != "" {
				about += " " + one.RecordID
			}
			about += ")"
		}
		if len(one.IDs) > 0 {
			text += " " + strings.Join(one.IDs, " ")
		}
		if one.Text != "" {
			text += ": " + one.Text
		} else if one.Code != "" {
			text += " (" + one.Code + ")"
		}
		sayf(a.log, "letter %s left: %s; %s", about, text, remedy)
	}
}

// linesEvery is the number of letters between two lines of progress if there is no terminal.
const linesEvery = 10 * operatorapi.MaxLettersBatch

// lettersProgress shows the progress of a command that needs more than one batch.
type lettersProgress struct {
	to       *output
	terminal bool
	verb     string
	total    int64
	printed  int64
	drawn    bool
}

func (a *app) lettersProgress(verb string, total int64) *lettersProgress {
	return &lettersProgress{to: a.log, terminal: a.StderrTerminal, verb: verb, total: total}
}

func (p *lettersProgress) show(done int64) {
	switch {
	case p.total <= operatorapi.MaxLettersBatch:
	case p.terminal:
		total := max(p.total, done, 1)
		bar := progressbar.NewOptions64(total, // one for one frame, as barView's
			progressbar.OptionSetWriter(p.to.to), progressbar.OptionUseANSICodes(true), progressbar.OptionSetWidth(barWidth),
			progressbar.OptionShowCount(), progressbar.OptionSetPredictTime(false), progressbar.OptionSetElapsedTime(false),
			progressbar.OptionShowDescriptionAtLineEnd(), progressbar.OptionSetDescription("letters "+past(p.verb)))
		_ = bar.Set64(done) // a terminal that went away is seen by the next line
		p.drawn = true
	case done-p.printed >= linesEvery:
		p.printed = done
		sayf(p.to, "%s of %s letters %s", humanize.Comma(done), humanize.Comma(p.total), past(p.verb))
	}
}

// clear erases the bar to make room for a line; the next frame draws it again below.
func (p *lettersProgress) clear() {
	if p.drawn {
		_, _ = fmt.Fprint(p.to, "\r\x1b[2K") // as above
	}
	p.drawn = false
}

func (p *lettersProgress) end() {
	if p.drawn {
		sayf(p.to, "")
	}
	p.drawn = false
}
