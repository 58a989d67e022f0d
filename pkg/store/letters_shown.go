package store

import (
	"context"
	"time"

	"github.com/google/uuid"

	"rollcall.dev/pkg/store/internal/db"
)

// UnshownLetter is a letter of which the stream shows another state than the table has.
type UnshownLetter struct {
	Letter

	UpdatedAt     time.Time // zero where it has no version
	ErrorCode     string
	ErrorClass    string
	FirstFailedAt time.Time
	Job           string
}

// ShownLetter is where in the stream a letter is shown.
type ShownLetter struct {
	ID       uuid.UUID
	Sequence uint64
}

// UnshownLetters locks up to atMost letters whose showing has to be brought up to date: settled ones to take away, or open
// ones to publish. Those that another replica has in hand are passed by. It waits while ExcludeShowing's lock is held.
func (t *Tx) UnshownLetters(ctx context.Context, settled bool, atMost int32) ([]UnshownLetter, error) {
	if err := t.queries.LettersShownShare(ctx, t.dbtx); err != nil {
		return nil, wrap("lock showing", err)
	}
	rows, err := t.queries.LettersLockUnshown(ctx, t.dbtx, &db.LettersLockUnshownParams{Settled: settled, AtMost: atMost})
	if err != nil {
		return nil, wrap("read unshown letters", err)
	}
	letters := make([]UnshownLetter, 0, len(rows))
	for _, row := range rows {
		letter := UnshownLetter{
			Letter: Letter{
				ID: row.ID, Customer: row.CustomerID, Kind: row.Kind, RecordID: valueOf(row.RecordID), State: row.State,
				OriginalSubject: row.OriginalSubject, TraceID: valueOf(row.TraceID), Attempts: int(row.Attempts),
				Revision: int(row.Revision), Shown: shownAs(row.ShownSeq, row.ShownStream),
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

// NoteShown notes that the stream shows these letters, which the transaction has locked, as they are now.
func (t *Tx) NoteShown(ctx context.Context, stream time.Time, shown []ShownLetter) error {
	if len(shown) == 0 {
		return nil
	}
	params := &db.LettersNoteShownParams{Stream: stream}
	for _, one := range shown {
		params.Ids = append(params.Ids, one.ID)
		params.Seqs = append(params.Seqs, sequenceColumn(one.Sequence))
	}
	return wrap("note shown letters", t.queries.LettersNoteShown(ctx, t.dbtx, params))
}

// NoteGone notes that the stream does not show these letters any more.
func (t *Tx) NoteGone(ctx context.Context, ids []uuid.UUID) error {
	if len(ids) == 0 {
		return nil
	}
	return wrap("note letters taken away", t.queries.LettersNoteGone(ctx, t.dbtx, ids))
}

// ForgetShownElsewhere forgets up to atMost showings in another stream than the one that was made at that time, and
// returns how many they were: their letters are unshown.
func (c Conn) ForgetShownElsewhere(ctx context.Context, stream time.Time, atMost int32) (int64, error) {
	n, err := c.queries.LettersForgetShownElsewhere(ctx, c.dbtx, &db.LettersForgetShownElsewhereParams{Stream: stream, AtMost: atMost})
	return n, wrap("forget what another stream showed", err)
}

// ShownBetween are the open letters that are shown by sequences from first to last of this stream, by sequence.
func (c Conn) ShownBetween(ctx context.Context, stream time.Time, first, last uint64) ([]ShownLetter, error) {
	rows, err := c.queries.LettersShownBetween(ctx, c.dbtx, &db.LettersShownBetweenParams{
		First: sequenceColumn(first), Last: sequenceColumn(last), Stream: stream,
	})
	if err != nil {
		return nil, wrap("read shown letters", err)
	}
	shown := make([]ShownLetter, 0, len(rows))
	for _, row := range rows {
		shown = append(shown, ShownLetter{ID: row.ID, Sequence: sequenceFrom(row.ShownSeq)})
	}
	return shown, nil
}

// ExcludeShowing waits until nobody is publishing letters, and keeps everybody from it until the transaction ends.
func (t *Tx) ExcludeShowing(ctx context.Context) error {
	return wrap("lock showing", t.queries.LettersShownExclude(ctx, t.dbtx))
}

// ShownAmong are those of these sequences that show an open letter.
func (c Conn) ShownAmong(ctx context.Context, stream time.Time, sequences []uint64) (map[uint64]bool, error) {
	params := &db.LettersShownAsParams{Stream: stream}
	for _, sequence := range sequences {
		params.Seqs = append(params.Seqs, sequenceColumn(sequence))
	}
	rows, err := c.queries.LettersShownAs(ctx, c.dbtx, params)
	if err != nil {
		return nil, wrap("read shown letters", err)
	}
	known := make(map[uint64]bool, len(rows))
	for _, row := range rows {
		known[sequenceFrom(row)] = true
	}
	return known, nil
}

// ShowAgain makes these letters unshown, save those that were shown in another place since.
func (c Conn) ShowAgain(ctx context.Context, stream time.Time, letters []ShownLetter) (int64, error) {
	params := &db.LettersShowAgainParams{Stream: stream}
	for _, one := range letters {
		params.Ids = append(params.Ids, one.ID)
		params.Seqs = append(params.Seqs, sequenceColumn(one.Sequence))
	}
	n, err := c.queries.LettersShowAgain(ctx, c.dbtx, params)
	return n, wrap("show letters again", err)
}

// CountShown is how many messages the stream should have.
func (c Conn) CountShown(ctx context.Context) (int64, error) {
	n, err := c.queries.LettersShownCount(ctx, c.dbtx)
	return n, wrap("count shown letters", err)
}

// CountUnshown is how many letters' showing is behind the table.
func (c Conn) CountUnshown(ctx context.Context) (int64, error) {
	n, err := c.queries.LettersUnshownCount(ctx, c.dbtx)
	return n, wrap("count unshown letters", err)
}

func shownAs(sequence *int64, stream *time.Time) ShownAs {
	shown := ShownAs{Sequence: sequenceFrom(sequence)}
	if stream != nil {
		shown.Stream = stream.UTC()
	}
	return shown
}

// sequenceColumn is a stream's sequence as a column; no stream comes near the end of it.
func sequenceColumn(sequence uint64) int64 { return int64(sequence) } //nolint:gosec // see above

func sequenceFrom(column *int64) uint64 {
	if column == nil {
		return 0
	}
	return uint64(*column) //nolint:gosec // written by sequenceColumn
}
