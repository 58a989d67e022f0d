package giving

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"

	"rollcall.dev/pkg/backoff"
	"rollcall.dev/pkg/fault"
	"rollcall.dev/pkg/giving/inbound"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/virtuous"
)

const (
	// mostTries is how often a search asks for gifts of which Virtuous says nothing clear, within some four hours. The next search finds them again.
	mostTries = 10
	// trustFor is how long a gift that Virtuous returned by its id proves that its 404 for another one says something.
	trustFor = time.Hour
	// trustTried is how many listed gifts are tried before Virtuous' 404 says nothing.
	trustTried = 3
)

const resolutionDeleted = "marked_deleted"

// Codes of missing gifts: why they are not, or no longer, asked for.
const (
	codeDeletedBefore = "already_deleted"  // a webhook reported it meanwhile
	codeSeenMeanwhile = "seen_meanwhile"   // a webhook or another read had it
	codeNotFound      = "source_not_found" // of an undone deletion: Virtuous has no such gift
	codeTooSoon       = "too_soon"         // of an undone deletion: it was made within the last minute, and the clocks may differ
)

// errAllNotFound means that Virtuous answers 404 for gifts that it lists.
var errAllNotFound = fault.Unknown("virtuous_detail_not_found", fmt.Errorf("%w: Virtuous answers 404 by id also for gifts that it lists, so that 404 is "+
	"no proof of a deletion", virtuous.ErrUnknownAnswer))

// ask asks Virtuous for each missing gift by its id. A 404 deletes it; what Virtuous returns is applied. After any other answer nothing
// changes, and the gift is asked for again.
func (s *sweep) ask(ctx context.Context) (complete bool, err error) {
	for {
		gifts, err := s.Reconciler.Store.GiftsToAsk(ctx, s.run.ID, s.progress.After, batchSize)
		if err != nil {
			return false, err
		}
		if len(gifts) == 0 {
			return s.endTry(ctx)
		}
		for _, gift := range gifts {
			if err := s.askFor(ctx, gift); err != nil {
				return false, errors.Join(err, s.keepProgress(ctx, s.progress))
			}
			if s.mustEnd(ctx) {
				return false, s.setProgress(ctx, s.progress)
			}
		}
	}
}

func (s *sweep) askFor(ctx context.Context, gift store.GiftToAsk) error {
	switch {
	case gift.Gone:
		return s.note(ctx, gift, store.GiftAnswer{State: store.CandidateDeleted, Code: codeDeletedBefore})
	case gift.Seen:
		return s.note(ctx, gift, store.GiftAnswer{State: store.CandidateFound, Code: codeSeenMeanwhile})
	}
	read, asked, err := s.readGift(ctx, gift.ID)
	switch {
	case err == nil:
		return s.keep(ctx, gift, inbound.Record{Gift: &read, At: asked, Read: true})
	case !errors.Is(err, virtuous.ErrNotFound):
		stop := s.unknown(ctx, err)
		if stop != nil && !errors.Is(stop, virtuous.ErrForbidden) {
			return stop
		}
		// One gift that is forbidden must not keep the search from the others.
		return errors.Join(stop, s.note(ctx, gift, store.GiftAnswer{State: store.CandidateMissing, Code: fault.CodeOf(err), Asked: true}))
	}
	if err := s.trust(ctx, asked); err != nil {
		return err
	}
	return s.delete(ctx, gift, asked)
}

// readGift reads a gift by its id; asked is the time of the request.
func (p *pass) readGift(ctx context.Context, id int64) (gift virtuous.Gift, asked time.Time, err error) {
	if asked, err = p.Reconciler.Store.Now(ctx); err != nil {
		return gift, asked, err
	}
	gift, err = p.client.Gift(ctx, id)
	if err == nil || errors.Is(err, virtuous.ErrNotFound) {
		p.unclear, p.answered = 0, true
		if ended := p.at("asked"); ended != nil {
			return gift, asked, ended
		}
	}
	return gift, asked, err
}

// trust finds out whether Virtuous finds a gift by its id that it lists. If it finds none of a few, its 404 for others proves nothing.
func (s *sweep) trust(ctx context.Context, now time.Time) error {
	if !s.progress.TrustedAt.IsZero() && now.Sub(s.progress.TrustedAt) < trustFor {
		return nil
	}
	for page, err := range s.client.GiftIDs(ctx, 0) {
		if err != nil {
			return err
		}
		for _, id := range page.Records[:min(trustTried, len(page.Records))] {
			_, err := s.client.Gift(ctx, id)
			if err == nil {
				s.progress.TrustedAt = now
				return nil
			}
			if !errors.Is(err, virtuous.ErrNotFound) {
				return err
			}
		}
		break
	}
	return errAllNotFound
}

// delete applies a deletion as that of a webhook is, and logs it.
func (s *sweep) delete(ctx context.Context, gift store.GiftToAsk, asked time.Time) error {
	err := s.commit(ctx, gift.ID, func(ctx context.Context, tx *store.Tx) error {
		outcomes, err := s.Inbound.Apply(ctx, tx, s.keys, s.inboundPass(""), []inbound.Record{{DeletedGift: gift.ID, At: asked, Read: true}})
		if err != nil {
			return err
		}
		if outcomes[0].Change != inbound.Deleted {
			return tx.NoteGiftAnswer(ctx, s.run.ID, gift.ID, store.GiftAnswer{State: store.CandidateFound, Code: codeSeenMeanwhile, Asked: true})
		}
		err = s.log(ctx, tx, store.ReconciliationEntry{
			PlatformID: gift.PlatformID, VirtuousID: gift.ID, Entity: inbound.EntityGift, Resolution: resolutionDeleted,
			Details: map[string]any{"run": s.run.ID},
		})
		if err != nil {
			return err
		}
		if err := tx.CountGifts(ctx, s.run.ID, store.GiftCounts{Deleted: 1}); err != nil {
			return err
		}
		return tx.NoteGiftAnswer(ctx, s.run.ID, gift.ID, store.GiftAnswer{State: store.CandidateDeleted, Asked: true})
	})
	if errors.Is(err, inbound.ErrUnordered) { // it was read since Virtuous was asked: the next try finds it seen
		s.progress.After = gift.ID
		return nil
	}
	if err != nil {
		return err
	}
	s.Worked++
	return s.at("marked")
}

// keep applies a gift that Virtuous has after all.
func (s *sweep) keep(ctx context.Context, gift store.GiftToAsk, record inbound.Record) error {
	err := s.commit(ctx, gift.ID, func(ctx context.Context, tx *store.Tx) error {
		if err := s.applyRead(ctx, tx, record); err != nil {
			return err
		}
		return tx.NoteGiftAnswer(ctx, s.run.ID, gift.ID, store.GiftAnswer{State: store.CandidateFound, Asked: true})
	})
	if err != nil {
		return err
	}
	s.Worked++
	return s.at("kept")
}

// note notes what is known of a gift without a change of it.
func (s *sweep) note(ctx context.Context, gift store.GiftToAsk, answer store.GiftAnswer) error {
	return s.commit(ctx, gift.ID, func(ctx context.Context, tx *store.Tx) error {
		return tx.NoteGiftAnswer(ctx, s.run.ID, gift.ID, answer)
	})
}

// commit commits what became of a gift, and goes on behind it.
func (s *sweep) commit(ctx context.Context, id int64, do func(ctx context.Context, tx *store.Tx) error) error {
	next := s.progress
	next.After = id
	err := s.inLane(ctx, func(ctx context.Context, tx *store.Tx) error {
		if err := do(ctx, tx); err != nil {
			return err
		}
		return tx.SetGivingProgress(ctx, s.Customer.ID, s.category, next, s.answered)
	})
	if err == nil {
		s.progress = next
	}
	return err
}

// applyRead applies a gift that was read, and logs it if it was new or changed.
func (p *pass) applyRead(ctx context.Context, tx *store.Tx, record inbound.Record) error {
	outcomes, err := p.Inbound.Apply(ctx, tx, p.keys, p.inboundPass(recoveredByLookup), []inbound.Record{record})
	if err != nil {
		return err
	}
	outcome := outcomes[0]
	if !outcome.IsApplied() {
		return nil
	}
	return p.log(ctx, tx, store.ReconciliationEntry{
		PlatformID: outcome.Confirmed, VirtuousID: outcome.ID, Entity: outcome.Entity, Resolution: resolutionApplied, Details: detailsOf(outcome),
	})
}

// endTry ends the search if every missing gift is decided. Otherwise those that are left are asked for again later, a few times.
func (s *sweep) endTry(ctx context.Context) (complete bool, err error) {
	left, err := s.Reconciler.Store.GiftsToAsk(ctx, s.run.ID, 0, 1)
	if err != nil {
		return false, err
	}
	next := s.progress
	next.After, next.Tries = 0, s.progress.Tries+1
	err = s.inLane(ctx, func(ctx context.Context, tx *store.Tx) error {
		if len(left) > 0 && next.Tries < mostTries {
			if err := tx.SetGivingProgress(ctx, s.Customer.ID, s.category, next, s.answered); err != nil {
				return err
			}
			delay := backoff.Delays{First: firstQueryPause, Longest: longestQueryPause}.After(next.Tries)
			return tx.PostponeGivingReconciliation(ctx, s.Customer.ID, s.category, reasonQuery, delay)
		}
		unknown, err := tx.LeaveMissingGifts(ctx, s.run.ID)
		if err != nil {
			return err
		}
		if unknown > 0 {
			s.Log.Warn("gifts stay as they are: Virtuous said nothing clear of them", zap.Int64("run", s.run.ID), zap.Int64("gifts", unknown))
		}
		return s.finish(ctx, tx)
	})
	if err != nil {
		return false, err
	}
	s.progress = next
	return true, s.at("try_ended")
}

// undoGifts reads gifts again whose deletion an operator undid. What Virtuous returns is live again; otherwise nothing changes.
func (p *pass) undoGifts(ctx context.Context) (complete bool, err error) {
	for {
		gifts, err := p.Reconciler.Store.GiftsToUndo(ctx, p.Customer.ID, batchSize)
		if err != nil || len(gifts) == 0 {
			return err == nil, err
		}
		for _, gift := range gifts {
			if err := p.undoGift(ctx, gift); err != nil {
				return false, err
			}
			if p.mustEnd(ctx) {
				return false, nil
			}
		}
	}
}

func (p *pass) undoGift(ctx context.Context, gift store.MissingGift) error {
	read, asked, err := p.readGift(ctx, gift.ID)
	answer := store.GiftAnswer{State: store.CandidateRestored, Asked: true}
	switch {
	case err == nil:
	case errors.Is(err, virtuous.ErrNotFound):
		answer.State, answer.Code = store.CandidateDeleted, codeNotFound
	default:
		if err := p.unknown(ctx, err); err != nil {
			return err
		}
		answer.State, answer.Code = store.CandidateDeleted, fault.CodeOf(err)
	}
	err = p.inLane(ctx, func(ctx context.Context, tx *store.Tx) error {
		if answer.State == store.CandidateRestored {
			if err := p.applyRead(ctx, tx, inbound.Record{Gift: &read, At: asked, Read: true}); err != nil {
				return err
			}
			stored, err := tx.PartnerGifts(ctx, p.Customer.ID, []int64{gift.ID})
			if err != nil {
				return err
			}
			if len(stored) == 0 || stored[0].State == store.PartnerDeleted {
				answer.State, answer.Code = store.CandidateDeleted, codeTooSoon
			}
		}
		return tx.NoteGiftAnswer(ctx, gift.RunID, gift.ID, answer)
	})
	if err != nil {
		return err
	}
	p.Worked++
	return p.at("undone")
}
