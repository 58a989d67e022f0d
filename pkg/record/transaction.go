package record

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/pkg/store"
)

const (
	// nightly is how long after its submission a transaction without a gift or contact may still be in the nightly batch.
	nightly = 48 * time.Hour
	// overdue is after how long a due transaction should have been sent.
	overdue = 15 * time.Minute
)

// unreadable is the last error of a transaction that was sealed with a key that was destroyed.
const unreadable = "unreadable"

// kindOf is what words and causes need of a kind of transaction.
type kindOf struct {
	record string // what the platform has
	result string // what it becomes at Virtuous
	seen   string // how a timeline says that it was confirmed

	// Causes by the state of the transaction.
	waits, unasked, importNotRun, matchNeeded Cause
	reviewImportNotRun, reviewMatchNeeded     Cause
	failed, unreadable, closed                Cause
}

func donationKind() kindOf {
	return kindOf{
		record: "donation", result: "gift", seen: "its gift was seen, ",
		waits: SubmittedWaits, unasked: SubmittedUnasked, importNotRun: SubmittedImportNotRun, matchNeeded: SubmittedNeedsMatch,
		reviewImportNotRun: ReviewImportNotRun, reviewMatchNeeded: ReviewMatchNeeded, failed: Failed, unreadable: Failed, closed: Closed,
	}
}

func contactKind() kindOf {
	return kindOf{
		record: "contact", result: "contact", seen: "a contact with its reference was seen, ",
		waits: ContactSubmittedWaits, unasked: ContactSubmittedUnasked, importNotRun: ContactSubmittedImportNotRun, matchNeeded: ContactSubmittedNeedsMatch,
		reviewImportNotRun: ContactReviewImportNotRun, reviewMatchNeeded: ContactReviewMatchNeeded, failed: ContactFailed,
		unreadable: ContactUnreadable, closed: ContactClosed,
	}
}

// transaction is a donation or a contact of the platform on its way into Virtuous.
type transaction struct {
	kindOf

	status, lastError, reviewReason, closeReason, recoveryPath string
	createdAt, statusAt                                        time.Time
	nextAttemptAt, attemptStartedAt                            *time.Time
	submittedAt, lookedUpAt, confirmedAt                       *time.Time
	isAttempting                                               bool
	projectsChecked                                            bool
	importWasRun                                               bool // another one of its day is confirmed
	attempts                                                   []store.AttemptEntry
}

// transaction returns the gift's donation as a transaction. There is one.
func (g *Gift) transaction() transaction {
	d := g.Donation
	return transaction{
		kindOf: donationKind(), status: d.Status, lastError: d.LastError, reviewReason: d.ReviewReason, closeReason: d.CloseReason,
		recoveryPath: d.RecoveryPath, createdAt: d.CreatedAt, statusAt: d.StatusAt, nextAttemptAt: d.NextAttemptAt, attemptStartedAt: d.AttemptStartedAt,
		submittedAt: d.SubmittedAt, lookedUpAt: d.LookedUpAt, confirmedAt: d.ConfirmedAt, isAttempting: d.IsAttempting,
		projectsChecked: g.ProjectsChecked, importWasRun: g.ImportWasRun, attempts: g.Attempts,
	}
}

// transaction returns the platform's contact as a transaction. There is one.
func (c *Contact) transaction() transaction {
	t := c.Transaction
	return transaction{
		kindOf: contactKind(), status: t.Status, lastError: t.LastError, reviewReason: t.ReviewReason, closeReason: t.CloseReason,
		recoveryPath: t.RecoveryPath, createdAt: t.CreatedAt, statusAt: t.StatusAt, nextAttemptAt: t.NextAttemptAt, attemptStartedAt: t.AttemptStartedAt,
		submittedAt: t.SubmittedAt, lookedUpAt: t.LookedUpAt, confirmedAt: t.ConfirmedAt, isAttempting: t.IsAttempting,
		projectsChecked: true, importWasRun: c.ImportWasRun, attempts: c.Attempts,
	}
}

// importWasRun reports whether another transaction of a kind that was submitted on the same day is confirmed.
func (c Customer) importWasRun(ctx context.Context, from store.Conn, kind store.TransactionKind, submitted *time.Time) (bool, error) {
	if submitted == nil || c.Giving == nil {
		return false, nil
	}
	zone, err := time.LoadLocation(c.Giving.TimeZone)
	if err != nil {
		zone = time.UTC // as the reconciler does
	}
	local := submitted.In(zone)
	day := time.Date(local.Year(), local.Month(), local.Day(), 0, 0, 0, 0, zone)
	return from.AnyConfirmedBetween(ctx, kind, c.ID, day, day.AddDate(0, 0, 1))
}

// judge returns the cause of a transaction that is not confirmed, and of which nothing was found.
func (t transaction) judge(customer Customer, asked Lookup) judged {
	switch t.status {
	case store.DonationPending:
		return t.judgePending(customer)
	case store.DonationSubmitted:
		return t.judgeSubmitted(customer.Now, asked)
	case store.DonationNeedsReview:
		if t.reviewReason == "import_not_run" {
			return judged{cause: t.reviewImportNotRun}
		}
		return judged{cause: t.reviewMatchNeeded}
	case store.DonationClosed:
		return judged{t.closed, t.closeReason}
	}
	if t.lastError == unreadable {
		return judged{t.unreadable, t.lastError}
	}
	return judged{t.failed, cmp.Or(t.lastError, "it gave no reason")}
}

func (t transaction) judgeSubmitted(now time.Time, asked Lookup) judged {
	switch {
	case now.Sub(*t.submittedAt) < nightly:
		return judged{cause: t.waits}
	case asked.Outcome != operatorapi.LookupNotFound:
		return judged{t.unasked, asked.Reason}
	case t.importWasRun:
		return judged{cause: t.matchNeeded}
	}
	return judged{cause: t.importNotRun}
}

// judgePending is for a transaction that was not sent, or whose last attempt did not succeed.
func (t transaction) judgePending(customer Customer) judged {
	giving := customer.Giving
	switch {
	case t.isAttempting:
		return judged{cause: PendingUnderWay}
	case customer.PausedAt != nil:
		return judged{cause: PendingPaused}
	case giving == nil, !giving.Enabled && giving.DisabledReason == store.GivingRemoved:
		return judged{cause: PendingRemoved}
	case !giving.Enabled:
		return judged{cause: PendingAuthFailed}
	case customer.Hold != nil:
		return judgeHold(*customer.Hold)
	}
	why, due := t.lastError, t.nextAttemptAt
	switch {
	case why != "" && due != nil && due.After(customer.Now) && !t.projectsChecked:
		return judged{PendingProjects, fmt.Sprintf("%s; next try %s", why, moment(*due))}
	case why != "" && due != nil && due.After(customer.Now):
		return judged{PendingRetried, fmt.Sprintf("%s; next attempt %s", why, moment(*due))}
	case due != nil && customer.Now.Sub(*due) > overdue:
		return judged{cause: PendingNotSent}
	}
	return judged{cause: PendingTurn}
}

// judgeHold is for a transaction that waits with all others of its customer.
func judgeHold(held store.GivingHold) judged {
	causes := map[string]Cause{
		"virtuous_forbidden": PendingForbidden, "virtuous_throttled": PendingThrottled, "paced": PendingThrottled, "virtuous_no_key": PendingNoKey,
		"virtuous_unavailable": PendingUnavailable, "virtuous_auth_failed": PendingAuthFailed,
	}
	if cause, known := causes[held.Reason]; known {
		return judged{cause, moment(held.Until)}
	}
	return judged{PendingHeld, held.Reason + ", until " + moment(held.Until)}
}
