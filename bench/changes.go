package main

import (
	"fmt"
	"io"
)

// printChanges says which figures of a report are beyond the spread of an earlier one: all rounds are above all rounds of that one, or
// below. The load of the machine is left out.
func printChanges(out io.Writer, old, found report) error {
	lines := []string{"\nChanged beyond the spread:"}
	for _, each := range found.Rows {
		lines = append(lines, each.changes(old)...)
	}
	if len(lines) == 1 {
		lines = append(lines, "  nothing")
	}
	for _, line := range lines {
		if _, err := fmt.Fprintln(out, line); err != nil {
			return fmt.Errorf("print: %w", err)
		}
	}
	return nil
}

// changes returns a line for each figure of a row that changed.
func (r *rowReport) changes(old report) (lines []string) {
	for _, before := range old.Rows {
		switch {
		case before.Name != r.Name:
			continue
		case before.About != r.About:
			return []string{fmt.Sprintf("  %s: not compared, because it measured %q", r.Name, before.About)}
		}
		if r.Ratio != nil && before.Ratio != nil {
			lines = append(lines, change(r.Name+": ratio", *before.Ratio, *r.Ratio)...)
		}
		for _, program := range []string{product, limit} {
			for _, name := range r.names() {
				was, wasMeasured := before.Figures[program][name]
				is, isMeasured := r.Figures[program][name]
				if wasMeasured && isMeasured && name != figureLoad {
					lines = append(lines, change(r.Name+", "+program+": "+name, was, is)...)
				}
			}
		}
		return lines
	}
	return []string{fmt.Sprintf("  %s: not compared, because the earlier report does not have it", r.Name)}
}

func change(of string, was, is spread) []string {
	if is.Min <= was.Max && is.Max >= was.Min {
		return nil
	}
	line := fmt.Sprintf("  %s: %s, was %s", of, is, was)
	if was.Median != 0 {
		line += fmt.Sprintf(" (%+.0f %%)", 100*(is.Median/was.Median-1))
	}
	return []string{line}
}
