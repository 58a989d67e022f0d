package pages

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"rollcall.dev/pkg/store"
	"rollcall.dev/services/console/internal/access"
)

const (
	// liveEvery is how often it is looked up whether open pages have to be made again.
	liveEvery = 2 * time.Second
	// listEvery is how often a page of many customers is made again, whatever has changed.
	listEvery = 4 * time.Second
	// pageEvery is how often a page of one customer is made again if its stamp stays the same: not all that it shows is in the stamp.
	pageEvery = time.Minute
	// beatEvery is how often a reader hears that nothing has changed: a browser that hears nothing says so.
	beatEvery = 10 * time.Second
	// liveWrite is how long a slow reader may take before its connection is closed.
	liveWrite = 10 * time.Second
)

// piece is a rendered fragment.
type piece struct {
	ID   string `json:"id"`
	Hash string `json:"hash"`
	HTML string `json:"html"`
}

// feed makes one page again and again, for all of its readers.
type feed struct {
	readers  map[chan []piece]bool
	kept     []piece // as last made
	customer string  // whose page it is; "": of many, or not made yet
	stamp    string  // the customer's, when it was last made
	due      time.Time
	wake     chan struct{}
	stop     context.CancelFunc
}

// feeds are the open pages, by their address and the rights of their readers. Pages with the same are made once for all of their readers, and
// a page of one customer only if something about that customer has changed: five hundred open pages cost little more than one.
type feeds struct {
	mu        sync.Mutex
	open      map[string]*feed
	stopPulse context.CancelFunc // nil while no page is open
}

// live sends the fragments of a page that change, until the reader leaves.
func (s *Site) live(w http.ResponseWriter, r *http.Request) {
	who := access.From(r.Context())
	at, err := url.ParseRequestURI(r.URL.Query().Get("at"))
	if err != nil || at.Host != "" || !strings.HasPrefix(at.Path, "/") || strings.HasPrefix(at.Path, "/live") {
		http.Error(w, "at takes the address of a page", http.StatusBadRequest)
		return
	}
	if !who.May(access.Read) {
		http.Error(w, "sign in first", http.StatusUnauthorized)
		return
	}
	control := http.NewResponseController(w)
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Accel-Buffering", "no")
	pieces, leave := s.follow(r.Context(), who, at)
	defer leave()
	beat := time.NewTicker(cmp.Or(s.beat, beatEvery))
	defer beat.Stop()
	for text := "retry: 3000\n\n"; ; {
		if err := control.SetWriteDeadline(time.Now().Add(liveWrite)); err != nil {
			s.warn(r.Context(), "live updates not possible", err)
			return
		}
		if _, err := w.Write([]byte(text)); err != nil {
			return // the reader has left
		}
		if err := control.Flush(); err != nil {
			return
		}
		select {
		case <-r.Context().Done():
			return
		case <-beat.C:
			if s.hasEnded(r, who) {
				return
			}
			text = "event: beat\ndata: {}\n\n"
		case changed, ok := <-pieces:
			if !ok {
				return // the page is gone, or the reader may not see it any more
			}
			if text, err = eventsOf(changed); err != nil {
				s.warn(r.Context(), "fragment not encoded", err)
				return
			}
		}
	}
}

// eventsOf returns fragments as server-sent events.
func eventsOf(changed []piece) (string, error) {
	var events strings.Builder
	for _, one := range changed {
		encoded, err := json.Marshal(one)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(&events, "event: fragment\ndata: %s\n\n", encoded)
	}
	return events.String(), nil
}

// hasEnded reports whether the reader's session, token or link has ended since the page was opened, or may have: a browser connects again, and
// is let in or not.
func (s *Site) hasEnded(r *http.Request, who access.Principal) bool {
	now, err := s.Authenticate(r)
	return err != nil || now.ID != who.ID || !slices.Equal(now.Rights, who.Rights)
}

// follow returns what changes on a page. The channel is closed when the page cannot be made for this reader any more.
func (s *Site) follow(ctx context.Context, who access.Principal, at *url.URL) (<-chan []piece, func()) {
	key := fmt.Sprint(who.Customer, who.Rights, at.RequestURI())
	mine := make(chan []piece, 4)
	s.feeds.mu.Lock()
	defer s.feeds.mu.Unlock()
	if s.feeds.open == nil {
		s.feeds.open = map[string]*feed{}
	}
	one, found := s.feeds.open[key]
	if !found {
		making, stop := context.WithCancel(access.With(context.WithoutCancel(ctx), who))
		one = &feed{readers: map[chan []piece]bool{}, wake: make(chan struct{}, 1), stop: stop}
		s.feeds.open[key] = one
		go s.feed(making, key, one, at)
		if s.feeds.stopPulse == nil {
			pulsing, stop := context.WithCancel(context.WithoutCancel(ctx))
			s.feeds.stopPulse = stop
			go s.pulse(pulsing)
		}
	}
	one.readers[mine] = true
	if len(one.kept) > 0 {
		mine <- one.kept
	}
	return mine, func() {
		s.feeds.mu.Lock()
		defer s.feeds.mu.Unlock()
		delete(one.readers, mine)
		s.feeds.endUnread(key, one)
	}
}

// endUnread ends a feed without readers, and with the last one the pulse.
func (f *feeds) endUnread(key string, one *feed) {
	if len(one.readers) > 0 {
		return
	}
	one.stop()
	if f.open[key] == one { // another one may have been opened since
		delete(f.open, key)
	}
	if len(f.open) == 0 && f.stopPulse != nil {
		f.stopPulse()
		f.stopPulse = nil
	}
}

// feed makes the page when it is woken, until its last reader has left.
func (s *Site) feed(ctx context.Context, key string, one *feed, at *url.URL) {
	for {
		customer, pieces, err := s.pieces(ctx, at)
		s.feeds.mu.Lock()
		switch {
		case err == nil:
			one.send(changed(one.kept, pieces))
			one.kept, one.customer, one.due = pieces, customer, time.Now().Add(listEvery)
			if customer != "" {
				one.due = time.Now().Add(pageEvery)
			}
		case ctx.Err() == nil && isFinal(err):
			for reader := range one.readers {
				close(reader)
			}
			clear(one.readers)
		}
		s.feeds.endUnread(key, one)
		s.feeds.mu.Unlock()
		select {
		case <-ctx.Done():
			return
		case <-one.wake:
		}
	}
}

// pulse wakes the pages that have to be made again.
func (s *Site) pulse(ctx context.Context) {
	ticker := time.NewTicker(liveEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		bounded, cancel := context.WithTimeout(ctx, askTimeout)
		stamps, err := s.Store.CustomerStamps(bounded, s.feeds.watched())
		cancel()
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			s.warn(ctx, "open pages not looked at", err) // they are made again after pageEvery
		}
		now := make(map[string]string, len(stamps))
		for _, one := range stamps {
			now[one.Customer] = one.Stamp
		}
		s.feeds.wake(now)
	}
}

// watched returns the customers of the open pages.
func (f *feeds) watched() (customers []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, one := range f.open {
		if one.customer != "" {
			customers = append(customers, one.customer)
		}
	}
	slices.Sort(customers)
	return slices.Compact(customers)
}

// wake wakes the pages whose customer has another stamp, and those that are due.
func (f *feeds) wake(stamps map[string]string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, one := range f.open {
		stamp, known := stamps[one.customer]
		isOther := known && stamp != one.stamp
		if !isOther && time.Now().Before(one.due) {
			continue
		}
		if known {
			one.stamp = stamp
		}
		select {
		case one.wake <- struct{}{}:
		default: // it is being made
		}
	}
}

// isFinal reports whether a page will not come back: it is gone, or may not be seen.
func isFinal(err error) bool {
	status, _ := explainError(err)
	return status == http.StatusNotFound || status == http.StatusForbidden
}

// send gives each reader what has changed. A reader that does not keep up is left: its browser connects again, and gets the whole page.
func (f *feed) send(pieces []piece) {
	if len(pieces) == 0 {
		return
	}
	for reader := range f.readers {
		select {
		case reader <- pieces:
		default:
			close(reader)
			delete(f.readers, reader)
		}
	}
}

func changed(before, after []piece) []piece {
	return slices.DeleteFunc(slices.Clone(after), func(one piece) bool { return slices.Contains(before, one) })
}

// pieces makes a page, and returns whose it is and its fragments, with the rail and the sentence of state.
func (s *Site) pieces(ctx context.Context, at *url.URL) (customer string, made []piece, err error) {
	var shown captured
	request, err := http.NewRequestWithContext(context.WithValue(ctx, capturedKey{}, &shown), http.MethodGet, at.RequestURI(), nil)
	if err != nil {
		return "", nil, err
	}
	bounded, cancel := context.WithTimeout(request.Context(), askTimeout)
	defer cancel()
	request = request.WithContext(bounded)
	s.views.ServeHTTP(discard{}, request)
	if shown.err == nil && shown.page.Still {
		shown.err = fmt.Errorf("follow a page that is not live: %w", store.ErrNotFound)
	}
	if shown.err != nil {
		return "", nil, shown.err
	}
	shell, err := s.shell(bounded, request, access.From(ctx), shown.page)
	if err != nil {
		return "", nil, err
	}
	fragments := append([]Fragment{{"state-sentence", stateSentenceBody(shell)}, {"rail", railBody(shell)}}, shown.page.Fragments...)
	for _, one := range fragments {
		var html bytes.Buffer
		if err := one.Body.Render(bounded, &html); err != nil {
			return "", nil, fmt.Errorf("render %s: %w", one.ID, err)
		}
		sum := sha256.Sum256(html.Bytes())
		made = append(made, piece{ID: one.ID, Hash: hex.EncodeToString(sum[:8]), HTML: html.String()})
	}
	return shown.page.Customer, made, nil
}

// discard is where a captured page would be written.
type discard struct{}

// Header returns a header that nothing reads.
func (discard) Header() http.Header { return http.Header{} }

// Write accepts everything.
func (discard) Write(data []byte) (int, error) { return len(data), nil }

// WriteHeader ignores the status.
func (discard) WriteHeader(int) {}
