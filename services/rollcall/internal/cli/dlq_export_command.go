package cli

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"rollcall.dev/pkg/operatorapi"
)

func (a *app) dlqExport() *cobra.Command {
	var asked letterFlags
	var asCSV bool
	var out string
	command := &cobra.Command{
		Use:   "export [customer]",
		Short: "Write all matching dead letters with their attempts, never what messages held",
		Long: `Writes all matching dead letters with their attempts to standard output, newest first: one JSON document a line, or CSV.
Messages' own bytes are never in it. With --out a file takes the place of an older one when it is whole, and only its owner may
read it; --json then prints how many letters it has.`,
		Example: `  rollcall dlq export acme --state all --out acme-letters.jsonl
  rollcall dlq export --error-code http_422 --csv > refused.csv`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(command *cobra.Command, args []string) error {
			filter, err := asked.filter(command, oneCustomer(args))
			if err != nil {
				return err
			}
			switch {
			case command.Flags().Changed("out") && out == "":
				return usage("--out is empty: name a file, or leave it out for standard output")
			case a.json && out == "":
				return usage("an export is one JSON document a line, and --json stands for one alone: leave it out, or write to a file with --out")
			}
			return a.runDlqExport(command.Context(), filter, asCSV, out)
		},
	}
	asked.add(command)
	command.Flags().BoolVar(&asCSV, "csv", false, "write CSV; the attempts after the first stand in one column, as JSON")
	command.Flags().StringVarP(&out, "out", "o", "", "`file` to write instead of standard output")
	return command
}

// exportedDocument is `dlq export --json --out`.
type exportedDocument struct {
	Letters int64  `json:"letters"`
	Out     string `json:"out"`
}

func (a *app) runDlqExport(ctx context.Context, filter operatorapi.LettersFilter, asCSV bool, out string) error {
	on, err := a.connectForLetters()
	if err != nil {
		return err
	}
	defer on.close()
	if out == "" {
		_, err := exportLetters(ctx, on, filter, asCSV, a.out)
		return err
	}
	count, err := intoFile(out, func(to io.Writer) (int64, error) { return exportLetters(ctx, on, filter, asCSV, to) })
	if err != nil {
		return err
	}
	if a.json {
		return a.document(exportedDocument{Letters: count, Out: out})
	}
	sayf(a.log, "%s in %s", counted(count, "letter"), out)
	return nil
}

// exportPage keeps letters as they arrive: a newer service may send fields that this command does not know.
type exportPage struct {
	Letters []json.RawMessage `json:"letters"`
	AsOf    time.Time         `json:"asOf"`
	Next    *string           `json:"next"`
}

// exportLetters writes page after page, and returns the number of letters that it wrote.
func exportLetters(ctx context.Context, on *link, filter operatorapi.LettersFilter, asCSV bool, to io.Writer) (count int64, err error) {
	write, flush := jsonLines(to)
	if asCSV {
		if write, flush, err = csvLines(to); err != nil {
			return 0, err
		}
	}
	var asOf time.Time
	err = paged[operatorapi.LettersQuestion, exportPage, string]{
		noun: "letters", verb: "export", atOnce: operatorapi.MaxLetters, question: letterPages(filter, &asOf),
		take: func(page exportPage) (int, *string, error) {
			asOf = page.AsOf
			for _, letter := range page.Letters {
				if err := write(letter); err != nil {
					return 0, nil, fmt.Errorf("write letters: %w", err)
				}
				count++
			}
			if err := flush(); err != nil {
				return 0, nil, fmt.Errorf("write letters: %w", err)
			}
			return len(page.Letters), page.Next, nil
		},
	}.ask(ctx, on)
	switch {
	case err != nil && count > 0:
		return count, fmt.Errorf("stopped after %s, which is not all: %w", counted(count, "letter"), err)
	case err != nil:
		return 0, lettersError(filter.CustomerID, err)
	}
	return count, nil
}

func jsonLines(to io.Writer) (write func(json.RawMessage) error, flush func() error) {
	return func(letter json.RawMessage) error {
		_, err := to.Write(append(letter, '\n'))
		return err
	}, func() error { return nil }
}

func csvLines(to io.Writer) (write func(json.RawMessage) error, flush func() error, err error) {
	lines := csv.NewWriter(to)
	flush = func() error {
		lines.Flush()
		return lines.Error()
	}
	err = lines.Write([]string{
		"id", "customerId", "kind", "recordId", "state", "errorCode", "errorClass", "attempts", "firstFailedAt", "lastFailedAt", "nextAttemptAt",
		"askedAt", "settledAt", "settledHow", "settledNote", "job", "traceId", "originalSubject", "origin", "sourceUpdatedAt", "hasPayload", "history", "reason",
	})
	return func(raw json.RawMessage) error {
		var letter operatorapi.LetterDetail
		if err := json.Unmarshal(raw, &letter); err != nil {
			return fmt.Errorf("read letter: %w", err)
		}
		history, err := json.Marshal(letter.History)
		if err != nil {
			return fmt.Errorf("encode attempts: %w", err)
		}
		return lines.Write([]string{
			letter.ID, letter.CustomerID, letter.Kind, textOr(letter.RecordID, ""), letter.State, letter.ErrorCode, letter.ErrorClass,
			strconv.Itoa(letter.Attempts), stamp(&letter.FirstFailedAt), stamp(&letter.LastFailedAt), stamp(letter.NextAttemptAt),
			stamp(letter.AskedAt), stamp(letter.SettledAt), textOr(letter.SettledHow, ""), textOr(letter.SettledNote, ""), letter.Job,
			textOr(letter.TraceID, ""), letter.OriginalSubject, textOr(letter.Origin, ""), stamp(letter.SourceUpdatedAt),
			strconv.FormatBool(letter.HasPayload), string(history), textOr(letter.Reason, ""),
		})
	}, flush, err
}

// stamp formats a time as in JSON, or "" without a time.
func stamp(at *time.Time) string {
	if at == nil {
		return ""
	}
	return at.UTC().Format(time.RFC3339Nano)
}

// intoFile writes a temporary file and renames it when it is complete. Only the owner may read it.
func intoFile(name string, write func(to io.Writer) (int64, error)) (count int64, err error) {
	file, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+".*") // 0600
	if err != nil {
		return 0, fmt.Errorf("write %s: %w", name, err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(file.Name()))
		}
	}()
	count, err = write(file)
	if closed := file.Close(); err == nil && closed != nil {
		err = fmt.Errorf("write %s: %w", name, closed)
	}
	if err != nil {
		return count, err
	}
	if err = os.Rename(file.Name(), name); err != nil {
		return count, fmt.Errorf("write %s: %w", name, err)
	}
	return count, nil
}
