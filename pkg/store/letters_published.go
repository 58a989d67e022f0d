package store

import (
	"context"
	"time"

	"github.com/google/uuid"

	"rollcall.dev/pkg/store/internal/db"
)

// UnpublishedLetter is a letter whose message in the stream is not the current one.
type UnpublishedLetter struct {
	Letter

	UpdatedAt     time.Time // zero if it has no version
	ErrorCode     string
	ErrorClass    string
	FirstFailedAt time.Time
	Job           string
}

// UnpublishedLetters locks up to atMost letters whose message has to change: settled ones, whose message has to go, or
// open ones, which have to be published. It skips letters that another replica has locked, and open ones that were asked for less
// than askedAgo ago.
func (t *Tx) UnpublishedLetters(ctx context.Context, settled bool, askedAgo time.Duration, atMost int32) ([]UnpublishedLetter, error) {
	rows, err := t.queries.LettersLockUnpublished(ctx, t.dbtx, &db.LettersLockUnpublishedParams{Settled: settled, AskedAgo: askedAgo, AtMost: atMost})
	if err != nil {
		return nil, err
	}
	letters := make([]UnpublishedLetter, 0, len(rows))
	for _, row := range rows {
		letter := UnpublishedLetter{
			Letter: Letter{
				ID: row.ID, Customer: row.CustomerID, Kind: row.Kind, RecordID: valueOf(row.RecordID), State: row.State,
				OriginalSubject: row.OriginalSubject, TraceID: valueOf(row.TraceID), Attempts: int(row.Attempts), Revision: int(row.Revision),
			},
			ErrorCode: row.ErrorCode, ErrorClass: row.ErrorClass, FirstFailedAt: row.FirstFailedAt, Job: row.Job,
		}
		if row.SourceUpdatedAt != nil {
			letter.UpdatedAt = *row.SourceUpdatedAt
		}
		letters = append(letters, letter)
	}
	return letters, nil
}

// NotePublished notes that the stream has these letters, which the transaction has locked, in their current revision.
func (t *Tx) NotePublished(ctx context.Context, ids []uuid.UUID) error {
	if len(ids) == 0 {
		return nil
	}
	return t.queries.LettersNotePublished(ctx, t.dbtx, ids)
}

// NotePurged notes that the stream has no message of these letters. Open ones are published again.
func (t *Tx) NotePurged(ctx context.Context, ids []uuid.UUID) error {
	if len(ids) == 0 {
		return nil
	}
	return t.queries.LettersNotePurged(ctx, t.dbtx, ids)
}

// PublishedLetter is a letter that has a message in the stream, by the table.
type PublishedLetter struct {
	ID       uuid.UUID
	Customer string
	Kind     string
	State    string
	Revision int32 // of its message
}

// PublishedLetters returns up to atMost letters that have a message in the stream, with ids after the given one.
func (c Conn) PublishedLetters(ctx context.Context, after uuid.UUID, atMost int32) ([]PublishedLetter, error) {
	rows, err := c.queries.LettersPublished(ctx, c.dbtx, &db.LettersPublishedParams{After: after, AtMost: atMost})
	if err != nil {
		return nil, err
	}
	letters := make([]PublishedLetter, 0, len(rows))
	for _, row := range rows {
		letters = append(letters, PublishedLetter{ID: row.ID, Customer: row.CustomerID, Kind: row.Kind, State: row.State, Revision: row.Revision})
	}
	return letters, nil
}

// PublishAgain has these letters published again, except those that were settled or published since. It returns how many.
func (c Conn) PublishAgain(ctx context.Context, letters []PublishedLetter) (int64, error) {
	params := &db.LettersPublishAgainParams{}
	for _, letter := range letters {
		params.Ids = append(params.Ids, letter.ID)
		params.Revisions = append(params.Revisions, letter.Revision)
	}
	return c.queries.LettersPublishAgain(ctx, c.dbtx, params)
}

// CountPublished returns how many messages the stream should have.
func (c Conn) CountPublished(ctx context.Context) (int64, error) {
	return c.queries.LettersPublishedCount(ctx, c.dbtx)
}

// CountUnpublished returns how many letters have a message that is not the current one.
func (c Conn) CountUnpublished(ctx context.Context) (int64, error) {
	return c.queries.LettersUnpublishedCount(ctx, c.dbtx)
}
