package job

import (
	"context"
	"slices"

	"rollcall.dev/pkg/event"
	"rollcall.dev/pkg/store"
	rollcallv1 "rollcall.dev/proto/rollcall/v1"
)

// RaiseParkAlert raises the alert of what work is parked for, in the transaction that parks it: once, however much is parked. A token
// that VOMO rejects also switches the customer off, until a new one comes (docs/guides.md#token-failures).
func RaiseParkAlert(ctx context.Context, tx *store.Tx, customer string, park Park) error {
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

// IsDestination reports whether the reason of a park, or of an alert, is that a destination does not work.
func IsDestination(reason string) bool { return slices.Contains(DestinationAlerts(), reason) }

// DestinationAlerts returns the alerts of a destination that does not work.
func DestinationAlerts() []string {
	return []string{
		event.AlertDestinationDown, event.AlertDestinationRedirect, event.AlertDestinationUnclear, event.AlertDestinationNotPublic,
		event.AlertDestinationAuthFailed,
	}
}

// isParkAlert reports whether an active alert of the customer or of the installation is of something that parked work, of any job. No
// other job raises one while the lane is held.
func isParkAlert(alert string) bool {
	return IsDestination(alert) || alert == event.AlertAuthFailed || alert == event.AlertVomoForbidden || alert == event.AlertKeeperUnavailable
}

// HasKeeperAlert returns whether an alert is active that the key service is not available.
func HasKeeperAlert(ctx context.Context, conn store.Conn) (bool, error) {
	return conn.HasActiveAlert(ctx, rollcallv1.Installation, event.AlertKeeperUnavailable)
}

// ClearKeeperAlert clears the alert that the key service is not available, after a job that opened a key and has no pages.
func ClearKeeperAlert(ctx context.Context, from *store.Store) error {
	active, err := HasKeeperAlert(ctx, from.Conn)
	if err != nil || !active {
		return err
	}
	return from.InTx(ctx, func(ctx context.Context, tx *store.Tx) error {
		return event.Clear(ctx, tx, rollcallv1.Installation, event.AlertKeeperUnavailable, keeperAnswers)
	})
}

const keeperAnswers = "The key service answers again."

// ClearParks clears the alerts of what parked work, in the transaction of a page that shows that it is over: VOMO gave the page,
// and with accepted, the destination accepted a record. A page of which nothing had to be written says nothing about the
// destination. The job opened keys at about the time at which it read the alerts (a run before, a round of dlqretry after), so the key
// service works, too. If another job raised its alert in between, that is cleared too early, and the next park raises it again.
func ClearParks(ctx context.Context, tx *store.Tx, customer string, accepted bool) error {
	var cleared []string
	if accepted {
		cleared = DestinationAlerts()
	}
	for _, condition := range append(cleared, event.AlertAuthFailed, event.AlertVomoForbidden) {
		if err := event.Clear(ctx, tx, customer, condition, "It works again."); err != nil {
			return err
		}
	}
	// Last, as in every transaction: all customers share it.
	return event.Clear(ctx, tx, rollcallv1.Installation, event.AlertKeeperUnavailable, keeperAnswers)
}
