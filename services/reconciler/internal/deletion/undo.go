package deletion

import (
	"context"
	"encoding/json"
	"fmt"

	"rollcall.dev/pkg/lookup"
	"rollcall.dev/pkg/mirror"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/vomo"
)

// operationUndo is the operation in sync_audit of a user that an operator asked for again.
const operationUndo = "undo_delete"

// Codes of users that are not restored.
const (
	codeNotFound    = "source_not_found"     // VOMO has no such user: the deletion was right
	codeNotAccepted = "destination_rejected" // the destination did not accept the record; a letter says why
)

// undone is a page of users that an operator asked for again.
type undone struct {
	page     vomo.Page
	results  []store.CandidateResult
	external map[string]string // by VOMO id: the destination's id before the deletion
	found    []string
	audit    []store.AuditEntry // of users that are not restored
}

// undo reads a page of deleted users again. VOMO has one after all: it is written, which brings the record back, and its mapping is
// there again with the destination's id. Otherwise nothing changes.
func (x *execution) undo(ctx context.Context) error {
	candidates, err := x.Store.CandidatesToUndo(ctx, x.Customer.ID, askAtOnce)
	if err != nil {
		return err
	}
	if len(candidates) == 0 {
		err := x.Store.InLane(ctx, x.Lease, func(ctx context.Context, tx *store.Tx) error {
			return tx.FinishRun(ctx, x.Run, x.Lease.Epoch, store.RunCompleted, "")
		})
		if err == nil {
			x.ended = true
			x.Ended()
		}
		return err
	}
	read, stopped := x.readAgain(ctx, candidates)
	if len(read.results) == 0 {
		return stopped
	}
	var next store.Run
	_, err = x.sides.Lane.Apply(ctx, read.page, x.sides.Options, func(ctx context.Context, tx *store.Tx, outcome mirror.Outcome) error {
		if err := x.noteUndone(ctx, tx, read); err != nil {
			return err
		}
		if err := x.sides.ClearParks(ctx, tx, outcome.Written > 0); err != nil {
			return err
		}
		var err error
		next, err = x.advance(ctx, tx, x.Run.Cursor, outcome.Written, outcome.Failed)
		return err
	})
	if err != nil {
		return err
	}
	x.committed(next, false)
	return stopped
}

// readAgain asks VOMO for users one by one. stopped is what ended that early; the answers before it count.
func (x *execution) readAgain(ctx context.Context, candidates []store.Candidate) (read undone, stopped error) {
	read.page, read.external = vomo.Page{Number: 1, Total: -1}, map[string]string{}
	for _, candidate := range candidates {
		answer, err := x.users.Ask(ctx, candidate.VomoID)
		if err != nil {
			return read, err
		}
		result := store.CandidateResult{RunID: candidate.RunID, VomoID: candidate.VomoID, State: store.CandidateDeleted, Code: answer.Code}
		switch answer.Outcome {
		case lookup.Found:
			plain, err := x.searcher.Vault.Open(ctx, x.Customer.ID, purposeCandidate, candidate.Sealed)
			if err != nil {
				return read, fmt.Errorf("open candidate: %w", err)
			}
			var was identity
			if err := json.Unmarshal(plain, &was); err != nil {
				return read, fmt.Errorf("read candidate: %w", err)
			}
			page := answer.Detail.Page()
			read.page.Users, read.page.Bad, read.page.Date = append(read.page.Users, page.Users...), append(read.page.Bad, page.Bad...), page.Date
			read.external[candidate.VomoID] = was.ExternalID
			read.found = append(read.found, candidate.VomoID)
			result.State = store.CandidateRestored
		case lookup.NotFound:
			result.Code = codeNotFound
		case lookup.Partial:
			result.Code = codePartial
		case lookup.InvalidID:
			result.Code = codeInvalid
		case lookup.Unknown:
		}
		if result.State != store.CandidateRestored {
			read.audit = append(read.audit, store.AuditEntry{
				RecordID: candidate.VomoID, Operation: operationUndo, UpdatedAt: candidate.UpdatedAt, ErrorCode: result.Code,
			})
		}
		read.results = append(read.results, result)
	}
	return read, nil
}

// noteUndone notes what came of the users. One that the destination did not accept is not restored: its letter is retried.
func (x *execution) noteUndone(ctx context.Context, tx *store.Tx, read undone) error {
	if err := tx.KeepExternalIDs(ctx, x.Customer.ID, read.external); err != nil {
		return err
	}
	mapped, err := tx.MappedVersions(ctx, x.Customer.ID, read.found)
	if err != nil {
		return err
	}
	for i, result := range read.results {
		if _, there := mapped[result.VomoID]; result.State == store.CandidateRestored && !there {
			read.results[i].State, read.results[i].Code = store.CandidateDeleted, codeNotAccepted
		}
	}
	scope := store.AuditScope{Customer: x.Customer.ID, JobID: x.Run.JobID, TraceID: x.Run.TraceID}
	if err := tx.SaveAudit(ctx, scope, read.audit); err != nil {
		return err
	}
	return tx.NoteUndone(ctx, read.results)
}
