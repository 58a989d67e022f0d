package dev

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
)

// supervisor keeps the children running. They stop in the reverse order of the ranks they were added in: the
// services, which use the sandbox, before it.
type supervisor struct {
	client *http.Client
	hurry  <-chan struct{}
	ranks  [][]*child
	logs   []*logFile // of all children; closed after the last of them
}

// add starts programs side by side, as one rank.
func (s *supervisor) add(programs ...program) {
	var rank []*child
	for _, p := range programs {
		rank = append(rank, keepRunning(p, s.hurry))
	}
	s.ranks = append(s.ranks, rank)
}

// awaitReady waits until all of the last rank can work.
func (s *supervisor) awaitReady(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	rank := s.ranks[len(s.ranks)-1]
	failures := make(chan error, len(rank))
	for _, c := range rank {
		go func() { failures <- c.awaitReady(ctx, s.client) }()
	}
	var first error
	for range rank {
		if err := <-failures; err != nil && first == nil {
			first = err
			cancel() // the others need not be waited for, and what they say then is our doing
		}
	}
	return first
}

// stop ends all children, rank by rank, and closes their logs. It returns when none is left.
func (s *supervisor) stop() error {
	for _, rank := range slices.Backward(s.ranks) {
		var ending sync.WaitGroup
		for _, c := range rank {
			ending.Go(c.stop)
		}
		ending.Wait()
	}
	var problems []error
	for _, log := range s.logs {
		problems = append(problems, log.close())
	}
	if err := errors.Join(problems...); err != nil {
		return fmt.Errorf("close logs: %w", err)
	}
	return nil
}
