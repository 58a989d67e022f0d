package letterapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"go.uber.org/zap"

	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/pkg/store"
)

const (
	// drainHold is how long a batch may take. If its process dies, another one works the batch again after that.
	drainHold = 30 * time.Second
	// drainRetry is when a batch is worked again that could not end.
	drainRetry = 30 * time.Second
	// paceSlice is how much of a minute's letters a batch of a drain with a pace has.
	paceSlice = 5 * time.Second
	// A process looks for due batches at least as often as the longest, because another process may have started a drain and died.
	shortestIdle, longestIdle = 50 * time.Millisecond, 5 * time.Second
)

// drains is what the process keeps to work drains.
type drains struct {
	wake      chan struct{}
	batchSize int32
	attempts  map[uuid.UUID]int // see ledger
}

func newDrains() drains {
	return drains{wake: make(chan struct{}, 1), batchSize: operatorapi.MaxLettersBatch, attempts: map[uuid.UUID]int{}}
}

func (d *drains) wakeUp() {
	select {
	case d.wake <- struct{}{}:
	default: // it is awake
	}
}

// RunDrains works drains until ctx ends, one batch at a time, of the drain that has waited longest. Any number of processes may do so: each
// batch is claimed, and a process that lost its claim changes nothing.
func (d *API) RunDrains(ctx context.Context) {
	for ctx.Err() == nil {
		claim, err := d.store.ClaimDrain(ctx, drainHold)
		if err == nil {
			d.workOrPutOff(ctx, claim)
			continue
		}
		if !errors.Is(err, store.ErrNotFound) && ctx.Err() == nil {
			d.logger.Warn("no drain claimed; it is tried again", zap.Error(err))
		}
		timer := time.NewTimer(d.idle(ctx, err))
		select {
		case <-ctx.Done():
		case <-d.drains.wake:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// idle returns how long to wait after no drain could be claimed.
func (d *API) idle(ctx context.Context, claimed error) time.Duration {
	if !errors.Is(claimed, store.ErrNotFound) {
		return longestIdle
	}
	next, err := d.store.NextDrainIn(ctx)
	if err != nil {
		return longestIdle
	}
	return min(max(next, shortestIdle), longestIdle)
}

// workOrPutOff works a batch. If it cannot end, it is due again later, or at once in another process if this one stops. If that cannot be
// stored either, the claim ends by itself.
func (d *API) workOrPutOff(ctx context.Context, claim store.DrainClaim) {
	err := d.workDrain(ctx, claim)
	if err == nil || errors.Is(err, errDrainLost) {
		return
	}
	pause := drainRetry
	if ctx.Err() != nil {
		pause = 0
	} else {
		d.logger.Warn("batch of a drain not finished; it is worked again", zap.Int64("drain", claim.ID), zap.Error(err))
	}
	bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), batchFor)
	defer cancel()
	held := &ledger{claim: claim}
	err = d.store.InTx(bounded, func(ctx context.Context, tx *store.Tx) error {
		if err := held.hold(ctx, tx); err != nil {
			return err
		}
		return tx.AdvanceDrain(ctx, claim.ID, claim.Position, pause)
	})
	if err != nil && !errors.Is(err, errDrainLost) {
		d.logger.Warn("batch of a drain not put off; it is worked again when its claim has ended", zap.Int64("drain", claim.ID), zap.Error(err))
	}
}

// workDrain works the next batch of a drain. What a batch does to a letter is committed with the letter's line in the ledger. A batch that a
// crash cut short is read again from its beginning, and its letters that are in the ledger are passed over.
func (d *API) workDrain(ctx context.Context, claim store.DrainClaim) error {
	command := operatorapi.LettersCommand{AllMatching: true, Note: claim.Note, Before: claim.Position, Limit: d.batchOf(claim.Pace)}
	if err := json.Unmarshal(claim.Filter, &command.LettersFilter); err != nil {
		return fmt.Errorf("read filter of drain: %w", err)
	}
	command.AsOf = &claim.AsOf
	b, err := d.begin(ctx, command)
	if errors.Is(err, store.ErrNotFound) { // the customer's letters, and the customer, are gone
		b, err = &batch{}, nil
	}
	if err != nil {
		return err
	}
	b.ledger = &ledger{claim: claim, attempts: d.drains.attempts}
	page := b.letters
	if err := d.passOver(ctx, b); err != nil {
		return err
	}
	worked := len(b.letters)
	if claim.Verb == operatorapi.VerbDiscard {
		err = d.discardBatch(ctx, b, claim.Note)
	} else {
		worked, err = d.retryBatch(ctx, b, false)
	}
	if err != nil {
		return err
	}
	if worked < len(b.letters) { // time ran out
		page = page[:slices.IndexFunc(page, func(letter store.ListedLetter) bool { return letter.ID == b.letters[worked].ID })]
		b.more = true
	}
	return d.endDrainBatch(ctx, claim, b, page)
}

// batchOf returns how many letters a batch has at most.
func (d *API) batchOf(pace int32) int32 {
	if pace == 0 {
		return d.drains.batchSize
	}
	return min(d.drains.batchSize, max(pace/int32(time.Minute/paceSlice), 1))
}

// passOver takes letters out of a batch that are in the ledger already.
func (d *API) passOver(ctx context.Context, b *batch) error {
	ids := make([]uuid.UUID, 0, len(b.letters))
	for _, letter := range b.letters {
		ids = append(ids, letter.ID)
	}
	met, err := d.store.InDrain(ctx, b.ledger.claim.ID, ids)
	if err != nil || len(met) == 0 {
		return err
	}
	b.letters = slices.DeleteFunc(slices.Clone(b.letters), func(letter store.ListedLetter) bool { return slices.Contains(met, letter.ID) })
	return nil
}

// endDrainBatch notes which letters were left, and moves the drain behind the letters of the page, or ends it.
func (d *API) endDrainBatch(ctx context.Context, claim store.DrainClaim, b *batch, page []store.ListedLetter) error {
	last := !b.more || len(page) == 0
	err := d.store.InTx(ctx, func(ctx context.Context, tx *store.Tx) error {
		if err := b.ledger.hold(ctx, tx); err != nil {
			return err
		}
		if err := b.ledger.leave(ctx, tx, b.Left); err != nil {
			return err
		}
		if last {
			return tx.EndDrain(ctx, claim.ID, store.DrainDone)
		}
		var pause time.Duration
		if claim.Pace > 0 {
			pause = time.Duration(b.Done+int64(len(b.Left))) * time.Minute / time.Duration(claim.Pace)
		}
		return tx.AdvanceDrain(ctx, claim.ID, operatorapi.LetterPosition(page[len(page)-1].LetterPosition), pause)
	})
	if err != nil {
		return err
	}
	for _, letter := range page {
		delete(d.drains.attempts, letter.ID)
	}
	if last {
		d.changed() // the retrier waits for the end of a large drain
	}
	d.logger.Info("batch of a drain worked", zap.Int64("drain", claim.ID), zap.String("verb", claim.Verb), zap.Int64("done", b.Done),
		zap.Int("left", len(b.Left)), zap.Bool("last", last))
	return nil
}
