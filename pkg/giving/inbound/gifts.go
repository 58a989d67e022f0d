package inbound

import (
	"context"
	"fmt"
	"time"

	"rollcall.dev/pkg/event"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/virtuous"
)

// giftRow is a gift's row, and whether it has to be written.
type giftRow struct {
	store.PartnerGift

	isChanged bool
}

func (g *giftRow) version() version {
	return version{modified: g.ModifiedAt, hash: g.Hash, read: g.ReadAt, seen: g.SeenAt, webhook: g.WebhookAt}
}

func (g *giftRow) setVersion(v version) {
	g.ModifiedAt, g.Hash, g.ReadAt, g.SeenAt, g.WebhookAt, g.isChanged = v.modified, v.hash, v.read, v.seen, v.webhook, true
}

func (g *giftRow) sealed() []byte { return g.Sealed }

func (g *giftRow) setSealed(sealed []byte) { g.Sealed = sealed }

// set stores what of a version is not sealed. ends are the ends of merges.
func (g *giftRow) set(gift *virtuous.Gift, ends map[int64]int64) {
	g.Amount, g.CurrencyCode, g.Date, g.Type = gift.Amount.String(), gift.CurrencyCode, gift.Date.String(), gift.Type
	g.TransactionSource, g.TransactionID = gift.TransactionSource, gift.TransactionID
	if g.ContactID = gift.ContactID; ends[gift.ContactID] != 0 {
		g.ContactID = ends[gift.ContactID]
	}
}

// applyGifts applies the gifts of the records, and confirms the donations that became these gifts.
func (w *work) applyGifts(ctx context.Context, records []Record) error {
	var ids, contacts []int64
	for _, record := range records {
		switch {
		case record.Gift != nil:
			ids = append(ids, record.Gift.ID)
			if record.Gift.ContactID != 0 {
				contacts = append(contacts, record.Gift.ContactID)
			}
		case record.DeletedGift != 0:
			ids = append(ids, record.DeletedGift)
		}
	}
	if len(ids) == 0 {
		return nil
	}
	rows, err := w.loadGifts(ctx, distinct(ids))
	if err != nil {
		return err
	}
	ends, err := w.mergeEnds(ctx, distinct(contacts))
	if err != nil {
		return err
	}
	donations, err := w.loadDonations(ctx, records)
	if err != nil {
		return err
	}
	for i, record := range records {
		switch {
		case record.Gift != nil:
			w.outcomes[i], err = w.applyGift(record, rows, ends, donations)
		case record.DeletedGift != 0:
			if w.outcomes[i], err = w.deleteGift(record, rows); err == nil {
				err = w.endGiftConflict(ctx, rows[record.DeletedGift])
			}
		}
		if err != nil {
			return err
		}
	}
	if err := w.confirm(ctx, records, rows, donations); err != nil {
		return err
	}
	var changed []store.PartnerGift
	for _, id := range distinct(ids) {
		if row := rows[id]; row.isChanged {
			changed = append(changed, row.PartnerGift)
		}
	}
	if err := w.tx.SavePartnerGifts(ctx, w.Customer, changed); err != nil {
		return err
	}
	return w.saveGiftStates(ctx)
}

// loadGifts returns the rows of these gifts, new ones for those that are not known.
func (w *work) loadGifts(ctx context.Context, ids []int64) (map[int64]*giftRow, error) {
	known, err := w.tx.PartnerGifts(ctx, w.Customer, ids)
	if err != nil {
		return nil, err
	}
	rows := make(map[int64]*giftRow, len(ids))
	for _, gift := range known {
		rows[gift.ID] = &giftRow{PartnerGift: gift}
	}
	for _, id := range ids {
		if rows[id] == nil {
			rows[id] = &giftRow{PartnerGift: store.PartnerGift{ID: id, State: store.PartnerLive}}
		}
	}
	return rows, nil
}

// mergeEnds returns the ends of the merges of these contacts; a contact that is not merged is not in it.
func (w *work) mergeEnds(ctx context.Context, ids []int64) (map[int64]int64, error) {
	known, err := w.tx.PartnerContacts(ctx, w.Customer, ids)
	ends := map[int64]int64{}
	for _, contact := range known {
		if contact.MergedInto != 0 {
			ends[contact.ID] = contact.MergedInto
		}
	}
	return ends, err
}

// applyGift applies one version of a gift to its row.
func (w *work) applyGift(record Record, rows map[int64]*giftRow, ends map[int64]int64, donations *sent) (Outcome, error) {
	gift, row := record.Gift, rows[record.Gift.ID]
	outcome := Outcome{Entity: EntityGift, ID: gift.ID}
	var counts bool
	var err error
	outcome.Change, outcome.ChangedFields, counts, err = w.applyForm(row, record, form{
		entity: EntityGift, modifiedAt: gift.ModifiedAt, fields: gift.Fields(), open: w.openGift, seal: w.sealGift,
	})
	if err != nil {
		return outcome, err
	}
	if counts {
		row.set(gift, ends)
	}
	if donation := donations.of(gift); donation != nil && row.PlatformDonationID == "" && row.Hash != nil {
		row.PlatformDonationID, row.isChanged = donation.PlatformID, true
	}
	if len(record.Lacks()) > 0 {
		return outcome, nil
	}
	if row.State == store.PartnerDeleted {
		// A deletion is final: what comes late completes the row only. A read of about the same time may be of before it; a later one decides.
		if !record.Read || !record.At.After(row.DeletedAt.Add(skew)) {
			outcome.Change = min(outcome.Change, Unchanged)
			return outcome, nil
		}
		row.State, row.DeletedAt, row.isChanged = store.PartnerLive, time.Time{}, true
		if outcome.Change <= Unchanged {
			outcome.Change = Updated
		}
		outcome.ChangedFields = append(outcome.ChangedFields, "state")
	}
	return outcome, w.noteGift(row, outcome)
}

// deleteGift applies a deletion. Of several, the last one counts.
func (w *work) deleteGift(record Record, rows map[int64]*giftRow) (Outcome, error) {
	row := rows[record.DeletedGift]
	outcome := Outcome{Entity: EntityGift, ID: row.ID}
	if row.State != store.PartnerDeleted && isUnordered(row.ReadAt, record) {
		return outcome, fmt.Errorf("delete gift %d: %w", row.ID, ErrUnordered)
	}
	if !record.Read && record.At.After(row.WebhookAt) {
		row.WebhookAt, row.isChanged = record.At, true
	}
	switch {
	case row.ReadAt.After(record.At): // Virtuous returned the gift after that
		return outcome, nil
	case row.State == store.PartnerDeleted:
		outcome.Change = Unchanged
		if !record.At.After(row.DeletedAt) {
			return outcome, nil
		}
	default:
		outcome.Change = Deleted
	}
	row.State, row.DeletedAt, row.isChanged = store.PartnerDeleted, record.At, true
	row.SeenAt = latest(row.SeenAt, record.At)
	if outcome.Change == Unchanged {
		return outcome, nil
	}
	return outcome, w.noteGift(row, outcome)
}

// isUnordered reports whether a gift may have been read before or after a deletion. Reads and answers about deletions have one clock.
func isUnordered(readAt time.Time, deletion Record) bool {
	if deletion.Read {
		return readAt.After(deletion.At)
	}
	return !readAt.IsZero() && readAt.Sub(deletion.At).Abs() <= skew
}

// noteGift adds the event of what became of a gift, if something did.
func (w *work) noteGift(row *giftRow, outcome Outcome) error {
	name := map[Change]string{Created: event.GiftCreated, Updated: event.GiftUpdated, Deleted: event.GiftDeleted}[outcome.Change]
	if name == "" {
		return nil
	}
	return w.addGiftEvent(name, row, outcome.ChangedFields)
}

func distinct(ids []int64) []int64 {
	seen := make(map[int64]bool, len(ids))
	var once []int64
	for _, id := range ids {
		if !seen[id] {
			seen[id] = true
			once = append(once, id)
		}
	}
	return once
}
