package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// row is one thing that users have and that is measured. A round of it has a new installation.
type row struct {
	name  string
	about string  // what is measured, with its sizes: results of different sizes are not compared
	bound float64 // the least ratio that is good enough; 0: none is set
	// product measures rollcall, and limit, if there is one, a program that does the least work for the same result. Each checks that
	// the result is true: if it is not, there is an error and no number.
	product, limit func(ctx context.Context, on *installation) (round, error)
}

// Names of the two compared programs.
const (
	product = "product"
	limit   = "limit"
)

// figures are what a round measured, by a name that says the unit.
type figures map[string]float64

// figureSeconds is the figure that the ratio compares.
const figureSeconds = "seconds"

// round is one run of one of the programs.
type round struct {
	Program string  `json:"program"`
	Figures figures `json:"figures"`
}

// Names of the groups of rows.
const (
	groupMirror = "mirror"
	groupGiving = "giving"
)

// mirrorRows are the rows of `make bench`, the quick ones first.
func mirrorRows(of sizes) []row {
	return []row{
		backfillRow(of), manyRow(of), pollRow(of), idleRow(of), redriveRow(of), claimRow(of), resumeRow(of), growthRow(of), fairnessRow(of),
	}
}

// chosen returns the rows with these names, of which some may be groups, separated by commas.
func chosen(names string, of sizes) ([]row, error) {
	groups := map[string][]row{groupMirror: mirrorRows(of), groupGiving: givingRows(of)}
	all := slices.Concat(groups[groupMirror], groups[groupGiving])
	var found []row
	for name := range strings.SplitSeq(names, ",") {
		group := groups[name]
		if at := slices.IndexFunc(all, func(r row) bool { return r.name == name }); at >= 0 {
			group = all[at : at+1]
		}
		if group == nil {
			known := []string{groupMirror, groupGiving}
			for _, each := range all {
				known = append(known, each.name)
			}
			return nil, fmt.Errorf("-row has %q, which is not one of %s", name, strings.Join(known, ", "))
		}
		found = append(found, group...)
	}
	return found, nil
}
