package dev

import (
	"io"
	"time"

	"github.com/schollz/progressbar/v3"

	"rollcall.dev/pkg/report"
)

const (
	barWidth  = 40
	lineEvery = 2 * time.Second
)

// progress shows how far a backfill is: a bar on a terminal, lines elsewhere.
type progress struct {
	screen *screen
	asBar  bool
	bar    *progressbar.ProgressBar // nil until the total is known
	now    func() time.Time
	told   time.Time
	last   string
	parked string
}

func newProgress(shown *screen, asBar bool) *progress {
	return &progress{screen: shown, asBar: asBar, now: time.Now}
}

// update shows where the run stands. Lines come at most one in two seconds, and none twice.
func (p *progress) update(run report.Backfill) {
	p.tellParking(run)
	if p.asBar {
		p.draw(run)
		return
	}
	line := lineOf(run)
	if line == p.last || p.now().Sub(p.told) < lineEvery {
		return
	}
	p.told, p.last = p.now(), line
	p.screen.tellf("%s", line)
}

// tellParking says once why a run waits: a bar that does not move explains nothing.
func (p *progress) tellParking(run report.Backfill) {
	why := ""
	if run.State == "parked" && run.ParkReason != nil {
		why = *run.ParkReason
	}
	if why != "" && why != p.parked {
		p.abandon()
		p.screen.tellf("the backfill waits: %s", why)
	}
	p.parked = why
}

func (p *progress) draw(run report.Backfill) {
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
func (p *progress) finish(run report.Backfill) {
	if p.asBar {
		p.draw(run)
		p.abandon()
	}
	line := "backfill completed: " + thousands(run.Processed) + " users read"
	if run.Failures > 0 {
		line += ", " + thousands(run.Failures) + " refused by the destination"
	}
	if run.Recovered > 0 {
		line += ", " + thousands(run.Recovered) + " found by reading again"
	}
	p.screen.tellf("%s", line)
}

// abandon leaves the bar as it stands.
func (p *progress) abandon() {
	if p.bar != nil {
		p.screen.show("\n")
	}
}

func lineOf(run report.Backfill) string {
	line := "backfill " + run.State
	if run.Total != nil {
		line += ": " + thousands(run.Processed) + " of " + thousands(*run.Total) + " users"
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
