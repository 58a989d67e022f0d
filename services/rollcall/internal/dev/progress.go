package dev

import (
	"io"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/schollz/progressbar/v3"

	"rollcall.dev/pkg/operatorapi"
)

const (
	barWidth  = 40
	lineEvery = 2 * time.Second
)

// progress shows the progress of a backfill: a bar on a terminal, otherwise lines.
type progress struct {
	screen *screen
	asBar  bool
	bar    *progressbar.ProgressBar // nil until the total is known
	now    func() time.Time
	saidAt time.Time
	last   string
	parked string
}

func newProgress(shown *screen, asBar bool) *progress {
	return &progress{screen: shown, asBar: asBar, now: time.Now}
}

// update shows the run. It prints at most one line in two seconds, and no line twice.
func (p *progress) update(run operatorapi.Backfill) {
	p.sayPark(run)
	if p.asBar {
		p.draw(run)
		return
	}
	line := lineOf(run)
	if line == p.last || p.now().Sub(p.saidAt) < lineEvery {
		return
	}
	p.saidAt, p.last = p.now(), line
	p.screen.sayf("%s", line)
}

// sayPark prints once why a run waits, because a bar does not explain it.
func (p *progress) sayPark(run operatorapi.Backfill) {
	why := ""
	if run.State == "parked" && run.ParkReason != nil {
		why = *run.ParkReason
	}
	if why != "" && why != p.parked {
		p.abandon()
		p.screen.sayf("the backfill waits: %s", why)
	}
	p.parked = why
}

func (p *progress) draw(run operatorapi.Backfill) {
	if run.Total == nil || *run.Total < 1 {
		return
	}
	total := max(*run.Total, run.Processed)
	if p.bar == nil {
		p.bar = progressbar.NewOptions64(total, progressbar.OptionSetWriter(screenWriter{p.screen}),
			progressbar.OptionSetWidth(barWidth), progressbar.OptionShowCount(), progressbar.OptionSetPredictTime(false),
			progressbar.OptionSetElapsedTime(false), progressbar.OptionUseANSICodes(p.screen.outColour))
	}
	p.bar.ChangeMax64(total)
	description := "backfill"
	if run.EtaSeconds != nil && *run.EtaSeconds > 0 {
		description += ", about " + inWords(*run.EtaSeconds) + " left"
	}
	p.bar.Describe(description)
	_ = p.bar.Set64(run.Processed) // it only fails above the maximum, which was raised
}

// finish shows the last state.
func (p *progress) finish(run operatorapi.Backfill) {
	if p.asBar {
		p.draw(run)
		p.abandon()
	}
	line := "backfill completed: " + humanize.Comma(run.Processed) + " users read"
	if run.Failures > 0 {
		line += ", " + humanize.Comma(run.Failures) + " refused by the destination"
	}
	if run.Recovered > 0 {
		line += ", " + humanize.Comma(run.Recovered) + " found by reading again"
	}
	p.screen.sayf("%s", line)
}

// abandon leaves the bar as it stands.
func (p *progress) abandon() {
	if p.bar != nil {
		p.screen.show("\n")
	}
}

func lineOf(run operatorapi.Backfill) string {
	line := "backfill " + run.State
	if run.Total != nil {
		line += ": " + humanize.Comma(run.Processed) + " of " + humanize.Comma(*run.Total) + " users"
	}
	if run.RequestsPerMinute != nil {
		line += ", " + decimal(*run.RequestsPerMinute) + " requests a minute"
	}
	if run.EtaSeconds != nil {
		line += ", about " + inWords(*run.EtaSeconds) + " left"
	}
	return line
}

// screenWriter lets the bar draw where our own words go.
type screenWriter struct{ screen *screen }

// Write never fails; see screen.show.
func (w screenWriter) Write(text []byte) (int, error) {
	w.screen.show(string(text))
	return len(text), nil
}

var _ io.Writer = screenWriter{}
