package main

import (
	"context"
	"slices"
	"strconv"
	"time"

	"go.uber.org/zap"
	"google.golang.org/protobuf/types/known/timestamppb"

	"rollcall.dev/pkg/event"
	"rollcall.dev/pkg/giving"
	"rollcall.dev/pkg/giving/inbound"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/virtuous"
	rollcallv1 "rollcall.dev/proto/rollcall/v1"
)

// nameOf returns what transactions of a kind are called in the log.
func nameOf(kind store.TransactionKind) string {
	if kind == store.ContactTransaction {
		return "contact"
	}
	return "donation"
}

// named returns the field of the log that names a transaction.
func named(one store.DueTransaction) zap.Field { return zap.String(nameOf(one.Kind), one.PlatformID) }

// due returns up to atMost due transactions of the customer, donations and contacts together, the longest due first.
func (s *submitter) due(ctx context.Context, customer string, atMost int) ([]store.DueTransaction, error) {
	limit := int32(atMost) //nolint:gosec // VIRTUOUS_BATCH is 100 at most
	donations, err := s.store.DueTransactions(ctx, store.DonationTransaction, customer, limit)
	if err != nil {
		return nil, err
	}
	contacts, err := s.store.DueTransactions(ctx, store.ContactTransaction, customer, limit)
	if err != nil {
		return nil, err
	}
	due := slices.Concat(contacts, donations)
	slices.SortStableFunc(due, func(a, b store.DueTransaction) int { return a.DueAt.Compare(b.DueAt) })
	return due[:min(len(due), atMost)], nil
}

// open opens the body of a transaction.
func (b *batch) open(one store.DueTransaction) ([]byte, error) {
	if one.Kind == store.ContactTransaction {
		return b.key.Open(giving.PurposeContactTransaction, one.BodySealed)
	}
	return b.key.Open(purposeTransaction, one.BodySealed)
}

// post sends the body of a transaction.
func (b *batch) post(ctx context.Context, kind store.TransactionKind, body []byte) virtuous.Outcome {
	if kind == store.ContactTransaction {
		return b.client.SubmitContact(ctx, body)
	}
	return b.client.SubmitGift(ctx, body)
}

// find looks up what became of a transaction: its gift or contact.
func (b *batch) find(ctx context.Context, one store.DueTransaction) (inbound.Record, error) {
	if one.Kind == store.ContactTransaction {
		contact, err := b.client.ContactByReference(ctx, one.TransactionSource, one.PlatformID)
		return inbound.Record{Contact: &contact}, err
	}
	gift, err := b.client.GiftByTransaction(ctx, one.TransactionSource, one.PlatformID)
	return inbound.Record{Gift: &gift}, err
}

// failure is the event that Virtuous rejected a transaction.
func failure(customer string, one store.DueTransaction, lastError string, at time.Time, attempt int, trace string) event.Fact {
	fact := event.Fact{
		Customer: customer, At: at, TraceID: trace,
		ID: nameOf(one.Kind) + "-failed-" + customer + "-" + strconv.FormatInt(one.ID, 10) + "-" + strconv.FormatInt(at.UnixNano(), 10) + "-" + strconv.Itoa(attempt),
	}
	if one.Kind == store.ContactTransaction {
		fact.Name = event.ContactFailed
		fact.Data = &rollcallv1.ContactFailed{CustomerId: customer, ReferenceId: one.PlatformID, Error: lastError, FailedAt: timestamppb.New(at)}
		return fact
	}
	fact.Name = event.DonationFailed
	fact.Data = &rollcallv1.DonationFailed{CustomerId: customer, PlatformDonationId: one.PlatformID, Error: lastError, FailedAt: timestamppb.New(at)}
	return fact
}
