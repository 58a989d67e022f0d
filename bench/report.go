package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
)

// report is the result of a measurement.
type report struct {
	Machine  map[string]any    `json:"machine"`
	Postgres map[string]string `json:"postgres"`
	Rows     []rowReport       `json:"rows"`
}

// rowReport is what was measured of one row.
type rowReport struct {
	Name    string                       `json:"name"`
	About   string                       `json:"about"`
	Bound   float64                      `json:"bound,omitempty"`
	Ratio   *spread                      `json:"ratio,omitempty"` // the limit's time by the product's, turn by turn: 1 is as fast as the limit
	Figures map[string]map[string]spread `json:"figures"`         // by program and name
	Rounds  []round                      `json:"rounds"`          // in the order in which they ran
}

// spread is a figure over all rounds. For an even number of rounds, the median is the mean of the two in the middle.
type spread struct {
	Median float64 `json:"median"`
	Min    float64 `json:"min"`
	Max    float64 `json:"max"`
}

func spreadOf(values []float64) spread {
	values = slices.Sorted(slices.Values(values))
	last := len(values) - 1
	return spread{Median: (values[last/2] + values[(last+1)/2]) / 2, Min: values[0], Max: values[last]}
}

func (r *rowReport) summarise() {
	collected := map[string]map[string][]float64{}
	for _, played := range r.Rounds {
		if collected[played.Program] == nil {
			collected[played.Program] = map[string][]float64{}
		}
		for name, value := range played.Figures {
			collected[played.Program][name] = append(collected[played.Program][name], value)
		}
	}
	r.Figures = map[string]map[string]spread{}
	for program, its := range collected {
		r.Figures[program] = map[string]spread{}
		for name, values := range its {
			r.Figures[program][name] = spreadOf(values)
		}
	}
	var ratios []float64
	for turn, least := range collected[limit][figureSeconds] {
		ratios = append(ratios, least/collected[product][figureSeconds][turn])
	}
	if len(ratios) > 0 {
		r.Ratio = new(spreadOf(ratios))
	}
}

// names returns the names of all figures: first how long it took, last what processes used.
func (r *rowReport) names() []string {
	all := map[string]bool{}
	for _, its := range r.Figures {
		for name := range its {
			all[name] = true
		}
	}
	place := func(name string) int {
		switch {
		case name == figureSeconds:
			return 0
		case strings.HasSuffix(name, "s/s"):
			return 1
		case strings.HasPrefix(name, figureCPU):
			return 3
		case strings.HasPrefix(name, figurePeak):
			return 4
		case strings.HasPrefix(name, figureStatement):
			return 5
		case strings.HasPrefix(name, figureStatementTime):
			return 6
		case name == figureLoad:
			return 7
		}
		return 2
	}
	names := make([]string, 0, len(all))
	for name := range all {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int { return cmp.Or(cmp.Compare(place(a), place(b)), cmp.Compare(a, b)) })
	return names
}

// write writes the report to a file, if there is one.
func (r *report) write(file string) error {
	if file == "" {
		return nil
	}
	encoded, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("encode report: %w", err)
	}
	if err := os.WriteFile(file, append(encoded, '\n'), 0o644); err != nil { //nolint:gosec // every user may read the report
		return fmt.Errorf("write report: %w", err)
	}
	return nil
}

func readReport(file string) (found report, err error) {
	encoded, err := os.ReadFile(file) //nolint:gosec // G304: the file that the caller asks for
	if err == nil {
		err = json.Unmarshal(encoded, &found)
	}
	if err == nil && len(found.Rows) == 0 {
		err = fmt.Errorf("%s has no rows", file)
	}
	if err != nil {
		return report{}, fmt.Errorf("read report: %w", err)
	}
	return found, nil
}
