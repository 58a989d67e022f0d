package report

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"rollcall.dev/pkg/deadletter"
	"rollcall.dev/pkg/destination"
	"rollcall.dev/pkg/store"
)

// LetterDetail is everything of one letter but what a message held.
type LetterDetail struct {
	Letter

	OriginalSubject string          `json:"originalSubject"` // republished there, with its letter's id, it is retried
	Origin          *string         `json:"origin"`          // message letters: stream, its creation time, sequence
	TraceID         *string         `json:"traceId"`
	SourceUpdatedAt *time.Time      `json:"sourceUpdatedAt"` // record letters: the version that was refused
	History         []LetterAttempt `json:"history"`         // the attempts after the first, oldest first
	HistoryLeftOut  int             `json:"historyLeftOut"`  // how many older ones are not shown
	SettledNote     *string         `json:"settledNote"`     // why it was discarded
	Reason          *string         `json:"reason"`          // what was wrong, where that can be said without quoting it
	HasPayload      bool            `json:"hasPayload"`      // a message's bytes are kept, sealed
	Retryable       bool            `json:"retryable"`       // rollcall dlq retry takes it
	Text            string          `json:"text"`
	Remedy          string          `json:"remedy"`
}

// LetterAttempt is one attempt at a letter.
type LetterAttempt struct {
	At   time.Time `json:"at"`
	Code string    `json:"code"`
	Job  string    `json:"job"`
	// LetterID is the letter out of which the message had been published again for this attempt.
	LetterID string `json:"letterId,omitempty"`
}

// LetterShown is what `rollcall dlq show` shows.
type LetterShown struct {
	LetterDetail

	Standing *LetterStanding `json:"standing"` // null: nothing, or the very version that was refused
	// DestinationAnswer is what the destination said of the record; null if it said nothing, its key is gone, or the key
	// service does not answer. It may quote the person, so ls and export leave it out.
	DestinationAnswer *destination.Answer `json:"destinationAnswer"`
}

// LetterStanding is another version of the record that stands in the destination.
type LetterStanding struct {
	SourceUpdatedAt time.Time `json:"sourceUpdatedAt"`
	SyncedAt        time.Time `json:"syncedAt"`
	// Compared is newer or older than the letter's version, or other: of the same second, with other fields.
	Compared string `json:"compared"`
}

// LetterQuestion asks for one letter.
type LetterQuestion struct {
	ID string `json:"id"` // or its first 8 characters or more
}

// AmbiguousLetterError says that several letters' ids begin with what was asked for.
type AmbiguousLetterError struct {
	Prefix string
	IDs    []string // some of them
}

// Error names them.
func (e *AmbiguousLetterError) Error() string {
	return fmt.Sprintf("several letters' ids begin with %s: %s; give more of the one that is meant", e.Prefix, strings.Join(e.IDs, ", "))
}

const (
	mostAmbiguous = 5
	mostHistory   = 200
)

// LetterNamed gives the id behind an id or its beginning, which must be one: store.ErrNotFound, or an
// AmbiguousLetterError.
func LetterNamed(ctx context.Context, from store.Conn, name string) (uuid.UUID, error) {
	ids, ok := store.LetterIDsLike(name)
	if !ok {
		return uuid.Nil, fmt.Errorf("letter: %w", store.ErrNotFound)
	}
	found, err := from.LettersNamed(ctx, "", []store.LetterIDs{ids}, mostAmbiguous)
	switch {
	case err != nil:
		return uuid.Nil, err
	case len(found[0]) == 0:
		return uuid.Nil, fmt.Errorf("letter: %w", store.ErrNotFound)
	case len(found[0]) > 1:
		return uuid.Nil, &AmbiguousLetterError{Prefix: name, IDs: textsOf(found[0])}
	}
	return found[0][0], nil
}

func textsOf(ids []uuid.UUID) []string {
	texts := make([]string, 0, len(ids))
	for _, id := range ids {
		texts = append(texts, id.String())
	}
	return texts
}

// ShowLetter answers rollcall.api.letters.show but for the destination's answer, which is sealed. Errors: those of
// LetterNamed.
func ShowLetter(ctx context.Context, from store.Conn, question LetterQuestion) (LetterShown, error) {
	id, err := LetterNamed(ctx, from, question.ID)
	if err != nil {
		return LetterShown{}, err
	}
	letters, err := from.LettersByID(ctx, []uuid.UUID{id})
	if err != nil {
		return LetterShown{}, err
	}
	if len(letters) == 0 {
		return LetterShown{}, fmt.Errorf("letter: %w", store.ErrNotFound)
	}
	now, err := from.Now(ctx)
	if err != nil {
		return LetterShown{}, err
	}
	detail, err := detailOf(letters[0], now)
	if err != nil {
		return LetterShown{}, err
	}
	standing, err := standingOf(ctx, from, letters[0])
	return LetterShown{LetterDetail: detail, Standing: standing}, err
}

// standingOf is the version that the mapping has, where it is another one than the letter's.
func standingOf(ctx context.Context, from store.Conn, letter store.ListedLetter) (*LetterStanding, error) {
	if letter.Kind != deadletter.KindUser || letter.RecordID == nil {
		return nil, nil //nolint:nilnil // messages stand nowhere
	}
	stands, err := from.MappingStands(ctx, letter.Customer, *letter.RecordID)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil //nolint:nilnil // the record stands nowhere
	}
	if err != nil {
		return nil, err
	}
	standing := &LetterStanding{SourceUpdatedAt: stands.Version.UpdatedAt, SyncedAt: stands.SyncedAt}
	switch stands.Version.UpdatedAt.Compare(letter.Version.UpdatedAt) {
	case 1:
		standing.Compared = "newer"
	case -1:
		standing.Compared = "older"
	default:
		if bytes.Equal(stands.Version.Hash, letter.Version.Hash) {
			return nil, nil //nolint:nilnil // it is the very version
		}
		standing.Compared = "other"
	}
	return standing, nil
}

func detailOf(letter store.ListedLetter, asOf time.Time) (LetterDetail, error) {
	detail := LetterDetail{
		Letter: letterOf(letter, asOf), OriginalSubject: letter.OriginalSubject, Origin: letter.Origin, TraceID: letter.TraceID,
		History: []LetterAttempt{}, SettledNote: letter.SettledNote, Reason: letter.Reason, HasPayload: letter.HasPayload,
	}
	// An entry that could not even be read has no version: its letter has the epoch for one.
	if letter.Kind == deadletter.KindUser && letter.Version.UpdatedAt.Unix() > 0 {
		detail.SourceUpdatedAt = &letter.Version.UpdatedAt
	}
	if len(letter.History) > 0 {
		if err := json.Unmarshal(letter.History, &detail.History); err != nil {
			return detail, fmt.Errorf("read history of letter %s: %w", letter.ID, err)
		}
	}
	if more := len(detail.History) - mostHistory; more > 0 {
		detail.History, detail.HistoryLeftOut = detail.History[more:], more
	}
	stuck := Stuck(letter)
	detail.Retryable = stuck == ""
	detail.Text, detail.Remedy = ExplainLetter(detail.Letter, stuck)
	return detail, nil
}
