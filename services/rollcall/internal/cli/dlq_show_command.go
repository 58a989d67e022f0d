package cli

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"unicode"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/pkg/store"
)

func (a *app) dlqShow() *cobra.Command {
	var payload, secrets bool
	command := &cobra.Command{
		Use:   "show <id>",
		Short: "Show everything of one dead letter, and what helps",
		Long: `Shows one dead letter with its attempts, what can be done about it, and whether the destination has another version of
the user. The id may be shortened to its first 8 characters or more where no other letter's begins so.

A letter of a user that the destination rejected has what the destination answered, at most 2 KiB of it. Such an answer may
quote the person. It is kept sealed; no list, stream, log or metric has it.

A message letter keeps the message, sealed. --payload shows it. An onboarding message may hold tokens in the clear: the
values of the fields vomoToken, token and webhookSecret, and of any other whose name says token, secret, password, key or
credential, are shown as "…" unless --secrets is given too. A message that is no JSON document may hold anything
anywhere: it is shown only with --secrets, in base64. The service logs that a message was shown, not what it held.`,
		Example: `  rollcall dlq show 1f0c9a72
  rollcall dlq show 1f0c9a72 --payload`,
		Args: cobra.ExactArgs(1),
		RunE: func(command *cobra.Command, args []string) error {
			if !isLetterID(args[0]) {
				return usage("%q is no letter's id: give it whole, or at least its first %d characters, as rollcall dlq ls has them",
					args[0], store.ShortestLetterID)
			}
			if secrets && !payload {
				return usage("--secrets goes with --payload")
			}
			return a.runDlqShow(command.Context(), args[0], payload, secrets)
		},
	}
	command.Flags().BoolVar(&payload, "payload", false, "show what a message letter's message held, with what may be secret hidden")
	command.Flags().BoolVar(&secrets, "secrets", false, "with --payload: show tokens and secrets in the clear, and what is no JSON in base64")
	return command
}

// shownDocument is `dlq show --json`.
type shownDocument struct {
	operatorapi.LetterShown

	Payload       json.RawMessage `json:"payload,omitempty"`
	PayloadBase64 string          `json:"payloadBase64,omitempty"` // what is no JSON document
	PayloadHidden *int            `json:"payloadHidden,omitempty"` // how many values were replaced
}

func (a *app) runDlqShow(ctx context.Context, id string, payload, secrets bool) error {
	on, err := a.connectForLetters()
	if err != nil {
		return err
	}
	defer on.close()
	shown, err := ask[operatorapi.LetterQuestion, operatorapi.LetterShown](ctx, on, "letters", "show", operatorapi.LetterQuestion{ID: id})
	if err != nil {
		return letterError(id, err)
	}
	document := shownDocument{LetterShown: shown}
	if payload {
		if err := readPayload(ctx, on, &document, secrets); err != nil {
			return letterError(id, err)
		}
	}
	if a.json {
		return a.document(document)
	}
	return a.showLetter(document)
}

// readPayload joins the pieces of a message.
func readPayload(ctx context.Context, on *link, document *shownDocument, secrets bool) error {
	var whole []byte
	var last operatorapi.LetterPayload
	err := paged[operatorapi.LetterPayloadQuestion, operatorapi.LetterPayload, int]{
		noun: "letters", verb: "payload",
		question: func(at int, _ int32) operatorapi.LetterPayloadQuestion {
			return operatorapi.LetterPayloadQuestion{ID: document.ID, Secrets: secrets, Offset: at}
		},
		take: func(piece operatorapi.LetterPayload) (int, *int, error) {
			whole = append(whole, piece.Data...)
			if piece.Next != nil && *piece.Next != len(whole) {
				return 0, nil, errors.New("the pieces of the message do not fit together; ask again")
			}
			last = piece
			return 0, piece.Next, nil
		},
	}.ask(ctx, on)
	if err != nil {
		return err
	}
	if last.Format == operatorapi.PayloadJSON && json.Valid(whole) {
		document.Payload, document.PayloadHidden = harmless(whole), &last.Hidden
	} else {
		document.PayloadBase64 = base64.StdEncoding.EncodeToString(whole)
	}
	return nil
}

// harmless escapes control characters, which a terminal could execute. In JSON they occur only in texts.
func harmless(document []byte) []byte {
	var out bytes.Buffer
	for _, r := range string(document) {
		if r != '\n' && r != '\r' && r != '\t' && (unicode.IsControl(r) || unicode.Is(unicode.Cf, r)) && r <= 0xffff {
			fmt.Fprintf(&out, `\u%04x`, r)
			continue
		}
		out.WriteRune(r)
	}
	return out.Bytes()
}

func (a *app) showLetter(shown shownDocument) error {
	letter := a.table()
	letter.row("letter " + shown.ID)
	line := func(name, format string, args ...any) { letter.row("  "+name, fmt.Sprintf(format, args...)) }
	line("customer", "%s", shown.CustomerID)
	line("kind", "%s", shown.Kind)
	if shown.RecordID != nil {
		line("record", "%s", *shown.RecordID)
	}
	line("error", "%s (%s)", shown.ErrorCode, shown.ErrorClass)
	if shown.Reason != nil {
		line("reason", "%s", *shown.Reason)
	}
	line("state", "%s", letterStateWithTimes(shown.Letter))
	if shown.SettledNote != nil {
		line("note", "%s", *shown.SettledNote)
	}
	if shown.AskedAt != nil {
		line("asked for", "%s", moment(*shown.AskedAt))
	}
	line("attempts", "%d", shown.Attempts)
	line("first failed", "%s, %s ago", moment(shown.FirstFailedAt), seconds(shown.AgeSeconds))
	line("last failed", "%s", moment(shown.LastFailedAt))
	line("job", "%s", shown.Job)
	line("trace", "%s", textOr(shown.TraceID, "none"))
	line("subject", "%s", shown.OriginalSubject)
	if shown.Origin != nil {
		line("origin", "%s", *shown.Origin)
	}
	if shown.SourceUpdatedAt != nil {
		line("rejected version", "%s", moment(*shown.SourceUpdatedAt))
	}
	if shown.DestinationVersion != nil {
		line("in the destination", "%s", comparedWith(*shown.DestinationVersion))
	}
	if err := letter.end(); err != nil {
		return err
	}
	if err := a.showAttempts(shown.LetterShown); err != nil {
		return err
	}
	if said := shown.DestinationAnswer; said != nil {
		sayf(a.out, "\nthe destination answered %d\n%s", said.Status, harmless([]byte(said.Text)))
	}
	sayf(a.out, "\n%s\n  %s", shown.Text, shown.Remedy)
	a.showPayload(shown)
	return nil
}

func (a *app) showAttempts(shown operatorapi.LetterShown) error {
	if len(shown.History) == 0 {
		return nil
	}
	attempts := a.table()
	attempts.row("\nattempts after the first")
	if shown.HistoryLeftOut > 0 {
		attempts.row("  " + humanize.Comma(int64(shown.HistoryLeftOut)) + " older ones are not shown")
	}
	for _, attempt := range shown.History {
		cells := []any{"  " + moment(attempt.At), attempt.Code, attempt.Job}
		if attempt.LetterID != "" {
			cells = append(cells, "of letter "+attempt.LetterID+", published again")
		}
		attempts.row(cells...)
	}
	return attempts.end()
}

func (a *app) showPayload(shown shownDocument) {
	switch {
	case shown.Payload != nil:
		sayf(a.out, "\nmessage\n%s", shown.Payload)
		if *shown.PayloadHidden > 0 {
			sayf(a.log, "%s may be secret and stand as …; --secrets shows them.", counted(*shown.PayloadHidden, "value"))
		}
	case shown.PayloadBase64 != "":
		sayf(a.out, "\nmessage, base64\n%s", shown.PayloadBase64)
	}
}

// letterStateWithTimes returns a letter's state with its times.
func letterStateWithTimes(letter operatorapi.Letter) string {
	text := letter.State
	if letter.NextAttemptAt != nil {
		text += ", next attempt " + moment(*letter.NextAttemptAt)
	}
	if letter.SettledHow != nil {
		text += ", " + *letter.SettledHow
	}
	if letter.SettledAt != nil {
		text += " " + moment(*letter.SettledAt)
	}
	return text
}

// comparedWith compares the version in the destination with the rejected one.
func comparedWith(standing operatorapi.DestinationVersion) string {
	words := map[string]string{"newer": "a newer version", "older": "an older version", "other": "another version of the same second"}[standing.Compared]
	if words == "" {
		words = "another version" // a newer service's word
	}
	return fmt.Sprintf("%s, of %s, written %s", words, moment(standing.SourceUpdatedAt), moment(standing.SyncedAt))
}
