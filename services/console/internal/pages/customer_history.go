package pages

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"time"

	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/pkg/store"
)

const (
	// peopleDays is how many days of counts a customer's page shows.
	peopleDays = 90
	peopleStep = 4 // from one day's bar to the next
)

// peopleBars has a bar for each day that was counted, each at its day: a day without a reconciliation is a gap. The scale begins at 0.
func peopleBars(counts []store.DailyCount) []bar {
	bars := make([]bar, 0, len(counts))
	for _, one := range counts {
		height := chartTop * float64(one.Mirrored) / float64(max(peopleHighest(counts), 1))
		bars = append(bars, bar{
			X: strconv.Itoa(daysBetween(counts[0].Day, one.Day) * peopleStep), Y: strconv.FormatFloat(chartTop-height, 'f', 1, 64),
			Height: strconv.FormatFloat(height, 'f', 1, 64),
		})
	}
	return bars
}

func daysBetween(from, to time.Time) int { return int(to.Sub(from) / (24 * time.Hour)) }

func peopleHighest(counts []store.DailyCount) int64 {
	return slices.MaxFunc(counts, func(one, other store.DailyCount) int { return int(one.Mirrored - other.Mirrored) }).Mirrored
}

func peopleBox() string { return "0 0 " + peopleWidth() + " 41" }

func peopleWidth() string { return strconv.Itoa(peopleDays * peopleStep) }

// peopleWords says in one sentence how the count has changed.
func peopleWords(counts []store.DailyCount) string {
	first, last := counts[0], counts[len(counts)-1]
	on := fmt.Sprintf("%s on %s", counted(last.Mirrored, "person", "people"), last.Day.Format(time.DateOnly))
	since := " on " + first.Day.Format(time.DateOnly)
	switch change := last.Mirrored - first.Mirrored; {
	case len(counts) == 1:
		return on + "."
	case change > 0:
		return on + ": " + number(change) + " more than" + since + "."
	case change < 0:
		return on + ": " + number(-change) + " fewer than" + since + "."
	}
	return on + ": as many as" + since + "."
}

// newestFirst returns the counts as the table has them.
func newestFirst(counts []store.DailyCount) []store.DailyCount {
	turned := slices.Clone(counts)
	slices.Reverse(turned)
	return turned
}

// changePath leads to the record of a change; "" if it has no page.
func changePath(customer string, change store.Change) string {
	switch change.Kind {
	case "user", "user_delete", "writeback":
		return recordPath(customer, operatorapi.TraceUser, change.RecordID)
	case "message":
		if _, is := store.LetterIDsLike(change.RecordID); is {
			return letterPath(change.RecordID)
		}
	}
	return ""
}

func changeState(change store.Change) state {
	if change.Succeeded {
		return state{"healthy", "Done", "✔"}
	}
	return state{"needs-you", "Rejected", "✖"}
}

// customerRecord leads to the form in which a record of the customer is looked up.
func customerRecord(customer string) string {
	return "/record?" + url.Values{"customer": {customer}}.Encode()
}

func customerAudit(customer string) string {
	return "/audit?" + url.Values{"customer": {customer}}.Encode()
}
