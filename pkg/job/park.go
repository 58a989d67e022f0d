package job

import (
	"context"
	"errors"
	"fmt"
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
)

// Reasons to park; those that are alerts, too, have the alert's name.
const (
	ParkVomoUnavailable = "vomo_unavailable"
	ParkVomoThrottled   = "vomo_throttled"
	ParkLaneWanted      = "lane_wanted"
	ParkPaced           = "paced" // it uses a share of the requests that are left, and waits for its next part

	// ParkDatabaseUnavailable is noted when Postgres is back. The notifier sends messages to people meanwhile.
	ParkDatabaseUnavailable = "database_unavailable"

	// ParkDestinationThrottled: nothing is sent to the destination until the time that it named.
	ParkDestinationThrottled = "destination_throttled"
)

// How long work is parked, by the system at fault.
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

// ParkFor returns why and for how long work is parked that was stopped by the fault of another system, or by an outage of
// Postgres or the key service, after so many parks in a row; parked is false for other faults of ours, and for permanent ones.
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
		// VOMO gave the answer that stopped the work, or none: the outcome is unknown, and the work is tried again for ever.
		return Park{ParkVomoUnavailable, doubling(longestVomoPause, parks)}, true
	}
	return Park{}, false
}

// doubling returns 2 s, and twice as much each time, up to longest.
func doubling(longest time.Duration, times int) time.Duration {
	return backoff.Delays{First: firstPark, Longest: longest}.After(times + 1)
}

// RefusedMany is the detail of a park while VOMO refuses many customers' tokens at once.
const RefusedMany = "VOMO rejected the tokens of many customers at once"

// Judge corrects the park of work that outcome stopped, in the transaction that parks it: a refused token is VOMO's fault while
// VOMO refuses many at once, and this one worked shortly before. parks are those in a row before.
func Judge(ctx context.Context, conn store.Conn, customer string, park Park, outcome error, parks int) (Park, error) {
	if park.Reason != event.AlertAuthFailed || !errors.Is(outcome, vomo.ErrUnauthorized) {
		return park, nil
	}
	vomos, err := conn.RefusalIsVomos(ctx, customer)
	if err != nil || !vomos {
		return park, err
	}
	return Park{Reason: ParkVomoUnavailable, Delay: doubling(longestVomoPause, parks)}, nil
}

// NoteRefusal notes that VOMO refused the customer's token, if that stopped the work. It comes after RaiseParkAlert, since a customer
// that is switched off is tried again later.
func NoteRefusal(ctx context.Context, tx *store.Tx, customer string, outcome error) error {
	if !errors.Is(outcome, vomo.ErrUnauthorized) {
		return nil
	}
	return tx.TokenRefused(ctx, customer)
}

// CountRefusals counts the attempts in a row that VOMO refused with a status without a meaning of its own: those before, and the
// one that ended with outcome. One such answer may come from a load balancer or a firewall. After tries of them in a row the
// request itself is wrong, and last is the permanent fault that says so.
func CountRefusals(outcome error, before, tries int) (count int, last error) {
	if !errors.Is(outcome, vomo.ErrRejected) {
		return 0, nil
	}
	count = before + 1
	if count < tries {
		return count, nil
	}
	refused := outcome
	if coded, ok := errors.AsType[*fault.Error](outcome); ok {
		refused = coded.Err
	}
	return count, fault.Permanent(fault.CodeOf(outcome), fmt.Errorf("%w, in each of %d attempts in a row", refused, count))
}

// longestDetail bounds the text of what stopped an attempt.
const longestDetail = 300

// DetailOf returns what stopped the work, in the text of the fault itself, for a status: these texts are ours and quote no answer.
func DetailOf(park Park, outcome error) string {
	if park.Reason == ParkVomoUnavailable && errors.Is(outcome, vomo.ErrUnauthorized) {
		return RefusedMany
	}
	if park.Reason == ParkDatabaseUnavailable || park.Reason == event.AlertKeeperUnavailable {
		return "" // texts of Postgres and of the key service, which may quote anything
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
