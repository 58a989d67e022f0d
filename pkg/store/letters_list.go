package store

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"rollcall.dev/pkg/store/internal/db"
)

// LetterStates say which letters a list is of.
type LetterStates string

// The states of letters, and two words for several.
const (
	LettersOpen    LetterStates = "open" // waiting or in review
	LettersWaiting LetterStates = "waiting"
	LettersReview  LetterStates = "review"
	LettersSettled LetterStates = "settled"
	LettersAll     LetterStates = "all"
)

// LetterFilter says which letters are meant; what is zero holds for all of them.
type LetterFilter struct {
	Customer   string
	Kind       string
	States     LetterStates // zero: open ones
	ErrorCode  string
	ErrorClass string
	RecordID   string
	Holds      string // text in the error code, record id, subject or job, in any case
	IDs        []LetterIDs
	Until      time.Time // first failed then or before; must be given
	Since      time.Time // first failed after it
}

// LetterPosition is a letter's place in the order of lists: newest first.
type LetterPosition struct {
	FirstFailedAt time.Time
	ID            uuid.UUID
}

// ListedLetter is a letter: everything but what a message held.
type ListedLetter struct {
	LetterPosition

	Customer        string
	Kind            string
	RecordID        *string
	Version         Version // record letters
	OriginalSubject string
	Origin          *string // message letters
	Job             string
	TraceID         *string
	ErrorCode       string
	ErrorClass      string
	State           LetterStates
	Attempts        int
	LastFailedAt    time.Time
	NextAttemptAt   *time.Time
	AskedAt         *time.Time
	SettledAt       *time.Time
	SettledHow      *string
	SettledNote     *string
	Reason          *string // what was wrong, in words of our own
	HasPayload      bool
	History         []byte // JSON, the attempts after the first
	Mirrored        bool   // the customer was onboarded, and not offboarded
}

// Letters lists up to limit letters, newest first, after the given place; their history only where it is asked for.
func (s *Store) Letters(ctx context.Context, filter LetterFilter, after *LetterPosition, limit int32, withHistory bool) ([]ListedLetter, error) {
	var letters []ListedLetter
	err := s.InTx(ctx, func(ctx context.Context, tx *Tx) error {
		if err := tx.queries.LettersPlanInOrder(ctx, tx.dbtx); err != nil {
			return err
		}
		for _, open := range filter.halves() {
			rows, err := tx.queries.LettersPage(ctx, tx.dbtx, pageParams(filter, open, after, limit, withHistory))
			if err != nil {
				return err
			}
			for _, row := range rows {
				letters = append(letters, listedFrom(row))
			}
		}
		return nil
	})
	slices.SortStableFunc(letters, newestFirst)
	return letters[:min(len(letters), int(limit))], err
}

// CountLetters counts what Letters lists; stuck are those of them that no retry can take.
func (s *Store) CountLetters(ctx context.Context, filter LetterFilter) (letters, stuck int64, err error) {
	err = s.planned(ctx, func(ctx context.Context, tx *Tx) error {
		for _, open := range filter.halves() {
			page := pageParams(filter, open, nil, 0, false)
			row, err := tx.queries.LettersCount(ctx, tx.dbtx, &db.LettersCountParams{
				Open: open, Until: page.Until, Since: page.Since, CustomerID: page.CustomerID, Kind: page.Kind, State: page.State,
				ErrorCode: page.ErrorCode, ErrorClass: page.ErrorClass, RecordID: page.RecordID, Holds: page.Holds,
				LowestIds: page.LowestIds, HighestIds: page.HighestIds,
			})
			if err != nil {
				return err
			}
			letters, stuck = letters+row.Letters, stuck+row.Stuck
		}
		return nil
	})
	return letters, stuck, err
}

// LettersOfCode counts letters with one error code.
type LettersOfCode struct {
	ErrorCode  string
	ErrorClass string
	Letters    int64
	Review     int64 // how many of them wait for an operator
	Oldest     time.Time
}

// mostCodes is how many error codes are counted: there are some dozens.
const mostCodes = 100

// LettersByCode counts what Letters lists by error code, the most frequent first.
func (s *Store) LettersByCode(ctx context.Context, filter LetterFilter) ([]LettersOfCode, error) {
	type key struct{ code, class string }
	counted := map[key]LettersOfCode{}
	err := s.planned(ctx, func(ctx context.Context, tx *Tx) error {
		for _, open := range filter.halves() {
			page := pageParams(filter, open, nil, 0, false)
			rows, err := tx.queries.LettersByCode(ctx, tx.dbtx, &db.LettersByCodeParams{
				Open: open, Until: page.Until, Since: page.Since, CustomerID: page.CustomerID, Kind: page.Kind, State: page.State,
				ErrorCode: page.ErrorCode, ErrorClass: page.ErrorClass, RecordID: page.RecordID, Holds: page.Holds,
				LowestIds: page.LowestIds, HighestIds: page.HighestIds, AtMost: mostCodes,
			})
			if err != nil {
				return err
			}
			for _, row := range rows {
				at := key{row.ErrorCode, row.ErrorClass}
				one, met := counted[at]
				if !met || row.Oldest.Before(one.Oldest) {
					one.Oldest = row.Oldest
				}
				one.ErrorCode, one.ErrorClass = row.ErrorCode, row.ErrorClass
				one.Letters, one.Review = one.Letters+row.Letters, one.Review+row.Review
				counted[at] = one
			}
		}
		return nil
	})
	codes := slices.SortedFunc(maps.Values(counted), func(a, b LettersOfCode) int {
		return cmp.Or(cmp.Compare(b.Letters, a.Letters), cmp.Compare(a.ErrorCode, b.ErrorCode), cmp.Compare(a.ErrorClass, b.ErrorClass))
	})
	return codes, err
}

// planned runs queries that are planned by the values of their conditions.
func (s *Store) planned(ctx context.Context, work func(ctx context.Context, tx *Tx) error) error {
	return s.InTx(ctx, func(ctx context.Context, tx *Tx) error {
		if err := tx.queries.LettersPlanByValue(ctx, tx.dbtx); err != nil {
			return err
		}
		return work(ctx, tx)
	})
}

// halves are the parts of the table to look at, open letters or not: each has indexes of its own.
func (f LetterFilter) halves() []bool {
	switch f.States {
	case LettersSettled:
		return []bool{false}
	case LettersAll:
		return []bool{true, false}
	case LettersOpen, LettersWaiting, LettersReview:
	}
	return []bool{true}
}

func pageParams(filter LetterFilter, open bool, after *LetterPosition, limit int32, withHistory bool) *db.LettersPageParams {
	params := &db.LettersPageParams{
		WithHistory: withHistory, Open: open, Until: filter.Until, CustomerID: given(filter.Customer), Kind: given(filter.Kind),
		ErrorCode: given(filter.ErrorCode), ErrorClass: given(filter.ErrorClass), RecordID: given(filter.RecordID),
		Holds: given(filter.Holds), LowestIds: []uuid.UUID{}, HighestIds: []uuid.UUID{}, PageSize: limit,
	}
	if filter.States == LettersWaiting || filter.States == LettersReview {
		params.State = given(string(filter.States))
	}
	if !filter.Since.IsZero() {
		params.Since = &filter.Since
	}
	if after != nil {
		params.AfterAt, params.AfterID = &after.FirstFailedAt, after.ID
	}
	for _, ids := range filter.IDs {
		params.LowestIds = append(params.LowestIds, ids.lowest)
		params.HighestIds = append(params.HighestIds, ids.highest)
	}
	return params
}

// given is null for a condition that is not there.
func given(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}

func newestFirst(a, b ListedLetter) int {
	return cmp.Or(b.FirstFailedAt.Compare(a.FirstFailedAt), strings.Compare(b.ID.String(), a.ID.String()))
}

func listedFrom(row *db.LettersPageRow) ListedLetter {
	letter := ListedLetter{
		LetterPosition: LetterPosition{FirstFailedAt: row.FirstFailedAt, ID: row.ID},
		Customer:       row.CustomerID, Kind: row.Kind, RecordID: row.RecordID, Version: Version{Hash: row.VersionHash},
		OriginalSubject: row.OriginalSubject, Origin: row.Origin, Job: row.Job, TraceID: row.TraceID, ErrorCode: row.ErrorCode,
		ErrorClass: row.ErrorClass, State: LetterStates(row.State), Attempts: int(row.Attempts), LastFailedAt: row.LastFailedAt,
		NextAttemptAt: row.NextAttemptAt, AskedAt: row.AskedAt, SettledAt: row.SettledAt, SettledHow: row.SettledHow,
		SettledNote: row.SettledNote, Reason: row.Reason, HasPayload: row.HasPayload, History: row.History, Mirrored: row.Mirrored,
	}
	if row.SourceUpdatedAt != nil {
		letter.Version.UpdatedAt = *row.SourceUpdatedAt
	}
	return letter
}
