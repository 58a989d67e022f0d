package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
)

// report is the result of a measurement.
type report struct {
	Users    int               `json:"users"`
	Machine  map[string]any    `json:"machine"`
	Postgres map[string]string `json:"postgres"`
	// Ratio is the limit program's median time divided by the product's: 1 means as fast as the limit. 0 without a
	// limit program.
	Ratio   float64          `json:"ratio"`
	Medians map[string]round `json:"medians"` // by program; each number is a median of its own
	Rounds  []round          `json:"rounds"`  // in the order in which they ran
}

func (r *report) summarise() {
	r.Medians = map[string]round{}
	for _, program := range []string{product, limit} {
		var played []round
		for _, one := range r.Rounds {
			if one.Program == program {
				played = append(played, one)
			}
		}
		if len(played) > 0 {
			r.Medians[program] = medianOf(program, played)
		}
	}
	if least, measured := r.Medians[limit]; measured {
		r.Ratio = least.Seconds / r.Medians[product].Seconds
	}
}

func medianOf(program string, played []round) round {
	m := round{
		Program:        program,
		Seconds:        median(played, func(r round) float64 { return r.Seconds }),
		UsersPerSecond: median(played, func(r round) float64 { return r.UsersPerSecond }),
		Load:           median(played, func(r round) float64 { return r.Load }),
		CPU:            map[string]float64{}, Peak: map[string]float64{},
	}
	for part := range played[0].CPU {
		m.CPU[part] = median(played, func(r round) float64 { return r.CPU[part] })
		m.Peak[part] = median(played, func(r round) float64 { return r.Peak[part] })
	}
	return m
}

// median returns the middle value, for an even number of values the mean of the two in the middle.
func median(played []round, of func(round) float64) float64 {
	values := make([]float64, 0, len(played))
	for _, one := range played {
		values = append(values, of(one))
	}
	slices.Sort(values)
	middle := len(values) / 2
	if len(values)%2 == 1 {
		return values[middle]
	}
	return (values[middle-1] + values[middle]) / 2
}

// write writes a report to a file, if there is one.
func write(found any, file string) error {
	if file == "" {
		return nil
	}
	encoded, err := json.MarshalIndent(found, "", "  ")
	if err != nil {
		return fmt.Errorf("encode report: %w", err)
	}
	if err := os.WriteFile(file, append(encoded, '\n'), 0o644); err != nil { //nolint:gosec // every user may read the report
		return fmt.Errorf("write report: %w", err)
	}
	return nil
}

// parts returns the processes of a round: first the program's own, then those that both programs use.
func parts(medians map[string]round) []string {
	all := map[string]bool{}
	for _, m := range medians {
		for part := range m.CPU {
			all[part] = true
		}
	}
	order := []string{partBackfill, limit, partOnboarding, partNATS, partPostgres, partSandbox}
	return slices.SortedFunc(maps.Keys(all), func(a, b string) int {
		return cmp.Compare(slices.Index(order, a), slices.Index(order, b))
	})
}
