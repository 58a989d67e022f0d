package job

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"runtime/debug"
	"slices"
	"sync"

	"rollcall.dev/pkg/mirror"
	"rollcall.dev/pkg/telemetry"
	"rollcall.dev/pkg/vomo"
)

// Pipeline compares and writes pages at the same time and commits them one after the other, in order: the cursor never passes a
// page that is not committed. So neither the destination nor Postgres waits for the other. If the process is killed, AtOnce pages are
// written again instead of one, which changes nothing: a commit that was sent is carried out without the process. If Postgres or the way to
// it fails at that moment, the pages of that commit are written again, too. It is used by one goroutine.
//
// A page that has to wait for earlier ones waits for the next page, too, up to Together pages: they are compared, written and committed as
// one, which costs Postgres less than one by one. A page that need not wait goes alone, so none is late for it.
type Pipeline struct {
	AtOnce   int // how many pages are written at most whose commit is not sent; as many as Together are compared meanwhile
	Together int // how many pages may be written and committed as one, up to AtOnce; 0: one
	Compare  func(ctx context.Context, pages []vomo.Page) (*mirror.ComparedPage, error)
	Write    func(ctx context.Context, page *mirror.ComparedPage) (*mirror.WrittenPage, error)
	// Commit commits pages, and calls sent when Postgres will do so whatever becomes of this process.
	Commit func(ctx context.Context, pages []vomo.Page, written *mirror.WrittenPage, sent func()) error

	started bool
	flights []*flight // in order
}

var errPanicked = errors.New("the page's goroutine panicked")

// flight is a page, or several as one, being compared, written or committed.
type flight struct {
	users  map[string]bool
	pages  int            // how many it has, or had when it began
	joined chan vomo.Page // takes further pages until it begins
	begun  chan struct{}
	sent   chan struct{} // closed when the commit was sent, or has ended
	ended  chan struct{}
	err    error // once ended
}

// Next starts to compare, write and commit a page when there is room for it. It returns the error of an earlier page that failed; the
// new page is then not committed. If pages go together, Next returns when there is room for the next one, too.
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
	if p.joins(page, users) {
		return p.waitForNext()
	}
	f := &flight{
		users: users, pages: 1,
		joined: make(chan vomo.Page), begun: make(chan struct{}), sent: make(chan struct{}), ended: make(chan struct{}),
	}
	sent := sync.OnceFunc(func() { close(f.sent) })
	earlier := slices.Clone(p.flights)
	p.flights = append(p.flights, f)
	go func() {
		defer sent()
		defer close(f.ended)
		defer func() {
			// One page must not end the process, and the work of other customers with it. Nor is it tried for ever: the claim
			// counts.
			if caught := recover(); caught != nil {
				f.err = fmt.Errorf("%w: %v\n%s", errPanicked, caught, debug.Stack())
			}
		}()
		pages := p.gather(f, page, earlier)
		records := 0
		for _, each := range pages {
			records += len(each.Users)
		}
		traced, span := telemetry.Start(ctx, telemetry.SpanPage)
		span.Set(telemetry.Page(page.Number), telemetry.Records(records))
		f.err = p.process(traced, pages, earlier, sent)
		span.End(failureOf(f.err))
	}()
	if p.started && p.AtOnce > 1 {
		return p.waitForNext()
	}
	// The first page goes alone: it finds out whether the destination works.
	p.started = true
	return p.waitFor(0)
}

// waitForNext waits until there is room for the next page, if pages go together: the caller would have it read otherwise, and after a crash
// it would be read again with those in flight.
func (p *Pipeline) waitForNext() error {
	if p.Together <= 1 {
		return nil
	}
	return p.waitFor(p.most() - 1)
}

// joins gives the page to the last flight if that one waits for more.
func (p *Pipeline) joins(page vomo.Page, users map[string]bool) bool {
	if len(p.flights) == 0 {
		return false
	}
	last := p.flights[len(p.flights)-1]
	select {
	case last.joined <- page:
		last.pages++
		maps.Copy(last.users, users)
		return true
	case <-last.begun:
		return false
	}
}

// gather returns the pages of a flight: its first one, and those that come while it has to wait for the earlier flights.
func (p *Pipeline) gather(f *flight, page vomo.Page, earlier []*flight) []vomo.Page {
	defer close(f.begun)
	pages := []vomo.Page{page}
	for len(earlier) > 0 && len(pages) < p.Together {
		select {
		case next := <-f.joined:
			pages = append(pages, next)
		case <-earlier[len(earlier)-1].ended:
			return pages
		}
	}
	return pages
}

// failureOf returns what a span says of a page: that the scan continues elsewhere is no failure.
func failureOf(err error) error {
	if errors.Is(err, errElsewhere) {
		return nil
	}
	return err
}

// most is how many pages are in flight at most whose commit is not sent.
func (p *Pipeline) most() int {
	if p.AtOnce == 1 {
		return 1
	}
	return p.AtOnce + max(p.Together, 1)
}

// process compares and writes pages, and commits them after the earlier flights. It returns the error of an earlier one that failed.
func (p *Pipeline) process(ctx context.Context, pages []vomo.Page, earlier []*flight, sent func()) error {
	if failed := failureSoFar(earlier); failed != nil {
		return failed
	}
	compared, err := p.Compare(ctx, pages)
	// Pages may be compared while AtOnce others are written, and written while AtOnce others are being committed.
	if _, failed := sentBut(earlier, p.AtOnce-len(pages)); failed != nil {
		return failed
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
	return p.Commit(ctx, pages, written, sent)
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

// sentBut waits until the commits of the flights were sent, but for the last ones that have together no more than that many pages. It
// returns those that it waited for, and the error of the first of them that has failed.
func sentBut(flights []*flight, pages int) ([]*flight, error) {
	last := len(flights)
	for ; last > 0 && flights[last-1].pages <= pages; last-- {
		pages -= flights[last-1].pages
	}
	for _, f := range flights[:last] {
		<-f.sent
	}
	return flights[:last], failureSoFar(flights[:last])
}

// failureSoFar returns the error of the first of the flights that failed, if that is known already: its successors are neither compared nor
// written then.
func failureSoFar(flights []*flight) error {
	for _, f := range flights {
		if !f.hasEnded() {
			return nil
		}
		if f.err != nil {
			return f.err
		}
	}
	return nil
}

func (f *flight) hasEnded() bool {
	select {
	case <-f.ended:
		return true
	default:
		return false
	}
}

// Wait waits until no page is in flight, and returns the error of the first that failed.
func (p *Pipeline) Wait() error {
	err := endOf(p.flights)
	for _, f := range p.flights {
		<-f.ended
	}
	p.flights = nil
	return err
}

// waitFor waits until the commits of all but that many pages were sent. If that many is none, or one has failed, it waits until all have
// ended.
func (p *Pipeline) waitFor(pages int) error {
	if pages == 0 {
		return p.Wait()
	}
	sent, err := sentBut(p.flights, pages)
	if err != nil {
		return p.Wait() // its first failure is this one: all before it have ended
	}
	for range sent {
		if !p.flights[0].hasEnded() {
			break
		}
		p.flights = p.flights[1:]
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
