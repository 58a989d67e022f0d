package inbound

import (
	"errors"

	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/vault"
	"rollcall.dev/pkg/virtuous"
)

// GiftDiffers returns the names of the fields in which a gift as Virtuous returned it is not what is stored. What the record lacks does not differ, and
// neither does what was sealed with a key that was destroyed.
func (k *Keys) GiftDiffers(stored store.PartnerGift, gift *virtuous.Gift) ([]string, error) {
	return differs(stored.Sealed, Record{Gift: gift}, form{entity: EntityGift, fields: gift.Fields(), open: k.openGift})
}

// ContactDiffers is GiftDiffers for contacts.
func (k *Keys) ContactDiffers(stored store.PartnerContact, contact *virtuous.Contact) ([]string, error) {
	return differs(stored.Sealed, Record{Contact: contact}, form{entity: EntityContact, fields: contactFields(contact), open: k.openContact})
}

func differs(sealed []byte, record Record, of form) ([]string, error) {
	if len(sealed) == 0 || len(record.Lacks()) > 0 {
		return nil, nil
	}
	changed, err := changesOf(sealed, of)
	if errors.Is(err, vault.ErrForeign) {
		return nil, nil
	}
	return changed, err
}
