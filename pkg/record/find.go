package record

import (
	"context"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/pkg/store"
)

// Gifts returns what is stored of an id: as the platform's id of a donation, and as the id of a gift at Virtuous. The two are one record if the gift is
// that donation's. There is at least one; one whose FoundAs is "" says that the id is not known.
func Gifts(ctx context.Context, from store.Conn, customer Customer, id string) ([]*Gift, error) {
	var found []*Gift
	asDonation := &Gift{Customer: customer, ID: id}
	if err := asDonation.loadDonation(ctx, from, id); err != nil {
		return nil, err
	}
	if asDonation.Donation != nil {
		asDonation.FoundAs = operatorapi.FoundAsDonation
		if gift := asDonation.Donation.GiftID; gift != 0 {
			if err := asDonation.loadGift(ctx, from, gift); err != nil {
				return nil, err
			}
		}
		found = append(found, asDonation)
	}
	asGift, err := giftByID(ctx, from, customer, id)
	if err != nil {
		return nil, err
	}
	if asGift != nil && (asDonation.Donation == nil || asGift.GiftID() != asDonation.GiftID()) {
		found = append(found, asGift)
	}
	if len(found) == 0 {
		found = append(found, asDonation)
	}
	for _, one := range found {
		if err := one.loadHistory(ctx, from); err != nil {
			return nil, err
		}
	}
	return found, nil
}

// giftByID returns the gift with that id at Virtuous, with the donation that became it; nil if it is not known.
func giftByID(ctx context.Context, from store.Conn, customer Customer, text string) (*Gift, error) {
	id, isID := VirtuousID(text)
	if !isID {
		return nil, nil //nolint:nilnil // it is no id at Virtuous
	}
	gift := &Gift{Customer: customer, ID: text, FoundAs: operatorapi.FoundAsGift}
	if err := gift.loadGift(ctx, from, id); err != nil {
		return nil, err
	}
	platformID := ""
	if gift.Row != nil {
		platformID = gift.Row.PlatformDonationID
	}
	if platformID == "" {
		donations, err := from.DonationsOfGift(ctx, customer.ID, id)
		if err != nil {
			return nil, err
		}
		if len(donations) > 0 {
			platformID = donations[0]
		}
	}
	if platformID != "" {
		if err := gift.loadDonation(ctx, from, platformID); err != nil {
			return nil, err
		}
	}
	if gift.Row == nil && gift.Donation == nil {
		return nil, nil //nolint:nilnil // it is not known
	}
	return gift, nil
}

// IDRule is what an id must be.
const IDRule = "must be an id of 1 to 200 characters, none of them a control character"

// ValidID reports whether a text can be the id of a record.
func ValidID(text string) bool {
	return text != "" && utf8.ValidString(text) && utf8.RuneCountInString(text) <= 200 && !strings.ContainsFunc(text, unicode.IsControl)
}

// VirtuousID reads an id of Virtuous; false if the text is none.
func VirtuousID(text string) (id int64, ok bool) {
	id, err := strconv.ParseInt(text, 10, 64)
	return id, err == nil && id > 0 && strconv.FormatInt(id, 10) == text
}
