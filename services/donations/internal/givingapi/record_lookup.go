package givingapi

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/giving/hold"
	"rollcall.dev/pkg/giving/inbound"
	"rollcall.dev/pkg/giving/inbox"
	"rollcall.dev/pkg/messageletter"
	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/pkg/record"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/vault"
	"rollcall.dev/pkg/virtuous"
	rollcallv1 "rollcall.dev/proto/rollcall/v1"
)

// mostOpened is how many parts that wait, and how many letters of deliveries, are opened to find a record in them.
const mostOpened = 50

// lookUpGift asks Virtuous for a gift: by its id if that is known, otherwise by the transaction of the donation, and at last by the id as it was asked
// for. read is what a fix applies; nil if there is nothing.
func (t *tracing) lookUpGift(ctx context.Context, of *record.Gift) (asked record.Lookup, read *inbound.Record, err error) {
	if t.client == nil {
		return t.unasked(), nil, nil
	}
	if asked.At, err = t.Store.Now(ctx); err != nil {
		return asked, nil, err
	}
	bounded, cancel := context.WithTimeout(ctx, lookupWithin)
	defer cancel()
	gift, err := t.readGift(bounded, of)
	switch {
	case err == nil:
		asked.Outcome, asked.ID = operatorapi.LookupFound, gift.ID
		if of.Stored != nil && of.Stored.ID == gift.ID {
			if asked.Changed, err = t.changed(ctx, func(keys *inbound.Keys) ([]string, error) { return keys.GiftDiffers(*of.Stored, &gift) }); err != nil {
				return asked, nil, err
			}
		}
		return asked, &inbound.Record{Gift: &gift, At: asked.At, Read: true}, nil
	case errors.Is(err, virtuous.ErrNotFound):
		asked.Outcome = operatorapi.LookupNotFound
		if of.Row != nil {
			read = &inbound.Record{DeletedGift: of.Row.ID, At: asked.At, Read: true}
		}
		return asked, read, nil
	}
	return t.unclear(asked, err), nil, ctx.Err()
}

func (t *tracing) readGift(ctx context.Context, of *record.Gift) (virtuous.Gift, error) {
	if id := of.GiftID(); id != 0 {
		return t.client.Gift(ctx, id)
	}
	source := t.source()
	if of.Donation != nil {
		source = of.Donation.TransactionSource
	}
	gift, err := t.client.GiftByTransaction(ctx, source, of.PlatformID())
	if id, isID := record.VirtuousID(t.id); isID && of.Donation == nil && errors.Is(err, virtuous.ErrNotFound) {
		return t.client.Gift(ctx, id)
	}
	return gift, err
}

// lookUpContact asks Virtuous for a contact: by its id if that is known, otherwise by the reference, and at last by the id as it was asked for.
func (t *tracing) lookUpContact(ctx context.Context, of *record.Contact) (asked record.Lookup, read *inbound.Record, err error) {
	if t.client == nil {
		return t.unasked(), nil, nil
	}
	if asked.At, err = t.Store.Now(ctx); err != nil {
		return asked, nil, err
	}
	bounded, cancel := context.WithTimeout(ctx, lookupWithin)
	defer cancel()
	contact, err := t.readContact(bounded, of)
	switch {
	case err == nil:
		asked.Outcome, asked.ID = operatorapi.LookupFound, contact.ID
		if of.Stored != nil && of.Stored.ID == contact.ID {
			if asked.Changed, err = t.changed(ctx, func(keys *inbound.Keys) ([]string, error) { return keys.ContactDiffers(*of.Stored, &contact) }); err != nil {
				return asked, nil, err
			}
		}
		return asked, &inbound.Record{Contact: &contact, At: asked.At, Read: true}, nil
	case errors.Is(err, virtuous.ErrNotFound):
		asked.Outcome = operatorapi.LookupNotFound
		return asked, nil, nil
	}
	return t.unclear(asked, err), nil, ctx.Err()
}

func (t *tracing) readContact(ctx context.Context, of *record.Contact) (virtuous.Contact, error) {
	if of.Row != nil {
		return t.client.Contact(ctx, of.Row.ID)
	}
	contact, err := t.client.ContactByReference(ctx, of.Source, of.Reference())
	if id, isID := record.VirtuousID(t.id); isID && of.Transaction == nil && errors.Is(err, virtuous.ErrNotFound) {
		return t.client.Contact(ctx, id)
	}
	return contact, err
}

func (t *tracing) unasked() record.Lookup {
	return record.Lookup{Outcome: operatorapi.LookupNotAsked, Reason: t.notAsked}
}

// unclear is a lookup whose answer says nothing of the record. Errors of Virtuous name statuses and codes, and no data.
func (t *tracing) unclear(asked record.Lookup, err error) record.Lookup {
	asked.Outcome, asked.Reason = operatorapi.LookupUnclear, err.Error()
	isOver := errors.Is(err, context.DeadlineExceeded)
	switch {
	case hold.IsPaced(err), isOver && virtuous.IsUnsent(err):
		asked.Reason = "the customer's share of the requests to Virtuous is used up: ask again in some minutes"
	case isOver:
		asked.Reason = fmt.Sprintf("Virtuous did not answer within %d seconds", int(lookupWithin.Seconds()))
	}
	return asked
}

// changed compares a record with what is stored. Without the customer's keys nothing is compared.
func (t *tracing) changed(ctx context.Context, compare func(keys *inbound.Keys) ([]string, error)) ([]string, error) {
	keys, err := t.openKeys(ctx)
	if errors.Is(err, vault.ErrKeyGone) || errors.Is(err, vault.ErrUnavailable) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return compare(keys)
}

// delivered looks for a record in deliveries that are not applied. They are sealed, so the newest are opened one by one.
func (t *tracing) delivered(ctx context.Context, isIt func(virtuous.Record) bool) (found record.Delivered, err error) {
	parts, err := t.Store.WaitingParts(ctx, t.customer.ID, mostOpened)
	if err != nil {
		return found, err
	}
	for _, part := range parts {
		if t.isIn(ctx, part.Sealed, isIt) {
			found.WaitsSince = &part.ReceivedAt
			break
		}
	}
	letters, err := t.Store.OpenLettersOf(ctx, t.customer.ID, bus.SubjectWebhooks(t.customer.ID), mostOpened)
	if err != nil {
		return found, err
	}
	for _, letter := range letters {
		if sealed, err := t.partOf(ctx, letter); err == nil && t.isIn(ctx, sealed, isIt) {
			found.Letter, found.LetterAt, found.LetterCode = &letter.ID, letter.FirstFailedAt, letter.ErrorCode
			break
		}
	}
	return found, nil
}

// isGift recognises a gift in a delivery: by its id, 0 if it is not known, or by the transaction of a donation.
func (t *tracing) isGift(of *record.Gift, id int64) func(virtuous.Record) bool {
	source := t.source()
	if of.Donation != nil {
		source = of.Donation.TransactionSource
	}
	return func(entry virtuous.Record) bool {
		switch entry.Event {
		case virtuous.GiftCreate, virtuous.GiftUpdate, virtuous.GiftDelete:
			return entry.ID == id || entry.Gift != nil && of.PlatformID() != "" && entry.Gift.IsOf(source, of.PlatformID())
		case virtuous.OtherEvent, virtuous.ContactCreate, virtuous.ContactUpdate:
		}
		return false
	}
}

// isContact recognises a contact in a delivery: by its id, 0 if it is not known, or by the platform's reference.
func isContact(of *record.Contact, id int64) func(virtuous.Record) bool {
	return func(entry virtuous.Record) bool {
		switch entry.Event {
		case virtuous.ContactCreate, virtuous.ContactUpdate:
			return entry.ID == id || entry.Contact != nil && of.Reference() != "" && entry.Contact.HasReference(of.Source, of.Reference())
		case virtuous.OtherEvent, virtuous.GiftCreate, virtuous.GiftUpdate, virtuous.GiftDelete:
		}
		return false
	}
}

// partOf returns the sealed part that a letter has.
func (t *tracing) partOf(ctx context.Context, letter store.SealedLetter) ([]byte, error) {
	payload, err := t.Vault.Open(ctx, t.customer.ID, messageletter.PurposePayload, letter.Sealed)
	if err != nil {
		return nil, fmt.Errorf("open a letter: %w", err)
	}
	part := &rollcallv1.WebhookPart{}
	if err := rollcallv1.Read(payload, part); err != nil {
		return nil, fmt.Errorf("read a letter: %w", err)
	}
	return part.GetSealed(), nil
}

// isIn reports whether a part of a delivery has a record. One that cannot be opened or read is about none that could be named.
func (t *tracing) isIn(ctx context.Context, sealed []byte, isIt func(virtuous.Record) bool) bool {
	body, err := t.Vault.Open(ctx, t.customer.ID, inbox.PurposePart, sealed)
	if err != nil {
		return false
	}
	delivery, err := virtuous.ParseDelivery(body)
	return err == nil && slices.ContainsFunc(delivery.Records(), isIt)
}
