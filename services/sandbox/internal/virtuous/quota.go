package virtuous

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"
)

// ErrInvalidQuota is returned for quota settings that cannot be.
var ErrInvalidQuota = errors.New("not a valid quota")

// Quota says how many requests an organisation has in a window of time, and how answers say so. The window is on the
// sandbox clock, like the Date header, because both are the server's.
type Quota struct {
	Limit           int    `json:"limit"`
	WindowSeconds   int    `json:"windowSeconds"`
	OthersPerWindow int    `json:"othersPerWindow"` // requests of other callers, spread evenly
	Headers         string `json:"headers"`         // documented (X-RateLimit-…), dashed (X-Rate-Limit-…) or none
	Reset           string `json:"reset"`           // seconds or milliseconds since 1970
	RetryAfter      string `json:"retryAfter"`      // seconds, date or none
}

// DefaultQuota returns the documented quota.
func DefaultQuota() Quota {
	return Quota{Limit: 5_000, WindowSeconds: 3_600, Headers: "documented", Reset: "seconds", RetryAfter: "seconds"}
}

func (q Quota) check() error {
	switch {
	case q.Limit < 1 || q.WindowSeconds < 1 || q.WindowSeconds > 366*24*3600 || q.OthersPerWindow < 0:
		return fmt.Errorf("%w: limit and windowSeconds are 1 or more, othersPerWindow is not negative", ErrInvalidQuota)
	case !slices.Contains([]string{"documented", "dashed", "none"}, q.Headers):
		return fmt.Errorf("%w: headers is documented, dashed or none", ErrInvalidQuota)
	case !slices.Contains([]string{"seconds", "milliseconds"}, q.Reset):
		return fmt.Errorf("%w: reset is seconds or milliseconds", ErrInvalidQuota)
	case !slices.Contains([]string{"seconds", "date", "none"}, q.RetryAfter):
		return fmt.Errorf("%w: retryAfter is seconds, date or none", ErrInvalidQuota)
	}
	return nil
}

// Quotas counts the requests of all organisations. It may be used by many goroutines at once.
type Quotas struct {
	mu     sync.Mutex
	byName map[string]*quotaState
}

// NewQuotas returns quotas without a request.
func NewQuotas() *Quotas { return &Quotas{byName: make(map[string]*quotaState)} }

type quotaState struct {
	quota    Quota
	started  time.Time // of the window
	ours     int       // in the window
	spent    int       // by other callers at once, in the window
	refused  int       // ever
	recent   []time.Time
	most     int // ours in any interval of a window's length
	received map[string]int
}

// QuotaReport is what was spent.
type QuotaReport struct {
	Quota
	StartedAt  time.Time      `json:"startedAt"` // of the window, on the sandbox clock
	Ours       int            `json:"ours"`      // requests in the window that were counted
	Others     int            `json:"others"`
	Remaining  int            `json:"remaining"`
	Refused    int            `json:"refused"`    // requests beyond the quota
	MostOurs   int            `json:"mostOurs"`   // the most counted ones in any interval of the window's length
	Operations map[string]int `json:"operations"` // requests by operation, refused ones too
}

func (q *Quotas) of(name string) *quotaState {
	found := q.byName[name]
	if found == nil {
		found = &quotaState{quota: DefaultQuota(), received: make(map[string]int)}
		q.byName[name] = found
	}
	return found
}

// at begins a new window if the last one has ended, and returns its end and what other callers have spent.
func (s *quotaState) at(now time.Time) (ends time.Time, others int) {
	length := time.Duration(s.quota.WindowSeconds) * time.Second
	if s.started.IsZero() || now.Before(s.started) || now.Sub(s.started) >= length {
		s.started, s.ours, s.spent = now, 0, 0
	}
	share := float64(now.Sub(s.started)) / float64(length)
	return s.started.Add(length), s.spent + int(share*float64(s.quota.OthersPerWindow))
}

// spend counts a request, writes the headers, and reports whether the request is within the quota.
func (q *Quotas) spend(c *call, operation string) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	s := q.of(c.is.Name)
	s.received[operation]++
	ends, others := s.at(c.now)
	remaining := s.quota.Limit - s.ours - others
	within := remaining > 0
	if within {
		s.count(c.now)
		remaining--
	} else {
		s.refused++
	}
	s.quota.write(c.w.Header(), c.now, ends, max(0, remaining), within)
	return within
}

func (s *quotaState) count(now time.Time) {
	s.ours++
	length := time.Duration(s.quota.WindowSeconds) * time.Second
	gone := 0
	for gone < len(s.recent) && now.Sub(s.recent[gone]) >= length {
		gone++
	}
	s.recent = append(s.recent[gone:], now)
	s.most = max(s.most, len(s.recent))
}

func (q Quota) write(h http.Header, now, ends time.Time, remaining int, within bool) {
	reset := ends.Unix() + 1 // rounded up: a client that waits until then is in the next window
	if q.Reset == "milliseconds" {
		reset = ends.UnixMilli() + 1
	}
	prefix := map[string]string{"documented": "X-RateLimit-", "dashed": "X-Rate-Limit-"}[q.Headers]
	if prefix != "" {
		h.Set(prefix+"Limit", strconv.Itoa(q.Limit))
		h.Set(prefix+"Remaining", strconv.Itoa(remaining))
		h.Set(prefix+"Reset", strconv.FormatInt(reset, 10))
	}
	switch {
	case within || q.RetryAfter == "none":
	case q.RetryAfter == "date":
		h.Set("Retry-After", ends.Add(time.Second).UTC().Format(http.TimeFormat))
	default:
		h.Set("Retry-After", strconv.FormatInt(int64(ends.Sub(now)/time.Second)+1, 10))
	}
}

// Set changes a quota, and forgets the window. Errors: ErrInvalidQuota.
func (q *Quotas) Set(name string, quota Quota) error {
	if err := quota.check(); err != nil {
		return err
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	s := q.of(name)
	s.quota, s.started, s.recent, s.most = quota, time.Time{}, nil, 0
	return nil
}

// SpendElsewhere makes other callers spend requests now. A negative number gives requests back.
func (q *Quotas) SpendElsewhere(name string, now time.Time, requests int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	s := q.of(name)
	s.at(now)
	s.spent += requests
}

// Leave makes other callers spend so much that a number of requests remains.
func (q *Quotas) Leave(name string, now time.Time, remaining int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	s := q.of(name)
	_, others := s.at(now)
	s.spent += s.quota.Limit - s.ours - others - remaining
}

// Reset forgets what was counted, but not what is spent of the window.
func (q *Quotas) Reset() {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, s := range q.byName {
		s.refused, s.most, s.recent = 0, 0, nil
		clear(s.received)
	}
}

// Report returns what an organisation has spent.
func (q *Quotas) Report(name string, now time.Time) QuotaReport {
	q.mu.Lock()
	defer q.mu.Unlock()
	s := q.of(name)
	_, others := s.at(now)
	return QuotaReport{
		Quota: s.quota, StartedAt: s.started, Ours: s.ours, Others: others, Remaining: max(0, s.quota.Limit-s.ours-others),
		Refused: s.refused, MostOurs: s.most, Operations: maps.Clone(s.received),
	}
}
