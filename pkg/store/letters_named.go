package store

import (
	"context"
	"strings"
	"time"

	"github.com/google/uuid"

	"rollcall.dev/pkg/store/internal/db"
)

// ShortestLetterID is how much of a letter's id names it, where no other letter's begins alike.
const ShortestLetterID = 8

const (
	lowestID  = "00000000-0000-0000-0000-000000000000"
	highestID = "ffffffff-ffff-ffff-ffff-ffffffffffff"
)

// LetterIDs are the ids that begin with a text.
type LetterIDs struct{ lowest, highest uuid.UUID }

// LetterIDsLike reads a letter's id or the beginning of one; false for what is neither.
func LetterIDsLike(text string) (LetterIDs, bool) {
	if len(text) < ShortestLetterID || len(text) > len(lowestID) {
		return LetterIDs{}, false
	}
	for i := range len(text) {
		dash := lowestID[i] == '-'
		if (text[i] == '-') != dash || (!dash && !strings.ContainsRune("0123456789abcdefABCDEF", rune(text[i]))) {
			return LetterIDs{}, false
		}
	}
	lowest, err := uuid.Parse(text + lowestID[len(text):])
	if err != nil {
		return LetterIDs{}, false
	}
	highest, err := uuid.Parse(text + highestID[len(text):])
	return LetterIDs{lowest: lowest, highest: highest}, err == nil
}

// LettersNamed gives the ids behind each of the given beginnings, in whatever state the letters are: none, one, or up
// to most where it names several. customer is "" for any.
func (c Conn) LettersNamed(ctx context.Context, customer string, named []LetterIDs, most int32) ([][]uuid.UUID, error) {
	found := make([][]uuid.UUID, len(named))
	params := &db.LettersNamedParams{CustomerID: given(customer), Most: most}
	for i, ids := range named {
		params.Nths = append(params.Nths, int32(i))
		params.LowestIds = append(params.LowestIds, ids.lowest)
		params.HighestIds = append(params.HighestIds, ids.highest)
	}
	rows, err := c.queries.LettersNamed(ctx, c.dbtx, params)
	if err != nil {
		return nil, err
	}
	for _, row := range rows {
		found[row.Nth] = append(found[row.Nth], row.ID)
	}
	return found, nil
}

// LettersByID reads these letters with their history, newest first; those that are not there are left out.
func (c Conn) LettersByID(ctx context.Context, ids []uuid.UUID) ([]ListedLetter, error) {
	rows, err := c.queries.LettersByID(ctx, c.dbtx, ids)
	if err != nil {
		return nil, err
	}
	letters := make([]ListedLetter, 0, len(rows))
	for _, row := range rows {
		page := db.LettersPageRow(*row)
		letters = append(letters, listedFrom(&page))
	}
	return letters, nil
}

// LetterPayload reads the sealed bytes of a message letter, nil where it has none; ErrNotFound where there is no such
// letter.
func (c Conn) LetterPayload(ctx context.Context, id uuid.UUID) (customer string, sealed []byte, err error) {
	row, err := c.queries.LetterPayload(ctx, c.dbtx, id)
	if err != nil {
		return "", nil, err
	}
	return row.CustomerID, row.PayloadSealed, nil
}

// LetterAnswer reads what the destination said of a record letter's record, sealed; nil where it said nothing. ErrNotFound
// where there is no such letter.
func (c Conn) LetterAnswer(ctx context.Context, id uuid.UUID) (customer string, sealed []byte, err error) {
	row, err := c.queries.LetterAnswer(ctx, c.dbtx, id)
	if err != nil {
		return "", nil, err
	}
	return row.CustomerID, row.AnswerSealed, nil
}

// LettersKnowCustomer says whether a customer was onboarded with this id, or a letter has it.
func (c Conn) LettersKnowCustomer(ctx context.Context, customer string) (bool, error) {
	return c.queries.LettersKnowCustomer(ctx, c.dbtx, customer)
}

// SyncedVersion is a version that the destination has.
type SyncedVersion struct {
	Version  Version
	SyncedAt time.Time
}

// MappingOf returns the version of a user that the destination has, or ErrNotFound.
func (c Conn) MappingOf(ctx context.Context, customer, vomoID string) (SyncedVersion, error) {
	row, err := c.queries.MappingOf(ctx, c.dbtx, &db.MappingOfParams{CustomerID: customer, VomoUserID: vomoID})
	if err != nil {
		return SyncedVersion{}, err
	}
	return SyncedVersion{Version: Version{UpdatedAt: row.LastSyncedUpdatedAt, Hash: row.VersionHash}, SyncedAt: row.LastSyncedAt}, nil
}

// HoldOpenLetters locks, until the transaction ends, those of these letters that are open and that no other transaction has
// locked. It returns their ids.
func (t *Tx) HoldOpenLetters(ctx context.Context, ids []uuid.UUID) ([]uuid.UUID, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	return t.queries.LettersHoldOpen(ctx, t.dbtx, ids)
}

// DiscardLetters settles these letters as discarded, with a line in the audit each, and returns the ids of those that
// were open. note is why, "" for nothing.
func (t *Tx) DiscardLetters(ctx context.Context, ids []uuid.UUID, note string) ([]uuid.UUID, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	if err := t.dropWritebacks(ctx, ids); err != nil {
		return nil, err
	}
	return t.queries.LettersDiscard(ctx, t.dbtx, &db.LettersDiscardParams{Ids: ids, Note: given(note)})
}
