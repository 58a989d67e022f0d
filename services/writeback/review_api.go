package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.uber.org/zap"

	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/pkg/service"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/vault"
	rollcallv1 "rollcall.dev/proto/rollcall/v1"
)

// reviewer answers operators' requests about what waits for a person.
type reviewer struct {
	store  *store.Store
	vault  *vault.Vault
	logger *zap.Logger
	wake   func()
}

// answerOperators answers rollcall.api.review.*.
func answerOperators(s *service.Service, of *reviewer) error {
	return errors.Join(
		service.Answer(s, "review", "ls", of.list),
		service.Answer(s, "review", "show", of.show),
		service.Answer(s, "review", "resolve", of.resolve),
	)
}

func (r *reviewer) list(ctx context.Context, question operatorapi.ReviewsQuestion) (operatorapi.ReviewsReply, error) {
	if question.CustomerID != "" || question.Settled {
		if err := r.checkCustomer(ctx, question.CustomerID); err != nil {
			return operatorapi.ReviewsReply{}, err
		}
	}
	limit := question.Limit
	if limit <= 0 || limit > operatorapi.MaxReviews {
		limit = operatorapi.MaxReviews
	}
	items, err := r.store.Reviews(ctx, store.ReviewsAsked{
		Customer: question.CustomerID, Kind: question.Kind, Settled: question.Settled, After: question.After, AtMost: limit + 1,
	})
	if err != nil {
		return operatorapi.ReviewsReply{}, err
	}
	reply := operatorapi.ReviewsReply{Items: []operatorapi.ReviewItem{}}
	for _, item := range items[:min(len(items), int(limit))] {
		reply.Items = append(reply.Items, shownItem(item))
	}
	if len(items) > int(limit) {
		next := items[limit-1].ID
		reply.Next = &next
	}
	return reply, nil
}

func (r *reviewer) checkCustomer(ctx context.Context, customer string) error {
	if !rollcallv1.ValidCustomerID(customer) {
		return &service.BadRequestError{Text: "that is no customer id: 1 to 63 characters of a-z, 0-9, _ and -"}
	}
	_, err := r.store.Customer(ctx, customer)
	return err
}

func shownItem(item store.ReviewItem) operatorapi.ReviewItem {
	text, remedy := explainReview(item.Reason)
	shown := operatorapi.ReviewItem{
		ID: item.ID, CustomerID: item.Customer, Kind: item.Kind, Reason: item.Reason, Text: text, Remedy: remedy, State: item.State,
		Decisions: item.Decisions, CreatedAt: item.CreatedAt, SettledAt: item.SettledAt,
	}
	if item.RecordID != "" {
		shown.RecordID = &item.RecordID
	}
	if item.Decision != "" {
		shown.Decision = &item.Decision
	}
	return shown
}

// show also opens the item's details: the caller sees a person's data, which is audited.
func (r *reviewer) show(ctx context.Context, question operatorapi.ReviewQuestion) (operatorapi.ReviewShown, error) {
	if err := r.checkCustomer(ctx, question.CustomerID); err != nil {
		return operatorapi.ReviewShown{}, err
	}
	item, sealed, err := r.store.Review(ctx, question.CustomerID, question.ItemID)
	if err != nil {
		return operatorapi.ReviewShown{}, err
	}
	shown := operatorapi.ReviewShown{ReviewItem: shownItem(item), Details: []operatorapi.ReviewDetail{}}
	details, err := r.details(ctx, question.CustomerID, sealed)
	if err != nil || details == nil {
		return shown, err
	}
	shown.Details = details
	service.Disclosed(ctx)
	return shown, nil
}

// details opens an item's details; nil if there are none any more.
func (r *reviewer) details(ctx context.Context, customer string, sealed []byte) (details []operatorapi.ReviewDetail, err error) {
	if sealed == nil {
		return nil, nil
	}
	plain, err := r.vault.Open(ctx, customer, store.PurposeReviewDetails, sealed)
	if errors.Is(err, vault.ErrKeyGone) { // destroyed with the customer: the details are unreadable for good
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("open details: %w", err)
	}
	if err := json.Unmarshal(plain, &details); err != nil {
		return nil, fmt.Errorf("decode details: %w", err)
	}
	return details, nil
}

// resolve settles an item with one of its allowed decisions. What the decision leads to is done by the service of the item's
// kind: in the same transaction, a write-back becomes due or is given up, and a contact is compared again.
func (r *reviewer) resolve(ctx context.Context, command operatorapi.ReviewDecision) (operatorapi.ReviewItem, error) {
	if err := r.checkCustomer(ctx, command.CustomerID); err != nil {
		return operatorapi.ReviewItem{}, err
	}
	item, sealed, err := r.store.Review(ctx, command.CustomerID, command.ItemID)
	if err != nil {
		return operatorapi.ReviewItem{}, err
	}
	switch {
	case item.State != store.ReviewOpenState:
		return operatorapi.ReviewItem{}, &service.ConflictError{Text: fmt.Sprintf("item %d is %s already", item.ID, item.State)}
	case !slices.Contains(item.Decisions, command.Decision):
		return operatorapi.ReviewItem{}, &service.BadRequestError{
			Text: fmt.Sprintf("item %d allows these decisions: %s", item.ID, strings.Join(item.Decisions, ", ")),
		}
	}
	decide := settle
	switch item.Kind {
	case kindUser:
		decide = decideWriteback
	case store.KindContact:
		decide = decideContact
	case store.KindGift:
		details, err := r.details(ctx, command.CustomerID, sealed)
		if err != nil {
			return operatorapi.ReviewItem{}, err
		}
		decide = decideGift(details)
	}
	var isOutdated bool
	err = r.store.InTx(ctx, func(ctx context.Context, tx *store.Tx) (err error) {
		err = decide(ctx, tx, item, command.Decision)
		if isOutdated = errors.Is(err, errOutdated); isOutdated {
			return tx.SupersedeReview(ctx, item.Customer, item.Kind, item.SourceID)
		}
		return err
	})
	if err != nil {
		return operatorapi.ReviewItem{}, err
	}
	if isOutdated {
		return operatorapi.ReviewItem{}, outdated(item)
	}
	r.logger.Info("review item resolved", zap.String("customer", command.CustomerID), zap.Int64("item", item.ID), zap.String("decision", command.Decision))
	r.wake()
	item, _, err = r.store.Review(ctx, command.CustomerID, command.ItemID)
	return shownItem(item), err
}

// settle settles the item itself, after what it is about was locked.
func settle(ctx context.Context, tx *store.Tx, item store.ReviewItem, decision string) error {
	decided, err := tx.DecideReview(ctx, item.Customer, item.ID, decision)
	if err == nil && !decided {
		return &service.ConflictError{Text: fmt.Sprintf("item %d was settled a moment ago", item.ID)}
	}
	return err
}

func decideWriteback(ctx context.Context, tx *store.Tx, item store.ReviewItem, decision string) error {
	// A message for the same user locks in this order.
	if _, err := tx.LockWritebackByID(ctx, item.SourceID); err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	if err := settle(ctx, tx, item, decision); err != nil {
		return err
	}
	_, err := tx.DecideWriteback(ctx, item.SourceID, decision, decision == decisionDismiss)
	return err
}

// explainReview returns what is wrong, and what the decisions do.
func explainReview(reason string) (text, remedy string) {
	switch reason {
	case reasonEmailMismatch:
		return "The external system has another address of the user than VOMO. Nothing was written: VOMO would take the user for a new one.",
			"Correct the address on the wrong side. Then keep-vomo writes VOMO's record to the destination again, retry-with-vomo-email writes the " +
				"other fields to VOMO under VOMO's address, and dismiss gives the request up."
	case reasonNotTakenOver:
		return "VOMO answered with a success and kept its own values. It does so for members of another organisation.",
			"Have the values changed in VOMO by the other organisation. Then retry, or dismiss."
	case reasonAnotherUser:
		return "VOMO wrote the values to another user than the one that they are meant for: both have the same address.",
			"Compare the two users in VOMO, correct the other one, and then retry, or dismiss."
	case reasonSharedRecord:
		return "Two VOMO users are this one record at the destination, so it is unknown which of them the values are for.",
			"Publish the request again with vomoUserId, and dismiss this one."
	case reasonSeveralUsers:
		return "Several VOMO users have this address.", "Give each user their own address in VOMO, and then retry, or dismiss."
	case reasonNotInVomo:
		return "No VOMO user has this address, and the customer's settings do not let rollcall add users.",
			"create adds this user; to add all such users, run: rollcall config set <customer> --write-back <fields> --write-back-create. retry looks again."
	case reasonLinkedElsewhere:
		return "The VOMO user with this address is another record at the destination than the one that the request is about.",
			"Merge the two records at the destination, or find out which one is right. link writes the values to the VOMO user all the same."
	}
	if text, remedy = explainGiving(reason); text != "" {
		return text, remedy
	}
	return "A person has to decide.", "Choose one of the decisions."
}
