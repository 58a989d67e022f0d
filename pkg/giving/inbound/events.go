package inbound

import (
	"encoding/hex"
	"errors"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"rollcall.dev/pkg/event"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/virtuous"
	rollcallv1 "rollcall.dev/proto/rollcall/v1"
)

// errTransactionChanged means that a locked donation or contact was changed all the same. The transaction is rolled back and tried again.
var errTransactionChanged = errors.New("the transaction has another state by now")

// addGiftEvent adds gift.created, gift.updated or gift.deleted.
func (w *work) addGiftEvent(name string, row *giftRow, changed []string) error {
	what := row.DeletedAt
	if name != event.GiftDeleted {
		what = row.ModifiedAt
	}
	return w.addEvent(name, row.ID, what, row.Hash, &rollcallv1.GiftChanged{
		CustomerId: w.Customer, VirtuousGiftId: row.ID, VirtuousContactId: row.ContactID, PlatformDonationId: row.PlatformDonationID,
		ModifiedAt: stampOf(row.ModifiedAt), ChangedFields: changed, State: row.State, Job: w.Job,
	})
}

// addConfirmedEvent adds gift.confirmed.
func (w *work) addConfirmedEvent(row *giftRow, donation string, at store.Confirmation, differs []string) error {
	confirmed := &rollcallv1.GiftConfirmed{
		CustomerId: w.Customer, PlatformDonationId: donation, VirtuousGiftId: row.ID, VirtuousContactId: row.ContactID,
		RecoveryPath: w.RecoveryPath, DifferingFields: differs, Job: w.Job,
	}
	if at.SubmittedAt != nil {
		confirmed.SubmittedAt = timestamppb.New(*at.SubmittedAt)
	}
	if at.ConfirmedAt != nil {
		confirmed.ConfirmedAt = timestamppb.New(*at.ConfirmedAt)
	}
	return w.addEvent(event.GiftConfirmed, row.ID, w.now, nil, confirmed)
}

// addContactEvent adds contact.created, contact.updated or contact.merged.
func (w *work) addContactEvent(name string, contact *virtuous.Contact, mergedInto int64, changed []string) error {
	data := &rollcallv1.ContactChanged{
		CustomerId: w.Customer, VirtuousContactId: contact.ID, ModifiedAt: stampOf(contact.ModifiedAt), ChangedFields: changed, Job: w.Job,
	}
	if name == event.ContactMerged {
		data.MergedIntoContactId = mergedInto
	}
	for _, reference := range contact.References {
		data.ReferenceIds = append(data.ReferenceIds, reference.ID)
	}
	_, hash, err := canonical(w.hash, EntityContact, contactFields(contact))
	if err != nil {
		return err
	}
	return w.addEvent(name, contact.ID, contact.ModifiedAt, hash, data)
}

// addEvent adds an event about a version of a record. The time of the transaction is part of its id, since a record may return to an
// earlier version.
func (w *work) addEvent(name string, id int64, version time.Time, hash []byte, data proto.Message) error {
	parts := []string{name, w.Customer, strconv.FormatInt(id, 10), strconv.FormatInt(version.UnixMicro(), 36), strconv.FormatInt(w.now.UnixMicro(), 36)}
	if len(hash) > 0 {
		parts = append(parts, hex.EncodeToString(hash[:8]))
	}
	message, err := event.Fact{
		Name: name, Customer: w.Customer, ID: strings.Join(parts, "-"), At: w.now, TraceID: w.TraceID, Data: data,
	}.Message()
	if err != nil {
		return err
	}
	w.messages = append(w.messages, message)
	return nil
}

// stampOf returns a time for an event, nil for the zero time.
func stampOf(at time.Time) *timestamppb.Timestamp {
	if at.IsZero() {
		return nil
	}
	return timestamppb.New(at)
}
