// Package delivery sends the events of the sandbox's Virtuous to the subscribed addresses.
//
// It owns envelopes, signatures, the loss, doubling and reordering of events, and attempts. It promises that the seed alone
// decides which event is lost, doubled or late. Attempts and timeouts use the real time. A delivery that a restart
// interrupts is lost, as one of a real sender may be.
package delivery

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"rollcall.dev/services/sandbox/internal/gifts"
)

// Pause is how often the sender looks for events, and for midnights that have passed.
const Pause = 100 * time.Millisecond

// Sender delivers events.
type Sender struct {
	Organisations *gifts.Directory
	NowFunc       func() time.Time // the sandbox clock, for midnights
	RealFunc      func() time.Time // for attempts
	WaitFunc      func(context.Context, time.Duration) error
	Client        *http.Client

	mu     sync.Mutex
	queues map[*gifts.Organisation]*queue
}

// NewClient returns a client that neither follows redirects nor keeps connections.
func NewClient() *http.Client {
	return &http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// queue has the deliveries of one organisation that are not finished.
type queue struct {
	mu      sync.Mutex // held while deliveries are under way, so that they are in order
	waiting []*retry
}

type retry struct {
	*parcel

	due time.Time
}

// Report says what became of deliveries.
type Report struct {
	Delivered int `json:"delivered"`
	Failed    int `json:"failed"`  // attempts that failed
	Waiting   int `json:"waiting"` // deliveries that have attempts left
	Lost      int `json:"lost"`    // events
}

// Run delivers until the context ends. Organisations do not wait for each other.
func (s *Sender) Run(ctx context.Context) {
	var underWay sync.WaitGroup
	defer underWay.Wait()
	for s.WaitFunc(ctx, Pause) == nil {
		s.Organisations.Advance(s.NowFunc())
		for _, o := range s.Organisations.All() {
			q := s.queueOf(o)
			if o.Identity().Settings.Webhooks.Manual || !q.mu.TryLock() {
				continue
			}
			if !o.HasEvents() && len(q.waiting) == 0 {
				q.mu.Unlock()
				continue
			}
			underWay.Go(func() {
				defer q.mu.Unlock()
				s.round(ctx, o, q, false)
			})
		}
	}
}

// Flush makes one attempt of everything that waits, now, and returns what became of it.
func (s *Sender) Flush(ctx context.Context, o *gifts.Organisation) Report {
	o.Advance(s.NowFunc())
	q := s.queueOf(o)
	q.mu.Lock()
	defer q.mu.Unlock()
	return s.round(ctx, o, q, true)
}

func (s *Sender) queueOf(o *gifts.Organisation) *queue {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.queues == nil {
		s.queues = make(map[*gifts.Organisation]*queue)
	}
	if s.queues[o] == nil {
		s.queues[o] = &queue{}
	}
	return s.queues[o]
}

// round plans the new events and makes the attempts that are due, or all of them.
func (s *Sender) round(ctx context.Context, o *gifts.Organisation, q *queue, all bool) Report {
	is := o.Identity()
	parcels, lost := plan(is, o.TakeEvents())
	report := Report{Lost: len(lost)}
	o.Mark(lost, func(f *gifts.Fate) { f.Lost = true })
	now := s.RealFunc()
	for _, p := range parcels {
		o.Mark(p.numbers(), func(f *gifts.Fate) { f.Copies++ })
		q.waiting = append(q.waiting, &retry{parcel: p, due: now})
	}
	due := q.waiting
	q.waiting = nil
	for i, next := range due {
		if ctx.Err() != nil {
			q.waiting = append(q.waiting, due[i:]...)
			break
		}
		if !all && next.due.After(s.RealFunc()) {
			q.waiting = append(q.waiting, next)
			continue
		}
		err := s.attempt(ctx, o, is, next.parcel)
		if err == nil {
			report.Delivered++
		}
		if err == nil || errors.Is(err, errUnsubscribed) {
			continue
		}
		report.Failed++
		webhooks := is.Settings.Webhooks
		if next.attempts >= webhooks.Attempts {
			o.Mark(next.numbers(), func(f *gifts.Fate) { f.Failed++ })
			continue
		}
		pause := time.Duration(webhooks.RetryMs) * time.Millisecond << min(next.attempts-1, 10)
		q.waiting = append(q.waiting, &retry{parcel: next.parcel, due: s.RealFunc().Add(pause)})
	}
	report.Waiting = len(q.waiting)
	return report
}

var (
	errRefused      = errors.New("the receiver refused the delivery")
	errUnsubscribed = errors.New("the subscription was deleted, or is no longer active")
)

// attempt sends a delivery once. After an errUnsubscribed the delivery is to be forgotten.
func (s *Sender) attempt(ctx context.Context, o *gifts.Organisation, is gifts.Identity, p *parcel) error {
	p.attempts++
	to := o.Subscription(p.subscription)
	if to == nil || !to.Active {
		o.Mark(p.numbers(), func(f *gifts.Fate) { f.Failed++ })
		return errUnsubscribed
	}
	content, err := body(o, is, p.envelope, p.events, s.NowFunc())
	if err != nil {
		return err
	}
	if err := s.send(ctx, is, to, content); err != nil {
		return err
	}
	o.Mark(p.numbers(), func(f *gifts.Fate) { f.Delivered++ })
	return nil
}

// send posts a body to a subscription, with its signature.
func (s *Sender) send(ctx context.Context, is gifts.Identity, to *gifts.Subscription, content []byte) error {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(is.Settings.Webhooks.TimeoutMs)*time.Millisecond)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, to.PayloadURL, bytes.NewReader(content))
	if err != nil {
		return fmt.Errorf("deliver: %w", err)
	}
	request.Header.Set("Content-Type", "application/json; charset=utf-8")
	if to.Secret != "" {
		request.Header.Set(is.Settings.Webhooks.Header, signature(is, to.Secret, content))
	}
	response, err := s.Client.Do(request)
	if err != nil {
		return fmt.Errorf("deliver: %w", err)
	}
	if err := response.Body.Close(); err != nil {
		return fmt.Errorf("deliver: %w", err)
	}
	if response.StatusCode/100 != 2 {
		return errRefused
	}
	return nil
}

// Send posts a body as it is to all active subscriptions, with its signature, once, and returns how many accepted it.
func (s *Sender) Send(ctx context.Context, o *gifts.Organisation, content []byte) (accepted int) {
	active := slices.DeleteFunc(o.Subscriptions(), func(to *gifts.Subscription) bool { return !to.Active })
	for _, to := range active {
		if s.send(ctx, o.Identity(), to, content) == nil {
			accepted++
		}
	}
	return accepted
}
