package pages

import (
	"fmt"
	"strconv"

	"rollcall.dev/pkg/report"
	"rollcall.dev/pkg/store"
)

const (
	barStep  = 12 // from one day's bar to the next
	chartTop = 40 // height of the tallest bar
)

type bar struct{ X, Y, Height string }

func gapShare(day store.Reconciliation) float64 {
	return float64(day.Gaps) / float64(max(day.Expected, 1))
}

// gapHighest returns the top of the scale: at least 1 %, so that one gap among thousands does not look like a failure.
func gapHighest(days []store.Reconciliation) float64 {
	highest := 0.01
	for _, day := range days {
		highest = max(highest, gapShare(day))
	}
	return highest
}

func gapBars(days []store.Reconciliation) []bar {
	bars := make([]bar, 0, len(days))
	for i, day := range days {
		height := chartTop * gapShare(day) / gapHighest(days)
		bars = append(bars, bar{
			X: strconv.Itoa(i * barStep), Y: strconv.FormatFloat(chartTop-height, 'f', 1, 64), Height: strconv.FormatFloat(height, 'f', 1, 64),
		})
	}
	return bars
}

func gapWidth(days []store.Reconciliation) string {
	return strconv.Itoa(max(len(days), gapDays) * barStep)
}

func gapBox(days []store.Reconciliation) string { return "0 0 " + gapWidth(days) + " 41" }

func gapTop(days []store.Reconciliation) string { return percent(gapHighest(days)) }

func gapLabel(days []store.Reconciliation) string {
	var gaps, expected int64
	for _, day := range days {
		gaps, expected = gaps+day.Gaps, expected+day.Expected
	}
	return fmt.Sprintf("Gaps of %s: %s of %s", counted(int64(len(days)), "day", "days"), counted(gaps, "gap", "gaps"), counted(expected, "changed user",
		"changed users"))
}

// rate writes a number of requests a minute.
func rate(perMinute float64) string { return strconv.FormatFloat(perMinute, 'f', -1, 64) }

// allowed says how many requests the limits allow.
func allowed(of report.Budget) string {
	if of.PerMinute == nil {
		return ""
	}
	return ", of " + rate(*of.PerMinute) + " that the limits allow"
}

// figureState returns the state of a figure of a report: ok, look or act.
func figureState(code string) state {
	switch code {
	case "ok":
		return state{"healthy", "Fine", "✔"}
	case "look":
		return state{"starting", "Look", "◔"}
	}
	return state{"needs-you", "Act", "✖"}
}
