package service

import (
	"context"
	"sync"
	"time"

	"github.com/nats-io/nats.go/micro"
)

// Slow bounds an endpoint whose answers take seconds, because they ask others.
type Slow struct {
	Within time.Duration // for one answer; below the 25 s in which a service ends
	Slots  int           // answers under way at once
}

// AnswerSlowly is Answer for what takes longer: several at once, each within its time. Whoever comes when all slots
// are taken, or when ctx has ended, is told to ask again. An answer under way is not cut short by the end of ctx:
// the service's own work calls drained before it returns.
func AnswerSlowly[Question, Reply any](ctx context.Context, s *Service, noun, verb string, slow Slow,
	answer func(ctx context.Context, question Question) (Reply, error),
) (drained func(), err error) {
	slots := make(chan struct{}, slow.Slots)
	var mu sync.Mutex // no answer may begin once its end is waited for
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
