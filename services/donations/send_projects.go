package main

import (
	"context"
	"errors"
	"strings"

	"go.uber.org/zap"

	"rollcall.dev/pkg/connector"
	"rollcall.dev/pkg/fault"
	"rollcall.dev/pkg/giving"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/virtuous"
)

// codeUnknownProject is the word in the last error of a donation that designates a share to a project that is unknown or inactive.
const codeUnknownProject = "unknown_project"

// mustCheck reports whether a donation is checked before its transaction is sent.
func (b *batch) mustCheck(one store.DueTransaction) bool {
	return one.Kind == store.DonationTransaction && !b.projects.isOff() && !one.ProjectsChecked && one.UnansweredSince == nil
}

// checkProjects checks a donation that could not be checked when it was captured, before its transaction is sent for the first time. ended
// says that nothing is to be sent now.
func (b *batch) checkProjects(ctx context.Context, one store.DueTransaction, body []byte) (ended bool, err error) {
	if !b.mustCheck(one) {
		return false, nil
	}
	codes, err := giving.ProjectCodes(body)
	if err != nil {
		return true, err
	}
	result, err := b.compareProjects(ctx, codes)
	switch {
	case err != nil:
		return true, err
	case result.passed():
		return false, nil
	case !b.projects.isStrict():
		b.projects.warn(b.Customer.ID, one.PlatformID, result)
		return false, nil
	case result.isUnknown:
		return true, b.postponeUnchecked(ctx, one, result.cause)
	}
	fields := fieldsOf(result.missing)
	if err := b.failUnsent(ctx, one, strings.Join(fields, " "+codeUnknownProject+", ")+" "+codeUnknownProject); err != nil {
		return true, err
	}
	b.metrics.project("failed")
	b.countWorked(true)
	b.Log.Warn("donation failed: a project is unknown or inactive", zap.String("donation", one.PlatformID), zap.Strings("fields", fields))
	return true, nil
}

// compareProjects checks codes one donation at a time, so that the first loads the list for the others.
func (b *batch) compareProjects(ctx context.Context, codes []string) (checked, error) {
	b.checking.Lock()
	defer b.checking.Unlock()
	return b.projects.check(ctx, b.Customer.ID, codes, true, func(context.Context) (readProjects, bool, error) {
		return b.client.Projects, true, nil
	})
}

// errUnchecked is why a donation waits whose projects another process, or an earlier donation, could not load either.
var errUnchecked = errors.New("the list of projects is not loaded yet")

// postponeUnchecked has a donation wait until the list may be loaded again.
func (b *batch) postponeUnchecked(ctx context.Context, one store.DueTransaction, cause error) error {
	why := cause
	if why == nil {
		why = fault.Unknown("projects_unchecked", errUnchecked)
	}
	if ctx.Err() != nil || errors.Is(cause, store.ErrLaneLost) || errors.Is(cause, store.ErrUnavailable) || errors.Is(cause, connector.ErrGaveWay) {
		return cause
	}
	if err := b.postpone(ctx, one, reloadEvery, reloadEvery, why); err != nil {
		return err
	}
	b.metrics.project("postponed")
	b.countWorked(true)
	if cause == nil || errors.Is(cause, virtuous.ErrUnknownAnswer) || errors.Is(cause, virtuous.ErrRejected) || errors.Is(cause, virtuous.ErrNotFound) ||
		errors.Is(cause, virtuous.ErrPageRepeats) {
		return nil // the other donations go on
	}
	return b.faultOfRead(ctx, cause)
}
