package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
)

const defaultListed = 50

// listFlags say how many rows an ls prints.
type listFlags struct {
	limit int
	all   bool
}

func (f *listFlags) add(command *cobra.Command) {
	command.Flags().IntVar(&f.limit, "limit", defaultListed, "how many to list")
	command.Flags().BoolVar(&f.all, "all", false, "list all, however many")
}

// rows returns how many rows are wanted, allRows for all of them.
func (f *listFlags) rows() (int, error) {
	switch {
	case f.limit < 1:
		return 0, usage("--limit must be 1 or more")
	case f.all:
		return allRows, nil
	}
	return f.limit, nil
}

// lister returns an ls without arguments.
func (a *app) lister(short string, list func(ctx context.Context, on *link, rows int) error) *cobra.Command {
	var asked listFlags
	command := &cobra.Command{
		Use:     "ls",
		Aliases: []string{"list"},
		Short:   short,
		Args:    cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			rows, err := asked.rows()
			if err != nil {
				return err
			}
			on, err := a.connect()
			if err != nil {
				return err
			}
			defer on.close()
			return list(command.Context(), on, rows)
		},
	}
	asked.add(command)
	return command
}

// allRows asks for every row there is.
const allRows = 0

// paged is a question that a service answers page by page.
type paged[Question, Page any, Cursor comparable] struct {
	noun, verb string
	rows       int // how many rows are wanted in all, or allRows
	atOnce     int // the most rows that the service gives in one page
	// question asks for the page at a cursor; the first page's is the zero value.
	question func(at Cursor, rows int32) Question
	// take keeps a page. It returns the number of its rows and the next page's cursor, nil at the last page.
	take func(page Page) (rows int, next *Cursor, err error)
}

// ask asks for one page after another, until there is no more or there are as many rows as wanted.
func (p paged[Question, Page, Cursor]) ask(ctx context.Context, on *link) error {
	var at Cursor
	for taken := 0; ; {
		rows := p.atOnce
		if p.rows != allRows {
			rows = min(rows, p.rows-taken)
		}
		page, err := ask[Question, Page](ctx, on, p.noun, p.verb, p.question(at, int32(rows))) //nolint:gosec // G115: at most atOnce
		if err != nil {
			return err
		}
		count, next, err := p.take(page)
		taken += count
		switch {
		case err != nil:
			return err
		case next == nil, p.rows != allRows && taken >= p.rows:
			return nil
		case *next == at:
			return fmt.Errorf("%s.%s: the service names the same page as the next one again", p.noun, p.verb)
		}
		at = *next
	}
}
