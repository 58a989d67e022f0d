package faults

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"time"
)

const maxRules = 1_000

// Entry is a rule with its id, its hits, and whether it is active.
type Entry struct {
	ID string `json:"id"`
	Rule
	Hits   int  `json:"hits"`
	Active bool `json:"active"`
}

// Set holds the rules in the order in which they were added. It may be used by many goroutines at once.
type Set struct {
	nowFunc func() time.Time
	seed    uint64

	mu     sync.Mutex
	rules  []*state
	nextID uint64
}

type state struct {
	id      string
	rule    Rule
	records map[string]bool
	until   time.Time // zero: no end
	hits    int
	dice    *rand.Rand
}

// NewSet returns a set without rules.
func NewSet(seed uint64, nowFunc func() time.Time) *Set {
	return &Set{seed: seed, nowFunc: nowFunc}
}

// Add adds a rule after the others and returns its id. Errors: ErrInvalid.
func (s *Set) Add(rule Rule) (string, error) {
	if err := rule.check(); err != nil {
		return "", err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.nowFunc()
	if len(s.rules) >= maxRules {
		s.rules = slices.DeleteFunc(s.rules, func(e *state) bool { return !e.active(now) })
	}
	if len(s.rules) >= maxRules {
		return "", fmt.Errorf("%w: there are %d of them already", ErrInvalid, maxRules)
	}
	s.nextID++
	added := &state{
		id:   "fault-" + strconv.FormatUint(s.nextID, 10),
		rule: rule,
		dice: rand.New(rand.NewPCG(s.seed, s.nextID)), //nolint:gosec // repeatable on purpose
	}
	if rule.Seconds > 0 {
		added.until = now.Add(time.Duration(rule.Seconds * float64(time.Second)))
	}
	if len(rule.Records) > 0 {
		added.records = make(map[string]bool, len(rule.Records))
		for _, record := range rule.Records {
			added.records[record] = true
		}
	}
	s.rules = append(s.rules, added)
	return added.id, nil
}

// Remove removes a rule and reports whether there was one.
func (s *Set) Remove(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := len(s.rules)
	s.rules = slices.DeleteFunc(s.rules, func(e *state) bool { return e.id == id })
	return len(s.rules) < before
}

// Clear removes all rules.
func (s *Set) Clear() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rules = nil
}

// Entries lists the rules, also those that have ended.
func (s *Set) Entries() []Entry {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.nowFunc()
	entries := make([]Entry, 0, len(s.rules))
	for _, e := range s.rules {
		entries = append(entries, Entry{ID: e.id, Rule: e.rule, Hits: e.hits, Active: e.active(now)})
	}
	return entries
}

// hit returns what applies now: the sum of the delays, and the first rule that is neither a delay nor a change of a
// complete answer, or nil.
func (s *Set) hit(target string, of Request, applies func(records map[string]bool) bool) (time.Duration, *Rule) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.nowFunc()
	var delay time.Duration
	for _, e := range s.rules {
		if e.rule.bends() || !e.isFor(target, of) || !e.active(now) || !applies(e.records) || !e.isDrawn() {
			continue
		}
		e.hits++
		if e.rule.Kind != Latency {
			return delay, &e.rule
		}
		delay += e.rule.delay()
	}
	return delay, nil
}

// bends returns the rules that change a complete answer now.
func (s *Set) bends(target string, of Request) []Rule {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.nowFunc()
	var bends []Rule
	for _, e := range s.rules {
		if e.rule.bends() && e.isFor(target, of) && e.active(now) && e.isDrawn() {
			e.hits++
			bends = append(bends, e.rule)
		}
	}
	return bends
}

func (e *state) isFor(target string, of Request) bool {
	return e.rule.Target == target && (e.rule.name() == "" || e.rule.name() == of.Name) &&
		(e.rule.Operation == "" || e.rule.Operation == of.Operation)
}

func (e *state) active(now time.Time) bool {
	return (e.rule.Count == 0 || e.hits < e.rule.Count) && (e.until.IsZero() || now.Before(e.until))
}

func (e *state) isDrawn() bool {
	return e.rule.Probability == nil || e.dice.Float64() < *e.rule.Probability
}
