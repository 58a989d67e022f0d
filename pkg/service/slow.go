package service

import (
	"context"
	"sync"
	"time"

	"github.com/nats-io/nats.go/micro"
)

// Slow limits an endpoint whose answers take seconds because they depend on other systems.
type Slow struct {
	Within time.Duration // for one answer; less than the 25 s in which a service must end
	Slots  int           // concurrent answers
}

// AnswerSlowly is Answer for endpoints that take longer: several answers run at once, each within its time. If all
// slots are in use or ctx has ended, the caller is asked to try again. The end of ctx does not interrupt an answer in
// progress: the service's own work calls drained before it returns.
func AnswerSlowly[Question, Reply any](ctx context.Context, s *Service, noun, verb string, slow Slow,
	answer func(ctx context.Context, question Question) (Reply, error),
) (drained func(), err error) {
	slots := make(chan struct{}, slow.Slots)
	var mu sync.Mutex // no answer may start once drained waits
	var running sync.WaitGroup
	ended := false
	err = s.endpoint(noun, verb, func(request micro.Request) {
		mu.Lock()
		defer mu.Unlock()
		if ended || ctx.Err() != nil {
			refuseQuestion(s.Logger, request, &BusyError{Text: "the service stops: ask again"})
			return
		}
		select {
		case slots <- struct{}{}:
		default:
			refuseQuestion(s.Logger, request, &BusyError{Text: "too many of these are under way: ask again in a moment"})
			return
		}
		running.Go(func() {
			defer func() { <-slots }()
			bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), slow.Within)
			defer cancel()
			answerOne(bounded, s.Logger, request, answer)
		})
	})
	return func() {
		mu.Lock()
		ended = true
		mu.Unlock()
		running.Wait()
	}, err
}
