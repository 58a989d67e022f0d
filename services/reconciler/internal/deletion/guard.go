package deletion

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"go.uber.org/zap"

	"rollcall.dev/pkg/event"
	"rollcall.dev/pkg/store"
)

// Guard is what a run may delete without an operator's approval.
type Guard struct {
	Share float64 // of the users at the destination when the run began
	Min   int     // in any case
}

// heldFor returns why a run that confirmed these deletions is held, "" if it is not.
func (g Guard) heldFor(run store.DeletionRun, confirmed int64) string {
	switch {
	case confirmed > 0 && confirmed >= run.Mapped:
		return store.HeldAll
	case float64(confirmed) > max(float64(g.Min), g.Share*float64(run.Mapped)):
		return store.HeldShare
	}
	return ""
}

// heldBeforeAsking returns why a run is held whatever VOMO says of single users: its list is empty, or has shrunk to less than half.
// lastScan is how many users the last scan read, 0 if that is not known.
func heldBeforeAsking(run store.DeletionRun, lastScan int64) string {
	switch {
	case run.Scanned == 0:
		return store.HeldEmptySource
	case run.Scanned*2 < lastScan:
		return store.HeldHalf
	}
	return ""
}

// isHeldUnasked reports whether a run was held before VOMO was asked for any of the missing users.
func isHeldUnasked(reason string) bool {
	return reason == store.HeldEmptySource || reason == store.HeldHalf
}

// idsInAlert is how many users an alert names.
const idsInAlert = 5

// hold ends the run's work in the transaction of a page, until an operator decides: with an alert that says how many users it is about.
func (x *execution) hold(ctx context.Context, tx *store.Tx, next store.Run, reason string, confirmed, missing int64) error {
	err := tx.ChangeDeletionRun(ctx, x.run.ID, store.DeletionChange{State: store.DeletionHeld, HeldFor: reason, Confirmed: &confirmed})
	if err != nil {
		return err
	}
	state, count := store.CandidateConfirmed, confirmed
	if isHeldUnasked(reason) {
		state, count = store.CandidateMissing, missing
	}
	named, err := tx.Candidates(ctx, x.run.ID, state, "", idsInAlert)
	if err != nil {
		return err
	}
	ids := make([]string, 0, len(named))
	for _, one := range named {
		ids = append(ids, one.VomoID)
	}
	alert := event.AlertFor(x.Customer.ID, event.AlertDeletionsHeld)
	alert.Text += " " + heldText(reason, count, x.run.Mapped) + " VOMO ids: " + strings.Join(ids, ", ")
	if count > int64(len(ids)) {
		alert.Text += ", …"
	}
	alert.TraceID = x.Run.TraceID
	if err := event.Raise(ctx, tx, alert); err != nil {
		return err
	}
	x.Log.Warn("deletion scan held", zap.String("reason", reason), zap.Int64("users", count), zap.Int64("of", x.run.Mapped))
	return tx.FinishRun(ctx, next, x.Lease.Epoch, store.RunCompleted, "")
}

// heldText says what a held run would delete, and why it is held.
func heldText(reason string, count, mapped int64) string {
	users := strconv.FormatInt(count, 10) + " of " + strconv.FormatInt(mapped, 10) + " users"
	if mapped > 0 {
		users += fmt.Sprintf(" (%.1f %%)", 100*float64(count)/float64(mapped))
	}
	switch reason {
	case store.HeldEmptySource:
		return "VOMO shows no user at all, so that " + users + " are missing."
	case store.HeldHalf:
		return "VOMO shows fewer than half of the users that the last scan read; " + users + " are missing."
	case store.HeldAll:
		return "VOMO has none of the users any more: " + users + " would be deleted."
	}
	return users + " would be deleted, which is more than DELETION_GUARD allows."
}
