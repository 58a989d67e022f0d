package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// table prints a report for people: of each figure its median, and from where to where it went.
func (r *report) table(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	line := func(cells ...string) {
		_, _ = fmt.Fprintln(w, strings.Join(cells, "\t")) // an error is returned again by Flush
	}
	for _, each := range r.Rows {
		line("\n" + each.Name + ": " + each.About)
		programs := []string{product}
		if each.Ratio != nil {
			programs = append(programs, limit)
		}
		line(append([]string{""}, programs...)...)
		for _, name := range each.names() {
			cells := []string{"  " + name}
			for _, program := range programs {
				cell := "-"
				if value, measured := each.Figures[program][name]; measured {
					cell = value.String()
				}
				cells = append(cells, cell)
			}
			line(cells...)
		}
		if each.Ratio == nil {
			continue
		}
		ratio := fmt.Sprintf("  ratio\t%s\tthe limit's time by the product's", each.Ratio)
		if each.Bound > 0 {
			ratio += fmt.Sprintf(", at least %.2f", each.Bound)
		}
		line(ratio)
	}
	if err := w.Flush(); err != nil {
		return fmt.Errorf("print: %w", err)
	}
	return nil
}

// String returns the median and the range, such as 3.21 (3.10–3.40).
func (s spread) String() string {
	if s.Min == s.Max {
		return rounded(s.Median)
	}
	return fmt.Sprintf("%s (%s–%s)", rounded(s.Median), rounded(s.Min), rounded(s.Max))
}

// rounded shows a number with as many digits as mean something.
func rounded(value float64) string {
	switch {
	case value == 0:
		return "0"
	case value < 0.1:
		return fmt.Sprintf("%.4f", value)
	case value < 10:
		return fmt.Sprintf("%.3f", value)
	case value < 100:
		return fmt.Sprintf("%.1f", value)
	}
	return fmt.Sprintf("%.0f", value)
}
