package destination

import (
	"errors"
	"net/url"
	"strings"
	"sync"
	"time"
)

// HostsConfig has the limits of a process's knowledge of hosts; a zero value stands for the default.
type HostsConfig struct {
	Customers  int           // different customers without an answer that open a host; default 3
	Within     time.Duration // in which they had none, and no customer had one; default 1 min
	ProbeEvery time.Duration // how often one request goes to an open host; default 10 s
	IdleAfter  time.Duration // a host that nothing was sent to for so long is forgotten; default 1 h
	Now        func() time.Time
}

// Hosts knows which hosts (scheme, name and port) answer no customer, for all jobs of the process. A host opens if several
// customers had no answer within a minute and no customer had one. Then one request each ProbeEvery asks for all of them,
// and every other ends with ErrHostSilent before it is made. Any answer closes the host.
//
// A status is an answer, whatever it says. One customer's dead path on a host that many share opens nothing: the others
// are answered.
type Hosts struct {
	cfg HostsConfig

	mu      sync.Mutex
	byKey   map[string]*host
	sweptAt time.Time
}

type host struct {
	silent   map[string]time.Time // since the last answer: when a customer had none, last
	answered time.Time            // zero: never
	open     bool
	probed   time.Time // while open: when the last request left
	usedAt   time.Time
}

// NewHosts returns a set in which no host is open.
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

// HostKey is the scheme, host and port of a destination's URL, "" if it has none.
func HostKey(raw string) string {
	u, err := url.Parse(raw)
	if err != nil || u.Hostname() == "" {
		return ""
	}
	return u.Scheme + "://" + strings.ToLower(strings.TrimSuffix(u.Hostname(), ".")) + ":" + portOf(u)
}

// Silent is for how long no request may go to the host, because it is open and another one has asked for all; 0 if one may.
func (h *Hosts) Silent(key string) time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	at, known := h.byKey[key]
	if !known || !at.open {
		return 0
	}
	return max(at.probed.Add(h.cfg.ProbeEvery).Sub(h.cfg.Now()), 0)
}

// hanging is asked as an attempt begins; hangs says, after one without an answer, whether it lasted for as long as a probe
// and the host has answered no other request lately: then the next attempt would only hold a worker for as long again.
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

// enter lets a request out, or returns ErrHostSilent. probe says that the request asks for all customers of the host.
func (h *Hosts) enter(key string) (probe bool, err error) {
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

// ended notes what became of a customer's request. One that was held back, or whose caller went away, says nothing.
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
		at.answered, at.open = now, false
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
		at.open, at.probed = true, now
	}
}

func (h *Hosts) sweep(now time.Time) {
	if now.Sub(h.sweptAt) < h.cfg.IdleAfter/4 {
		return
	}
	h.sweptAt = now
	for key, at := range h.byKey {
		if now.Sub(at.usedAt) >= h.cfg.IdleAfter {
			delete(h.byKey, key)
		}
	}
}

// isAnswer says whether a request that ended so was answered by the host.
func isAnswer(err error) bool {
	var gone *abandonedError
	return !errors.As(err, &gone) && !errors.Is(err, ErrNotPublic) && !errors.Is(err, ErrHeld)
}

// noAnswerError marks a failure of which the other side said nothing at all.
type noAnswerError struct{ error }

func (e *noAnswerError) Unwrap() error { return e.error }

// NoAnswer marks err as the end of a request to which no answer came: a timeout, a connection that was refused or reset, a
// name that leads nowhere. Its text stays as it is.
func NoAnswer(err error) error { return &noAnswerError{err} }

// IsNoAnswer says whether err is marked by NoAnswer.
func IsNoAnswer(err error) bool {
	var silent *noAnswerError
	return errors.As(err, &silent)
}
