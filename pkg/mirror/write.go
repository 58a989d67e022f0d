package mirror

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"

	"golang.org/x/sync/errgroup"

	"rollcall.dev/pkg/destination"
	"rollcall.dev/pkg/fault"
)

// ErrDestinationDown says that the destination, not a record, is at fault: the job parks and the page is not
// committed.
var ErrDestinationDown = errors.New("the destination does not work")

// ErrDestinationAuth says that the destination refuses us altogether.
var ErrDestinationAuth = errors.New("the destination refuses our credentials")

// ErrDestinationThrottled says that the destination asks for a pause: fault.After gives it, if it named one. What it
// accepted of the page is remembered; the rest waits.
var ErrDestinationThrottled = errors.New("the destination asks for a pause")

// refusedAlike is the size from which a page whose records are all refused in the same way speaks of the
// destination and not of the records.
const refusedAlike = 10

// shortPage is the size up to which a page cannot open the circuit breaker by itself: the attempts in place at
// three records are fewer failures than it takes.
const shortPage = 3

// written is what became of one candidate.
type written struct {
	externalID string
	err        error  // nil, a *destination.Refusal, or retryable
	answer     []byte // what the destination said in err's place, sealed; nil if it said nothing
}

// writeAll sends the candidates to the destination, several at once, and returns what became of each. An error
// is the destination's or the job's own: then the page may not be committed, and of the records only those with an
// external id were accepted.
func (l *Lane) writeAll(ctx context.Context, candidates []candidate, options ApplyOptions) ([]written, error) {
	if len(candidates) == 0 {
		return nil, nil
	}
	trips := l.Trips()
	// Where a short page has had its benefit of the doubt, neither probe nor breaker excuse it any longer: its
	// own records may be the only failures that they saw, and then it would wait for ever.
	excused := options.Lenient || len(candidates) > shortPage
	results := make([]written, len(candidates))
	probed := -1
	if options.Probe {
		// One record alone finds out whether the destination works again, instead of a page's worth. Which one
		// is left to chance: always the first, and one record that nobody can write stops the job for good.
		probed = rand.IntN(len(candidates)) //nolint:gosec // not a secret
		trying := ctx
		if excused && options.Silent { // not excused, the record gets a letter: after as many attempts as any
			trying = destination.AsProbe(ctx)
		}
		if err := l.writeOne(trying, candidates[probed], &results[probed], excused, options); err != nil {
			return results, err
		}
		if err := results[probed].err; err != nil && excused && destination.Retryable(err) {
			return results, fmt.Errorf("probe: %w: %w", ErrDestinationDown, err)
		}
	}
	left := make([]int, 0, len(candidates))
	for i := range candidates {
		if i != probed {
			left = append(left, i)
		}
	}
	left, err := l.writeBatches(ctx, candidates, results, left, options)
	if err != nil {
		return results, err
	}
	group, grouped := errgroup.WithContext(ctx)
	for _, i := range left {
		if err := l.enter(grouped); err != nil {
			group.Go(func() error { return err }) // of several the first counts: what ended grouped
			break
		}
		group.Go(func() error {
			defer l.leave()
			return l.writeOne(grouped, candidates[i], &results[i], excused, options)
		})
	}
	if err := group.Wait(); err != nil {
		return results, err
	}
	if excused && l.Trips() != trips {
		return results, fmt.Errorf("the circuit breaker opened: %w", ErrDestinationDown)
	}
	return results, l.destinationAtFault(results, options)
}

// enter waits for room for one more write, of this page or of another that is written at the same time.
func (l *Lane) enter(ctx context.Context) error {
	l.roomOnce.Do(func() { l.room = make(chan struct{}, max(l.Concurrency, 1)) }) // without room all would wait for ever
	select {
	case l.room <- struct{}{}:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait to write record: %w", context.Cause(ctx))
	}
}

func (l *Lane) leave() { <-l.room }

// writeOne sorts the answer: what concerns the record goes into result, what does not is returned. An open
// breaker concerns the record only where it no longer excuses the page.
func (l *Lane) writeOne(ctx context.Context, entry candidate, result *written, excused bool, options ApplyOptions) error {
	answer, err := l.Destination.Upsert(ctx, entry.record)
	var refusal *destination.Refusal
	switch {
	case err == nil:
		result.externalID = answer.ExternalUserID
	case errors.As(err, &refusal):
		result.err = err
	case options.Forbidden && errors.Is(err, destination.ErrForbidden):
		said, _ := destination.AnswerOf(err)
		result.err = destination.WithAnswer(destination.NewRefusal(http.StatusForbidden, ""), said.Status, []byte(said.Text))
	case errors.Is(err, destination.ErrAuth):
		return fmt.Errorf("write record: %w: %w", ErrDestinationAuth, err)
	case isThrottled(err, options):
		return fmt.Errorf("write record: %w: %w", ErrDestinationThrottled, err)
	case isDestinations(err):
		return fmt.Errorf("write record: %w: %w", ErrDestinationDown, err)
	case excused && errors.Is(err, destination.ErrOpen):
		return fmt.Errorf("write record: %w: %w", ErrDestinationDown, err)
	case destination.Retryable(err):
		result.err = err
	default:
		return fmt.Errorf("write record: %w", err)
	}
	return nil
}

// isThrottled says whether an answer asks for a pause that concerns the destination and not the record: one that it
// named, or, as long as the page has the benefit of the doubt, any.
func isThrottled(err error, options ApplyOptions) bool {
	_, named := destination.ThrottledFor(err)
	return named || options.Lenient && fault.KindOf(err) == fault.KindThrottled
}

// isDestinations says whether an answer is the destination's fault, whichever record it answers.
func isDestinations(err error) bool {
	return errors.Is(err, destination.ErrNotPublic) || errors.Is(err, destination.ErrRedirect) || errors.Is(err, destination.ErrUnclear) ||
		errors.Is(err, destination.ErrHostSilent)
}

// destinationAtFault looks at a page as a whole: if the destination is at fault, the work is parked, and no record of
// the page becomes a letter.
func (l *Lane) destinationAtFault(results []written, options ApplyOptions) error {
	var succeeded, retryable int
	alike := map[string]int{}
	for _, result := range results {
		var refusal *destination.Refusal
		switch {
		case result.err == nil:
			succeeded++
		case errors.As(result.err, &refusal):
			word := refusal.Code
			if refusal.Status/100 == 2 { // by an answer of success; its words are as many as the records
				word = "an answer of success"
			}
			alike[word]++
		default:
			retryable++
		}
	}
	if succeeded > 0 {
		return nil
	}
	for code, count := range alike {
		// Records that are redriven were refused before, often all alike: that says nothing of the destination.
		if count == len(results) && count >= refusedAlike && !options.Redrive {
			return fmt.Errorf("all %d records of the page refused with %s: %w", count, code, ErrDestinationDown)
		}
	}
	// A page too short to open the breaker tells nothing about who is at fault, so the destination gets the
	// benefit of the doubt for some parks: a short page in a short outage would otherwise become letters.
	if retryable > 0 && options.Lenient {
		return fmt.Errorf("no record of the page was taken: %w", ErrDestinationDown)
	}
	return nil
}

// refusalCode is what a letter says of a record that was not taken.
func refusalCode(err error) (code string, retryable bool) {
	if refusal, ok := errors.AsType[*destination.Refusal](err); ok {
		return refusal.Code, false
	}
	return fault.CodeOf(err), true
}
