package main

import (
	"sync"
	"time"
)

// latelyFor is how long a code that was found in a list of projects is not looked up again. A list is believed at any age, so that a
// second more means nothing; and donations that come at once mostly name the same few projects.
const latelyFor = time.Second

// lately keeps which codes of which customer were found lately. It forgets all of them at once, so that it holds no more than one
// second's.
type lately struct {
	mu    sync.Mutex
	since time.Time
	codes map[customerCode]struct{}
}

type customerCode struct{ customer, code string }

// has reports whether all codes were found lately.
func (l *lately) has(now time.Time, customer string, codes []string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now.Sub(l.since) > latelyFor {
		return false
	}
	for _, code := range codes {
		if _, found := l.codes[customerCode{customer, code}]; !found {
			return false
		}
	}
	return true
}

// add notes codes that were found just now.
func (l *lately) add(now time.Time, customer string, codes []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now.Sub(l.since) > latelyFor {
		l.since, l.codes = now, map[customerCode]struct{}{}
	}
	for _, code := range codes {
		l.codes[customerCode{customer, code}] = struct{}{}
	}
}
