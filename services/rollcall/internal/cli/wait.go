package cli

import (
	"context"
	"errors"
	"time"

	"rollcall.dev/pkg/operatorclient"
)

const (
	// How often the service is asked: often enough for a moving bar, and rarely enough for a log.
	terminalInterval = 250 * time.Millisecond
	lineInterval     = time.Second
	// How long a service that has answered before may be silent: services are restarted during long backfills.
	silencePatience = time.Minute
	// How long a customer may be unknown: right after the request was published, the service may not have read it yet.
	unknownPatience = 5 * time.Second
	// unseenRequests is the number of answers without a sign of the request after which a command says so.
	unseenRequests = 20
)

var errStoppedWaiting = errors.New("stopped waiting; the request is stored and will be handled")

// waiting asks a service again and again.
type waiting[Answer any] struct {
	interval, timeout time.Duration
	// stored is true if the request is stored: a service that is silent may still be starting.
	stored  bool
	ask     func(ctx context.Context) (Answer, error)
	done    func(answer Answer) (bool, error) // ends the waiting
	note    func(text string)                 // prints why an answer is missing
	stopped error                             // returned if the operator stops the command
}

// answer returns the first answer for which done returns true. It tolerates a silent service for a while.
func (w waiting[Answer]) answer(ctx context.Context, a *app) (Answer, error) {
	silence := silenceLimit{interval: w.interval, timeout: w.timeout, answeredBefore: w.stored}
	for {
		answer, err := w.ask(ctx)
		switch {
		case err == nil:
			silence.answered()
			if isDone, err := w.done(answer); isDone || err != nil {
				return answer, err
			}
		case ctx.Err() != nil:
			return answer, w.stopped
		case !silence.tolerates(err):
			return answer, err
		case silence.first():
			w.note(err.Error() + "; waiting for it")
		}
		if a.WaitFunc(ctx, w.interval) != nil {
			return answer, w.stopped
		}
	}
}

// askInterval returns how often a command that prints lines asks.
func (a *app) askInterval() time.Duration {
	if _, terminal := a.progress(); terminal {
		return terminalInterval
	}
	return lineInterval
}

func (a *app) sayLine(text string) { sayf(a.log, "%s", text) }

// silenceLimit decides how long a service that has answered before may be silent.
type silenceLimit struct {
	interval, timeout time.Duration
	unknown           time.Duration
	answeredBefore    bool
	silent            time.Duration
	silences          int
}

func (p *silenceLimit) answered() { p.answeredBefore, p.silent, p.silences = true, 0, 0 }

// tolerates reports whether to ask again after err.
func (p *silenceLimit) tolerates(err error) bool {
	if errors.Is(err, errUnknownCustomer) && !p.answeredBefore && p.unknown < unknownPatience {
		p.unknown += p.interval
		return true
	}
	if !p.answeredBefore || !operatorclient.IsUnanswered(err) || p.silent >= silencePatience {
		return false
	}
	p.silences++
	p.silent += p.interval
	if !operatorclient.HasNoResponders(err) {
		p.silent += p.timeout
	}
	return true
}

func (p *silenceLimit) first() bool { return p.silences == 1 }
