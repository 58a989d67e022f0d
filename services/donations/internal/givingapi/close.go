package givingapi

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"go.uber.org/zap"

	"rollcall.dev/pkg/giving/inbound"
	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/pkg/service"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/telemetry"
	"rollcall.dev/pkg/virtuous"
)

const (
	longestReason = 500
	// JobClose is the job under which the lookup's request is counted.
	JobClose = "donation_close"
	// recoveredByOperator is the recovery path of a donation or contact that was found at Virtuous when an operator closed it.
	recoveredByOperator = "operator_lookup"
)

// closeDonation ends a donation by an operator's decision. If Virtuous may have it, its gift is looked up first, and the donation is
// confirmed if there is one.
func (a *API) closeDonation(ctx context.Context, question operatorapi.DonationQuestion) (operatorapi.DonationShown, error) {
	reason, err := checkReason(question.Reason)
	if err != nil {
		return operatorapi.DonationShown{}, err
	}
	one, err := a.Store.Donation(ctx, question.CustomerID, question.PlatformDonationID, question.ID)
	if err != nil {
		return operatorapi.DonationShown{}, err
	}
	switch one.Status {
	case store.DonationPending, store.DonationFailed, store.DonationNeedsReview:
	default:
		return operatorapi.DonationShown{}, &service.ConflictError{
			Text: "the donation is " + one.Status + ": only one that is pending, failed or needs_review is closed",
		}
	}
	if one.IsAttempting {
		return operatorapi.DonationShown{}, errUnderWay("donation")
	}
	mustLookUp := one.UnansweredSince != nil && one.Status != store.DonationNeedsReview
	if mustLookUp {
		found, err := a.confirmIfFound(ctx, question.CustomerID, "donation", func(ctx context.Context, at Looker) (inbound.Record, error) {
			gift, err := at.GiftByTransaction(ctx, one.TransactionSource, one.PlatformID)
			return inbound.Record{Gift: &gift}, err
		})
		if err != nil {
			return operatorapi.DonationShown{}, err
		}
		if found {
			return a.shownAgain(ctx, question.CustomerID, one.ID)
		}
	}
	closed, err := a.Store.CloseDonation(ctx, question.CustomerID, one, reason, mustLookUp)
	if err != nil {
		return operatorapi.DonationShown{}, err
	}
	if !closed {
		return operatorapi.DonationShown{}, errUnderWay("donation")
	}
	a.Logger.Info("an operator closed a donation", zap.String("customer", question.CustomerID), zap.String("donation", one.PlatformID),
		zap.String("was", one.Status))
	return a.shownAgain(ctx, question.CustomerID, one.ID)
}

func errUnderWay(what string) error {
	return &service.ConflictError{Text: "the " + what + " is being sent, or has just changed: ask again in a moment"}
}

// checkReason returns a reason that can be stored and printed.
func checkReason(reason string) (string, error) {
	reason = strings.TrimSpace(reason)
	isUnprintable := func(r rune) bool { return !unicode.IsPrint(r) }
	if reason == "" || utf8.RuneCountInString(reason) > longestReason || !utf8.ValidString(reason) || strings.ContainsFunc(reason, isUnprintable) {
		return "", &service.FieldsError{Errors: map[string][]string{
			"reason": {fmt.Sprintf("must say why, on one line of at most %d characters", longestReason)},
		}}
	}
	return reason, nil
}

// confirmIfFound looks up what became of a donation or contact, and confirms it if there is a gift or contact at Virtuous. An answer that says neither
// is an error: it stays as it is.
func (a *API) confirmIfFound(
	ctx context.Context, customer, what string, lookUp func(ctx context.Context, at Looker) (inbound.Record, error),
) (found bool, err error) {
	known, err := a.Store.Customer(ctx, customer)
	if err != nil {
		return false, err
	}
	if known.PausedAt != nil { // a paused customer sends nothing
		return false, &service.ConflictError{
			Text: "an attempt to send the " + what + " had no answer, and it is not looked up while the customer is paused: rollcall resume " + customer,
		}
	}
	config, err := a.Store.VirtuousConfig(ctx, customer)
	if err != nil {
		return false, err
	}
	client, err := a.Open(ctx, config, JobClose)
	if err != nil {
		return false, &service.BusyError{Text: "an attempt to send the " + what + " had no answer, and Virtuous cannot be asked about it now: " + err.Error()}
	}
	asked, err := a.Store.Now(ctx)
	if err != nil {
		return false, err
	}
	record, err := lookUp(ctx, client)
	switch {
	case errors.Is(err, virtuous.ErrNotFound):
		return false, nil
	case err != nil:
		return false, &service.BusyError{Text: "an attempt to send the " + what + " had no answer, and Virtuous does not say whether it has it: " + err.Error()}
	}
	pass := inbound.Pass{Customer: customer, Job: JobClose, RecoveryPath: recoveredByOperator, TraceID: telemetry.TraceParent(ctx)}
	record.At, record.Read = asked, true
	_, err = a.Applier.ApplyAll(ctx, pass, []inbound.Record{record})
	return err == nil, err
}
