package givingapi

import (
	"cmp"
	"context"
	"math"

	"go.uber.org/zap"

	"rollcall.dev/pkg/giving/inbound"
	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/pkg/service"
	"rollcall.dev/pkg/store"
)

// contactTransactions lists the platform's contacts on their way into Virtuous. They are shown without names: nothing is audited.
func (a *API) contactTransactions(ctx context.Context, question operatorapi.ContactTransactionsQuestion) (operatorapi.ContactTransactionsReply, error) {
	reply := operatorapi.ContactTransactionsReply{Contacts: []operatorapi.ContactTransaction{}}
	if _, err := a.Store.Customer(ctx, question.CustomerID); err != nil {
		return reply, err
	}
	if err := checkState(question.State); err != nil {
		return reply, err
	}
	limit := pageOf(question.Limit)
	found, err := a.Store.ContactTransactions(ctx, question.CustomerID, question.State, cmp.Or(question.Before, math.MaxInt64), limit)
	if err != nil {
		return reply, err
	}
	differences, err := a.differencesOf(ctx, question.CustomerID, found...)
	for _, one := range found {
		shown := shownContactTransaction(one)
		shown.Differences = differences[one.ID]
		reply.Contacts = append(reply.Contacts, shown)
	}
	if len(found) == int(limit) {
		reply.Next = &found[len(found)-1].ID
	}
	return reply, err
}

// checkState returns an error if no donation or contact is ever in a state; "" means every one.
func checkState(state string) error {
	switch state {
	case "", store.DonationPending, store.DonationSubmitted, store.DonationNeedsReview, store.DonationConfirmed, store.DonationFailed, store.DonationClosed:
		return nil
	}
	return &service.FieldsError{Errors: map[string][]string{"state": {"must be pending, submitted, needs_review, confirmed, failed or closed"}}}
}

func (a *API) contactTransaction(ctx context.Context, question operatorapi.ContactTransactionQuestion) (operatorapi.ContactTransaction, error) {
	one, err := a.Store.ContactTransaction(ctx, question.CustomerID, question.ReferenceID)
	if err != nil {
		return operatorapi.ContactTransaction{}, err
	}
	shown := shownContactTransaction(one)
	differences, err := a.differencesOf(ctx, question.CustomerID, one)
	shown.Differences = differences[one.ID]
	return shown, err
}

func shownContactTransaction(one store.ContactTransactionRow) operatorapi.ContactTransaction {
	return operatorapi.ContactTransaction{
		ID: one.ID, ReferenceID: one.ReferenceID, Status: one.Status, TransactionSource: one.TransactionSource, Attempts: one.Attempts,
		NextAttemptAt: one.NextAttemptAt, AttemptStartedAt: one.AttemptStartedAt, UnansweredSince: one.UnansweredSince, SubmittedAt: one.SubmittedAt,
		Repeated: one.Repeated, LookedUpAt: one.LookedUpAt, NextLookupAt: one.NextLookupAt, ConfirmedAt: one.ConfirmedAt,
		VirtuousContactID: unless(0, one.ContactID), RecoveryPath: unless("", one.RecoveryPath), ReviewReason: unless("", one.ReviewReason),
		LastError: unless("", one.LastError), CloseReason: unless("", one.CloseReason), PlatformModifiedAt: one.PartnerModifiedAt,
		CompareWantedAt: one.CompareWantedAt, CreatedAt: one.CreatedAt, StatusAt: one.StatusAt,
	}
}

// retryContact has a rejected contact, or one that needs review, sent again.
func (a *API) retryContact(ctx context.Context, question operatorapi.ContactTransactionQuestion) (operatorapi.ContactTransaction, error) {
	one, err := a.Store.ContactTransaction(ctx, question.CustomerID, question.ReferenceID)
	if err != nil {
		return operatorapi.ContactTransaction{}, err
	}
	changed, err := a.Store.RetryContact(ctx, question.CustomerID, one)
	if err != nil {
		return operatorapi.ContactTransaction{}, err
	}
	if !changed {
		return operatorapi.ContactTransaction{}, &service.ConflictError{
			Text: "the contact is " + one.Status + ": only one that is failed or needs_review is sent again",
		}
	}
	a.Logger.Info("an operator retried a contact", zap.String("customer", question.CustomerID), zap.String("contact", one.ReferenceID))
	a.Sent()
	return a.contactTransaction(ctx, question)
}

// closeContact ends a contact's transaction by an operator's decision. If Virtuous may have it, the contact is looked up first, and confirmed if it is
// there.
func (a *API) closeContact(ctx context.Context, question operatorapi.ContactTransactionQuestion) (operatorapi.ContactTransaction, error) {
	reason, err := checkReason(question.Reason)
	if err != nil {
		return operatorapi.ContactTransaction{}, err
	}
	one, err := a.Store.ContactTransaction(ctx, question.CustomerID, question.ReferenceID)
	if err != nil {
		return operatorapi.ContactTransaction{}, err
	}
	switch one.Status {
	case store.DonationPending, store.DonationFailed, store.DonationNeedsReview:
	default:
		return operatorapi.ContactTransaction{}, &service.ConflictError{
			Text: "the contact is " + one.Status + ": only one that is pending, failed or needs_review is closed",
		}
	}
	if one.IsAttempting {
		return operatorapi.ContactTransaction{}, errUnderWay("contact")
	}
	mustLookUp := one.UnansweredSince != nil && one.Status != store.DonationNeedsReview
	if mustLookUp {
		found, err := a.confirmIfFound(ctx, question.CustomerID, "contact", func(ctx context.Context, at Looker) (inbound.Record, error) {
			contact, err := at.ContactByReference(ctx, one.TransactionSource, one.ReferenceID)
			return inbound.Record{Contact: &contact}, err
		})
		if err != nil {
			return operatorapi.ContactTransaction{}, err
		}
		if found {
			return a.contactTransaction(ctx, question)
		}
	}
	closed, err := a.Store.CloseContact(ctx, question.CustomerID, one, reason, mustLookUp)
	if err != nil {
		return operatorapi.ContactTransaction{}, err
	}
	if !closed {
		return operatorapi.ContactTransaction{}, errUnderWay("contact")
	}
	a.Logger.Info("an operator closed a contact", zap.String("customer", question.CustomerID), zap.String("contact", one.ReferenceID),
		zap.String("was", one.Status))
	return a.contactTransaction(ctx, question)
}
