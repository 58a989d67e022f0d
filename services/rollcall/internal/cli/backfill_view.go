package cli

import (
	"fmt"
	"io"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/schollz/progressbar/v3"

	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/window"
)

const barWidth = 30

// view shows a run while it moves.
type view interface {
	show(run operatorapi.Backfill)
	note(text string)
	end()
}

// view returns the view for a terminal or for a log, and how often to update it.
func (a *app) view() (view, time.Duration) {
	to, terminal := a.progress()
	if terminal {
		return &barView{to: to}, terminalInterval
	}
	return &lineView{to: to}, lineInterval
}

// lineView writes a line for each change.
type lineView struct {
	to   io.Writer
	last string
}

func (v *lineView) show(run operatorapi.Backfill) {
	if now := change(run); now != v.last {
		v.last = now
		sayf(v.to, "%s", line(run))
	}
}

func (v *lineView) note(text string) { sayf(v.to, "%s", text) }
func (v *lineView) end()             {}

// change identifies what deserves a new line. A new estimate or the next try of a parked run does not.
func change(run operatorapi.Backfill) string {
	return fmt.Sprint(run.ID, run.State, run.Processed, run.Failures, optional(run.Total))
}

func optional(number *int64) int64 {
	if number == nil {
		return -1
	}
	return *number
}

// barView draws a bar over itself, and plain lines around it.
type barView struct {
	to    *output
	drawn bool // the cursor is behind a bar
	last  string
}

func (v *barView) show(run operatorapi.Backfill) {
	if run.Total != nil {
		v.draw(run)
	}
	now := fmt.Sprint(run.ID, run.State)
	if now != v.last && (run.Total == nil || !store.RunState(run.State).Open()) {
		v.end()
		sayf(v.to, "%s", line(run))
	}
	v.last = now
}

// draw makes a new bar for each frame: a kept bar would finish when the count reaches a total that can still grow, and would
// measure the rate by its own clock. The text after the bar is short, because a line that wraps cannot be overwritten.
func (v *barView) draw(run operatorapi.Backfill) {
	total := max(*run.Total, run.Processed, 1)
	about := "users" + pace(run)
	if store.RunState(run.State) != store.RunRunning {
		about = "users, " + stateText(run)
	}
	bar := progressbar.NewOptions64(total,
		progressbar.OptionSetWriter(v.screen()), progressbar.OptionUseANSICodes(true), progressbar.OptionSetWidth(barWidth),
		progressbar.OptionShowCount(), progressbar.OptionSetPredictTime(false), progressbar.OptionSetElapsedTime(false),
		progressbar.OptionShowDescriptionAtLineEnd(), progressbar.OptionSetDescription(about))
	_ = bar.Set64(run.Processed) // a terminal that went away is seen by the next line
	v.drawn = true
}

// screen returns the terminal itself: the bar asks it for its width.
func (v *barView) screen() io.Writer { return v.to.to }

// note overwrites the bar; the next frame draws it again below.
func (v *barView) note(text string) {
	if v.drawn {
		text = "\r\x1b[2K" + text
	}
	v.drawn = false
	sayf(v.to, "%s", text)
}

func (v *barView) end() {
	if v.drawn {
		sayf(v.to, "")
	}
	v.drawn = false
}

// line describes a run in one line.
func line(run operatorapi.Backfill) string {
	users := counted(run.Processed, "user")
	if run.Total != nil {
		users = humanize.Comma(run.Processed) + " of " + counted(*run.Total, "user")
	}
	if run.Failures > 0 {
		users += ", " + humanize.Comma(run.Failures) + " rejected"
	}
	return fmt.Sprintf("%s: backfill %d %s, %s%s", run.CustomerID, run.ID, stateUntil(run), users, pace(run))
}

// stateUntil adds the time until which a run waits, if it waits for a window. Any other parked run is retried soon.
func stateUntil(run operatorapi.Backfill) string {
	if run.DueAt != nil && run.ParkReason != nil && window.IsReason(*run.ParkReason) {
		return stateText(run) + " until " + moment(*run.DueAt)
	}
	return stateText(run)
}

func stateText(run operatorapi.Backfill) string {
	if run.ParkReason != nil && store.RunState(run.State) == store.RunParked {
		return run.State + " (" + *run.ParkReason + ")"
	}
	return run.State
}

// pace returns the measured rate and the time left at that rate.
func pace(run operatorapi.Backfill) string {
	text := ""
	if run.RequestsPerMinute != nil {
		text += fmt.Sprintf(", %.1f pages/min", *run.RequestsPerMinute)
	}
	if run.EtaSeconds != nil && store.RunState(run.State).Open() {
		text += ", about " + seconds(*run.EtaSeconds) + " left"
	}
	return text
}
