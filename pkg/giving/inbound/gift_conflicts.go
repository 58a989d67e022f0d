package inbound

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"rollcall.dev/pkg/giving/resolution"
	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/vault"
	"rollcall.dev/pkg/virtuous"
)

// ReasonGiftDiffers is the reason of a review item about a gift that differs from its donation.
const ReasonGiftDiffers = "gift_differs"

// giftState is a state that a gift gets when its row is saved.
type giftState struct {
	id         int64
	was, state string
}

func fieldsOf(differs []operatorapi.ReviewDetail) []string {
	var fields []string
	for _, one := range differs {
		fields = append(fields, one.Field)
	}
	return fields
}

// judgeGift has a person decide about a gift that differs from its donation, unless Virtuous is right by the customer's rules. A donation does not change
// and has no time of a change, so that no rule says that it is right, and the fields of gifts have no owners.
func (w *work) judgeGift(ctx context.Context, donation *store.SentDonation, row *giftRow, differs []operatorapi.ReviewDetail) error {
	if len(differs) == 0 {
		return w.endGiftConflict(ctx, row)
	}
	if err := w.readRules(ctx); err != nil {
		return err
	}
	if w.rules.Decide(EntityGift, resolution.Occasion{VirtuousAt: row.ModifiedAt}) == resolution.ToPartner {
		return w.endGiftConflict(ctx, row)
	}
	plain, err := json.Marshal(differs)
	if err != nil {
		return fmt.Errorf("encode both values: %w", err)
	}
	sealed, err := w.sealDetails(plain)
	if err != nil {
		return fmt.Errorf("seal both values: %w", err)
	}
	_, err = w.tx.OpenReview(ctx, store.ReviewItem{
		Customer: w.Customer, Kind: store.KindGift, SourceID: donation.ID, RecordID: strconv.FormatInt(row.ID, 10), Reason: ReasonGiftDiffers,
		Decisions: []string{store.DifferenceTakeVirtuous, store.DifferenceDismiss},
	}, sealed)
	w.setGiftState(row, store.GiftConflict)
	return err
}

// compareAgain compares a changed gift that is in conflict: staff may have corrected it.
func (w *work) compareAgain(ctx context.Context, donation *store.SentDonation, gift *virtuous.Gift, row *giftRow) error {
	if len(Record{Gift: gift}.Lacks()) > 0 { // a later version says more
		return nil
	}
	differs, err := w.differences(donation, gift)
	if errors.Is(err, vault.ErrForeign) { // the donation cannot be read any more
		differs, err = nil, nil
	}
	if err != nil {
		return err
	}
	return w.judgeGift(ctx, donation, row, differs)
}

// endGiftConflict ends the conflict of a gift that is right by now, or deleted, and its review item.
func (w *work) endGiftConflict(ctx context.Context, row *giftRow) error {
	if row.SyncState != store.GiftConflict {
		return nil
	}
	w.setGiftState(row, store.GiftInSync)
	return w.tx.SupersedeReviewsOfRecord(ctx, w.Customer, store.KindGift, strconv.FormatInt(row.ID, 10))
}

// setGiftState notes a state. It is stored after the row itself, which may be new.
func (w *work) setGiftState(row *giftRow, state string) {
	was := row.SyncState
	if was == "" {
		was = store.GiftInSync
	}
	row.SyncState = state
	if was != state {
		w.gifts = append(w.gifts, giftState{id: row.ID, was: was, state: state})
	}
}

func (w *work) saveGiftStates(ctx context.Context) error {
	for _, one := range w.gifts {
		if _, err := w.tx.SetGiftSyncState(ctx, w.Customer, one.id, one.was, one.state); err != nil {
			return err
		}
	}
	w.gifts = nil
	return nil
}

// readRules reads the customer's rules, once for each transaction that needs them.
func (w *work) readRules(ctx context.Context) error {
	if w.rules != nil {
		return nil
	}
	config, err := w.tx.VirtuousConfig(ctx, w.Customer)
	if err != nil {
		return fmt.Errorf("read the customer's rules: %w", err)
	}
	rules := resolution.Parse(config.Resolution)
	w.rules = &rules
	return nil
}
