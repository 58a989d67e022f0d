package job

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"rollcall.dev/pkg/backoff"
	"rollcall.dev/pkg/connector"
	"rollcall.dev/pkg/destination"
	"rollcall.dev/pkg/event"
	"rollcall.dev/pkg/fault"
	"rollcall.dev/pkg/mirror"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/vault"
	"rollcall.dev/pkg/vomo"
	rollcallv1 "rollcall.dev/proto/rollcall/v1"
)

// Reasons to park; those that are alerts, too, have the alert's name.
const (
	ParkVomoUnavailable = "vomo_unavailable"
	ParkVomoThrottled   = "vomo_throttled"
	ParkLaneWanted      = "lane_wanted"

	// ParkDatabaseUnavailable is noted when Postgres is back. The notifier tells people while it is away.
	ParkDatabaseUnavailable = "database_unavailable"

	// ParkDestinationThrottled: nothing is sent to the destination until the time that it named.
	ParkDestinationThrottled = "destination_throttled"
)

// How long work is parked, by who is at fault.
const (
	firstPark        = 2 * time.Second
	longestProbe     = time.Minute // a destination that is down
	longestVomoPause = 5 * time.Minute
	longestOutage    = 15 * time.Second // of ours: work goes on within 30 s of its end
	authPause        = 15 * time.Minute // a new token wakes the work at once
	WantedPause      = 2500 * time.Millisecond
	handBackPause    = 500 * time.Millisecond
)

// Park is why work is put off, and for how long.
type Park struct {
	Reason string
	Delay  time.Duration
}

// ParkFor says how long work is parked that was stopped by the fault of another system, or by an outage of Postgres or the
// key service, after so many parks in a row; parked is false for other faults of ours, and for permanent ones.
func ParkFor(outcome error, parks int) (park Park, parked bool) {
	var coded *fault.Error
	switch {
	case errors.Is(outcome, store.ErrUnavailable): // whatever was being done with it
		return Park{ParkDatabaseUnavailable, doubling(longestOutage, parks)}, true
	case errors.Is(outcome, vault.ErrUnavailable):
		return Park{event.AlertKeeperUnavailable, doubling(longestOutage, parks)}, true
	case errors.Is(outcome, destination.ErrNotPublic):
		return Park{event.AlertDestinationNotPublic, doubling(longestProbe, parks)}, true
	case errors.Is(outcome, destination.ErrRedirect):
		return Park{event.AlertDestinationRedirect, doubling(longestProbe, parks)}, true
	case errors.Is(outcome, destination.ErrUnclear):
		return Park{event.AlertDestinationUnclear, doubling(longestProbe, parks)}, true
	case errors.Is(outcome, mirror.ErrDestinationThrottled):
		after, _ := fault.After(outcome)
		return Park{ParkDestinationThrottled, max(after, doubling(longestProbe, parks))}, true
	case errors.Is(outcome, mirror.ErrDestinationDown):
		return Park{event.AlertDestinationDown, doubling(longestProbe, parks)}, true
	case errors.Is(outcome, mirror.ErrDestinationAuth):
		return Park{event.AlertDestinationAuthFailed, doubling(longestProbe, parks)}, true
	case errors.Is(outcome, vomo.ErrUnauthorized), errors.Is(outcome, connector.ErrNoCredential), errors.Is(outcome, vault.ErrKeyGone):
		return Park{event.AlertAuthFailed, authPause}, true
	case errors.Is(outcome, vomo.ErrForbidden):
		return Park{event.AlertVomoForbidden, authPause}, true
	case fault.KindOf(outcome) == fault.KindThrottled:
		after, _ := fault.After(outcome)
		if strings.HasPrefix(fault.CodeOf(outcome), "vomo_") && !errors.Is(outcome, vomo.ErrThrottled) {
			// It named the pause of an outage, or of maintenance.
			return Park{ParkVomoUnavailable, max(after, doubling(longestVomoPause, parks))}, true
		}
		return Park{ParkVomoThrottled, max(after, doubling(longestVomoPause, parks))}, true
	case fault.KindOf(outcome) == fault.KindPermanent:
		return Park{}, false
	case errors.Is(outcome, vomo.ErrNotFound), errors.As(outcome, &coded) && coded.Code != "":
		// VOMO gave the answer that stopped the work, or none: unknown, tried again for ever.
		return Park{ParkVomoUnavailable, doubling(longestVomoPause, parks)}, true
	}
	return Park{}, false
}

// doubling is 2 s, and twice as much each time, up to longest.
func doubling(longest time.Duration, times int) time.Duration {
	return backoff.Delays{First: firstPark, Longest: longest}.After(times + 1)
}

// TellPark tells of what work is parked for, in the transaction that parks it: once, however much is parked. A token
// that VOMO rejects also switches the customer off, until a new one comes (docs/guides.md#token-failures).
func TellPark(ctx context.Context, tx *store.Tx, customer string, park Park) error {
	reason := park.Reason
	switch reason {
	case ParkDestinationThrottled:
		return tx.HoldDestination(ctx, customer, park.Delay) // for every job of the customer
	case event.AlertKeeperUnavailable: // one for all customers
		return event.Raise(ctx, tx, event.AlertFor(rollcallv1.Installation, reason))
	case event.AlertAuthFailed:
		if err := event.Raise(ctx, tx, event.AlertFor(customer, reason)); err != nil {
			return err
		}
		_, err := tx.DisableCustomer(ctx, customer, reason)
		return err
	case event.AlertDestinationDown, event.AlertDestinationRedirect, event.AlertDestinationUnclear, event.AlertDestinationNotPublic,
		event.AlertDestinationAuthFailed, event.AlertVomoForbidden:
		return event.Raise(ctx, tx, event.AlertFor(customer, reason))
	}
	return nil
}

// IsDestination says whether the reason of a park, or of an alert, is that a destination does not work.
func IsDestination(reason string) bool { return slices.Contains(DestinationAlerts(), reason) }

// DestinationAlerts are the alerts of a destination that does not work.
func DestinationAlerts() []string {
	return []string{
		event.AlertDestinationDown, event.AlertDestinationRedirect, event.AlertDestinationUnclear, event.AlertDestinationNotPublic,
		event.AlertDestinationAuthFailed,
	}
}

// ParksStand says whether people were told of something that parked work of the customer, whichever job's. It is asked
// by the holder of the lane: nobody else tells meanwhile.
func ParksStand(ctx context.Context, conn store.Conn, customer string) (bool, error) {
	alerts, err := conn.StandingAlerts(ctx, customer)
	for _, alert := range alerts {
		if IsDestination(alert.Type) || alert.Type == event.AlertAuthFailed || alert.Type == event.AlertVomoForbidden {
			return true, err
		}
	}
	if err != nil {
		return false, err
	}
	return KeeperAlertStands(ctx, conn)
}

// KeeperAlertStands returns whether an alert is active that the key service is not available.
func KeeperAlertStands(ctx context.Context, conn store.Conn) (bool, error) {
	return conn.AlertStands(ctx, rollcallv1.Installation, event.AlertKeeperUnavailable)
}

// ClearParks tells that what parked work is over, in the transaction of a page that shows it: VOMO gave the page, and
// with taken, the destination took something. A page of which nothing had to be written says nothing of the destination.
// The job opened its keys after it had asked ParksStand, so the key service works, too.
func ClearParks(ctx context.Context, tx *store.Tx, customer string, taken bool) error {
	var over []string
	if taken {
		over = DestinationAlerts()
	}
	for _, condition := range append(over, event.AlertAuthFailed, event.AlertVomoForbidden) {
		if err := event.Clear(ctx, tx, customer, condition, "It works again."); err != nil {
			return err
		}
	}
	// Last, as everywhere: all customers share it.
	return event.Clear(ctx, tx, rollcallv1.Installation, event.AlertKeeperUnavailable, "The key service answers again.")
}

// longestDetail is as much of what stopped an attempt as people read.
const longestDetail = 300

// DetailOf is what stopped the work, in the words of the fault itself, for a status: they are ours, and quote no answer.
func DetailOf(park Park, outcome error) string {
	if park.Reason == ParkVomoUnavailable && errors.Is(outcome, vomo.ErrUnauthorized) {
		return RefusedMany
	}
	if park.Reason == ParkDatabaseUnavailable || park.Reason == event.AlertKeeperUnavailable {
		return "" // words of Postgres and of the key service, which may quote anything
	}
	coded, ok := errors.AsType[*fault.Error](outcome)
	if !ok {
		return ""
	}
	detail := strings.ToValidUTF8(coded.Error(), "")
	if runes := []rune(detail); len(runes) > longestDetail {
		detail = string(runes[:longestDetail]) + "…"
	}
	return detail
}
