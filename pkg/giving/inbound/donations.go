package inbound

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"go.uber.org/zap"

	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/vault"
	"rollcall.dev/pkg/virtuous"
)

// statusConfirmed is the status of a donation whose gift was seen.
const statusConfirmed = "confirmed"

// sent are donations by their platform ids.
type sent struct {
	byID map[string]*store.SentDonation
}

// of returns the donation whose transaction became the gift, nil if it was not ours.
func (s *sent) of(gift *virtuous.Gift) *store.SentDonation {
	if donation := s.byID[gift.TransactionID]; donation != nil && gift.IsOf(donation.TransactionSource, donation.PlatformID) {
		return donation
	}
	return nil
}

// loadDonations locks the donations that the gifts of the records may be of.
func (w *work) loadDonations(ctx context.Context, records []Record) (*sent, error) {
	donations := &sent{byID: map[string]*store.SentDonation{}}
	var ids []string
	for _, record := range records {
		if record.Gift != nil && record.Gift.TransactionID != "" && record.Gift.TransactionSource != "" {
			ids = append(ids, record.Gift.TransactionID)
		}
	}
	if len(ids) == 0 {
		return donations, nil
	}
	slices.Sort(ids)
	found, err := w.tx.LockDonations(ctx, w.Customer, slices.Compact(ids))
	for _, donation := range found {
		donations.byID[donation.PlatformID] = &donation
	}
	return donations, err
}

// confirm confirms the donations whose gifts the records have, in whatever state they are, and gives confirmed ones the contact that
// their gift has by now.
func (w *work) confirm(ctx context.Context, records []Record, rows map[int64]*giftRow, donations *sent) error {
	for i, record := range records {
		if record.Gift == nil {
			continue
		}
		donation := donations.of(record.Gift)
		if donation == nil {
			continue
		}
		confirm := w.confirmDonation
		if donation.Status == statusConfirmed {
			confirm = w.keepUp
		}
		if err := confirm(ctx, donation, record.Gift, rows[record.Gift.ID], &w.outcomes[i]); err != nil {
			return err
		}
	}
	return nil
}

// keepUp has a confirmed donation keep up with its gift.
func (w *work) keepUp(ctx context.Context, donation *store.SentDonation, gift *virtuous.Gift, row *giftRow, outcome *Outcome) error {
	if donation.GiftID != row.ID {
		return nil
	}
	if donation.ContactID != row.ContactID {
		if err := w.tx.SetDonationContact(ctx, w.Customer, donation.ID, row.ContactID); err != nil {
			return err
		}
		donation.ContactID = row.ContactID
	}
	if row.SyncState != store.GiftConflict || outcome.Change <= Unchanged {
		return nil
	}
	return w.compareAgain(ctx, donation, gift, row)
}

func (w *work) confirmDonation(ctx context.Context, donation *store.SentDonation, gift *virtuous.Gift, row *giftRow, outcome *Outcome) error {
	found, err := w.differences(donation, gift)
	if errors.Is(err, vault.ErrForeign) { // the customer was offboarded and has returned, with another key
		w.Logger.Warn("donation confirmed without a comparison: its transaction cannot be read any more",
			zap.String("customer", w.Customer), zap.String("donation", donation.PlatformID))
	} else if err != nil {
		return err
	}
	at, confirmed, err := w.tx.ConfirmByGift(ctx, w.Customer, *donation, row.PartnerGift, w.RecoveryPath)
	if err != nil {
		return err
	}
	if !confirmed {
		return fmt.Errorf("confirm donation %s: %w", donation.PlatformID, errTransactionChanged)
	}
	differs := fieldsOf(found)
	w.logConfirmed(donation, row.ID, differs)
	donation.Status, donation.GiftID, donation.ContactID = statusConfirmed, row.ID, row.ContactID
	outcome.Confirmed, outcome.Differs = donation.PlatformID, differs
	if outcome.Change != Skipped { // otherwise a newer version is known than the one that was compared
		if err := w.judgeGift(ctx, donation, row, found); err != nil {
			return err
		}
	}
	return w.addConfirmedEvent(row, donation.PlatformID, at, differs)
}

// logConfirmed logs what is remarkable about a confirmation: a donation that was given up, and a gift that staff changed.
func (w *work) logConfirmed(donation *store.SentDonation, gift int64, differs []string) {
	log := w.Logger.With(zap.String("customer", w.Customer), zap.String("donation", donation.PlatformID), zap.Int64("virtuous_gift_id", gift))
	if isGivenUp(donation.Status) {
		log.Warn("donation confirmed although it was given up", zap.String("status", donation.Status))
	}
	if len(differs) > 0 {
		log.Info("gift differs from its donation", zap.Strings("fields", differs))
	}
}

// differences returns the fields in which a gift is not what the donation's transaction asked for, with both values. Fields that the
// transaction left to Virtuous are not compared.
func (w *work) differences(donation *store.SentDonation, gift *virtuous.Gift) ([]operatorapi.ReviewDetail, error) {
	if len(Record{Gift: gift}.Lacks()) > 0 { // what it lacks does not differ
		return nil, nil
	}
	body, err := w.openTransaction(donation.BodySealed)
	if err != nil {
		return nil, fmt.Errorf("open a transaction: %w", err)
	}
	fields := map[string]json.RawMessage{}
	if err := json.Unmarshal(body, &fields); err != nil {
		return nil, fmt.Errorf("decode a transaction: %w", err)
	}
	fields["id"] = json.RawMessage(strconv.FormatInt(gift.ID, 10))
	encoded, err := json.Marshal(fields)
	if err != nil {
		return nil, fmt.Errorf("encode a transaction: %w", err)
	}
	asked, err := virtuous.ParseGift(encoded)
	if err != nil {
		return nil, fmt.Errorf("read a transaction: %w", err)
	}
	has := map[string]string{}
	for _, field := range gift.Fields() {
		has[field.Name] = field.Value
	}
	var differs []operatorapi.ReviewDetail
	for _, field := range asked.Fields() {
		switch field.Name {
		case "amount", "currencyCode", "giftDate", "giftType":
			if field.Value != "" && has[field.Name] != "" && field.Value != has[field.Name] {
				differs = append(differs, operatorapi.ReviewDetail{Field: field.Name, Partner: field.Value, Virtuous: has[field.Name]})
			}
		case "giftDesignations":
			if len(asked.Designations) > 0 && shares(asked) != shares(*gift) {
				differs = append(differs, operatorapi.ReviewDetail{Field: field.Name, Partner: shares(asked), Virtuous: shares(*gift)})
			}
		}
	}
	return differs, nil
}

// shares returns the designations by project code, which is all that a transaction has of a project.
func shares(gift virtuous.Gift) string {
	list := make([]string, 0, len(gift.Designations))
	for _, one := range gift.Designations {
		list = append(list, strconv.Quote(strings.ToLower(one.ProjectCode))+" "+one.Amount.String())
	}
	slices.Sort(list)
	return strings.Join(list, ", ")
}
