package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"text/tabwriter"
	"time"

	"github.com/dustin/go-humanize/english"
)

// sayf writes one line. Its error is kept by the output, which Run asks in the end.
func sayf(to io.Writer, format string, args ...any) {
	_, _ = fmt.Fprintf(to, format+"\n", args...)
}

// document prints the one JSON document of --json.
func (a *app) document(value any) error {
	encoder := json.NewEncoder(a.out)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		return fmt.Errorf("print JSON: %w", err)
	}
	return nil
}

// counted writes "1 user" and "2,000 users".
func counted[N int | int64](number N, one string) string { return english.Plural(int(number), one, "") }

// longest is the longest time that is written; it fits into a time.Duration.
const longest = math.MaxInt64 / int64(time.Second)

// seconds writes a time in its two largest units: 45s, 7m20s, 1h06m, 3d04h. humanize would write one unit alone: "1 hour".
func seconds(number int64) string {
	length := time.Duration(min(number, longest)) * time.Second
	hours, minutes := int64(length.Hours()), int64(length.Minutes())
	switch {
	case hours >= 48:
		return fmt.Sprintf("%dd%02dh", hours/24, hours%24)
	case hours >= 1:
		return fmt.Sprintf("%dh%02dm", hours, minutes%60)
	case minutes >= 1 && number%60 == 0:
		return fmt.Sprintf("%dm", minutes)
	}
	return length.String()
}

const clockLayout = "2006-01-02 15:04:05 UTC"

func moment(at time.Time) string { return at.UTC().Format(clockLayout) }

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
