package givingapi

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"

	"rollcall.dev/pkg/giving/inbound"
	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/pkg/service"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/vault"
)

// gifts lists gifts. Amounts and ids are a donor's data, too: the read is audited.
func (a *API) gifts(ctx context.Context, question operatorapi.RecordsQuestion) (operatorapi.GiftsReply, error) {
	reply := operatorapi.GiftsReply{Gifts: []operatorapi.Gift{}}
	if _, err := a.Store.Customer(ctx, question.CustomerID); err != nil {
		return reply, err
	}
	service.Disclosed(ctx)
	limit := pageOf(question.Limit)
	found, err := a.Store.Gifts(ctx, question.CustomerID, cmp.Or(question.Before, math.MaxInt64), limit)
	for _, one := range found {
		reply.Gifts = append(reply.Gifts, shownGift(one))
	}
	if len(found) == int(limit) {
		reply.Next = &found[len(found)-1].ID
	}
	return reply, err
}

func (a *API) gift(ctx context.Context, question operatorapi.RecordQuestion) (operatorapi.Gift, error) {
	service.Disclosed(ctx)
	one, err := a.Store.Gift(ctx, question.CustomerID, question.ID)
	if err != nil {
		return operatorapi.Gift{}, err
	}
	shown := shownGift(one)
	shown.Fields, err = a.fields(ctx, question.CustomerID, inbound.PurposeGift, one.Sealed)
	return shown, err
}

func shownGift(one store.GiftRow) operatorapi.Gift {
	return operatorapi.Gift{
		VirtuousGiftID: one.ID, State: one.State, SyncState: one.SyncState, Amount: one.Amount, CurrencyCode: one.CurrencyCode, GiftDate: one.GiftDate,
		GiftType: one.GiftType, VirtuousContactID: unless(0, one.ContactID), TransactionSource: one.TransactionSource, TransactionID: one.TransactionID,
		PlatformDonationID: unless("", one.PlatformDonationID), ModifiedAt: one.ModifiedAt, CreatedAt: one.CreatedAt, DeletedAt: one.DeletedAt,
		LastSyncAt: one.LastSyncAt,
	}
}

func (a *API) contacts(ctx context.Context, question operatorapi.RecordsQuestion) (operatorapi.ContactsReply, error) {
	reply := operatorapi.ContactsReply{Contacts: []operatorapi.Contact{}}
	if _, err := a.Store.Customer(ctx, question.CustomerID); err != nil {
		return reply, err
	}
	service.Disclosed(ctx)
	limit := pageOf(question.Limit)
	found, err := a.Store.Contacts(ctx, question.CustomerID, cmp.Or(question.Before, math.MaxInt64), limit)
	if err != nil {
		return reply, err
	}
	ids := make([]int64, 0, len(found))
	for _, one := range found {
		ids = append(ids, one.ID)
	}
	differences, err := a.differencesAt(ctx, question.CustomerID, ids)
	for _, one := range found {
		shown := shownContact(one)
		shown.Differences = differences[one.ID]
		reply.Contacts = append(reply.Contacts, shown)
	}
	if len(found) == int(limit) {
		reply.Next = &found[len(found)-1].ID
	}
	return reply, err
}

func (a *API) contact(ctx context.Context, question operatorapi.RecordQuestion) (operatorapi.Contact, error) {
	service.Disclosed(ctx)
	one, err := a.Store.Contact(ctx, question.CustomerID, question.ID)
	if err != nil {
		return operatorapi.Contact{}, err
	}
	shown := shownContact(one)
	platform, err := a.Store.ContactsOfVirtuousContact(ctx, question.CustomerID, question.ID)
	if err != nil {
		return operatorapi.Contact{}, err
	}
	for _, of := range platform {
		shown.Platform = append(shown.Platform, operatorapi.PlatformContact{ReferenceID: of.ReferenceID, Status: of.Status})
	}
	differences, err := a.differencesAt(ctx, question.CustomerID, []int64{question.ID})
	if err != nil {
		return operatorapi.Contact{}, err
	}
	shown.Differences = differences[question.ID]
	shown.Fields, err = a.fields(ctx, question.CustomerID, inbound.PurposeContact, one.Sealed)
	return shown, err
}

func shownContact(one store.ContactRow) operatorapi.Contact {
	return operatorapi.Contact{
		VirtuousContactID: one.ID, State: one.State, SyncState: one.SyncState, ContactType: one.ContactType, MergedInto: unless(0, one.MergedInto),
		ModifiedAt: one.ModifiedAt, CreatedAt: one.CreatedAt, LastSyncAt: one.LastSyncAt,
	}
}

// fields opens a record's fields. They are nil if there are none, or if the key was destroyed or cannot be opened now.
func (a *API) fields(ctx context.Context, customer, purpose string, sealed []byte) (map[string]string, error) {
	if len(sealed) == 0 {
		return nil, nil //nolint:nilnil // only the deletion is known
	}
	plain, err := a.Vault.Open(ctx, customer, purpose, sealed)
	if errors.Is(err, vault.ErrKeyGone) || errors.Is(err, vault.ErrUnavailable) || errors.Is(err, vault.ErrForeign) {
		return nil, nil //nolint:nilnil // they cannot be read
	}
	if err != nil {
		return nil, fmt.Errorf("open a record: %w", err)
	}
	pairs, err := inbound.Fields(plain)
	fields := make(map[string]string, len(pairs))
	for _, field := range pairs {
		fields[field.Name] = field.Value
	}
	return fields, err
}
