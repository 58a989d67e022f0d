package job

import (
	"context"
	"errors"
	"strings"

	"rollcall.dev/pkg/connector"
	"rollcall.dev/pkg/event"
	"rollcall.dev/pkg/mirror"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/vomo"
	"rollcall.dev/pkg/window"
)

// IsProbe reports whether a run that was parked for this reason is a probe now that it is due.
func IsProbe(reason string) bool { return reason == event.AlertDestinationDown }

// OptionsAfter returns how a run that was parked for this reason, after so many parks in a row, writes its first page; "" and 0
// for a run that was not parked. The run writes one record first only if it was parked for the destination, also before hours
// in which it slept. A run that yielded its lane, or that waited for another system, knows nothing about the destination: if
// it wrote one record first, a record that cannot be written could park it as destination_down.
func OptionsAfter(reason string, parks int) mirror.ApplyOptions {
	slept := reason == window.ReasonQuietHours || reason == window.ReasonNotBefore
	return mirror.ApplyOptions{
		Probe: strings.HasPrefix(reason, "destination_") || slept && parks > 0, ShortProbe: IsProbe(reason), PresumeOutage: parks < lenientParks,
	}
}

const (
	// ForbiddenParks is after how many parks in a row a 403 may be a record's fault: until then it is the credential's.
	ForbiddenParks = 3
	// knownTried is how many known records are tried at most.
	knownTried = 3
	// knownRead is how many known users are read from VOMO at most to find those: it may have deleted the first of them.
	knownRead = 20
	// lenientParks is for how many parks in a row a short page without a success is the destination's fault.
	lenientParks = 5
)

// ForbiddenIsRecords reports whether the 403 that parked the work so many times is a record's fault: the destination accepts a
// record that it has. Otherwise one record that the credential may not write would stop its customer for good. Its errors are
// those of both sides, as ParkFor has them.
func ForbiddenIsRecords(ctx context.Context, from *store.Store, source *connector.Source, lane *mirror.Lane, reason string, parks int) (bool, error) {
	if reason != event.AlertDestinationAuthFailed || parks < ForbiddenParks {
		return false, nil
	}
	return destinationAccepts(ctx, from, source, lane)
}

// DeletionsFail reports whether the failures that parked a run so many times are about deletions alone: the destination accepts a
// record that it has. Otherwise a destination that cannot delete would park its customer's run for good. Its errors are those of
// both sides, as ParkFor has them. didBefore says that it was so for the page before: the record that the destination accepts keeps
// pages of failures apart, which would otherwise open the circuit breaker.
func (e *Execution) DeletionsFail(ctx context.Context, sides *Sides, didBefore bool) (bool, error) {
	if !didBefore && (!IsDestination(e.Run.ParkReason) || e.Run.Parks < lenientParks) {
		return false, nil
	}
	return destinationAccepts(ctx, e.Store, sides.Source, sides.Lane)
}

// destinationAccepts writes unchanged records, until the destination accepts one; few are tried.
func destinationAccepts(ctx context.Context, from *store.Store, source *connector.Source, lane *mirror.Lane) (bool, error) {
	known, err := from.UndisputedUsers(ctx, lane.Customer, "", knownRead)
	if err != nil {
		return false, err
	}
	tried := 0
	for _, id := range known {
		detail, err := source.Client.Detail(ctx, id)
		if errors.Is(err, vomo.ErrNotFound) || errors.Is(err, vomo.ErrPartialDetail) || err == nil && detail.User == nil {
			continue
		}
		if err != nil {
			return false, err
		}
		result, err := lane.ProbeDestination(ctx, *detail.User)
		if err != nil || result == mirror.ProbeAccepted {
			return result == mirror.ProbeAccepted, err
		}
		if tried++; tried == knownTried {
			break
		}
	}
	return false, nil
}
