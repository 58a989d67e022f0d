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
		return nil, wrap("look letters up", err)
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
		return nil, wrap("read letters", err)
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
		return "", nil, wrap("read payload", err)
	}
	return row.CustomerID, row.PayloadSealed, nil
}

// LetterAnswer reads what the destination said of a record letter's record, sealed; nil where it said nothing. ErrNotFound
// where there is no such letter.
func (c Conn) LetterAnswer(ctx context.Context, id uuid.UUID) (customer string, sealed []byte, err error) {
	row, err := c.queries.LetterAnswer(ctx, c.dbtx, id)
	if err != nil {
		return "", nil, wrap("read the destination's answer", err)
	}
	return row.CustomerID, row.AnswerSealed, nil
}

// LettersKnowCustomer says whether somebody was onboarded under this id, or a letter has it.
func (c Conn) LettersKnowCustomer(ctx context.Context, customer string) (bool, error) {
	known, err := c.queries.LettersKnowCustomer(ctx, c.dbtx, customer)
	return known, wrap("look customer up", err)
}

// Standing is a version in the destination.
type Standing struct {
	Version  Version
	SyncedAt time.Time
}

// MappingStands reads which version of a user stands in the destination; ErrNotFound where none does.
func (c Conn) MappingStands(ctx context.Context, customer, vomoID string) (Standing, error) {
	row, err := c.queries.MappingStands(ctx, c.dbtx, &db.MappingStandsParams{CustomerID: customer, VomoUserID: vomoID})
	if err != nil {
		return Standing{}, wrap("read mapping", err)
	}
	return Standing{Version: Version{UpdatedAt: row.LastSyncedUpdatedAt, Hash: row.VersionHash}, SyncedAt: row.LastSyncedAt}, nil
}

// HoldOpenLetters locks those of these letters that are open and that nobody has in hand, until the transaction ends,
// and returns their ids.
func (t *Tx) HoldOpenLetters(ctx context.Context, ids []uuid.UUID) ([]uuid.UUID, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	held, err := t.queries.LettersHoldOpen(ctx, t.dbtx, ids)
	return held, wrap("hold letters", err)
}

// DiscardLetters settles these letters as discarded, with a line in the audit each, and returns the ids of those that
// were open. note is why, "" for nothing.
func (t *Tx) DiscardLetters(ctx context.Context, ids []uuid.UUID, note string) ([]uuid.UUID, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	discarded, err := t.queries.LettersDiscard(ctx, t.dbtx, &db.LettersDiscardParams{Ids: ids, Note: given(note)})
	return discarded, wrap("discard letters", err)
}
