package mirror

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"rollcall.dev/pkg/deadletter"
	"rollcall.dev/pkg/destination"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/vomo"
)

// How a page settles letters: values of dead_letters.settled_how.
const (
	settledRetried    = "retried"
	settledSuperseded = "superseded"
)

// pageChanges are the rows that a page changes, ready for set-based statements.
type pageChanges struct {
	mappings    []store.Mapping
	adopted     []store.Mapping
	ownedOnly   []store.Mapping // of versions that the mapping takes over without a write, because the external system owns the changes
	audit       []store.AuditEntry
	superseded  []string    // users whose open letter a newer version settles
	retried     []uuid.UUID // redriven letters whose record the destination has accepted
	obsolete    []uuid.UUID // redriven letters whose version, or a newer one, the destination already has
	newLetters  []deadletter.Rejection
	failedAgain []deadletter.FailedAttempt
	users       []userChange
	outcome     Outcome
	clocks      clocks
}

// userChange is a written version that the mapping did not have.
type userChange struct {
	entry      candidate
	externalID string
}

func (l *Lane) collectChanges(plan pagePlan, results []writeResult, options ApplyOptions) pageChanges {
	c := pageChanges{obsolete: plan.obsolete, clocks: plan.clocks, ownedOnly: plan.ownedOnly}
	for i, entry := range plan.write {
		audit := store.AuditEntry{RecordID: entry.vomoID, UpdatedAt: entry.version.UpdatedAt, Operation: l.auditOperation(entry.mapped)}
		if !entry.rewrite {
			c.outcome.Unsynced = append(c.outcome.Unsynced, Unsynced{VomoID: entry.vomoID, Mapped: entry.mapped, UpdatedAt: entry.version.UpdatedAt})
		}
		if err := results[i].err; err != nil {
			code, retryable := errorCode(err)
			audit.ErrorCode = code
			c.addFailed(deadletter.Rejection{
				RecordID: entry.vomoID, Version: entry.version, Code: code, Answer: results[i].sealedAnswer, Retryable: retryable,
			}, entry.letter, options)
		} else {
			c.addAccepted(entry, results[i].externalID, options)
		}
		c.audit = append(c.audit, audit)
	}
	for _, entry := range plan.adopted {
		c.adopted = append(c.adopted, store.Mapping{VomoID: entry.vomoID, Email: entry.email, Version: entry.version, Digests: entry.digests})
	}
	for _, entry := range plan.unreadable {
		c.addFailed(entry.Rejection, entry.letter, options)
		c.audit = append(c.audit, store.AuditEntry{
			RecordID: entry.RecordID, UpdatedAt: entry.Version.UpdatedAt, ErrorCode: entry.Code, Operation: l.auditOperation(true),
		})
	}
	for _, entry := range plan.staleReads {
		c.addFailed(entry.Rejection, entry.letter, options)
	}
	c.outcome.Written, c.outcome.Skipped, c.outcome.Failed = len(c.mappings), plan.skipped, len(c.newLetters)+len(c.failedAgain)
	if plan.latest.After(vomo.OldestTime()) { // an earlier time is no user's
		c.outcome.HighestSeen = &plan.latest
	}
	return c
}

func (c *pageChanges) addAccepted(entry candidate, externalID string, options ApplyOptions) {
	c.mappings = append(c.mappings, store.Mapping{
		VomoID: entry.vomoID, ExternalID: externalID, Email: entry.email, Version: entry.version, Digests: entry.digests,
		SentAt: entry.record.SourceUpdatedAt, ReplacesNewer: entry.lowersTime,
	})
	if digest := entry.participations.digest; digest != nil {
		if c.outcome.Participations == nil {
			c.outcome.Participations = map[string][]byte{}
		}
		c.outcome.Participations[entry.vomoID] = digest
	}
	if !entry.rewrite {
		c.users = append(c.users, userChange{entry: entry, externalID: externalID})
	}
	switch {
	case entry.letter == nil:
	case options.Redrive:
		c.retried = append(c.retried, entry.letter.ID)
	default:
		c.superseded = append(c.superseded, entry.vomoID)
	}
}

// addFailed adds a record that was not written. If it was redriven and is not newer than its letter, the letter counts
// another attempt. Otherwise the record gets a new letter.
func (c *pageChanges) addFailed(failed deadletter.Rejection, letter *store.OpenLetter, options ApplyOptions) {
	if options.Redrive && letter != nil && c.clocks.compare(failed.Version, letter.Version, letter.FailedAt) != newer {
		c.failedAgain = append(c.failedAgain, deadletter.FailedAttempt{
			Letter: *letter, Code: failed.Code, Reason: failed.Reason, Answer: failed.Answer, Retryable: failed.Retryable,
		})
		return
	}
	c.newLetters = append(c.newLetters, failed)
}

// auditOperation returns the value of sync_audit.operation for a record.
func (l *Lane) auditOperation(mapped bool) string {
	switch {
	case l.Operation != "":
		return l.Operation
	case mapped:
		return "update"
	}
	return "create"
}

func (l *Lane) saveChanges(ctx context.Context, tx *store.Tx, c pageChanges, options ApplyOptions) error {
	saveMappings := tx.SaveMappings
	if options.NewSystem {
		saveMappings = tx.SaveMappingsAnew
	}
	if err := saveMappings(ctx, l.Customer, slices.Concat(c.mappings, c.ownedOnly)); err != nil {
		return err
	}
	if err := tx.AdoptMappings(ctx, l.Customer, c.adopted); err != nil {
		return err
	}
	if err := tx.SentParticipations(ctx, l.Customer, c.outcome.Participations); err != nil {
		return err
	}
	var since time.Time
	if options.NewSystem {
		since = options.RewriteBefore // an id of the previous system may equal one of the new system by chance
	}
	if err := tx.NoteSharedContact(ctx, l.Customer, c.mappings, since); err != nil {
		return err
	}
	if err := tx.SaveAudit(ctx, store.AuditScope{Customer: l.Customer, JobID: l.JobID, TraceID: l.TraceID}, c.audit); err != nil {
		return err
	}
	if _, err := tx.SupersedeLetters(ctx, l.Customer, deadletter.KindUser, c.superseded); err != nil {
		return err
	}
	if err := tx.SettleLetters(ctx, c.retried, settledRetried); err != nil {
		return err
	}
	if err := tx.SettleLetters(ctx, c.obsolete, settledSuperseded); err != nil {
		return err
	}
	if err := deadletter.CountAttempts(ctx, tx, l.Job, l.RetryCaps, c.failedAgain); err != nil {
		return err
	}
	scope := deadletter.Scope{Customer: l.Customer, Job: l.Job, TraceID: l.TraceID}
	if err := deadletter.OpenRecords(ctx, tx, scope, c.newLetters); err != nil {
		return err
	}
	return l.publishChanges(ctx, tx, c.users, c.clocks.database)
}

// sealAnswers seals the destination's answers to failed records for their letters. An answer may quote personal data, so
// a page with an answer that cannot be sealed is not committed.
func (l *Lane) sealAnswers(results []writeResult) error {
	if l.SealAnswer == nil {
		return nil
	}
	for i := range results {
		answer, ok := destination.AnswerOf(results[i].err)
		if !ok {
			continue
		}
		plain, err := json.Marshal(answer)
		if err != nil {
			return fmt.Errorf("encode the destination's answer: %w", err)
		}
		if results[i].sealedAnswer, err = l.SealAnswer(plain); err != nil {
			return fmt.Errorf("seal the destination's answer: %w", err)
		}
	}
	return nil
}
