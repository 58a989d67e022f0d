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
	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/pkg/store"
)

// AmbiguousLetterError says that the ids of several letters begin with the prefix.
type AmbiguousLetterError struct {
	Prefix string
	IDs    []string // some of them
}

// Error names some of them.
func (e *AmbiguousLetterError) Error() string {
	return fmt.Sprintf("several letters' ids begin with %s: %s; give more of the one that is meant", e.Prefix, strings.Join(e.IDs, ", "))
}

const (
	mostAmbiguous = 5
	mostHistory   = 200
)

// LetterNamed returns the id of the letter whose id begins with name. Errors: store.ErrNotFound, or an
// AmbiguousLetterError if there are several.
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

// ShowLetter answers rollcall.api.letters.show without the destination's answer, which is sealed. Errors: those of
// LetterNamed.
func ShowLetter(ctx context.Context, from store.Conn, question operatorapi.LetterQuestion) (operatorapi.LetterShown, error) {
	id, err := LetterNamed(ctx, from, question.ID)
	if err != nil {
		return operatorapi.LetterShown{}, err
	}
	letters, err := from.LettersByID(ctx, []uuid.UUID{id})
	if err != nil {
		return operatorapi.LetterShown{}, err
	}
	if len(letters) == 0 {
		return operatorapi.LetterShown{}, fmt.Errorf("letter: %w", store.ErrNotFound)
	}
	now, err := from.Now(ctx)
	if err != nil {
		return operatorapi.LetterShown{}, err
	}
	detail, err := detailOf(letters[0], now)
	if err != nil {
		return operatorapi.LetterShown{}, err
	}
	version, err := destinationVersionOf(ctx, from, letters[0])
	return operatorapi.LetterShown{LetterDetail: detail, DestinationVersion: version}, err
}

// destinationVersionOf returns the version that the mapping has, or nil if it is the letter's.
func destinationVersionOf(ctx context.Context, from store.Conn, letter store.ListedLetter) (*operatorapi.DestinationVersion, error) {
	if letter.Kind != deadletter.KindUser || letter.RecordID == nil {
		return nil, nil //nolint:nilnil // a message has no mapping
	}
	mapping, err := from.MappingOf(ctx, letter.Customer, *letter.RecordID)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil //nolint:nilnil // the record has no mapping
	}
	if err != nil {
		return nil, err
	}
	version := &operatorapi.DestinationVersion{SourceUpdatedAt: mapping.Version.UpdatedAt, SyncedAt: mapping.SyncedAt}
	switch mapping.Version.UpdatedAt.Compare(letter.Version.UpdatedAt) {
	case 1:
		version.Compared = "newer"
	case -1:
		version.Compared = "older"
	default:
		if bytes.Equal(mapping.Version.Hash, letter.Version.Hash) {
			return nil, nil //nolint:nilnil // it is the letter's version
		}
		version.Compared = "other"
	}
	return version, nil
}

func detailOf(letter store.ListedLetter, asOf time.Time) (operatorapi.LetterDetail, error) {
	detail := operatorapi.LetterDetail{
		Letter: letterOf(letter, asOf), OriginalSubject: letter.OriginalSubject, Origin: letter.Origin, TraceID: letter.TraceID,
		History: []operatorapi.LetterAttempt{}, SettledNote: letter.SettledNote, Reason: letter.Reason, HasPayload: letter.HasPayload,
	}
	// An unreadable entry has no version: its letter has the epoch.
	if !deadletter.HoldsMessage(letter.Kind) && letter.Version.UpdatedAt.Unix() > 0 {
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
