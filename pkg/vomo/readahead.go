package vomo

import (
	"context"
	"fmt"
	"sync"
)

// run is the state that one range over Pages shares between the dispatcher, the fetches and the loop.
type run struct {
	scan  *Scan
	group sync.WaitGroup
	queue chan *flight  // requested pages, in order; closed when there will be no more
	slots chan struct{} // one for each page that is requested and not yet done
	gate  chan struct{} // held during a call of Before: one at a time per scan, also for retries
	over  chan struct{} // closed when a page failed or was the last: no later page is needed
	once  sync.Once
}

func newRun(s *Scan) *run {
	return &run{
		scan:  s,
		queue: make(chan *flight, s.ahead),
		slots: make(chan struct{}, s.ahead),
		gate:  make(chan struct{}, 1),
		over:  make(chan struct{}),
	}
}

// flight is one page being fetched; answer and err are set when landed is closed.
type flight struct {
	number int
	landed chan struct{}
	answer
	err error
}

// next returns the next page in order once it has landed, errStopped if no further page was requested, or the
// context's cause.
func (r *run) next(ctx context.Context) (*flight, error) {
	if ctx.Err() != nil { // check this first: if both are ready, select takes either
		return nil, context.Cause(ctx)
	}
	select {
	case f, ok := <-r.queue:
		if !ok && ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if !ok {
			return nil, errStopped
		}
		select {
		case <-f.landed:
			return f, nil
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// dispatch requests the pages one after the other, as far as slots, the known end and Stop allow. Only dispatch calls
// Before for a page's first request, so first requests are sent in page order.
func (r *run) dispatch(ctx context.Context) {
	defer close(r.queue)
	// Stop ends a call of Before that waits: its page has not been requested yet.
	waiting, cancel := context.WithCancel(ctx)
	defer cancel()
	r.group.Go(func() {
		select {
		case <-r.scan.stop:
			cancel()
		case <-waiting.Done():
		}
	})

	var last *flight
	end := 0 // the last known page
	for number := r.scan.from; ; number++ {
		if last != nil && number > end {
			if !r.await(waiting, last) {
				return
			}
			end = last.lastPage()
		}
		select {
		case r.slots <- struct{}{}:
		case <-r.over:
			return
		case <-waiting.Done():
			return
		}
		if r.unwanted(ctx) { // if several are ready, select takes any
			return
		}
		r.scan.client.expect(max(end-number, 0) + 1)
		err := r.awaitSend(waiting)
		if r.unwanted(ctx) {
			return
		}
		f := &flight{number: number, landed: make(chan struct{}), err: err}
		r.queue <- f // has room: its length is the number of slots
		if err != nil {
			close(f.landed)
			return
		}
		r.group.Go(func() { r.fly(ctx, f) })
		last = f
	}
}

// await waits for a page to land and reports whether there is another page after it.
func (r *run) await(ctx context.Context, f *flight) bool {
	select {
	case <-f.landed:
		return f.err == nil && f.page.More
	case <-ctx.Done():
		return false
	}
}

// fly fetches a page for whose first request Before was already called.
func (r *run) fly(ctx context.Context, f *flight) {
	defer close(f.landed)
	granted := true
	f.answer, f.err = r.scan.client.fetch(ctx, ask{
		number: f.number, query: r.scan.query, attempts: r.scan.client.attempts,
		awaitSend: func(ctx context.Context) error {
			if granted {
				granted = false
				return nil
			}
			return r.awaitSend(ctx)
		},
	})
	if f.err != nil || !f.page.More {
		r.once.Do(func() { close(r.over) })
	}
}

// awaitSend calls Before, for one caller at a time.
func (r *run) awaitSend(ctx context.Context) error {
	select {
	case r.gate <- struct{}{}:
	case <-ctx.Done():
		return fmt.Errorf("wait to send: %w", context.Cause(ctx))
	}
	defer func() { <-r.gate }()
	return r.scan.client.awaitSend(ctx)
}

// unwanted reports whether no further page may be requested.
func (r *run) unwanted(ctx context.Context) bool {
	return ctx.Err() != nil || closed(r.scan.stop) || closed(r.over)
}

func closed(signal <-chan struct{}) bool {
	select {
	case <-signal:
		return true
	default:
		return false
	}
}
