// Package traffic counts the sandbox's requests: in sliding windows, by page, by status, and rejected writes.
//
// It promises that an answer is counted before its first byte leaves, so that a client that has its answer finds it in
// the report. It does not know what a request means.
package traffic

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"sync"
	"time"
)

const (
	maxNames = 2_000 // organisations and tenants with counts of their own
	listed   = 100   // pages that a report names
)

// Other has the counts of all names above the limit.
const Other = "_other"

// Ledger counts under names: organisations or tenants. It may be used by many goroutines at once.
type Ledger struct {
	nowFunc func() time.Time

	mu    sync.Mutex
	names map[string]*counts
}

type counts struct {
	requests    int
	first, last time.Time
	windows     [3]window // a second, ten seconds, a minute
	pages       map[int]int
	statuses    map[string]int
	refused     int
}

// NewLedger returns an empty ledger that reads the time from nowFunc.
func NewLedger(nowFunc func() time.Time) *Ledger {
	return &Ledger{nowFunc: nowFunc, names: make(map[string]*counts)}
}

// Arrive counts a request when it arrives.
func (l *Ledger) Arrive(name string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.nowFunc() // under the lock, so that arrivals are in order
	c := l.under(name)
	if c.requests == 0 {
		c.first = now
	}
	c.requests++
	c.last = now
	for i := range c.windows {
		c.windows[i].arrive(now)
	}
}

// Answered counts the outcome of a request: a status, Dropped or BrokenBody.
func (l *Ledger) Answered(name, outcome string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.under(name).statuses[outcome]++
}

// Page counts a complete page before it is sent.
func (l *Ledger) Page(name string, page int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.under(name).pages[page]++
}

// Refuse counts a rejected write.
func (l *Ledger) Refuse(name string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.under(name).refused++
}

// Reset forgets everything.
func (l *Ledger) Reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	clear(l.names)
}

func (l *Ledger) under(name string) *counts {
	c := l.names[name]
	if c == nil && len(l.names) >= maxNames {
		name = Other
		c = l.names[name]
	}
	if c == nil {
		c = &counts{
			windows:  [3]window{{length: time.Second}, {length: 10 * time.Second}, {length: time.Minute}},
			pages:    make(map[int]int),
			statuses: make(map[string]int),
		}
		l.names[name] = c
	}
	return c
}

// Report has the counts of one name.
type Report struct {
	Requests          int            `json:"requests"`
	FirstAt           string         `json:"firstAt"` // RFC 3339 with fractions, UTC
	LastAt            string         `json:"lastAt"`
	MaxPerSecond      int            `json:"maxPerSecond"`
	MaxPer10Seconds   int            `json:"maxPer10Seconds"`
	MaxPerMinute      int            `json:"maxPerMinute"`
	Pages             int            `json:"pages"`             // distinct ones
	PagesFetchedAgain []PageTimes    `json:"pagesFetchedAgain"` // at most 100, the lowest
	Statuses          map[string]int `json:"statuses"`
	Refused           int            `json:"-"`
}

// PageTimes says how often a page was delivered.
type PageTimes struct {
	Page  int `json:"page"`
	Times int `json:"times"`
}

// Reports returns the counts by name.
func (l *Ledger) Reports() map[string]Report {
	l.mu.Lock()
	defer l.mu.Unlock()
	reports := make(map[string]Report, len(l.names))
	for name, c := range l.names {
		reports[name] = c.report()
	}
	return reports
}

func (c *counts) report() Report {
	report := Report{
		Requests:          c.requests,
		FirstAt:           c.first.UTC().Format(time.RFC3339Nano),
		LastAt:            c.last.UTC().Format(time.RFC3339Nano),
		MaxPerSecond:      c.windows[0].most,
		MaxPer10Seconds:   c.windows[1].most,
		MaxPerMinute:      c.windows[2].most,
		Pages:             len(c.pages),
		PagesFetchedAgain: []PageTimes{},
		Statuses:          make(map[string]int, len(c.statuses)),
		Refused:           c.refused,
	}
	for page, times := range c.pages {
		if times > 1 {
			report.PagesFetchedAgain = append(report.PagesFetchedAgain, PageTimes{Page: page, Times: times})
		}
	}
	slices.SortFunc(report.PagesFetchedAgain, func(a, b PageTimes) int { return cmp.Compare(a.Page, b.Page) })
	report.PagesFetchedAgain = report.PagesFetchedAgain[:min(listed, len(report.PagesFetchedAgain))]
	maps.Copy(report.Statuses, c.statuses)
	return report
}

// Status returns the outcome of a request that got an answer.
func Status(code int) string { return strconv.Itoa(code) }

// window finds the largest number of arrivals in any half-open interval of a length. It keeps only the arrivals of the
// last interval, so its memory depends on the rate and not on the length of the run.
type window struct {
	length time.Duration
	recent []time.Time // arrivals less than length before the last
	most   int
}

func (w *window) arrive(at time.Time) {
	gone := 0
	for gone < len(w.recent) && at.Sub(w.recent[gone]) >= w.length {
		gone++
	}
	w.recent = append(w.recent[gone:], at)
	w.most = max(w.most, len(w.recent))
}
