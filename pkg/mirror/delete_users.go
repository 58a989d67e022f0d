package mirror

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/google/uuid"

	"rollcall.dev/pkg/deadletter"
	"rollcall.dev/pkg/destination"
	"rollcall.dev/pkg/event"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/telemetry"
	rollcallv1 "rollcall.dev/proto/rollcall/v1"
)

// operationDelete is the operation of a deletion in sync_audit (docs/guides.md#deletions).
const operationDelete = "delete"

// Deletion is a user to delete at the destination, because VOMO has no such user any more.
type Deletion struct {
	VomoID  string
	AskedAt time.Time         // when VOMO said so, by the database's clock; a user that was written later is kept
	Letter  *store.OpenLetter // the open letter about this deletion, or nil
}

// DeletionOutcome is what came of a page of deletions.
type DeletionOutcome struct {
	Deleted []string         // VOMO ids
	Kept    []string         // VOMO ids of users that were written since, or that the destination does not have
	Failed  []FailedDeletion // they have a letter
}

// FailedDeletion is a deletion that the destination did not make.
type FailedDeletion struct{ VomoID, Code string }

// deletionPlan is a page of deletions: those to send, and those that need no request.
type deletionPlan struct {
	send     []candidate
	silent   []candidate // the destination has no record of the user, or one that another user has, too
	kept     []string
	shared   []string    // ids of records that another user has, too
	obsolete []uuid.UUID // letters about users that the destination does not have any more
}

// Delete deletes users at the destination and commits that in one transaction: mappings, audit, events, letters, and what onCommit
// adds. run is the deletion run, or 0. Its errors are those of Write; then onCommit may have been called for the users
// that were deleted before the destination asked for a pause.
func (l *Lane) Delete(ctx context.Context, run int64, deletions []Deletion, options ApplyOptions,
	onCommit func(ctx context.Context, tx *store.Tx, outcome DeletionOutcome) error,
) (DeletionOutcome, error) {
	plan, err := l.planDeletions(ctx, run, deletions)
	if err != nil {
		return DeletionOutcome{}, fmt.Errorf("compare deletions: %w", err)
	}
	// Many deletions that are rejected alike mean that the destination does not delete: it accepts records all the same, and is not
	// down. The rule for pages that are written does not apply, as for records that were rejected before.
	options.Redrive = true
	results, err := l.writeRecords(ctx, plan.send, options)
	if err != nil {
		err = fmt.Errorf("delete users: %w", err)
		if !errors.Is(err, ErrDestinationThrottled) && !errors.Is(err, destination.ErrForbidden) {
			return DeletionOutcome{}, err
		}
		var accepted deletionPlan // as for a page that is written: each attempt would begin with the same users
		for i, result := range results {
			if result.externalID != "" {
				accepted.send = append(accepted.send, plan.send[i])
			}
		}
		if len(accepted.send) == 0 {
			return DeletionOutcome{}, err
		}
		outcome, failed := l.commitDeletions(ctx, accepted, make([]writeResult, len(accepted.send)), onCommit)
		return outcome, errors.Join(err, failed)
	}
	if err := l.sealAnswers(results); err != nil {
		return DeletionOutcome{}, fmt.Errorf("delete users: %w", err)
	}
	return l.commitDeletions(ctx, plan, results, onCommit)
}

// planDeletions looks up what the destination has of the users. A record that another user has, too, is not deleted: that user
// would lose it. Ids that a system gave before it was replaced mean nothing to the one that is there now.
func (l *Lane) planDeletions(ctx context.Context, run int64, deletions []Deletion) (deletionPlan, error) {
	ids := make([]string, 0, len(deletions))
	for _, deletion := range deletions {
		ids = append(ids, deletion.VomoID)
	}
	mapped, err := l.Store.DeletableUsers(ctx, l.Customer, run, ids)
	if err != nil {
		return deletionPlan{}, err
	}
	newSystemSince, err := l.Store.NewSystemSince(ctx, l.Customer)
	if err != nil {
		return deletionPlan{}, err
	}
	var plan deletionPlan
	for _, deletion := range deletions {
		user, isMapped := mapped[deletion.VomoID]
		entry := candidate{vomoID: deletion.VomoID, version: user.Version, letter: deletion.Letter, deletes: user.ExternalID}
		switch {
		case !isMapped && deletion.Letter != nil:
			plan.obsolete = append(plan.obsolete, deletion.Letter.ID)
		case !isMapped, !deletion.AskedAt.IsZero() && user.SyncedAt.After(deletion.AskedAt):
			plan.kept = append(plan.kept, deletion.VomoID)
		case user.Shared:
			plan.silent, plan.shared = append(plan.silent, entry), append(plan.shared, user.ExternalID)
		case user.SyncedAt.Before(newSystemSince):
			plan.silent = append(plan.silent, entry)
		default:
			plan.send = append(plan.send, entry)
		}
	}
	return plan, nil
}

// deletionChanges are the rows that a page of deletions changes.
type deletionChanges struct {
	outcome     DeletionOutcome
	deleted     []candidate
	audit       []store.AuditEntry
	settled     []uuid.UUID // letters about deletions that are made
	newLetters  []deadletter.Rejection
	failedAgain []deadletter.FailedAttempt
}

func (c *deletionChanges) add(entry candidate, result writeResult) {
	audit := store.AuditEntry{RecordID: entry.vomoID, Operation: operationDelete, UpdatedAt: entry.version.UpdatedAt}
	if result.err == nil {
		c.deleted = append(c.deleted, entry)
		c.outcome.Deleted = append(c.outcome.Deleted, entry.vomoID)
		if entry.letter != nil {
			c.settled = append(c.settled, entry.letter.ID)
		}
		c.audit = append(c.audit, audit)
		return
	}
	code, retryable := errorCode(result.err)
	audit.ErrorCode = code
	c.audit = append(c.audit, audit)
	c.outcome.Failed = append(c.outcome.Failed, FailedDeletion{VomoID: entry.vomoID, Code: code})
	if entry.letter != nil {
		c.failedAgain = append(c.failedAgain, deadletter.FailedAttempt{
			Letter: *entry.letter, Code: code, Answer: result.sealedAnswer, Retryable: retryable,
		})
		return
	}
	c.newLetters = append(c.newLetters, deadletter.Rejection{
		RecordID: entry.vomoID, Version: entry.version, Code: code, Answer: result.sealedAnswer, Retryable: retryable,
	})
}

func (l *Lane) commitDeletions(ctx context.Context, plan deletionPlan, results []writeResult,
	onCommit func(ctx context.Context, tx *store.Tx, outcome DeletionOutcome) error,
) (DeletionOutcome, error) {
	changes := deletionChanges{outcome: DeletionOutcome{Kept: plan.kept}}
	for i, entry := range plan.send {
		changes.add(entry, results[i])
	}
	for _, entry := range plan.silent {
		changes.add(entry, writeResult{})
	}
	ctx, span := telemetry.Start(ctx, telemetry.SpanCommitDeleted)
	err := l.Store.InLane(ctx, l.Lease, func(ctx context.Context, tx *store.Tx) error {
		if err := l.saveDeletions(ctx, tx, changes); err != nil {
			return err
		}
		if err := tx.ForgetVersions(ctx, l.Customer, plan.shared); err != nil {
			return err
		}
		if err := tx.SettleLetters(ctx, plan.obsolete, settledSuperseded); err != nil {
			return err
		}
		return onCommit(ctx, tx, changes.outcome)
	})
	span.End(err)
	if err != nil {
		return DeletionOutcome{}, fmt.Errorf("commit deletions: %w", err)
	}
	return changes.outcome, nil
}

func (l *Lane) saveDeletions(ctx context.Context, tx *store.Tx, c deletionChanges) error {
	if err := tx.DeleteMappings(ctx, l.Customer, c.outcome.Deleted); err != nil {
		return err
	}
	if err := tx.SaveAudit(ctx, store.AuditScope{Customer: l.Customer, JobID: l.JobID, TraceID: l.TraceID}, c.audit); err != nil {
		return err
	}
	gone := slices.Clone(c.outcome.Deleted)
	for _, failed := range c.outcome.Failed {
		gone = append(gone, failed.VomoID)
	}
	// VOMO has no such user: nothing is left to write.
	if _, err := tx.SupersedeLetters(ctx, l.Customer, deadletter.KindUser, gone); err != nil {
		return err
	}
	if err := tx.SettleLetters(ctx, c.settled, settledRetried); err != nil {
		return err
	}
	if err := deadletter.CountAttempts(ctx, tx, l.Job, l.RetryCaps, c.failedAgain); err != nil {
		return err
	}
	scope := deadletter.Scope{Customer: l.Customer, Kind: deadletter.KindUserDelete, Job: l.Job, TraceID: l.TraceID}
	if err := deadletter.OpenRecords(ctx, tx, scope, c.newLetters); err != nil {
		return err
	}
	return l.publishDeletions(ctx, tx, c.deleted)
}

// publishDeletions adds an event for each deleted user to the outbox. The mappings go in the same transaction, so each deletion is
// published once.
func (l *Lane) publishDeletions(ctx context.Context, tx *store.Tx, deleted []candidate) error {
	if !l.Events || len(deleted) == 0 {
		return nil
	}
	now, err := tx.Now(ctx)
	if err != nil {
		return err
	}
	messages := make([]store.Message, 0, len(deleted))
	for _, entry := range deleted {
		message, err := event.Fact{
			Name: event.UserDeleted, Customer: l.Customer, At: now, TraceID: l.TraceID,
			ID: event.UserDeleted + "-" + l.Customer + "-" + strconv.FormatInt(l.JobID, 10) + "-" + entry.vomoID,
			Data: &rollcallv1.UserDeleted{
				CustomerId: l.Customer, VomoUserId: entry.vomoID, ExternalUserId: entry.deletes, Job: l.Job,
			},
		}.Message()
		if err != nil {
			return err
		}
		messages = append(messages, message)
	}
	return tx.Publish(ctx, messages...)
}
