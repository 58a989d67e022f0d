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
	"rollcall.dev/pkg/telemetry"
)

// ErrDestinationDown means that the destination is at fault and not a record: the run parks and the page is not
// committed.
var ErrDestinationDown = errors.New("the destination is down")

// ErrDestinationAuth means that the destination rejects our credentials.
var ErrDestinationAuth = errors.New("the destination rejects our credentials")

// ErrDestinationThrottled means that the destination asks for a pause; fault.After returns its length if the destination
// named one. The records that it accepted are committed, the others wait.
var ErrDestinationThrottled = errors.New("the destination asks for a pause")

const (
	// sameRejections is the least number of records on a page that, if all are rejected with the same code, means that the
	// destination is at fault and not the records.
	sameRejections = 10
	// shortPage is the largest page that cannot open the circuit breaker on its own: all attempts at three records are
	// fewer failures than the breaker needs.
	shortPage = 3
)

// writeResult is the result of writing one candidate.
type writeResult struct {
	externalID   string
	err          error  // nil, a *destination.Rejection, or a retryable error
	sealedAnswer []byte // the destination's answer that led to err; nil if there was none
}

// writeRecords sends the candidates to the destination, several at once, and returns a result for each. All are written, or all are deleted. An error means
// that the destination or the run itself failed: the page must not be committed, and only the records with an external
// id were accepted.
func (l *Lane) writeRecords(ctx context.Context, candidates []candidate, options ApplyOptions) ([]writeResult, error) {
	if len(candidates) == 0 {
		return nil, nil
	}
	trips := l.Trips()
	// Once a short page is no longer presumed to be an outage, a failed probe or an open breaker does not excuse it: its
	// own records may have caused all these failures, and the page would wait for ever.
	mayBeOutage := options.PresumeOutage || len(candidates) > shortPage
	results := make([]writeResult, len(candidates))
	probed := -1
	if options.Probe {
		probed = rand.IntN(len(candidates)) //nolint:gosec // not a secret
		if err := l.writeProbe(ctx, candidates[probed], &results[probed], mayBeOutage, options); err != nil {
			return results, err
		}
	}
	pending := make([]int, 0, len(candidates))
	for i := range candidates {
		if i != probed {
			pending = append(pending, i)
		}
	}
	var err error
	if candidates[0].deletes == "" { // deletions have no batches
		if pending, err = l.writeBatches(ctx, candidates, results, pending, options); err != nil {
			return results, err
		}
	}
	group, groupCtx := errgroup.WithContext(ctx)
	for _, i := range pending {
		if err := l.beginRequest(groupCtx); err != nil {
			group.Go(func() error { return err }) // Wait returns the first error: the one that cancelled groupCtx
			break
		}
		group.Go(func() error {
			defer l.endRequest()
			return l.writeRecord(groupCtx, candidates[i], &results[i], mayBeOutage, options)
		})
	}
	if err := group.Wait(); err != nil {
		return results, err
	}
	if mayBeOutage && l.Trips() != trips {
		return results, fmt.Errorf("the circuit breaker opened: %w", ErrDestinationDown)
	}
	return results, checkOutage(results, options)
}

// writeProbe writes one record to find out whether the destination works again, before a page's worth of requests is
// sent. The caller picks the record at random: if it were always the first, one record that always fails would stop the
// run for good.
func (l *Lane) writeProbe(ctx context.Context, entry candidate, result *writeResult, mayBeOutage bool, options ApplyOptions) error {
	if mayBeOutage && options.ShortProbe { // otherwise the record gets a letter, after as many attempts as any other record
		ctx = destination.AsProbe(ctx)
	}
	if err := l.writeRecord(ctx, entry, result, mayBeOutage, options); err != nil {
		return err
	}
	if err := result.err; err != nil && mayBeOutage && destination.Retryable(err) {
		return fmt.Errorf("probe: %w: %w", ErrDestinationDown, err)
	}
	return nil
}

// writeRecord writes one record. It stores an error that concerns only this record in result and returns any other
// error. An open breaker concerns the record only if the page is no longer presumed to be an outage.
func (l *Lane) writeRecord(ctx context.Context, entry candidate, result *writeResult, mayBeOutage bool, options ApplyOptions) error {
	externalID, err := l.send(ctx, entry)
	var rejection *destination.Rejection
	switch {
	case err == nil:
		result.externalID = externalID
	case errors.As(err, &rejection):
		result.err = err
	case options.ForbiddenRejectsRecord && errors.Is(err, destination.ErrForbidden):
		kept, _ := destination.AnswerOf(err)
		result.err = destination.WithAnswer(destination.NewRejection(http.StatusForbidden, ""), kept.Status, []byte(kept.Text))
	case errors.Is(err, destination.ErrAuth):
		return fmt.Errorf("write record: %w: %w", ErrDestinationAuth, err)
	case isThrottled(err, options):
		return fmt.Errorf("write record: %w: %w", ErrDestinationThrottled, err)
	case isDestinationFault(err):
		return fmt.Errorf("write record: %w: %w", ErrDestinationDown, err)
	case mayBeOutage && errors.Is(err, destination.ErrOpen):
		return fmt.Errorf("write record: %w: %w", ErrDestinationDown, err)
	case destination.Retryable(err):
		result.err = err
	default:
		return fmt.Errorf("write record: %w", err)
	}
	return nil
}

// send writes or deletes a record, and returns its id at the destination.
func (l *Lane) send(ctx context.Context, entry candidate) (externalID string, err error) {
	name := telemetry.SpanWriteRecord
	if entry.deletes != "" {
		name = telemetry.SpanDeleteRecord
	}
	ctx, span := telemetry.StartRequest(ctx, name)
	defer func() { span.End(err) }()
	if entry.deletes != "" {
		return entry.deletes, l.Destination.Delete(ctx, entry.deletes)
	}
	answer, err := l.Destination.Upsert(ctx, entry.record)
	return answer.ExternalUserID, err
}

// isThrottled reports whether the destination asks for a pause. A pause without a length counts only while the page is
// presumed to be an outage.
func isThrottled(err error, options ApplyOptions) bool {
	_, hasLength := destination.ThrottledFor(err)
	return hasLength || options.PresumeOutage && fault.KindOf(err) == fault.KindThrottled
}

// isDestinationFault reports whether an error is the destination's fault, whichever record was sent.
func isDestinationFault(err error) bool {
	return errors.Is(err, destination.ErrNotPublic) || errors.Is(err, destination.ErrRedirect) || errors.Is(err, destination.ErrUnclear) ||
		errors.Is(err, destination.ErrHostSilent)
}

// checkOutage returns ErrDestinationDown if the results of a page show that the destination is at fault. The run then
// parks, and no record of the page gets a letter.
func checkOutage(results []writeResult, options ApplyOptions) error {
	var accepted, retryable int
	rejections := map[string]int{} // by code
	for _, result := range results {
		var rejection *destination.Rejection
		switch {
		case result.err == nil:
			accepted++
		case errors.As(result.err, &rejection):
			code := rejection.Code
			if rejection.Status/100 == 2 { // a 2xx answer that reports errors may have another code for each record
				code = "a success status"
			}
			rejections[code]++
		default:
			retryable++
		}
	}
	if accepted > 0 {
		return nil
	}
	for code, count := range rejections {
		// Redriven records were rejected before, often all with the same code: that does not point to the destination.
		if count == len(results) && count >= sameRejections && !options.Redrive {
			return fmt.Errorf("all %d records of the page rejected with %s: %w", count, code, ErrDestinationDown)
		}
	}
	// A page too short to open the breaker does not show who is at fault. It is presumed to be an outage for some parks:
	// otherwise a short outage would turn a short page into letters.
	if retryable > 0 && options.PresumeOutage {
		return fmt.Errorf("no record of the page was accepted: %w", ErrDestinationDown)
	}
	return nil
}

// errorCode returns the code that a letter and the audit keep for a failed record, and whether it is retryable.
func errorCode(err error) (code string, retryable bool) {
	if rejection, ok := errors.AsType[*destination.Rejection](err); ok {
		return rejection.Code, false
	}
	return fault.CodeOf(err), true
}
