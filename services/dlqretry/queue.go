package main

import (
	"slices"
	"sync"
	"time"

	"rollcall.dev/pkg/store"
)

const (
	// forgetAfter is how long a hold that is over is remembered, so that the next one in a row is longer.
	forgetAfter = 10 * time.Minute
	// waiveEvery is how often the hold that a turn ends with is waived because somebody asked during the turn.
	waiveEvery = 5 * time.Second
	// givesWayFor is how long a customer whose last turn something else put an end to lets others go first.
	givesWayFor = time.Minute
)

// queue is whose letters are retried next: each customer stands in it once, whoever had a turn goes to the back, and
// whoever is held stands in it not at all. Where a letter stands in its customer's own line is the table's.
type queue struct {
	now      func() time.Time
	suspects int // how many at once may be customers whose last turn something else put an end to

	mu    sync.Mutex
	order []string
	of    map[string]*place
}

// place is how a customer stands.
type place struct {
	queued  bool
	since   time.Time // when it came into the queue last
	running bool
	wanted  bool      // while running: an operator, or a new token, asks for a turn whatever the last one met
	waived  time.Time // when a hold was waived for that last
	held    time.Time // until then
	renewed time.Time // when the customer became active, or had new credentials, last
	holds   int       // in a row, that say something of another system
	reason  string    // of the last hold
	asked   string    // the user by whom the destination was tried last
}

// turnFor is a customer whose turn it is, with the holds before.
type turnFor struct {
	customer string
	holds    int
	reason   string
	asked    string
}

func newQueue(slots int, now func() time.Time) *queue {
	// Where many destinations hang at once, they share half of the slots: the other half goes on.
	return &queue{now: now, suspects: max(1, slots/2), of: map[string]*place{}}
}

// offer puts customers with due letters at the back who are not in it, in hand, or held. A hold ends with the state that
// it began in: with a new token, or a resume.
func (q *queue) offer(customers []store.LetterCustomer) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, one := range customers {
		at := q.place(one.ID)
		if one.RenewedAt.After(at.renewed) {
			at.held, at.renewed, at.wanted = time.Time{}, one.RenewedAt, true
		}
		if at.queued || at.running || q.now().Before(at.held) {
			continue
		}
		at.queued, at.since = true, q.now()
		q.order = append(q.order, one.ID)
	}
}

// take is the next one whose turn it is; ok is false where nobody may have one. A customer whose last turn something else
// put an end to lets others go first, for a while.
func (q *queue) take() (next turnFor, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	suspects := 0
	for _, at := range q.of {
		if at.running && at.holds > 0 {
			suspects++
		}
	}
	now, chosen := q.now(), -1
	for i, customer := range q.order {
		at := q.of[customer]
		if at.holds == 0 || suspects < q.suspects && now.Sub(at.since) >= givesWayFor {
			chosen = i
			break
		}
		if chosen < 0 && suspects < q.suspects {
			chosen = i
		}
	}
	if chosen < 0 {
		return turnFor{}, false
	}
	customer := q.order[chosen]
	at := q.of[customer]
	q.order = slices.Delete(q.order, chosen, chosen+1)
	at.queued, at.running, at.wanted = false, true, false
	return turnFor{customer: customer, holds: at.holds, reason: at.reason, asked: at.asked}, true
}

// done says what became of a turn. Whoever has more that is due goes to the back.
func (q *queue) done(customer string, ended ended) {
	q.mu.Lock()
	defer q.mu.Unlock()
	at := q.place(customer)
	at.running, at.reason, at.asked = false, ended.reason, ended.asked
	switch {
	case ended.reason == "":
		at.holds = 0
	case ended.counts:
		at.holds++
	}
	// What lets another have the lane is never waived, and the rest now and then: somebody may ask for thousands.
	waive := at.wanted && ended.counts && q.now().Sub(at.waived) >= waiveEvery
	if waive {
		at.waived = q.now()
	}
	if ended.hold > 0 && !waive {
		at.held = q.now().Add(ended.hold)
	} else if ended.more || waive {
		at.queued, at.since = true, q.now()
		q.order = append(q.order, customer)
	}
}

// release ends the holds of these customers, also one that a turn under way ends with: an operator wants their letters
// tried now.
func (q *queue) release(customers []string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, customer := range customers {
		if at := q.of[customer]; at != nil {
			at.held, at.wanted = time.Time{}, true
		}
	}
}

// next is how long until a hold ends, at most longest; and forgets whom nothing is to be remembered of.
func (q *queue) next(longest time.Duration) time.Duration {
	q.mu.Lock()
	defer q.mu.Unlock()
	now := q.now()
	for customer, at := range q.of {
		if left := at.held.Sub(now); left > 0 {
			longest = min(longest, left)
		} else if !at.queued && !at.running && (at.holds == 0 || -left > forgetAfter) {
			delete(q.of, customer)
		}
	}
	return longest
}

func (q *queue) place(customer string) *place {
	at := q.of[customer]
	if at == nil {
		at = &place{}
		q.of[customer] = at
	}
	return at
}
