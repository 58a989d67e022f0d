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
	"rollcall.dev/pkg/telemetry"
)

// writeBatches sends the pending candidates in batches, if the destination accepts batches, and returns the indexes of
// those that still have to be written one by one. If the destination accepts no batches, it returns all of them.
//
// A batch decides only about records that were accepted or permanently rejected. Records with any other result, and all
// records of a batch that failed as a whole, are written one by one, because only there attempts are counted and the
// circuit breaker tells the destination's fault from a record's. So one place decides who is at fault, and a bad record
// that makes a whole batch fail costs some requests but no other record gets a letter.
func (l *Lane) writeBatches(
	ctx context.Context, candidates []candidate, results []writeResult, pending []int, options ApplyOptions,
) ([]int, error) {
	batcher, acceptsBatches := l.Destination.(destination.Batcher)
	if !acceptsBatches || batcher.BatchSize() < 2 || len(pending) <= shortPage || l.batchesDisabled.Load() {
		return pending, nil
	}
	var mu sync.Mutex
	var remaining []int
	group, groupCtx := errgroup.WithContext(ctx)
	for indexes := range slices.Chunk(pending, batcher.BatchSize()) {
		if err := l.beginRequest(groupCtx); err != nil {
			group.Go(func() error { return err }) // Wait returns the first error: the one that cancelled groupCtx
			break
		}
		group.Go(func() error {
			defer l.endRequest()
			undecided, err := l.writeBatch(groupCtx, batcher, candidates, results, indexes, options)
			mu.Lock()
			defer mu.Unlock()
			remaining = append(remaining, undecided...)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	slices.Sort(remaining)
	return remaining, nil
}

// sendBatch sends a batch in a span of its own.
func sendBatch(ctx context.Context, batcher destination.Batcher, records []destination.Record) ([]destination.BatchResult, error) {
	ctx, span := telemetry.StartRequest(ctx, telemetry.SpanWriteBatch)
	span.Set(telemetry.Records(len(records)))
	answers, err := batcher.UpsertBatch(ctx, records)
	span.End(err)
	return answers, err
}

// writeBatch sends one batch and returns the indexes of the records that have to be written one by one.
func (l *Lane) writeBatch(ctx context.Context, batcher destination.Batcher, candidates []candidate, results []writeResult, indexes []int,
	options ApplyOptions,
) ([]int, error) {
	records := make([]destination.Record, 0, len(indexes))
	for _, index := range indexes {
		records = append(records, candidates[index].record)
	}
	answers, err := sendBatch(ctx, batcher, records)
	var rejection *destination.Rejection
	switch {
	case err == nil:
	case options.ForbiddenRejectsRecord && errors.Is(err, destination.ErrForbidden):
		l.batchesDisabled.Store(true) // only writing one by one shows which record is forbidden
		return indexes, nil
	case errors.Is(err, destination.ErrAuth):
		return nil, fmt.Errorf("write batch: %w: %w", ErrDestinationAuth, err)
	case fault.KindOf(err) == fault.KindThrottled:
		return nil, fmt.Errorf("write batch: %w: %w", ErrDestinationThrottled, err)
	case errors.Is(err, destination.ErrNotPublic), errors.Is(err, destination.ErrRedirect), errors.Is(err, destination.ErrOpen),
		errors.Is(err, destination.ErrHostSilent):
		return nil, fmt.Errorf("write batch: %w: %w", ErrDestinationDown, err)
	case errors.As(err, &rejection), destination.Retryable(err):
		// The destination has no batch endpoint, rejects this size, or fails on one record. Writing one by one for the rest
		// of this execution loses nothing; trying a batch on each page would cost a request each.
		l.batchesDisabled.Store(true)
		return indexes, nil
	default:
		return nil, fmt.Errorf("write batch: %w", err)
	}
	var undecided []int
	var throttled error
	for i, index := range indexes {
		switch answer := answers[i]; {
		case answer.Err == nil:
			results[index].externalID = answer.ExternalUserID
		case errors.As(answer.Err, &rejection):
			results[index].err = answer.Err
		default:
			if _, hasLength := destination.ThrottledFor(answer.Err); hasLength {
				throttled = fmt.Errorf("write batch: %w: %w", ErrDestinationThrottled, answer.Err)
			}
			undecided = append(undecided, index)
		}
	}
	return undecided, throttled
}
