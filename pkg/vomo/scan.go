package vomo

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"
	"sync/atomic"

	"rollcall.dev/pkg/fault"
)

const (
	// maxAhead is how many pages may be outstanding: what a crash reads again.
	maxAhead = 4
	// maxPages is the end of a list whose pages are made up as it is read: nothing else would end it.
	maxPages = 1_000_000
)

// ScanOptions say where a scan begins and how far it reads ahead.
type ScanOptions struct {
	From  int // the first page; below 1 means 1
	Ahead int // pages asked for and not yet done, the one in the loop body among them; 1 to 4, anything else means 4
}

// Scan reads the pages of a query in order, fetching the next ones while one is worked on.
type Scan struct {
	client *Client
	ctx    context.Context //nolint:containedctx // an iterator takes no arguments: the scan is the call that ctx is for
	query  Query
	from   int
	ahead  int

	stop     chan struct{} // closed by Stop
	stopOnce sync.Once
	started  atomic.Bool
	ended    atomic.Bool // the last page was reached
}

// Scan prepares a scan; nothing is asked for before Pages is ranged over. ctx holds for the whole scan.
func (c *Client) Scan(ctx context.Context, query Query, opts ScanOptions) *Scan {
	s := &Scan{client: c, ctx: ctx, query: query, from: max(opts.From, 1), ahead: opts.Ahead, stop: make(chan struct{})}
	if s.ahead < 1 || s.ahead > maxAhead {
		s.ahead = maxAhead
	}
	return s
}

// Stop lets the scan end early: no further page is asked for, those in flight are still delivered, and then
// Pages ends. It does not wait, and may be called from any goroutine, at any time and again.
func (s *Scan) Stop() { s.stopOnce.Do(func() { close(s.stop) }) }

// Stopped says whether Stop came before the last page was reached, so that the scan is not complete.
func (s *Scan) Stopped() bool { return closed(s.stop) && !s.ended.Load() }

// Pages gives the pages in order, up to and with the first one that has no More. A page is outstanding until
// the loop body for it has returned. The first page is asked for alone; once it has told the total, the pages
// up to the last known one are asked for ahead, and beyond that each when the one before it says More.
//
// A fault comes in its page's place, in a Page that has only its number, and is the last thing that is given:
// Page's errors, ErrPageRepeats, ErrEndless, and the cause of the context where that ended. Pages may be ranged over once;
// a second time gives ErrScanUsed. When the loop ends, in whatever way, every goroutine of the scan has ended.
func (s *Scan) Pages() iter.Seq2[Page, error] {
	return func(yield func(Page, error) bool) {
		if !s.started.CompareAndSwap(false, true) {
			yield(Page{}, ErrScanUsed)
			return
		}
		ctx, cancel := context.WithCancel(s.ctx)
		r := newRun(s)
		defer r.group.Wait()
		defer cancel()
		r.group.Go(func() { r.dispatch(ctx) })
		s.deliver(r, yield)
	}
}

// deliver hands the pages to the loop body, one after the other.
func (s *Scan) deliver(r *run, yield func(Page, error) bool) {
	var seen cycle
	for number := s.from; ; number++ {
		f, err := r.next(s.ctx)
		if errors.Is(err, errStopped) {
			return
		}
		if err == nil {
			err = f.err
		}
		switch {
		case err != nil:
		case number > maxPages:
			err = fault.Unknown("vomo_endless", ErrEndless)
		case seen.closes(f.keys):
			err = fault.Unknown("vomo_page_repeats", ErrPageRepeats)
		}
		if err != nil {
			yield(Page{Number: number}, fmt.Errorf("read page %d: %w", number, err))
			return
		}
		if !f.page.More {
			s.ended.Store(true)
		}
		if !yield(f.page, nil) || !f.page.More {
			return
		}
		<-r.slots // the page is done: one more may be asked for
	}
}
