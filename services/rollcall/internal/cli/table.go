package cli

import (
	"fmt"
	"text/tabwriter"
)

// table is text whose cells stand below each other.
type table struct{ columns *tabwriter.Writer }

// table returns a table on standard output. It is printed by end.
func (a *app) table() table { return table{tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)} }

// row adds a row of cells.
func (t table) row(cells ...any) {
	for i, cell := range cells {
		if i > 0 {
			_, _ = fmt.Fprint(t.columns, "\t") // the output keeps its error, as for sayf
		}
		_, _ = fmt.Fprint(t.columns, cell)
	}
	_, _ = fmt.Fprintln(t.columns)
}

// group adds a heading and below it names with their values.
func (t table) group(heading string, lines ...string) {
	t.row("  " + heading)
	for i := 0; i+1 < len(lines); i += 2 {
		t.row("    "+lines[i], lines[i+1])
	}
}

func (t table) end() error {
	if err := t.columns.Flush(); err != nil {
		return fmt.Errorf("print table: %w", err)
	}
	return nil
}

// listing is what an ls prints.
type listing[Item any] struct {
	columns []any
	items   []Item
	row     func(item Item) []any
	none    string // what is said if there is no item
	more    bool   // there are more items than these
}

// printList prints a row for each item below the names of the columns.
func printList[Item any](a *app, list listing[Item]) error {
	if len(list.items) == 0 {
		sayf(a.log, "%s", list.none)
		return nil
	}
	rows := a.table()
	rows.row(list.columns...)
	for _, item := range list.items {
		rows.row(list.row(item)...)
	}
	if err := rows.end(); err != nil {
		return err
	}
	if list.more {
		sayf(a.log, "There are more: --limit or --all shows them.")
	}
	return nil
}
