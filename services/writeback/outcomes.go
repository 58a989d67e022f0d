package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/google/uuid"
	"go.uber.org/zap"

	"rollcall.dev/pkg/deadletter"
	"rollcall.dev/pkg/event"
	"rollcall.dev/pkg/mirror"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/vomo"
)

// How a row became done: values of writebacks.outcome.
const (
	outcomeWritten   = "written"
	outcomeUnchanged = "unchanged" // VOMO had the values already
	outcomeCreated   = "created"
	outcomeKeptVomo  = "kept_vomo"
)

// Codes of letters.
const (
	codeOff         = "writeback_off"
	codeNotOwned    = "field_not_owned"
	codeIncomplete  = "writeback_incomplete"
	codeNoEmail     = "vomo_user_without_email"
	codeUserUnknown = "user_unknown"
)

// Reasons of review items.
const (
	reasonEmailMismatch   = "email_mismatch"
	reasonNotTakenOver    = "not_taken_over"   // VOMO answered with a success and kept its values
	reasonAnotherUser     = "another_user"     // VOMO wrote to another user than the row's
	reasonSharedRecord    = "shared_record"    // two VOMO users are this record at the destination
	reasonSeveralUsers    = "several_users"    // several VOMO users have the address
	reasonNotInVomo       = "not_in_vomo"      // no VOMO user has the address
	reasonLinkedElsewhere = "linked_elsewhere" // the destination has the VOMO user as another record
)

// Decisions about review items.
const (
	decisionKeepVomo           = "keep-vomo"
	decisionRetryWithVomoEmail = "retry-with-vomo-email"
	decisionRetry              = "retry"
	decisionCreate             = "create"
	decisionLink               = "link"
	decisionDismiss            = "dismiss"
)

// decisionsFor returns the decisions that an item of the reason allows.
func decisionsFor(reason string) []string {
	switch reason {
	case reasonEmailMismatch:
		return []string{decisionKeepVomo, decisionRetryWithVomoEmail, decisionDismiss}
	case reasonNotInVomo:
		return []string{decisionCreate, decisionRetry, decisionDismiss}
	case reasonLinkedElsewhere:
		return []string{decisionLink, decisionRetry, decisionDismiss}
	}
	return []string{decisionRetry, decisionDismiss}
}

// finish ends a row whose values VOMO has. The version that VOMO returned becomes the mapped one in the same transaction, so
// that the next poll finds nothing new: unless VOMO has also changed what the destination must get.
func (t *task) finish(ctx context.Context, outcome string, detail vomo.Detail) error {
	options := mirror.ApplyOptions{AdoptOnly: true, RewriteOwed: t.rewriteOwed}
	_, err := t.Lane.Apply(ctx, detail.Page(), options, func(ctx context.Context, tx *store.Tx, _ mirror.Outcome) error {
		return t.end(ctx, tx, outcome)
	})
	if err == nil {
		t.count(outcome)
	}
	return err
}

// end ends the row in the transaction, with a line in the audit for what was written and one for each refused field.
func (t *task) end(ctx context.Context, tx *store.Tx, outcome string) error {
	if _, err := tx.EndWriteback(ctx, t.row, store.WritebackEnd{State: store.WritebackDone, Outcome: outcome, Refused: t.refused}); err != nil {
		return err
	}
	if t.hasWritten {
		if err := event.Clear(ctx, tx, t.Customer.ID, event.AlertWritebackForbidden, "VOMO accepts writes again."); err != nil {
			return err
		}
	}
	codes := []string{""}
	for _, field := range t.refused {
		codes = append(codes, codeNotOwned+":"+field)
	}
	return t.noteUser(ctx, tx, codes...)
}

// noteUser remembers the row's user and writes the audit, a line for each code; "" is a success.
func (t *task) noteUser(ctx context.Context, tx *store.Tx, codes ...string) error {
	record := t.vomoID
	if record == "" {
		record = "writeback-" + strconv.FormatInt(t.row.ID, 10)
	} else if err := tx.SetWritebackUser(ctx, t.row.ID, t.vomoID); err != nil {
		return err
	}
	now, err := tx.Now(ctx)
	if err != nil {
		return err
	}
	entries := make([]store.AuditEntry, 0, len(codes))
	for _, code := range codes {
		entries = append(entries, store.AuditEntry{RecordID: record, Operation: jobWriteback, UpdatedAt: now, ErrorCode: code})
	}
	return tx.SaveAudit(ctx, store.AuditScope{Customer: t.Customer.ID, JobID: t.JobID, TraceID: t.TraceID}, entries)
}

func (t *task) count(outcome string) {
	t.Worked++
	t.metrics.worked(outcome)
	t.Log.Info("write-back worked", zap.Int64("writeback", t.row.ID), zap.String("vomo_user_id", t.vomoID), zap.String("outcome", outcome),
		zap.Strings("refused", t.refused))
}

// rejection is why a row becomes a letter. reason names fields and never their values.
type rejection struct {
	code      string
	reason    string
	attempted bool // VOMO rejected the write
}

func (t *task) rejectRefused(ctx context.Context) error {
	return t.reject(ctx, rejection{code: codeNotOwned, reason: "the external system does not own " + strings.Join(t.refused, ", ") +
		": add what it owns with rollcall config set --write-back"})
}

func (t *task) rejectIncomplete(ctx context.Context, missing []string) error {
	return t.reject(ctx, rejection{code: codeIncomplete, reason: "VOMO requires " + strings.Join(missing, ", ") + ", which neither VOMO nor the request has"})
}

// reject makes a letter of the row. It waits for an operator: the same request again would have the same answer.
func (t *task) reject(ctx context.Context, why rejection) error {
	attempts := t.row.Attempts
	if why.attempted {
		attempts++
	}
	err := t.Store.InLane(ctx, t.Lease, func(ctx context.Context, tx *store.Tx) error {
		record := t.vomoID
		if record == "" {
			record = "writeback-" + strconv.FormatInt(t.row.ID, 10)
		}
		now, err := tx.Now(ctx)
		if err != nil {
			return err
		}
		id := uuid.New()
		ended, err := tx.EndWriteback(ctx, t.row, store.WritebackEnd{
			State: store.WritebackLetter, LetterID: &id, Attempts: attempts, Refused: t.refused,
		})
		if err != nil || !ended { // a newer message has come: it is worked in the next round
			return err
		}
		scope := deadletter.Scope{Customer: t.Customer.ID, Job: jobWriteback, TraceID: t.TraceID}
		if err := deadletter.OpenWriteback(ctx, tx, scope, id, deadletter.Rejection{
			RecordID: record, Version: store.Version{UpdatedAt: now, Hash: []byte{}}, Code: why.code, Reason: why.reason,
		}); err != nil {
			return err
		}
		return t.noteUser(ctx, tx, why.code)
	})
	if err == nil {
		t.Failed++
		t.count("letter")
	}
	return err
}

// purposeDetails is the purpose for which the details of review items are sealed.
const purposeDetails = store.PurposeReviewDetails

// detail is one field of a review item: what each side has.
type detail struct {
	Field    string `json:"field"`
	External string `json:"external"`
	Vomo     string `json:"vomo"`
}

// reviewEmail asks a person about an address that differs from VOMO's, and raises an alert about the user: a write would
// add a second user to VOMO.
func (t *task) reviewEmail(ctx context.Context, inVomo string) error {
	details := []detail{{Field: fieldEmail, External: t.values[fieldEmail], Vomo: inVomo}}
	return t.openReview(ctx, reasonEmailMismatch, details, func(ctx context.Context, tx *store.Tx) error {
		now, err := tx.Now(ctx)
		if err != nil {
			return err
		}
		alert := event.AlertFor(t.Customer.ID, event.AlertEmailMismatch)
		alert.VomoID, alert.TraceID = t.vomoID, t.TraceID
		message, err := alert.Message(fmt.Sprintf("email-mismatch-%s-%d-%d", t.Customer.ID, t.row.ID, t.row.Revision), false, now)
		if err != nil {
			return err
		}
		if err := tx.NoteUserAlerts(ctx, store.UserAlerts{
			Customer: t.Customer.ID, Type: alert.Type, Severity: alert.Severity, TraceID: t.TraceID, At: now, VomoIDs: []string{t.vomoID},
		}); err != nil {
			return err
		}
		return tx.Publish(ctx, message)
	})
}

// review asks a person what to do. fields are what VOMO did not take over; nil: all that the messages had.
func (t *task) review(ctx context.Context, reason string, fields []string) error {
	var details []detail
	for _, field := range fields {
		details = append(details, detail{Field: field, External: t.values[field]})
	}
	if fields == nil {
		for field, value := range t.values {
			details = append(details, detail{Field: field, External: value})
		}
		slices.SortFunc(details, func(a, b detail) int { return strings.Compare(a.Field, b.Field) })
	}
	return t.openReview(ctx, reason, details, func(context.Context, *store.Tx) error { return nil })
}

func (t *task) openReview(ctx context.Context, reason string, details []detail, also func(ctx context.Context, tx *store.Tx) error) error {
	plain, err := json.Marshal(details)
	if err != nil {
		return fmt.Errorf("encode details: %w", err)
	}
	sealed, err := t.seal(plain)
	if err != nil {
		return fmt.Errorf("seal details: %w", err)
	}
	err = t.Store.InLane(ctx, t.Lease, func(ctx context.Context, tx *store.Tx) error {
		ended, err := tx.EndWriteback(ctx, t.row, store.WritebackEnd{State: store.WritebackReview, Refused: t.refused, Attempts: t.row.Attempts})
		if err != nil || !ended {
			return err
		}
		if _, err := tx.OpenReview(ctx, store.ReviewItem{
			Customer: t.Customer.ID, Kind: kindUser, SourceID: t.row.ID, RecordID: t.vomoID, Reason: reason, Decisions: decisionsFor(reason),
		}, sealed); err != nil {
			return err
		}
		if err := also(ctx, tx); err != nil {
			return err
		}
		return t.noteUser(ctx, tx, reason)
	})
	if err == nil {
		t.Failed++
		t.count("review")
	}
	return err
}
