package round

import (
	"slices"
	"sync"
	"time"
)

const (
	// forgetAfter is how long a hold that ended is remembered, so that the next one in a row is longer.
	forgetAfter = 10 * time.Minute
	// waiveEvery is how often a hold is waived because an operator asked during the round that ended with it.
	waiveEvery = 5 * time.Second
	// givesWayFor is how long a customer lets others go first after its last round was held.
	givesWayFor = time.Minute
)

// Customer is a customer with something due.
type Customer struct {
	ID        string
	RenewedAt time.Time // when it last became active or got new credentials, which ends its hold
}

// Next is the customer who has the next round, with what earlier rounds left.
type Next struct {
	Customer   string
	Holds      int    // in a row, that counted
	LastReason string // of the last hold; "" if the last round came to its end
	Memo       string // what the kind noted in the last round
}

// queue orders the customers with something due. Each is in it once. A customer goes to the back after its round, and is
// not in the queue while it is held. The order of one customer's rows is in the table.
type queue struct {
	now      func() time.Time
	mostHeld int // how many rounds at once may be of customers whose last round was held

	mu        sync.Mutex
	order     []string
	customers map[string]*queuedCustomer
}

// queuedCustomer is what the queue knows of a customer.
type queuedCustomer struct {
	left      Next // for its next round
	isQueued  bool
	queuedAt  time.Time
	isRunning bool
	isAsked   bool      // during its round, an operator or a new token asked for another one
	waivedAt  time.Time // when a hold was last waived for that
	heldUntil time.Time
	renewedAt time.Time // as of the last offer
}

func newQueue(slots int, now func() time.Time) *queue {
	// Destinations that hang share half of the slots, so that the other half goes on.
	return &queue{now: now, mostHeld: max(1, slots/2), customers: map[string]*queuedCustomer{}}
}

// offer puts customers at the back who are neither queued, running nor held. New credentials and a resume end a hold.
func (q *queue) offer(customers []Customer) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, one := range customers {
		at := q.customer(one.ID)
		if one.RenewedAt.After(at.renewedAt) {
			at.heldUntil, at.renewedAt, at.isAsked = time.Time{}, one.RenewedAt, true
		}
		if at.isQueued || at.isRunning || q.now().Before(at.heldUntil) {
			continue
		}
		at.isQueued, at.queuedAt = true, q.now()
		q.order = append(q.order, one.ID)
	}
}

// take returns the next customer; ok is false if none may have a round. A customer whose last round was held lets others
// go first for a while.
func (q *queue) take() (next Next, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	held := 0
	for _, at := range q.customers {
		if at.isRunning && at.left.Holds > 0 {
			held++
		}
	}
	now, chosen := q.now(), -1
	for i, customer := range q.order {
		at := q.customers[customer]
		if at.left.Holds == 0 || held < q.mostHeld && now.Sub(at.queuedAt) >= givesWayFor {
			chosen = i
			break
		}
		if chosen < 0 && held < q.mostHeld {
			chosen = i
		}
	}
	if chosen < 0 {
		return Next{}, false
	}
	customer := q.order[chosen]
	at := q.customers[customer]
	q.order = slices.Delete(q.order, chosen, chosen+1)
	at.isQueued, at.isRunning, at.isAsked = false, true, false
	return at.left, true
}

// done ends a round. A customer with more due rows goes to the back.
func (q *queue) done(customer string, end End) {
	q.mu.Lock()
	defer q.mu.Unlock()
	at := q.customer(customer)
	at.isRunning, at.left.LastReason, at.left.Memo = false, end.Reason, end.Memo
	switch {
	case end.Reason == "":
		at.left.Holds = 0
	case end.Counts:
		at.left.Holds++
	}
	// A hold that gives the lane to another job is never waived, and any other only at intervals: an operator may ask for
	// thousands of rows.
	waive := at.isAsked && end.Counts && q.now().Sub(at.waivedAt) >= waiveEvery
	if waive {
		at.waivedAt = q.now()
	}
	if end.Hold > 0 && !waive {
		at.heldUntil = q.now().Add(end.Hold)
	} else if end.More || waive {
		at.isQueued, at.queuedAt = true, q.now()
		q.order = append(q.order, customer)
	}
}

// hasQueued reports whether customers wait for their round.
func (q *queue) hasQueued() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.order) > 0
}

// endHolds ends the holds of these customers, also the hold that a running round ends with, because an operator wants
// them to be tried now.
func (q *queue) endHolds(customers []string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, customer := range customers {
		if at := q.customers[customer]; at != nil {
			at.heldUntil, at.isAsked = time.Time{}, true
		}
	}
}

// nextLook returns how long until a hold ends, at most longest. It forgets the customers without anything to
// remember.
func (q *queue) nextLook(longest time.Duration) time.Duration {
	q.mu.Lock()
	defer q.mu.Unlock()
	now := q.now()
	for customer, at := range q.customers {
		if left := at.heldUntil.Sub(now); left > 0 {
			longest = min(longest, left)
		} else if !at.isQueued && !at.isRunning && (at.left.Holds == 0 || -left > forgetAfter) {
			delete(q.customers, customer)
		}
	}
	return longest
}

func (q *queue) customer(id string) *queuedCustomer {
	at := q.customers[id]
	if at == nil {
		at = &queuedCustomer{left: Next{Customer: id}}
		q.customers[id] = at
	}
	return at
}
