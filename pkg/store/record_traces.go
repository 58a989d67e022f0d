package store

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"

	"rollcall.dev/pkg/store/internal/db"
)

// How much of each kind of row a trace has, the newest first.
const (
	mostTraced = 50
	// mostActsRead is how many of a customer's newest acts are looked at for those about one record.
	mostActsRead = 1000
	// mostOfOneContact is how many of the platform's contacts are shown that are one contact at Virtuous.
	mostOfOneContact = 20
)

// AttemptEntry is an attempt at a donation or contact that is kept with it.
type AttemptEntry struct {
	At        time.Time `json:"at"`
	Verdict   string    `json:"verdict"`
	Status    int       `json:"status"`    // 0: there was no answer
	RequestID string    `json:"requestId"` // at Virtuous
	Error     string    `json:"error"`     // field names and codes
}

// DonationAttempts returns the last attempts at a donation, the oldest first, and whether its projects were checked.
func (c Conn) DonationAttempts(ctx context.Context, customer string, id int64) (attempts []AttemptEntry, projectsChecked bool, err error) {
	row, err := c.queries.TraceDonationAttempts(ctx, c.dbtx, &db.TraceDonationAttemptsParams{CustomerID: customer, ID: id})
	if err != nil {
		return nil, false, err
	}
	if err := json.Unmarshal(row.AttemptLog, &attempts); err != nil {
		return nil, false, fmt.Errorf("decode the attempts at donation %d: %w", id, err)
	}
	return attempts, row.ProjectsChecked, nil
}

// ContactAttempts returns the last attempts at a contact of the platform, the oldest first, and when its newest version was published.
func (c Conn) ContactAttempts(ctx context.Context, customer string, id int64) (attempts []AttemptEntry, publishedAt time.Time, err error) {
	row, err := c.queries.TraceContactAttempts(ctx, c.dbtx, &db.TraceContactAttemptsParams{CustomerID: customer, ID: id})
	if err != nil {
		return nil, time.Time{}, err
	}
	if err := json.Unmarshal(row.AttemptLog, &attempts); err != nil {
		return nil, time.Time{}, fmt.Errorf("decode the attempts at contact %d: %w", id, err)
	}
	return attempts, row.PartnerPublishedAt, nil
}

// TracedContact is a contact of the platform that Virtuous has.
type TracedContact struct {
	ID          int64
	ReferenceID string
	ConfirmedAt *time.Time
}

// ContactsOfContact returns the newest contacts of the platform that are one contact at Virtuous, the newest first.
func (c Conn) ContactsOfContact(ctx context.Context, customer string, contact int64) ([]TracedContact, error) {
	rows, err := c.queries.TraceContactsOfContact(ctx, c.dbtx, &db.TraceContactsOfContactParams{
		CustomerID: customer, ContactID: contact, AtMost: mostOfOneContact,
	})
	contacts := make([]TracedContact, 0, len(rows))
	for _, row := range rows {
		contacts = append(contacts, TracedContact(*row))
	}
	return contacts, err
}

// DonationsOfGift returns the platform's ids of the donations that became a gift.
func (c Conn) DonationsOfGift(ctx context.Context, customer string, gift int64) ([]string, error) {
	return c.queries.TraceDonationsOfGift(ctx, c.dbtx, &db.TraceDonationsOfGiftParams{CustomerID: customer, GiftID: gift})
}

// ReconciliationsOf returns the newest actions about a record of one of these entities, the newest first; platformID "" and virtuousID 0 mean that
// it has none.
func (c Conn) ReconciliationsOf(
	ctx context.Context, customer, platformID string, virtuousID int64, entities ...string,
) ([]ReconciliationAction, error) {
	rows, err := c.queries.TraceReconciliations(ctx, c.dbtx, &db.TraceReconciliationsParams{
		CustomerID: customer, PlatformID: platformID, VirtuousID: virtuousID, Entities: entities, AtMost: mostTraced,
	})
	actions := make([]ReconciliationAction, 0, len(rows))
	for _, row := range rows {
		actions = append(actions, ReconciliationAction{
			ID: row.ID, RunAt: row.RunAt, Category: row.Category, Entity: row.Entity, PlatformID: row.PlatformRecordID, Resolution: row.Resolution,
			VirtuousID: row.VirtuousRecordID, Details: row.Details, TraceID: row.TraceID,
		})
	}
	return actions, err
}

// TracedLetter is a letter of one record.
type TracedLetter struct {
	ID                               uuid.UUID
	Kind, Job, ErrorCode, ErrorClass string
	State                            LetterStates
	Attempts                         int
	FirstFailedAt, LastFailedAt      time.Time
	NextAttemptAt, SettledAt         *time.Time
	SettledHow, Reason               string
}

// LettersOf returns the newest letters of a record of these kinds, open and settled, the newest first.
func (c Conn) LettersOf(ctx context.Context, customer, recordID string, kinds ...string) ([]TracedLetter, error) {
	rows, err := c.queries.TraceLetters(ctx, c.dbtx, &db.TraceLettersParams{CustomerID: customer, RecordID: recordID, Kinds: kinds, AtMost: mostTraced})
	letters := make([]TracedLetter, 0, len(rows))
	for _, row := range rows {
		letters = append(letters, TracedLetter{
			ID: row.ID, Kind: row.Kind, Job: row.Job, ErrorCode: row.ErrorCode, ErrorClass: row.ErrorClass, State: LetterStates(row.State),
			Attempts: int(row.Attempts), FirstFailedAt: row.FirstFailedAt, LastFailedAt: row.LastFailedAt, NextAttemptAt: row.NextAttemptAt,
			SettledAt: row.SettledAt, SettledHow: row.SettledHow, Reason: row.Reason,
		})
	}
	return letters, err
}

// SealedLetter is an open letter with its message.
type SealedLetter struct {
	ID            uuid.UUID
	ErrorCode     string
	FirstFailedAt time.Time
	Sealed        []byte
}

// OpenLettersOf returns up to atMost open letters whose message was published on a subject, the newest first.
func (c Conn) OpenLettersOf(ctx context.Context, customer, subject string, atMost int32) ([]SealedLetter, error) {
	rows, err := c.queries.TraceWebhookLetters(ctx, c.dbtx, &db.TraceWebhookLettersParams{CustomerID: customer, Subject: subject, AtMost: atMost})
	letters := make([]SealedLetter, 0, len(rows))
	for _, row := range rows {
		letters = append(letters, SealedLetter{ID: row.ID, ErrorCode: row.ErrorCode, FirstFailedAt: row.FirstFailedAt, Sealed: row.PayloadSealed})
	}
	return letters, err
}

// WaitingParts returns up to atMost parts of deliveries that are not applied yet, the longest due first.
func (c Conn) WaitingParts(ctx context.Context, customer string, atMost int32) ([]InboxPart, error) {
	rows, err := c.queries.TraceInboxWaiting(ctx, c.dbtx, &db.TraceInboxWaitingParams{CustomerID: customer, AtMost: atMost})
	parts := make([]InboxPart, 0, len(rows))
	for _, row := range rows {
		parts = append(parts, InboxPart{ID: row.ID, Event: row.Event, Sealed: row.Sealed, ReceivedAt: row.ReceivedAt, Attempts: int(row.Attempts)})
	}
	return parts, err
}

// ActsOf returns what operators did about a record, among the customer's newest 1,000 acts, the newest first. names are the fields of questions that may
// have its id, nouns those of the verbs.
func (c Conn) ActsOf(ctx context.Context, customer, recordID string, names, nouns []string) ([]Act, error) {
	rows, err := c.queries.TraceActs(ctx, c.dbtx, &db.TraceActsParams{
		CustomerID: customer, Among: mostActsRead, Names: names, RecordID: recordID, Nouns: nouns, AtMost: mostTraced,
	})
	acts := make([]Act, 0, len(rows))
	for _, row := range rows {
		acts = append(acts, Act{ID: row.ID, At: row.At, Operator: row.Operator, Via: row.Via, Verb: row.Verb, Outcome: row.Outcome, Code: row.Code})
	}
	return acts, err
}

// ContactOfReference returns the contact that an external reference means; ErrNotFound if none is known. The source is in lower case.
func (c Conn) ContactOfReference(ctx context.Context, customer, source, id string) (contact int64, notedAt time.Time, err error) {
	row, err := c.queries.TraceReference(ctx, c.dbtx, &db.TraceReferenceParams{CustomerID: customer, Source: source, ReferenceID: id})
	if err != nil {
		return 0, time.Time{}, err
	}
	return row.VirtuousContactID, row.NotedAt, nil
}

// GivingHoldNow returns why, and until when, a customer's giving is left alone; ErrNotFound if it is not. Of the hold, Reason and Until alone are filled in.
func (c Conn) GivingHoldNow(ctx context.Context, customer string) (GivingHold, error) {
	row, err := c.queries.TraceGivingHold(ctx, c.dbtx, customer)
	if err != nil {
		return GivingHold{}, err
	}
	return GivingHold{Reason: row.Reason, Until: row.Until}, nil
}

// TracedUser is what the destination has of a user.
type TracedUser struct {
	ExternalID        string
	SyncedAt, Updated time.Time
}

// UserTraced returns what the destination has of a user; ErrNotFound if it has nothing.
func (c Conn) UserTraced(ctx context.Context, customer, vomoID string) (TracedUser, error) {
	row, err := c.queries.TraceUser(ctx, c.dbtx, &db.TraceUserParams{CustomerID: customer, VomoUserID: vomoID})
	if err != nil {
		return TracedUser{}, err
	}
	return TracedUser{ExternalID: row.ExternalUserID, SyncedAt: row.LastSyncedAt, Updated: row.LastSyncedUpdatedAt}, nil
}

// AuditLine is what was done to a user.
type AuditLine struct {
	At                   time.Time
	Operation, ErrorCode string
	Succeeded            bool
	SourceUpdatedAt      *time.Time
}

// AuditOf returns the newest lines of the audit about a user, the newest first.
func (c Conn) AuditOf(ctx context.Context, customer, vomoID string) ([]AuditLine, error) {
	rows, err := c.queries.TraceUserAudit(ctx, c.dbtx, &db.TraceUserAuditParams{CustomerID: customer, RecordID: vomoID, AtMost: mostTraced})
	lines := make([]AuditLine, 0, len(rows))
	for _, row := range rows {
		lines = append(lines, AuditLine{
			At: row.ProcessedAt, Operation: row.Operation, Succeeded: row.Succeeded, ErrorCode: row.ErrorCode, SourceUpdatedAt: row.SourceUpdatedAt,
		})
	}
	return lines, err
}

// Change is what was done to one of a customer's records.
type Change struct {
	At                   time.Time
	Kind, RecordID       string
	Operation, ErrorCode string
	Succeeded            bool
}

// RecentChanges returns the newest 20 lines of a customer's audit, the newest first.
func (c Conn) RecentChanges(ctx context.Context, customer string) ([]Change, error) {
	rows, err := c.queries.AuditNewest(ctx, c.dbtx, customer)
	changes := make([]Change, 0, len(rows))
	for _, row := range rows {
		changes = append(changes, Change{
			At: row.ProcessedAt, Kind: row.ResourceType, RecordID: row.RecordID, Operation: row.Operation, Succeeded: row.Succeeded, ErrorCode: row.ErrorCode,
		})
	}
	return changes, err
}

// TracedDeletion is a user in a search for deleted users, or a gift in one for deleted gifts.
type TracedDeletion struct {
	Run                   int64
	State, Code, RunState string
	NotedAt               time.Time
	AskedAt, DeletedAt    *time.Time
}

// DeletionsOf returns the newest searches in which a user was missing, the newest first.
func (c Conn) DeletionsOf(ctx context.Context, customer, vomoID string) ([]TracedDeletion, error) {
	rows, err := c.queries.TraceUserDeletions(ctx, c.dbtx, &db.TraceUserDeletionsParams{CustomerID: customer, RecordID: vomoID, AtMost: mostTraced})
	found := make([]TracedDeletion, 0, len(rows))
	for _, row := range rows {
		found = append(found, TracedDeletion{
			Run: row.RunID, State: row.State, Code: row.Code, RunState: row.RunState, NotedAt: row.NotedAt, AskedAt: row.AskedAt, DeletedAt: row.DeletedAt,
		})
	}
	return found, err
}

// GiftDeletionsOf returns the newest searches in which a gift was missing, the newest first.
func (c Conn) GiftDeletionsOf(ctx context.Context, customer string, gift int64) ([]TracedDeletion, error) {
	rows, err := c.queries.TraceGiftDeletions(ctx, c.dbtx, &db.TraceGiftDeletionsParams{CustomerID: customer, GiftID: gift, AtMost: mostTraced})
	found := make([]TracedDeletion, 0, len(rows))
	for _, row := range rows {
		found = append(found, TracedDeletion{
			Run: row.RunID, State: row.State, Code: row.Code, RunState: row.RunState, NotedAt: row.NotedAt, AskedAt: row.AskedAt, DeletedAt: row.DeletedAt,
		})
	}
	return found, err
}

// TracedWriteback is what an external system wants to have in VOMO for a user, without the values.
type TracedWriteback struct {
	ID                     int64
	State, Outcome         string
	Attempts               int
	RequestedAt, UpdatedAt time.Time
}

// WritebackOf returns the write-back of a user; ErrNotFound if there was none.
func (c Conn) WritebackOf(ctx context.Context, customer, vomoID string) (TracedWriteback, error) {
	row, err := c.queries.TraceUserWriteback(ctx, c.dbtx, &db.TraceUserWritebackParams{CustomerID: customer, VomoUserID: vomoID})
	if err != nil {
		return TracedWriteback{}, err
	}
	return TracedWriteback{
		ID: row.ID, State: row.State, Outcome: row.Outcome, Attempts: int(row.Attempts), RequestedAt: row.RequestedAt, UpdatedAt: row.UpdatedAt,
	}, nil
}
