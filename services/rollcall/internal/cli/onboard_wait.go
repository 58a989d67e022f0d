package cli

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/pkg/operatorclient"
	"rollcall.dev/pkg/store"
)

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
func requestError(customer string, request operatorapi.Request) error {
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
func (a *app) awaitSettled(ctx context.Context, on *link, taken published) (operatorapi.Request, error) {
	question := operatorapi.RequestQuestion{Sequence: taken.Sequence}
	unseen, saidPending := 0, false
	return waiting[operatorapi.Request]{
		interval: a.askInterval(), timeout: on.Timeout, stored: true, note: a.sayLine, stopped: errStoppedWaiting,
		ask: func(ctx context.Context) (operatorapi.Request, error) {
			request, err := ask[operatorapi.RequestQuestion, operatorapi.Request](ctx, on, "requests", "get", question)
			if operatorclient.IsUnknown(err) {
				if unseen++; unseen == unseenRequests {
					sayf(a.log, "%s: the onboarding service has not taken the message up yet", taken.CustomerID)
				}
				return operatorapi.Request{State: string(store.RequestPending)}, nil
			}
			return request, err
		},
		done: func(request operatorapi.Request) (bool, error) {
			if request.Attempts > 1 && !saidPending && store.RequestState(request.State) == store.RequestPending {
				saidPending = true
				sayf(a.log, "%s: the token could not be tested yet; it is tried again until VOMO answers", taken.CustomerID)
			}
			return store.RequestState(request.State) != store.RequestPending, nil
		},
	}.answer(ctx, a)
}

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
