package pages

import (
	"time"

	"rollcall.dev/pkg/event"
	"rollcall.dev/pkg/report"
)

// state is how a customer does, in one word.
type state struct {
	Code  string // of the filter, and of the style
	Word  string
	Shape string
}

// States, the worst first.
func needsYou() state   { return state{report.StateNeedsYou, "Needs you", "✖"} }
func paused() state     { return state{report.StatePaused, "Paused", "‖"} }
func starting() state   { return state{report.StateStarting, "Starting", "◔"} }
func healthy() state    { return state{report.StateHealthy, "Healthy", "✔"} }
func offboarded() state { return state{report.StateOffboarded, "Offboarded", "○"} }

// stateOf returns how a customer does, in words and colours.
func stateOf(code string) state {
	for _, one := range []state{needsYou(), paused(), starting(), healthy()} {
		if one.Code == code {
			return one
		}
	}
	return offboarded()
}

func lineState(line report.BoardLine) state { return stateOf(line.State()) }

// counts are the numbers of the rail.
type counts struct {
	AsOf                                      time.Time
	Customers, NeedYou, Letters, Held, Alerts int64
	Paused, Starting, Healthy, Offboarded     int64
}

func countsOf(lines []report.BoardLine, asOf time.Time) counts {
	made := counts{AsOf: asOf}
	for _, line := range lines {
		made.Letters += line.OpenLetters
		switch lineState(line).Code {
		case needsYou().Code:
			made.NeedYou++
		case paused().Code:
			made.Paused++
		case starting().Code:
			made.Starting++
		case healthy().Code:
			made.Healthy++
		case offboarded().Code:
			made.Offboarded++
			continue
		}
		made.Customers++
		made.Alerts += int64(len(line.Alerts))
		for _, alert := range line.Alerts {
			switch alert {
			case event.AlertDeletionsHeld, event.AlertGiftDeletionsHeld:
				made.Held++
			}
		}
	}
	return made
}
