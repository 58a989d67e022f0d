package deadletter

import (
	"context"

	"github.com/google/uuid"

	"rollcall.dev/pkg/store"
)

// OpenWriteback opens the letter of a user whose values could not be written to VOMO. It waits for an operator; a retry makes
// the user's row in writebacks due.
func OpenWriteback(ctx context.Context, tx *store.Tx, scope Scope, id uuid.UUID, rejected Rejection) error {
	if _, err := tx.SupersedeLetters(ctx, scope.Customer, KindWriteback, []string{rejected.RecordID}); err != nil {
		return err
	}
	return tx.AddRecordLetters(ctx, store.LetterScope{
		Customer: scope.Customer, Kind: KindWriteback, Job: scope.Job, TraceID: scope.TraceID, FirstDelay: firstRetry,
	}, []store.RecordLetter{{
		ID: id, RecordID: rejected.RecordID, Version: rejected.Version, ErrorCode: rejected.Code, ErrorClass: ClassPermanent,
		Reason: rejected.Reason, Subject: requestSubject(KindWriteback, scope.Customer, id),
	}})
}
