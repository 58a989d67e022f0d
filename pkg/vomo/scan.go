package vomo

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/url"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"rollcall.dev/pkg/fault"
)

const (
	// maxAhead is how many pages may be outstanding: after a crash they are read again.
	maxAhead = 4
	// maxPages ends a scan whose source generates pages without end.
	maxPages = 1_000_000
)

// ScanOptions say where a scan starts and how far it reads ahead.
type ScanOptions struct {
	From  int // the first page; below 1 means 1
	Ahead int // pages requested and not yet done, including the one in the loop body; 1 to 4, any other value means 4
}

// Scan reads the pages of a query in order and fetches the next ones while the caller processes one.
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

// Scan prepares a scan; it sends nothing before the caller ranges over Pages. ctx applies to the whole scan.
func (c *Client) Scan(ctx context.Context, query Query, opts ScanOptions) *Scan {
	s := &Scan{client: c, ctx: ctx, query: query, from: max(opts.From, 1), ahead: opts.Ahead, stop: make(chan struct{})}
	if s.ahead < 1 || s.ahead > maxAhead {
		s.ahead = maxAhead
	}
	return s
}

// Stop ends the scan early: no further page is requested, pages in flight are still delivered, and then Pages ends.
// It does not wait, and may be called from any goroutine, at any time and repeatedly.
func (s *Scan) Stop() { s.stopOnce.Do(func() { close(s.stop) }) }

// Stopped reports whether Stop was called before the last page was reached, so that the scan is incomplete.
func (s *Scan) Stopped() bool { return closed(s.stop) && !s.ended.Load() }

// Pages returns the pages in order, up to and including the first without More. A page is outstanding until the loop
// body for it has returned. The first page is requested alone; when its total is known, pages up to the last known
// one are requested ahead, and each later page when the one before it has More.
//
// A fault is delivered in its page's place, in a Page that has only its number, and ends the scan: errors of Page,
// ErrPageRepeats, ErrEndless, and the cause of the context if it ended. Pages may be ranged over once; a second time
// gives ErrScanUsed. When the loop ends, for any reason, every goroutine of the scan has ended.
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

// deliver passes the pages to the loop body, one after the other.
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
		<-r.slots // the page is done: another may be requested
	}
}

// Query filters the users of a scan; the zero value means no filter. VOMO treats both ends as inclusive and may use only
// the day, so the answer may contain users outside the exact times.
type Query struct {
	UpdatedAfter, UpdatedBefore time.Time
	CreatedAfter, CreatedBefore time.Time

	EmailLike string // part of the address, in any letter case; "" means no filter
}

// values returns the query string of one page, with the number and every filter each time.
func (q Query) values(number int) url.Values {
	values := url.Values{"page": {strconv.Itoa(number)}}
	for name, at := range map[string]time.Time{
		"updated_after":  q.UpdatedAfter,
		"updated_before": q.UpdatedBefore,
		"created_after":  q.CreatedAfter,
		"created_before": q.CreatedBefore,
	} {
		if !at.IsZero() {
			values.Set(name, at.UTC().Format(time.RFC3339))
		}
	}
	if q.EmailLike != "" {
		values.Set("email_like", q.EmailLike)
	}
	return values
}

// cycle detects that pages repeat, whatever the length of the cycle, without storing them: it keeps one page,
// compares all following pages with it, and replaces it after 1, 2, 4, 8… pages (Brent's algorithm). It detects every
// source that repeats for ever; it may miss a page that is merely shown twice.
type cycle struct {
	held    [sha256.Size]byte
	pages   int // since the kept page
	renewAt int
}

// closes reports whether a page with these entries is the kept one. A page without entries never is.
func (c *cycle) closes(keys []string) bool {
	if len(keys) == 0 {
		return false
	}
	page := digest(keys)
	if c.renewAt > 0 && page == c.held {
		return true
	}
	if c.pages++; c.pages >= c.renewAt {
		c.held, c.pages, c.renewAt = page, 0, max(1, 2*c.renewAt)
	}
	return false
}

// digest returns the hash of a set of entries, independent of their order: a source that shuffles a page shows the
// same page.
func digest(keys []string) [sha256.Size]byte {
	hash := sha256.New()
	for _, key := range slices.Sorted(slices.Values(keys)) {
		_, _ = io.WriteString(hash, key) // a hash never fails
		_, _ = hash.Write([]byte{0})     // no id holds it
	}
	return [sha256.Size]byte(hash.Sum(nil))
}
