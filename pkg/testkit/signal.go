package testkit

import (
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Signal reports to a test that the code under test has reached some point, so that the test need not sleep. The code
// under test has a hook of type func(T), nil outside tests; the test sets it to Send.
type Signal[T any] struct {
	mu     sync.Mutex
	queue  []T
	wakeup chan struct{}
}

// NewSignal returns a signal without values.
func NewSignal[T any]() *Signal[T] { return &Signal[T]{wakeup: make(chan struct{}, 1)} }

// Send adds a value. It never blocks: a hook must not change the timing of the code that calls it.
func (s *Signal[T]) Send(v T) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.queue = append(s.queue, v)
	s.wake()
}

// Wait returns the oldest value that was sent and not yet returned. It fails the test if there is none within
// timeout.
func (s *Signal[T]) Wait(t testing.TB, timeout time.Duration) T {
	t.Helper()
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	for {
		if v, ok := s.take(); ok {
			return v
		}
		select {
		case <-s.wakeup:
		case <-timer.C:
			require.FailNow(t, "no signal within "+timeout.String())
		}
	}
}

// Require waits for the next value, which must be want.
func (s *Signal[T]) Require(t testing.TB, timeout time.Duration, want T) {
	t.Helper()
	require.Equal(t, want, s.Wait(t, timeout))
}

// RequireNone fails the test if a value was sent that no Wait returned.
func (s *Signal[T]) RequireNone(t testing.TB) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	require.Empty(t, s.queue)
}

func (s *Signal[T]) take() (v T, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.queue) == 0 {
		return v, false
	}
	v, s.queue = s.queue[0], s.queue[1:]
	if len(s.queue) > 0 {
		s.wake() // for another waiter
	}
	return v, true
}

func (s *Signal[T]) wake() {
	select {
	case s.wakeup <- struct{}{}:
	default:
	}
}
