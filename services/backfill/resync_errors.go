package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"rollcall.dev/pkg/connector"
	"rollcall.dev/pkg/fault"
	"rollcall.dev/pkg/job"
	"rollcall.dev/pkg/mirror"
	"rollcall.dev/pkg/service"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/vault"
	"rollcall.dev/pkg/vomo"
)

// answerFor returns what an operator is answered if err stopped the resync; err itself if it is our own fault.
func answerFor(err error) error {
	const unchanged = "; nothing was changed"
	switch {
	case err == nil:
		return nil
	case errors.Is(err, store.ErrLaneLost):
		return &service.BusyError{Text: "the customer's lane was lost to another job: try again"}
	case errors.Is(err, mirror.ErrDestinationDown):
		return &service.BusyError{Text: "the destination does not accept the record now" + unchanged + ": try again when it works"}
	case errors.Is(err, mirror.ErrDestinationThrottled):
		after, _ := fault.After(err)
		return &service.BusyError{Text: fmt.Sprintf("the destination asks for a pause%s: try again in %s", unchanged, max(after, time.Second).Round(time.Second))}
	case errors.Is(err, mirror.ErrDestinationAuth):
		return &service.ConflictError{Text: "the destination rejects our credentials" + unchanged}
	case errors.Is(err, vomo.ErrUnauthorized), errors.Is(err, vomo.ErrForbidden):
		return &service.ConflictError{Text: "VOMO rejects the customer's token" + unchanged}
	case errors.Is(err, connector.ErrNoCredential), errors.Is(err, vault.ErrKeyGone):
		return &service.ConflictError{Text: "the customer's credentials are gone: onboard it again"}
	case fault.KindOf(err) == fault.KindThrottled:
		after, _ := fault.After(err)
		return &service.BusyError{Text: fmt.Sprintf("VOMO asks for a slower pace%s: try again in %s", unchanged, max(after, time.Second).Round(time.Second))}
	case fault.CodeOf(err) == "vomo_id_invalid":
		return &service.BadRequestError{Text: "that is no VOMO id"}
	case errors.Is(err, context.DeadlineExceeded):
		return &service.BusyError{Text: "it was not done within " + resyncWithin.String() + ": try again"}
	case isFaultOfOthers(err):
		return &service.BusyError{Text: "it could not be done (" + fault.CodeOf(err) + ")" + unchanged + ": try again"}
	}
	return err
}

// isFaultOfOthers reports whether another system's fault stopped the work: the outcome is unknown, and another try may succeed.
func isFaultOfOthers(err error) bool {
	_, parked := job.ParkFor(err, 0)
	return parked
}
