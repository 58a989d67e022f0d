package cli

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"rollcall.dev/pkg/report"
	"rollcall.dev/pkg/store"
)

// unseenRequests is the number of polls without a sign of the request after which the command says so.
const unseenRequests = 20

// awaitOnboarded waits until the request is settled, and then watches the backfill to its end.
func (a *app) awaitOnboarded(ctx context.Context, on *link, document onboardedDocument) error {
	customer := document.CustomerID
	request, err := a.awaitSettled(ctx, on, document.published)
	if err != nil {
		return err
	}
	document.Request = &request
	failure := requestError(customer, request)
	if failure == nil {
		a.progressLinef("%s: onboarding %s", customer, request.State)
		run, err := a.watchBackfill(ctx, on, customer)
		if err != nil {
			return err
		}
		document.Backfill = &run
		failure = outcomeError(run)
	}
	if a.json {
		if err := a.document(document); err != nil {
			return err
		}
	}
	return failure
}

// requestError returns nil if the request was applied.
func requestError(customer string, request report.Request) error {
	switch store.RequestState(request.State) {
	case store.RequestRejected:
		return fmt.Errorf("onboarding of %q was rejected:%s", customer, fieldErrors(request.Errors))
	case store.RequestSuperseded:
		return fmt.Errorf("onboarding of %q was superseded by a newer request; nothing of this one was applied", customer)
	default:
		return nil
	}
}

// awaitSettled asks until the request is no longer pending.
func (a *app) awaitSettled(ctx context.Context, on *link, taken published) (report.Request, error) {
	_, terminal := a.progress()
	interval := lineInterval
	if terminal {
		interval = terminalInterval
	}
	// The stream has stored the request: a service that is silent now may still be starting.
	silence := silenceLimit{interval: interval, timeout: on.timeout, answeredBefore: true}
	question := report.RequestQuestion{Sequence: taken.Sequence}
	unseen, saidPending := 0, false
	for {
		request, err := ask[report.RequestQuestion, report.Request](ctx, on, "requests", "get", question)
		switch {
		case err == nil && store.RequestState(request.State) != store.RequestPending:
			return request, nil
		case err == nil:
			silence.answered()
			if request.Attempts > 1 && !saidPending {
				saidPending = true
				sayf(a.log, "%s: the token could not be tested yet; it is tried again until VOMO answers", taken.CustomerID)
			}
		case isUnknown(err):
			silence.answered()
			if unseen++; unseen == unseenRequests {
				sayf(a.log, "%s: the onboarding service has not taken the message up yet", taken.CustomerID)
			}
		case ctx.Err() != nil:
			return request, errStoppedWaiting
		case !silence.tolerates(err):
			return request, err
		case silence.first():
			sayf(a.log, "%v; waiting for it", err)
		}
		if a.WaitFunc(ctx, interval) != nil {
			return request, errStoppedWaiting
		}
	}
}

var errStoppedWaiting = errors.New("stopped waiting; the request is stored and will be handled")

// fieldErrors writes each error of each field on a line of its own.
func fieldErrors(errs map[string][]string) string {
	var lines strings.Builder
	for _, field := range slices.Sorted(maps.Keys(errs)) {
		for _, text := range errs[field] {
			lines.WriteString("\n  " + field + ": " + text)
		}
	}
	return lines.String()
}
