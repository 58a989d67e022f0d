package store

import (
	"context"
	"time"

	"rollcall.dev/pkg/store/internal/db"
)

// StartGiftDeletionRun starts the customer's search for deleted gifts, in a round with this job. The customer has no other one that is not ended.
func (t *Tx) StartGiftDeletionRun(ctx context.Context, customer string, jobID int64, traceID string) (DeletionRun, error) {
	return deletionRunFrom(t.queries.GiftDeletionRunStart(ctx, t.dbtx, &db.GiftDeletionRunStartParams{
		CustomerID: customer, JobID: jobID, TraceID: traceID,
	}))
}

// GiftCounts are what a step of a search for deleted gifts adds to its counts.
type GiftCounts struct {
	Known   int // gifts that were compared
	Listed  int // gifts that Virtuous' list has
	Missing int
	Deleted int
}

// CountGifts adds to the counts of a search for deleted gifts.
func (t *Tx) CountGifts(ctx context.Context, run int64, counts GiftCounts) error {
	return t.queries.GiftDeletionRunCount(ctx, t.dbtx, &db.GiftDeletionRunCountParams{
		ID: run, Known: int64(counts.Known), Listed: int64(counts.Listed), Missing: int64(counts.Missing), Deleted: int64(counts.Deleted),
	})
}

// KnownGift is a gift that is not deleted.
type KnownGift struct {
	ID    int64
	Older bool // it was added and last seen before the time that was asked for
}

// GiftsBetween returns up to limit of the customer's gifts behind the id after, and up to the id upTo, in the order of their ids.
func (c Conn) GiftsBetween(ctx context.Context, customer string, after, upTo int64, before time.Time, limit int32) ([]KnownGift, error) {
	rows, err := c.queries.PartnerGiftsBetween(ctx, c.dbtx, &db.PartnerGiftsBetweenParams{
		CustomerID: customer, After: after, UpTo: upTo, Before: before, PageSize: limit,
	})
	gifts := make([]KnownGift, 0, len(rows))
	for _, row := range rows {
		gifts = append(gifts, KnownGift{ID: row.VirtuousGiftID, Older: row.IsOlder})
	}
	return gifts, err
}

// NoteMissingGifts notes gifts that Virtuous' list does not have. Those that are noted already stay as they are.
func (t *Tx) NoteMissingGifts(ctx context.Context, run DeletionRun, ids []int64) error {
	if len(ids) == 0 {
		return nil
	}
	return t.queries.DeletionGiftsInsert(ctx, t.dbtx, &db.DeletionGiftsInsertParams{RunID: run.ID, CustomerID: run.Customer, Ids: ids})
}

// GiftToAsk is a missing gift for which Virtuous is to be asked.
type GiftToAsk struct {
	ID         int64
	PlatformID string // of the donation that became the gift; "" for none
	Gone       bool   // it is deleted by now, or no longer known
	Seen       bool   // it was seen at Virtuous since it was noted
}

// GiftsToAsk returns up to limit missing gifts of a run behind that one, in the order of their ids.
func (c Conn) GiftsToAsk(ctx context.Context, run, after int64, limit int32) ([]GiftToAsk, error) {
	rows, err := c.queries.DeletionGiftsToAsk(ctx, c.dbtx, &db.DeletionGiftsToAskParams{RunID: run, After: after, PageSize: limit})
	gifts := make([]GiftToAsk, 0, len(rows))
	for _, row := range rows {
		gifts = append(gifts, GiftToAsk{ID: row.VirtuousGiftID, PlatformID: row.PlatformDonationID, Gone: row.IsGone, Seen: row.IsSeen})
	}
	return gifts, err
}

// GiftAnswer is what is known of a missing gift.
type GiftAnswer struct {
	State CandidateState
	Code  string // why; "" if the state says all
	Asked bool   // Virtuous was asked now
}

// NoteGiftAnswer notes what is known of a missing gift of a run. A gift that the run deletes has the state deleted, and no code.
func (t *Tx) NoteGiftAnswer(ctx context.Context, run, id int64, answer GiftAnswer) error {
	return t.queries.DeletionGiftAnswered(ctx, t.dbtx, &db.DeletionGiftAnsweredParams{
		RunID: run, VirtuousGiftID: id, State: string(answer.State), Code: answer.Code, Asked: answer.Asked,
		Deleted: answer.State == CandidateDeleted && answer.Code == "",
	})
}

// LeaveMissingGifts ends the questions about a run's gifts of which Virtuous says nothing clear, and returns how many there are.
func (t *Tx) LeaveMissingGifts(ctx context.Context, run int64) (int64, error) {
	return t.queries.DeletionGiftsLeave(ctx, t.dbtx, run)
}

// MissingGift is a gift that a search missed.
type MissingGift struct {
	RunID     int64
	ID        int64
	State     CandidateState
	Code      string
	NotedAt   time.Time
	AskedAt   *time.Time
	DeletedAt *time.Time
}

// MissingGifts returns up to limit gifts of a run behind that one, in the order of their ids: of one state, or of all for "".
func (c Conn) MissingGifts(ctx context.Context, run int64, state CandidateState, after int64, limit int32) ([]MissingGift, error) {
	rows, err := c.queries.DeletionGiftsPage(ctx, c.dbtx, &db.DeletionGiftsPageParams{
		RunID: run, After: after, State: given(string(state)), PageSize: limit,
	})
	gifts := make([]MissingGift, 0, len(rows))
	for _, row := range rows {
		gifts = append(gifts, MissingGift{
			RunID: run, ID: row.VirtuousGiftID, State: CandidateState(row.State), Code: textOf(row.Code), NotedAt: row.NotedAt,
			AskedAt: row.AskedAt, DeletedAt: row.DeletedAt,
		})
	}
	return gifts, err
}

// UndoGiftRun asks for the gifts again that a run deleted within that time, and returns how many they are.
func (t *Tx) UndoGiftRun(ctx context.Context, customer string, run int64, within time.Duration) (int64, error) {
	return t.queries.DeletionGiftsUndoRun(ctx, t.dbtx, &db.DeletionGiftsUndoRunParams{RunID: run, CustomerID: customer, Within: within})
}

// UndoGifts asks for gifts again that were deleted within that time, and returns which they are.
func (t *Tx) UndoGifts(ctx context.Context, customer string, ids []int64, within time.Duration) ([]MissingGift, error) {
	rows, err := t.queries.DeletionGiftsUndo(ctx, t.dbtx, &db.DeletionGiftsUndoParams{CustomerID: customer, Ids: ids, Within: within})
	undone := make([]MissingGift, 0, len(rows))
	for _, row := range rows {
		undone = append(undone, MissingGift{RunID: row.RunID, ID: row.VirtuousGiftID, State: CandidateUndo})
	}
	return undone, err
}

// GiftsToUndo returns up to limit of the customer's gifts that were asked for again.
func (c Conn) GiftsToUndo(ctx context.Context, customer string, limit int32) ([]MissingGift, error) {
	rows, err := c.queries.DeletionGiftsToUndo(ctx, c.dbtx, &db.DeletionGiftsToUndoParams{CustomerID: customer, PageSize: limit})
	gifts := make([]MissingGift, 0, len(rows))
	for _, row := range rows {
		gifts = append(gifts, MissingGift{RunID: row.RunID, ID: row.VirtuousGiftID, State: CandidateUndo})
	}
	return gifts, err
}
