package cli

import (
	"fmt"

	"github.com/dustin/go-humanize"
	"github.com/schollz/progressbar/v3"

	"rollcall.dev/pkg/operatorapi"
)

// drainView shows a drain while it moves: a bar on a terminal, a line for each change elsewhere.
type drainView struct {
	to              *output
	terminal, drawn bool
	last            string
}

func (v *drainView) show(drain operatorapi.Drain) {
	isRunning := drain.State == operatorapi.DrainRunning
	if v.terminal && isRunning {
		bar := progressbar.NewOptions64(max(drain.Planned, 1), // one for one frame, as barView's
			progressbar.OptionSetWriter(v.to.to), progressbar.OptionUseANSICodes(true), progressbar.OptionSetWidth(barWidth),
			progressbar.OptionShowCount(), progressbar.OptionSetPredictTime(false), progressbar.OptionSetElapsedTime(false),
			progressbar.OptionShowDescriptionAtLineEnd(), progressbar.OptionSetDescription("letters"+drainEta(drain)))
		_ = bar.Set64(min(drain.Done+drain.Left, drain.Planned)) // a terminal that went away is seen by the next line
		v.drawn = true
		return
	}
	if now := fmt.Sprint(drain.State, drain.Done, drain.Left); now != v.last {
		v.last = now
		v.note(drainLine(drain))
	}
}

// note overwrites the bar; the next frame draws it again below.
func (v *drainView) note(text string) {
	if v.drawn {
		text = "\r\x1b[2K" + text
	}
	v.drawn = false
	sayf(v.to, "%s", text)
}

func (v *drainView) end() {
	if v.drawn {
		sayf(v.to, "")
	}
	v.drawn = false
}

// drainLine describes a drain in one line.
func drainLine(drain operatorapi.Drain) string {
	text := fmt.Sprintf("drain %d %s: %s of %s %s", drain.ID, drain.State, humanize.Comma(drain.Done), counted(drain.Planned, "letter"), past(drain.Verb))
	if drain.Left > 0 {
		text += ", " + humanize.Comma(drain.Left) + " left as they were"
	}
	if drain.Remaining > 0 && drain.State == operatorapi.DrainDone {
		text += ", " + humanize.Comma(drain.Remaining) + " settled before their turn"
	}
	return text + drainEta(drain)
}

// drainEta returns in how long a drain ends, as a range.
func drainEta(drain operatorapi.Drain) string {
	if drain.EtaLowSeconds == nil || drain.EtaHighSeconds == nil {
		return ""
	}
	return ", " + seconds(*drain.EtaLowSeconds) + " to " + seconds(*drain.EtaHighSeconds) + " left"
}
