package job

import (
	"context"
	"errors"

	"rollcall.dev/pkg/connector"
	"rollcall.dev/pkg/event"
	"rollcall.dev/pkg/mirror"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/vomo"
)

const (
	// ForbiddenParks is after how many parks in a row a 403 may be a record's: until then it is the credential's.
	ForbiddenParks = 3
	// knownTried is how many known records are tried at most.
	knownTried = 3
)

// ForbiddenIsRecords says whether the 403 that parked the work for so many times is a record's: the destination accepts
// a record that it has. Without that one record which the credential may not write would stop its customer for good.
// Its errors are those of both sides, as ParkFor has them.
func ForbiddenIsRecords(ctx context.Context, from *store.Store, source *connector.Source, lane *mirror.Lane, reason string, parks int) (bool, error) {
	if reason != event.AlertDestinationAuthFailed || parks < ForbiddenParks {
		return false, nil
	}
	known, err := from.UndisputedUsers(ctx, lane.Customer, "", knownTried)
	if err != nil {
		return false, err
	}
	for _, id := range known {
		detail, err := source.Client.Detail(ctx, id)
		if errors.Is(err, vomo.ErrNotFound) || err == nil && detail.User == nil {
			continue
		}
		if err != nil {
			return false, err
		}
		result, err := lane.ProbeDestination(ctx, *detail.User)
		if err != nil || result == mirror.ProbeAccepted {
			return result == mirror.ProbeAccepted, err
		}
	}
	return false, nil
}
