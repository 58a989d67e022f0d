package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// table prints a report for people.
func (r *report) table(out io.Writer) error {
	var programs []string
	for _, program := range []string{product, limit} {
		if _, measured := r.Medians[program]; measured {
			programs = append(programs, program)
		}
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	line := func(name string, value func(m round) string) {
		cells := []string{name}
		for _, program := range programs {
			cells = append(cells, value(r.Medians[program]))
		}
		// An error here is returned again by Flush.
		_, _ = fmt.Fprintln(w, strings.Join(cells, "\t")+"\t")
	}
	line("", func(m round) string { return m.Program })
	line("seconds", func(m round) string { return fmt.Sprintf("%.2f", m.Seconds) })
	line("users a second", func(m round) string { return fmt.Sprintf("%.0f", m.UsersPerSecond) })
	section := func(title, form string, of func(m round) map[string]float64) {
		line(title, func(round) string { return "" })
		for _, part := range parts(r.Medians) {
			line(part, func(m round) string {
				value, used := of(m)[part]
				if !used {
					return "-"
				}
				return fmt.Sprintf(form, value)
			})
		}
	}
	section("CPU ms a user:", "%.3f", func(m round) map[string]float64 { return m.CPU })
	line("all", func(m round) string {
		var all float64
		for _, value := range m.CPU {
			all += value
		}
		return fmt.Sprintf("%.3f", all)
	})
	section("peak MiB:", "%.0f", func(m round) map[string]float64 { return m.Peak })
	line("load before", func(m round) string { return fmt.Sprintf("%.2f", m.Load) })
	if err := w.Flush(); err != nil {
		return fmt.Errorf("print: %w", err)
	}
	if r.Ratio == 0 {
		return nil
	}
	_, err := fmt.Fprintf(out, "\nratio %.2f: the limit's time by the product's, 1 would be as fast as the limit\n", r.Ratio)
	return err
}
