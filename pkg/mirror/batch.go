package mirror

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"rollcall.dev/pkg/destination"
	"rollcall.dev/pkg/fault"
)

// writeBatches sends the candidates at the places of todo in batches, where the destination takes batches, and
// returns the places that still have to be written one by one: all, where it takes none.
//
// A batch settles what it can: records that were taken, and records that were refused for good. Whatever else came
// of it, for one record or for the request as a whole, is found out by writing one by one, where attempts are
// counted and the circuit breaker tells the destination's fault from a record's. So there is one place that
// decides who is at fault, and one bad record that brings a whole batch down costs a page some requests and
// nobody a letter.
func (l *Lane) writeBatches(ctx context.Context, candidates []candidate, results []written, todo []int, options ApplyOptions) ([]int, error) {
	batcher, can := l.Destination.(destination.Batcher)
	if !can || batcher.BatchSize() < 2 || len(todo) <= shortPage || l.oneByOne.Load() {
		return todo, nil
	}
	var mu sync.Mutex
	var left []int
	group, grouped := errgroup.WithContext(ctx)
	for places := range slices.Chunk(todo, batcher.BatchSize()) {
		if err := l.enter(grouped); err != nil {
			group.Go(func() error { return err }) // of several the first counts: what ended grouped
			break
		}
		group.Go(func() error {
			defer l.leave()
			unsettled, err := l.writeBatch(grouped, batcher, candidates, results, places, options)
			mu.Lock()
			defer mu.Unlock()
			left = append(left, unsettled...)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	slices.Sort(left)
	return left, nil
}

// writeBatch sends one batch and returns the places that it did not settle.
func (l *Lane) writeBatch(ctx context.Context, batcher destination.Batcher, candidates []candidate, results []written, places []int,
	options ApplyOptions,
) ([]int, error) {
	records := make([]destination.Record, 0, len(places))
	for _, place := range places {
		records = append(records, candidates[place].record)
	}
	answers, err := batcher.UpsertBatch(ctx, records)
	var refusal *destination.Refusal
	switch {
	case err == nil:
	case options.Forbidden && errors.Is(err, destination.ErrForbidden):
		l.oneByOne.Store(true) // which of them is the forbidden one?
		return places, nil
	case errors.Is(err, destination.ErrAuth):
		return nil, fmt.Errorf("write batch: %w: %w", ErrDestinationAuth, err)
	case fault.KindOf(err) == fault.KindThrottled:
		return nil, fmt.Errorf("write batch: %w: %w", ErrDestinationThrottled, err)
	case errors.Is(err, destination.ErrNotPublic), errors.Is(err, destination.ErrRedirect), errors.Is(err, destination.ErrOpen),
		errors.Is(err, destination.ErrHostSilent):
		return nil, fmt.Errorf("write batch: %w: %w", ErrDestinationDown, err)
	case errors.As(err, &refusal), destination.Retryable(err):
		// It has no such endpoint, will not take this size, or stumbles over one record: for the rest of the turn
		// nothing is lost by writing one by one, and an attempt at each page would be.
		l.oneByOne.Store(true)
		return places, nil
	default:
		return nil, fmt.Errorf("write batch: %w", err)
	}
	var left []int
	var throttled error
	for i, place := range places {
		switch answer := answers[i]; {
		case answer.Err == nil:
			results[place].externalID = answer.ExternalUserID
		case errors.As(answer.Err, &refusal):
			results[place].err = answer.Err
		default:
			if _, named := destination.ThrottledFor(answer.Err); named {
				throttled = fmt.Errorf("write batch: %w: %w", ErrDestinationThrottled, answer.Err)
			}
			left = append(left, place)
		}
	}
	return left, throttled
}
