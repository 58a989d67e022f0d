package job

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"

	"rollcall.dev/pkg/mirror"
	"rollcall.dev/pkg/telemetry"
	"rollcall.dev/pkg/vomo"
)

// Pipeline compares and writes pages at the same time and commits them one after the other, in order: the cursor never passes a
// page that is not committed. So neither the destination nor Postgres waits for the other. After a crash, AtOnce pages are
// written again instead of one, which changes nothing. It is used by one goroutine.
type Pipeline struct {
	AtOnce  int // how many pages are written and not yet committed at most; one more is compared meanwhile
	Compare func(ctx context.Context, page vomo.Page) (*mirror.ComparedPage, error)
	Write   func(ctx context.Context, page *mirror.ComparedPage) (*mirror.WrittenPage, error)
	Commit  func(ctx context.Context, page vomo.Page, written *mirror.WrittenPage) error

	started bool
	flights []*flight // in order
}

var errPanicked = errors.New("the page's goroutine panicked")

// flight is a page that is being compared, written or committed.
type flight struct {
	users map[string]bool
	ended chan struct{}
	err   error // once ended
}

// Next starts to compare, write and commit a page when there is room for it. It returns the error of an earlier page that failed; the
// new page is then not started.
func (p *Pipeline) Next(ctx context.Context, page vomo.Page) error {
	users := usersOf(page)
	// Users are compared with what is committed: one that is on two pages in flight would be written, and audited, twice.
	room := p.most() - 1
	if p.shares(users) {
		room = 0
	}
	if err := p.waitFor(room); err != nil {
		return err
	}
	f := &flight{users: users, ended: make(chan struct{})}
	earlier := slices.Clone(p.flights)
	p.flights = append(p.flights, f)
	go func() {
		defer close(f.ended)
		defer func() {
			// One page must not end the process, and the work of other customers with it. Nor is it tried for ever: the claim
			// counts.
			if caught := recover(); caught != nil {
				f.err = fmt.Errorf("%w: %v\n%s", errPanicked, caught, debug.Stack())
			}
		}()
		traced, span := telemetry.Start(ctx, telemetry.SpanPage)
		span.Set(telemetry.Page(page.Number), telemetry.Records(len(page.Users)))
		f.err = p.process(traced, page, earlier)
		span.End(failureOf(f.err))
	}()
	if p.started && p.AtOnce > 1 {
		return nil
	}
	// The first page goes alone: it finds out whether the destination works.
	p.started = true
	return p.waitFor(0)
}

// failureOf returns what a span says of a page: that the scan continues elsewhere is no failure.
func failureOf(err error) error {
	if errors.Is(err, errElsewhere) {
		return nil
	}
	return err
}

// most is how many pages are in flight at most.
func (p *Pipeline) most() int {
	if p.AtOnce == 1 {
		return 1
	}
	return p.AtOnce + 1
}

// process compares and writes a page, and commits it after the earlier ones. It returns the error of an earlier one that failed.
func (p *Pipeline) process(ctx context.Context, page vomo.Page, earlier []*flight) error {
	compared, err := p.Compare(ctx, page)
	if room := len(earlier) - p.AtOnce; room >= 0 { // a page may be compared while atOnce others are written
		if failed := endOf(earlier[:room+1]); failed != nil {
			return failed
		}
	}
	var written *mirror.WrittenPage
	if err == nil {
		written, err = p.Write(ctx, compared)
	}
	if failed := endOf(earlier); failed != nil {
		return failed
	}
	if err != nil {
		return err
	}
	return p.Commit(ctx, page, written)
}

// endOf waits until the flights have ended, and returns the error of the first that failed.
func endOf(flights []*flight) error {
	for _, f := range flights {
		if <-f.ended; f.err != nil {
			return f.err
		}
	}
	return nil
}

// Wait waits until no page is in flight, and returns the error of the first that failed.
func (p *Pipeline) Wait() error { return p.waitFor(0) }

// waitFor waits until at most that many pages are in flight. After a failure it waits for all.
func (p *Pipeline) waitFor(pages int) error {
	for len(p.flights) > pages {
		first := p.flights[0]
		<-first.ended
		p.flights = p.flights[1:]
		if first.err != nil {
			for _, f := range p.flights {
				<-f.ended
			}
			p.flights = nil
			return first.err
		}
	}
	return nil
}

func (p *Pipeline) shares(users map[string]bool) bool {
	for _, f := range p.flights {
		for user := range users {
			if f.users[user] {
				return true
			}
		}
	}
	return false
}

func usersOf(page vomo.Page) map[string]bool {
	users := make(map[string]bool, len(page.Users)+len(page.Bad))
	for _, user := range page.Users {
		users[user.ID] = true
	}
	for _, bad := range page.Bad {
		users[bad.ID] = true
	}
	return users
}
