package store

import (
	"context"
	"time"

	"rollcall.dev/pkg/store/internal/db"
)

// CandidateState is what is known of a user that a complete scan did not see.
type CandidateState string

// The states of a candidate.
const (
	CandidateMissing   CandidateState = "missing"   // VOMO was not asked yet
	CandidateConfirmed CandidateState = "confirmed" // VOMO does not find it by id
	CandidateFound     CandidateState = "found"     // VOMO has it
	CandidateUnknown   CandidateState = "unknown"   // VOMO's answer does not say
	CandidateDeleted   CandidateState = "deleted"
	CandidateFailed    CandidateState = "failed"   // the destination did not delete it; a letter says why
	CandidateUndo      CandidateState = "undo"     // an operator asked for it again
	CandidateRestored  CandidateState = "restored" // VOMO has it after all, and the destination has it again
)

// Candidate is a user that a complete scan did not see.
type Candidate struct {
	RunID     int64
	VomoID    string
	State     CandidateState
	Code      string    // why it is unknown, failed or not restored
	UpdatedAt time.Time // of the version that the destination had
	Sealed    []byte    // what may identify the person
	NotedAt   time.Time
	AskedAt   *time.Time
	DeletedAt *time.Time
}

// MappedUser is a user at the destination, and whether a scan missed it.
type MappedUser struct {
	VomoID     string
	ExternalID string
	Email      string // "" for none
	UpdatedAt  time.Time
	Missing    bool
}

// CompareMappings returns up to limit of the customer's users behind that one, in the order of their ids, and says which of them
// the scan did not see. A user that was written since before is not missing.
func (c Conn) CompareMappings(ctx context.Context, customer string, scan int64, before time.Time, after string, limit int32) ([]MappedUser, error) {
	rows, err := c.queries.MappingsMissing(ctx, c.dbtx, &db.MappingsMissingParams{
		CustomerID: customer, ScanID: scan, Before: before, After: after, PageSize: limit,
	})
	users := make([]MappedUser, 0, len(rows))
	for _, row := range rows {
		users = append(users, MappedUser{
			VomoID: row.VomoUserID, ExternalID: row.ExternalUserID, Email: row.Email, UpdatedAt: row.LastSyncedUpdatedAt, Missing: row.Missing,
		})
	}
	return users, err
}

// NoteCandidates notes missing users in the state missing, and counts them in their run.
func (t *Tx) NoteCandidates(ctx context.Context, run DeletionRun, candidates []Candidate) error {
	if len(candidates) == 0 {
		return nil
	}
	params := &db.DeletionCandidatesInsertParams{RunID: run.ID, CustomerID: run.Customer}
	for _, one := range candidates {
		params.Ids = append(params.Ids, one.VomoID)
		params.UpdatedAts = append(params.UpdatedAts, one.UpdatedAt)
		params.Sealeds = append(params.Sealeds, one.Sealed)
	}
	err := t.deferred(func(on db.DBTX) error { return t.queries.DeletionCandidatesInsert(ctx, on, params) })
	if err != nil {
		return err
	}
	counted := &db.DeletionRunCountMissingParams{ID: run.ID, Missing: int64(len(candidates))}
	return t.deferred(func(on db.DBTX) error { return t.queries.DeletionRunCountMissing(ctx, on, counted) })
}

// CandidateToAsk is a candidate that VOMO is to be asked for.
type CandidateToAsk struct {
	VomoID  string
	Settled bool // the mirror wrote or lost the user since it was noted: there is nothing to ask
}

// CandidatesToAsk returns up to limit candidates behind that one, in the order of their ids, that VOMO is not known to have.
func (c Conn) CandidatesToAsk(ctx context.Context, run int64, after string, limit int32) ([]CandidateToAsk, error) {
	rows, err := c.queries.DeletionCandidatesToAsk(ctx, c.dbtx, &db.DeletionCandidatesToAskParams{RunID: run, After: after, PageSize: limit})
	asks := make([]CandidateToAsk, 0, len(rows))
	for _, row := range rows {
		asks = append(asks, CandidateToAsk{VomoID: row.RecordID, Settled: row.Settled})
	}
	return asks, err
}

// CandidateToDelete is a confirmed candidate.
type CandidateToDelete struct {
	VomoID  string
	AskedAt time.Time // when VOMO said that it has no such user
}

// CandidatesToDelete returns up to limit confirmed candidates, in the order of their ids.
func (c Conn) CandidatesToDelete(ctx context.Context, run int64, limit int32) ([]CandidateToDelete, error) {
	rows, err := c.queries.DeletionCandidatesToDelete(ctx, c.dbtx, &db.DeletionCandidatesToDeleteParams{RunID: run, PageSize: limit})
	deletes := make([]CandidateToDelete, 0, len(rows))
	for _, row := range rows {
		deletes = append(deletes, CandidateToDelete{VomoID: row.RecordID, AskedAt: row.AskedAt})
	}
	return deletes, err
}

// DeletableUser is what the destination has of a user that is to be deleted there.
type DeletableUser struct {
	ExternalID string
	Version    Version
	SyncedAt   time.Time
	Shared     bool // the record is also that of another user, who stays
}

// DeletableUsers returns what the destination has of these users, by VOMO id. run is the deletion run that deletes them, or 0.
func (c Conn) DeletableUsers(ctx context.Context, customer string, run int64, vomoIDs []string) (map[string]DeletableUser, error) {
	rows, err := c.queries.MappingsToDelete(ctx, c.dbtx, &db.MappingsToDeleteParams{CustomerID: customer, RunID: run, Ids: vomoIDs})
	users := make(map[string]DeletableUser, len(rows))
	for _, row := range rows {
		users[row.VomoUserID] = DeletableUser{
			ExternalID: row.ExternalUserID, SyncedAt: row.LastSyncedAt, Shared: row.Shared,
			Version: Version{UpdatedAt: row.LastSyncedUpdatedAt, Hash: row.VersionHash},
		}
	}
	return users, err
}

// ForgetVersions has the records of these ids written again when a scan next sees their users. A pipelined transaction defers it.
func (t *Tx) ForgetVersions(ctx context.Context, customer string, externalIDs []string) error {
	if len(externalIDs) == 0 {
		return nil
	}
	params := &db.MappingsForgetVersionParams{CustomerID: customer, ExternalIds: externalIDs}
	return t.deferred(func(on db.DBTX) error { return t.queries.MappingsForgetVersion(ctx, on, params) })
}

// CandidateResult is what came of one candidate.
type CandidateResult struct {
	RunID  int64 // undone candidates
	VomoID string
	State  CandidateState
	Code   string
}

// NoteAnswers notes what VOMO answered about candidates of a run.
func (t *Tx) NoteAnswers(ctx context.Context, run int64, results []CandidateResult) error {
	if len(results) == 0 {
		return nil
	}
	params := &db.DeletionCandidatesAnsweredParams{RunID: run}
	for _, one := range results {
		params.Ids, params.States, params.Codes = append(params.Ids, one.VomoID), append(params.States, string(one.State)), append(params.Codes, one.Code)
	}
	return t.deferred(func(on db.DBTX) error { return t.queries.DeletionCandidatesAnswered(ctx, on, params) })
}

// NoteDeletions notes what came of the deletions of candidates, and counts them in their run.
func (t *Tx) NoteDeletions(ctx context.Context, run int64, results []CandidateResult) error {
	if len(results) == 0 {
		return nil
	}
	params := &db.DeletionCandidatesEndParams{RunID: run}
	counted := &db.DeletionRunCountDeletedParams{ID: run}
	for _, one := range results {
		params.Ids, params.States, params.Codes = append(params.Ids, one.VomoID), append(params.States, string(one.State)), append(params.Codes, one.Code)
		switch one.State {
		case CandidateDeleted:
			counted.Deleted++
		case CandidateFailed:
			counted.Failed++
		default:
		}
	}
	if err := t.deferred(func(on db.DBTX) error { return t.queries.DeletionCandidatesEnd(ctx, on, params) }); err != nil {
		return err
	}
	return t.deferred(func(on db.DBTX) error { return t.queries.DeletionRunCountDeleted(ctx, on, counted) })
}

// FinishCandidates notes that letters finished the deletion of these users.
func (t *Tx) FinishCandidates(ctx context.Context, customer string, vomoIDs []string) error {
	if len(vomoIDs) == 0 {
		return nil
	}
	runs, err := t.queries.DeletionCandidatesFinish(ctx, t.dbtx, &db.DeletionCandidatesFinishParams{CustomerID: customer, Ids: vomoIDs})
	if err != nil {
		return err
	}
	for _, run := range runs {
		counted := &db.DeletionRunCountDeletedParams{ID: run, Deleted: 1, Failed: -1}
		if err := t.deferred(func(on db.DBTX) error { return t.queries.DeletionRunCountDeleted(ctx, on, counted) }); err != nil {
			return err
		}
	}
	return nil
}

// CountCandidates counts a run's candidates by their state.
func (c Conn) CountCandidates(ctx context.Context, run int64) (map[CandidateState]int64, error) {
	rows, err := c.queries.DeletionCandidatesCount(ctx, c.dbtx, run)
	counts := make(map[CandidateState]int64, len(rows))
	for _, row := range rows {
		counts[CandidateState(row.State)] = row.Count
	}
	return counts, err
}

// Candidates returns up to limit candidates of a run behind that one, in the order of their ids: of one state, or of all for "".
func (c Conn) Candidates(ctx context.Context, run int64, state CandidateState, after string, limit int32) ([]Candidate, error) {
	rows, err := c.queries.DeletionCandidatesPage(ctx, c.dbtx, &db.DeletionCandidatesPageParams{
		RunID: run, After: after, State: given(string(state)), PageSize: limit,
	})
	candidates := make([]Candidate, 0, len(rows))
	for _, row := range rows {
		candidates = append(candidates, Candidate{
			RunID: run, VomoID: row.RecordID, State: CandidateState(row.State), Code: textOf(row.Code), UpdatedAt: row.SourceUpdatedAt,
			Sealed: row.Sealed, NotedAt: row.NotedAt, AskedAt: row.AskedAt, DeletedAt: row.DeletedAt,
		})
	}
	return candidates, err
}

// UndoRun asks for the users again that a run deleted within that time, and returns how many they are.
func (t *Tx) UndoRun(ctx context.Context, customer string, run int64, within time.Duration) (int64, error) {
	return t.queries.DeletionCandidatesUndoRun(ctx, t.dbtx, &db.DeletionCandidatesUndoRunParams{RunID: run, CustomerID: customer, Within: within})
}

// UndoUsers asks for users again that were deleted within that time, and returns which they are.
func (t *Tx) UndoUsers(ctx context.Context, customer string, vomoIDs []string, within time.Duration) ([]Candidate, error) {
	rows, err := t.queries.DeletionCandidatesUndoUsers(ctx, t.dbtx, &db.DeletionCandidatesUndoUsersParams{
		CustomerID: customer, Ids: vomoIDs, Within: within,
	})
	undone := make([]Candidate, 0, len(rows))
	for _, row := range rows {
		undone = append(undone, Candidate{RunID: row.RunID, VomoID: row.RecordID, State: CandidateUndo})
	}
	return undone, err
}

// CandidatesToUndo returns up to limit of the customer's users that were asked for again.
func (c Conn) CandidatesToUndo(ctx context.Context, customer string, limit int32) ([]Candidate, error) {
	rows, err := c.queries.DeletionCandidatesToUndo(ctx, c.dbtx, &db.DeletionCandidatesToUndoParams{CustomerID: customer, PageSize: limit})
	candidates := make([]Candidate, 0, len(rows))
	for _, row := range rows {
		candidates = append(candidates, Candidate{RunID: row.RunID, VomoID: row.RecordID, State: CandidateUndo, UpdatedAt: row.SourceUpdatedAt, Sealed: row.Sealed})
	}
	return candidates, err
}

// NoteUndone notes what came of users that were asked for again.
func (t *Tx) NoteUndone(ctx context.Context, results []CandidateResult) error {
	if len(results) == 0 {
		return nil
	}
	params := &db.DeletionCandidatesUndoneParams{}
	for _, one := range results {
		params.RunIds, params.Ids = append(params.RunIds, one.RunID), append(params.Ids, one.VomoID)
		params.States, params.Codes = append(params.States, string(one.State)), append(params.Codes, one.Code)
	}
	return t.deferred(func(on db.DBTX) error { return t.queries.DeletionCandidatesUndone(ctx, on, params) })
}

// UsersBeside returns up to atMost of the customer's next thousand users behind that one that are no candidates of the run, and the
// last of the thousand, "" if there is none.
func (c Conn) UsersBeside(ctx context.Context, customer string, run int64, after string, atMost int32) (ids []string, last string, err error) {
	row, err := c.queries.MappingsNotCandidates(ctx, c.dbtx, &db.MappingsNotCandidatesParams{
		CustomerID: customer, RunID: run, After: after, AtMost: atMost,
	})
	if err != nil {
		return nil, "", err
	}
	return row.Beside, row.Last, nil
}

// DeleteMappings removes users that the destination no longer has. A pipelined transaction defers it.
func (t *Tx) DeleteMappings(ctx context.Context, customer string, vomoIDs []string) error {
	if len(vomoIDs) == 0 {
		return nil
	}
	params := &db.MappingsDeleteParams{CustomerID: customer, Ids: vomoIDs}
	return t.deferred(func(on db.DBTX) error { return t.queries.MappingsDelete(ctx, on, params) })
}

// KeepExternalIDs restores the destination's ids of users for which it gave none when it got them again, by VOMO id.
func (t *Tx) KeepExternalIDs(ctx context.Context, customer string, externalIDs map[string]string) error {
	if len(externalIDs) == 0 {
		return nil
	}
	params := &db.MappingsKeepExternalParams{CustomerID: customer}
	for id, external := range externalIDs {
		params.Ids, params.ExternalIds = append(params.Ids, id), append(params.ExternalIds, external)
	}
	return t.deferred(func(on db.DBTX) error { return t.queries.MappingsKeepExternal(ctx, on, params) })
}
