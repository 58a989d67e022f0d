package giving

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.uber.org/zap"

	"rollcall.dev/pkg/event"
	"rollcall.dev/pkg/store"
	"rollcall.dev/services/reconciler/internal/deletion"
)

const (
	// comparePage is how many known gifts are compared in one transaction.
	comparePage = 1000
	// idsInAlert is how many gifts an alert names.
	idsInAlert = 5
)

// sweepProgress is where a search for deleted gifts goes on. What it found is in its run.
type sweepProgress struct {
	RunID     int64     `json:"runId"`
	After     int64     `json:"after"`     // the last gift that was compared, or asked for
	Tries     int       `json:"tries"`     // how often all missing gifts were asked for
	TrustedAt time.Time `json:"trustedAt"` // when Virtuous last returned a gift by its id
}

// sweep is one round's part of a search for deleted gifts.
type sweep struct {
	*pass

	run      store.DeletionRun
	progress sweepProgress
}

// giftDeletions finds the gifts that Virtuous deleted without a webhook: they are not in its list, and it answers 404 for their ids. Deletions
// that an operator undid are asked for first.
func (p *pass) giftDeletions(ctx context.Context, one store.GivingReconciliation) (complete bool, err error) {
	s := &sweep{pass: p}
	if s.progress, err = progressOf[sweepProgress](one); err != nil {
		return false, err
	}
	if complete, err := p.undoGifts(ctx); err != nil || !complete {
		return false, err
	}
	if err := s.open(ctx); err != nil {
		return false, err
	}
	switch s.run.State {
	case store.DeletionHeld:
		p.Log.Info("no search for deleted gifts: another one is held", zap.Int64("run", s.run.ID))
		return true, p.end(ctx)
	case store.DeletionScanning:
		if isListed, err := s.list(ctx); err != nil || !isListed {
			return false, err
		}
		if isEnded, err := s.judge(ctx); err != nil || isEnded {
			return err == nil, err
		}
	default: // approved, or its list is complete
	}
	return s.ask(ctx)
}

// open continues the customer's search, or starts one. One whose place in the list is not known begins anew.
func (s *sweep) open(ctx context.Context) error {
	open, err := s.Reconciler.Store.OpenDeletionRun(ctx, s.Customer.ID, store.EntityGift)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	isOpen := err == nil
	if isOpen && (open.State != store.DeletionScanning || open.ID == s.progress.RunID) {
		s.run = open
		return nil
	}
	return s.inLane(ctx, func(ctx context.Context, tx *store.Tx) error {
		if isOpen {
			if err := tx.ChangeDeletionRun(ctx, open.ID, store.DeletionChange{State: store.DeletionFailed}); err != nil {
				return err
			}
		}
		if s.run, err = tx.StartGiftDeletionRun(ctx, s.Customer.ID, s.JobID, s.TraceID); err != nil {
			return err
		}
		s.progress = sweepProgress{RunID: s.run.ID}
		return tx.SetGivingProgress(ctx, s.Customer.ID, s.category, s.progress, s.answered)
	})
}

// list reads the ids of all gifts that Virtuous has, and compares each page with the gifts that are known in its range. So the memory that this
// takes does not grow with the gifts.
func (s *sweep) list(ctx context.Context) (complete bool, err error) {
	for page, err := range s.client.GiftIDs(ctx, s.progress.After) {
		if err != nil {
			return false, err
		}
		s.answered = true
		if err := s.at("ids_read"); err != nil {
			return false, err
		}
		slices.Sort(page.Records)
		for s.progress.After < page.Cursor {
			if _, err := s.compare(ctx, page.Records, page.Cursor); err != nil {
				return false, err
			}
			if s.mustEnd(ctx) {
				return false, nil
			}
		}
	}
	// What is known behind the last id of the list is not in it.
	for {
		if last, err := s.compare(ctx, nil, math.MaxInt64); err != nil || last {
			return err == nil, err
		}
		if s.mustEnd(ctx) {
			return false, nil
		}
	}
}

// compare compares the next known gifts up to an id with those that Virtuous lists in this range, and notes which are missing, in one transaction
// with the progress. last reports that there are no others.
func (s *sweep) compare(ctx context.Context, listed []int64, upTo int64) (last bool, err error) {
	known, err := s.Reconciler.Store.GiftsBetween(ctx, s.Customer.ID, s.progress.After, upTo, s.run.StartedAt, comparePage)
	if err != nil {
		return false, err
	}
	next := s.progress
	last = len(known) < comparePage
	switch {
	case last && upTo < math.MaxInt64:
		next.After = upTo
	case len(known) > 0:
		next.After = known[len(known)-1].ID
	}
	var missing []int64
	for _, gift := range known {
		if _, isListed := slices.BinarySearch(listed, gift.ID); !isListed && gift.Older {
			missing = append(missing, gift.ID)
		}
	}
	counts := store.GiftCounts{Known: len(known), Listed: countBetween(listed, s.progress.After, next.After), Missing: len(missing)}
	err = s.inLane(ctx, func(ctx context.Context, tx *store.Tx) error {
		if err := tx.NoteMissingGifts(ctx, s.run, missing); err != nil {
			return err
		}
		if err := tx.CountGifts(ctx, s.run.ID, counts); err != nil {
			return err
		}
		return tx.SetGivingProgress(ctx, s.Customer.ID, s.category, next, s.answered)
	})
	if err != nil {
		return false, err
	}
	s.progress = next
	s.Worked += counts.Listed
	return last, s.at("compared")
}

// countBetween returns how many of sorted ids are behind one and up to another.
func countBetween(sorted []int64, after, upTo int64) (count int) {
	for _, id := range sorted {
		if id > after && id <= upTo {
			count++
		}
	}
	return count
}

// judge decides, when all gifts are compared, whether Virtuous is asked for those that are missing. An unusual number of them waits for an operator:
// it is more often a lost right of the key than a deletion, and one request for each would take days.
func (s *sweep) judge(ctx context.Context) (isEnded bool, err error) {
	if s.run, err = s.Reconciler.Store.DeletionRun(ctx, s.run.ID); err != nil {
		return false, err
	}
	held := s.Guard.HeldFor(s.run.Missing, s.run.Mapped)
	if s.run.Missing > 0 && s.run.Scanned == 0 {
		held = store.HeldEmptySource
	}
	next := sweepProgress{RunID: s.run.ID}
	err = s.inLane(ctx, func(ctx context.Context, tx *store.Tx) error {
		switch {
		case held != "":
			return s.hold(ctx, tx, held)
		case s.run.Missing == 0:
			return s.finish(ctx, tx)
		}
		if err := tx.ChangeDeletionRun(ctx, s.run.ID, store.DeletionChange{State: store.DeletionAsking}); err != nil {
			return err
		}
		return tx.SetGivingProgress(ctx, s.Customer.ID, s.category, next, s.answered)
	})
	if err != nil {
		return false, err
	}
	s.progress = next
	return held != "" || s.run.Missing == 0, s.at("judged")
}

// hold ends the pass until an operator decides.
func (s *sweep) hold(ctx context.Context, tx *store.Tx, reason string) error {
	if err := tx.ChangeDeletionRun(ctx, s.run.ID, store.DeletionChange{State: store.DeletionHeld, HeldFor: reason}); err != nil {
		return err
	}
	named, err := tx.MissingGifts(ctx, s.run.ID, "", 0, idsInAlert)
	if err != nil {
		return err
	}
	ids := make([]string, 0, len(named))
	for _, one := range named {
		ids = append(ids, strconv.FormatInt(one.ID, 10))
	}
	alert := event.AlertFor(s.Customer.ID, event.AlertGiftDeletionsHeld)
	alert.TraceID = s.TraceID
	alert.Text += fmt.Sprintf(" %s Virtuous ids: %s", deletion.HeldText(store.EntityGift, reason, s.run.Missing, s.run.Mapped), strings.Join(ids, ", "))
	if s.run.Missing > int64(len(ids)) {
		alert.Text += ", …"
	}
	if err := event.Raise(ctx, tx, alert); err != nil {
		return err
	}
	s.Log.Warn("search for deleted gifts held", zap.String("reason", reason), zap.Int64("gifts", s.run.Missing), zap.Int64("of", s.run.Mapped))
	return tx.EndGivingReconciliation(ctx, s.Customer.ID, s.category)
}

// finish ends the search and the pass.
func (s *sweep) finish(ctx context.Context, tx *store.Tx) error {
	if err := tx.ChangeDeletionRun(ctx, s.run.ID, store.DeletionChange{State: store.DeletionDone}); err != nil {
		return err
	}
	return tx.EndGivingReconciliation(ctx, s.Customer.ID, s.category)
}
