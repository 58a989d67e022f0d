package job

import (
	"cmp"
	"context"
	"errors"
	"sync"
	"time"
)

const (
	// probeTakes is how long a probe holds its slot if the destination hangs.
	probeTakes = 5 * time.Second
	// A probe that finds no slot comes again after this, or after longestWait if many others wait, too.
	shortestWait = 2 * time.Second
	longestWait  = time.Minute
	// givesWayFor is how long a probe lets other runs go first: a destination that works again must not wait for work that
	// never ends.
	givesWayFor = time.Minute
)

// ErrNoProbeSlot says that a probe found no slot.
var ErrNoProbeSlot = errors.New("other probes have the slots, or other runs wait for them")

// ProbeSlots shares the slots of one process between probes and other runs. A probe is a run that was parked because its
// destination did not answer; most probes find that it still does not, and hold their slot for that. So they hold half of
// the slots that there are at most, at least one, and the last free slot only if no other run waits for it.
//
// Its methods may be called on nil, which sets no limit.
type ProbeSlots struct {
	slots func() int
	now   func() time.Time

	mu      sync.Mutex
	busy    int // runs at work, probes among them
	probes  int
	waiting map[string]*waiting // customers whose probes found no slot
}

type waiting struct{ since, seen time.Time }

// NewProbeSlots shares as many slots as there are.
func NewProbeSlots(slots func() int, now func() time.Time) *ProbeSlots {
	return &ProbeSlots{slots: slots, now: now, waiting: map[string]*waiting{}}
}

// most is how many probes have a slot at most.
func (p *ProbeSlots) most() int { return max(1, p.slots()/2) }

// Begin counts a run that has a slot; the caller calls end when the run gives it back.
func (p *ProbeSlots) Begin() (end func()) {
	if p == nil {
		return func() {}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.busy++
	return sync.OnceFunc(func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.busy--
	})
}

// Admit gives a slot to the probe of a customer whose run has begun. If it finds none, release is nil, and the probe is to come
// again after wait. silent is for how long nothing may be sent to its host; waits reports whether another run waits for a slot,
// and is called only for the last free one. The caller calls release when the destination has answered, or the run has ended.
func (p *ProbeSlots) Admit(ctx context.Context, customer string, silent time.Duration, waits func(ctx context.Context) (bool, error),
) (release func(), wait time.Duration, err error) {
	if p == nil {
		return func() {}, 0, nil
	}
	if silent <= 0 && p.givesWay(customer) {
		others, err := waits(ctx)
		if err != nil {
			return nil, 0, err
		}
		if others {
			return nil, p.comeAgain(customer, 0), nil
		}
	}
	if silent > 0 || !p.take(customer) {
		return nil, p.comeAgain(customer, silent), nil
	}
	return sync.OnceFunc(func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.probes--
	}), 0, nil
}

// givesWay reports whether the probe would hold the last free slot, and has not let others go first for long enough.
func (p *ProbeSlots) givesWay(customer string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	at, waited := p.waiting[customer]
	return p.probes < p.most() && p.busy >= p.slots() && !(waited && p.now().Sub(at.since) >= givesWayFor)
}

func (p *ProbeSlots) take(customer string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.probes >= p.most() {
		return false
	}
	p.probes++
	delete(p.waiting, customer)
	return true
}

// comeAgain notes that the customer's probe waits. Those that wait come as often as slots come free, and no more often:
// each coming costs a message and a row.
func (p *ProbeSlots) comeAgain(customer string, silent time.Duration) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.now()
	at := cmp.Or(p.waiting[customer], &waiting{since: now})
	at.seen = now
	p.waiting[customer] = at
	for one, other := range p.waiting {
		if now.Sub(other.seen) > 2*longestWait { // another process had a slot for it, or its run has ended
			delete(p.waiting, one)
		}
	}
	rounds := time.Duration(len(p.waiting)) * probeTakes / time.Duration(2*p.most())
	return min(max(rounds, silent, shortestWait), longestWait)
}
