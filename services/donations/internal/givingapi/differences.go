package givingapi

import (
	"context"
	"errors"

	"go.uber.org/zap"

	"rollcall.dev/pkg/giving"
	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/pkg/service"
	"rollcall.dev/pkg/store"
	"rollcall.dev/services/donations/internal/applied"
)

// differencesOf returns what is not settled of contacts of the platform, by their ids in the queue.
func (a *API) differencesOf(
	ctx context.Context, customer string, contacts ...store.ContactTransactionRow,
) (map[int64][]operatorapi.ContactDifference, error) {
	ids, references := make([]int64, 0, len(contacts)), make(map[int64]string, len(contacts))
	for _, one := range contacts {
		ids, references[one.ID] = append(ids, one.ID), one.ReferenceID
	}
	found, err := a.Store.OpenDifferencesOf(ctx, customer, ids)
	shown := listsFor(ids)
	for _, one := range found {
		one.ReferenceID = references[one.ContactID]
		shown[one.ContactID] = append(shown[one.ContactID], shownDifference(one))
	}
	return shown, err
}

// differencesAt returns what is not settled of the platform's contacts that are these of Virtuous' contacts, by Virtuous' ids.
func (a *API) differencesAt(ctx context.Context, customer string, virtuousIDs []int64) (map[int64][]operatorapi.ContactDifference, error) {
	found, err := a.Store.OpenDifferencesAt(ctx, customer, virtuousIDs)
	shown := listsFor(virtuousIDs)
	for _, one := range found {
		shown[one.VirtuousID] = append(shown[one.VirtuousID], shownDifference(one))
	}
	return shown, err
}

func listsFor(ids []int64) map[int64][]operatorapi.ContactDifference {
	lists := make(map[int64][]operatorapi.ContactDifference, len(ids))
	for _, id := range ids {
		lists[id] = []operatorapi.ContactDifference{}
	}
	return lists
}

func shownDifference(one store.OpenDifference) operatorapi.ContactDifference {
	return operatorapi.ContactDifference{
		ReferenceID: one.ReferenceID, Field: one.Field, State: one.State, Reason: unless("", one.Reason), OtherContactID: unless(0, one.OtherContactID),
		Since: one.StateAt,
	}
}

// applied notes that the platform has Virtuous' values by now, as a message of the platform does.
func (a *API) applied(ctx context.Context, question operatorapi.ContactAppliedQuestion) (operatorapi.ContactApplied, error) {
	reply := operatorapi.ContactApplied{CustomerID: question.CustomerID, Fields: []string{}}
	if _, err := a.Store.Customer(ctx, question.CustomerID); err != nil {
		return reply, err
	}
	what := giving.Applied{ReferenceID: question.ReferenceID, VirtuousContactID: question.VirtuousContactID, Fields: question.Fields}
	if errs := what.Check(); len(errs) > 0 {
		return reply, &service.FieldsError{Errors: errs}
	}
	var settled []string
	err := a.Store.InTx(ctx, func(ctx context.Context, tx *store.Tx) (err error) {
		settled, err = applied.Settle(ctx, tx, question.CustomerID, what)
		return err
	})
	if errors.Is(err, applied.ErrUnknown) {
		return reply, store.ErrNotFound
	}
	if err != nil {
		return reply, err
	}
	a.Logger.Info("an operator noted what the platform applied", zap.String("customer", question.CustomerID), zap.String("contact", what.ReferenceID),
		zap.Int64("virtuous_contact_id", what.VirtuousContactID), zap.Strings("fields", settled))
	reply.Fields = append(reply.Fields, settled...)
	return reply, nil
}
