package deletion

import (
	"context"
	"fmt"
	"strings"

	"go.uber.org/zap"

	"rollcall.dev/pkg/event"
	"rollcall.dev/pkg/store"
)

// Guard is what a run may delete without an operator's approval.
type Guard struct {
	Share float64 // of the users at the destination when the run began, or of the gifts that are known
	Min   int     // in any case
}

// HeldFor returns why a run that would delete so many of the records that it knows is held, "" if it is not.
func (g Guard) HeldFor(deletions, known int64) string {
	switch {
	case deletions > 0 && deletions >= known:
		return store.HeldAll
	case float64(deletions) > max(float64(g.Min), g.Share*float64(known)):
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
	alert.Text += " " + HeldText(store.EntityUser, reason, count, x.run.Mapped) + " VOMO ids: " + strings.Join(ids, ", ")
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

// words are what texts about an entity say.
type words struct{ source, records, deleted string }

func wordsOf(entity string) words {
	if entity == store.EntityGift {
		return words{source: "Virtuous", records: "gifts", deleted: "marked as deleted"}
	}
	return words{source: "VOMO", records: "users", deleted: "deleted"}
}

// HeldText says what a held run would delete, and why it is held.
func HeldText(entity, reason string, count, known int64) string {
	say := wordsOf(entity)
	records := fmt.Sprintf("%d of %d %s", count, known, say.records)
	if known > 0 {
		records += fmt.Sprintf(" (%.1f %%)", 100*float64(count)/float64(known))
	}
	switch reason {
	case store.HeldEmptySource:
		return fmt.Sprintf("%s shows no %s at all, so that %s are missing.", say.source, strings.TrimSuffix(say.records, "s"), records)
	case store.HeldHalf:
		return fmt.Sprintf("%s shows fewer than half of the %s that the last scan read; %s are missing.", say.source, say.records, records)
	case store.HeldAll:
		return fmt.Sprintf("%s has none of the %s any more: %s would be %s.", say.source, say.records, records, say.deleted)
	}
	return fmt.Sprintf("%s would be %s, which is more than DELETION_GUARD allows.", records, say.deleted)
}
