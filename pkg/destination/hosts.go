package destination

import (
	"errors"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// HostsConfig has the limits of a process's knowledge of hosts; a zero value means the default.
type HostsConfig struct {
	Customers  int           // number of customers without an answer that opens a host; default 3
	Within     time.Duration // the period in which they got none, and no other customer got one; default 1 min
	ProbeEvery time.Duration // how often one request is sent to an open host; default 10 s
	IdleAfter  time.Duration // how long a host may be unused before it is removed; default 1 h
	Now        func() time.Time
}

// Hosts records which hosts (scheme, name and port) answer no customer, for all jobs of the process. A host opens if
// several customers got no answer within a minute and no customer got one. Then one request per ProbeEvery probes it
// for all customers, and every other request ends with ErrHostSilent before it is sent. Any answer closes the host.
//
// Every HTTP status counts as an answer. One customer's dead path on a shared host opens nothing, because the other
// customers get answers.
type Hosts struct {
	cfg HostsConfig

	openHosts atomic.Int64 // usually 0, and then no request waits for the others' lock

	mu      sync.Mutex
	byKey   map[string]*host
	sweptAt time.Time
}

type host struct {
	silent   map[string]time.Time // customers without an answer since the last answer, with the last time of each
	answered time.Time            // zero: never
	open     bool
	probed   time.Time // while open: when the last request was sent
	usedAt   time.Time
}

// NewHosts returns a set without open hosts.
func NewHosts(cfg HostsConfig) *Hosts {
	if cfg.Customers <= 0 {
		cfg.Customers = 3
	}
	if cfg.Within <= 0 {
		cfg.Within = time.Minute
	}
	if cfg.ProbeEvery <= 0 {
		cfg.ProbeEvery = 10 * time.Second
	}
	if cfg.IdleAfter <= 0 {
		cfg.IdleAfter = time.Hour
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Hosts{cfg: cfg, byKey: map[string]*host{}, sweptAt: cfg.Now()}
}

// HostKey returns the scheme, host and port of a destination's URL, "" if it has none.
func HostKey(raw string) string {
	u, err := url.Parse(raw)
	if err != nil || u.Hostname() == "" {
		return ""
	}
	return u.Scheme + "://" + strings.ToLower(strings.TrimSuffix(u.Hostname(), ".")) + ":" + portOf(u)
}

// Silent returns for how long no request may be sent to the host, because it is open and another request probes it; 0
// if one may be sent.
func (h *Hosts) Silent(key string) time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	at, known := h.byKey[key]
	if !known || !at.open {
		return 0
	}
	return max(at.probed.Add(h.cfg.ProbeEvery).Sub(h.cfg.Now()), 0)
}

// hanging is called when an attempt starts. Its result hangs reports, after an attempt without an answer, whether the
// attempt lasted as long as a probe and the host has answered no other request lately: then another attempt would
// only hold a worker for as long again.
func (h *Hosts) hanging(key string) (hangs func() bool) {
	began := h.cfg.Now()
	return func() bool {
		h.mu.Lock()
		defer h.mu.Unlock()
		now := h.cfg.Now()
		at, known := h.byKey[key]
		answers := known && !at.answered.IsZero() && now.Sub(at.answered) < h.cfg.Within
		return key != "" && !answers && now.Sub(began) >= probeTime
	}
}

// enter allows a request, or returns ErrHostSilent. probe means that the request probes the host for all customers.
func (h *Hosts) enter(key string) (probe bool, err error) {
	if h.openHosts.Load() == 0 {
		return false, nil
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	at, known := h.byKey[key]
	if !known || !at.open {
		return false, nil
	}
	now := h.cfg.Now()
	if now.Before(at.probed.Add(h.cfg.ProbeEvery)) {
		return false, ErrHostSilent
	}
	at.probed, at.usedAt = now, now
	return true, nil
}

// ended records the result of a customer's request. One that was held, or whose caller ended, says nothing.
func (h *Hosts) ended(key, customer string, err error) {
	silent := IsNoAnswer(err)
	if key == "" || !silent && !isAnswer(err) {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	now := h.cfg.Now()
	h.sweep(now)
	at, known := h.byKey[key]
	if !known {
		at = &host{silent: map[string]time.Time{}}
		h.byKey[key] = at
	}
	at.usedAt = now
	if !silent {
		clear(at.silent)
		at.answered = now
		h.setOpen(at, false)
		return
	}
	at.silent[customer] = now
	if at.open || !at.answered.IsZero() && now.Sub(at.answered) < h.cfg.Within {
		return
	}
	for one, last := range at.silent {
		if now.Sub(last) >= h.cfg.Within {
			delete(at.silent, one)
		}
	}
	if len(at.silent) >= h.cfg.Customers {
		at.probed = now
		h.setOpen(at, true)
	}
}

func (h *Hosts) setOpen(at *host, open bool) {
	switch {
	case open && !at.open:
		h.openHosts.Add(1)
	case !open && at.open:
		h.openHosts.Add(-1)
	}
	at.open = open
}

func (h *Hosts) sweep(now time.Time) {
	if now.Sub(h.sweptAt) < h.cfg.IdleAfter/4 {
		return
	}
	h.sweptAt = now
	for key, at := range h.byKey {
		if now.Sub(at.usedAt) >= h.cfg.IdleAfter {
			h.setOpen(at, false)
			delete(h.byKey, key)
		}
	}
}

// isAnswer reports whether a request with this error was answered by the host.
func isAnswer(err error) bool {
	var gone *abandonedError
	return !errors.As(err, &gone) && !errors.Is(err, ErrNotPublic) && !errors.Is(err, ErrHeld)
}

// noAnswerError marks a failure without any answer from the other side.
type noAnswerError struct{ error }

func (e *noAnswerError) Unwrap() error { return e.error }

// NoAnswer marks err as the end of a request without an answer: a timeout, a connection that was refused or reset, a
// name that cannot be resolved. Its text does not change.
func NoAnswer(err error) error { return &noAnswerError{err} }

// IsNoAnswer reports whether err is marked by NoAnswer.
func IsNoAnswer(err error) bool {
	var silent *noAnswerError
	return errors.As(err, &silent)
}
