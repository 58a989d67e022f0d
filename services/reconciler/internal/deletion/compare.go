package deletion

import (
	"context"
	"encoding/json"
	"fmt"

	"rollcall.dev/pkg/store"
)

// comparePage is how many users at the destination are compared in one transaction.
const comparePage = 500

// identity is what may identify a candidate's person. It is sealed.
type identity struct {
	Email      string `json:"email,omitempty"`
	ExternalID string `json:"externalId"`
}

// compare notes the users of a page that the scan did not see. After the last page it decides whether VOMO is asked for them.
func (x *execution) compare(ctx context.Context) error {
	users, err := x.Store.CompareMappings(ctx, x.Customer.ID, x.Run.JobID, x.Run.CreatedAt, x.Run.After, comparePage)
	if err != nil {
		return err
	}
	missing, err := x.sealMissing(ctx, users)
	if err != nil {
		return err
	}
	cursor := store.Cursor{Phase: store.PhaseCompare, After: x.Run.After}
	if len(users) > 0 {
		cursor.After = users[len(users)-1].VomoID
	}
	all := x.run.Missing + int64(len(missing))
	last := len(users) < comparePage
	held := ""
	if last {
		if cursor, held, err = x.afterCompare(ctx, all); err != nil {
			return err
		}
	}
	var next store.Run
	ended := held != "" || last && all == 0
	err = x.Store.InLane(ctx, x.Lease, func(ctx context.Context, tx *store.Tx) error {
		if err := tx.NoteCandidates(ctx, x.run, missing); err != nil {
			return err
		}
		var err error
		if next, err = x.advance(ctx, tx, cursor, 0, 0); err != nil {
			return err
		}
		switch {
		case held != "":
			return x.hold(ctx, tx, next, held, 0, all)
		case ended:
			return x.finish(ctx, tx, next, x.run)
		case last:
			return tx.ChangeDeletionRun(ctx, x.run.ID, store.DeletionChange{State: store.DeletionAsking})
		}
		return nil
	})
	if err != nil {
		return err
	}
	x.run.Missing = all
	x.committed(next, ended)
	return nil
}

// afterCompare returns where the run goes on when all users are compared, and why it is held instead, "" if it is not.
func (x *execution) afterCompare(ctx context.Context, missing int64) (store.Cursor, string, error) {
	lastScan, err := x.Store.LastScanUsers(ctx, x.Customer.ID)
	if err != nil || missing == 0 {
		return store.Cursor{Phase: store.PhaseCompare}, "", err
	}
	return store.Cursor{Phase: store.PhaseAsk}, heldBeforeAsking(x.run, lastScan), nil
}

// sealMissing returns the missing users as candidates.
func (x *execution) sealMissing(ctx context.Context, users []store.MappedUser) ([]store.Candidate, error) {
	var missing []store.Candidate
	var seal func(plain []byte) ([]byte, error)
	for _, user := range users {
		if !user.Missing {
			continue
		}
		if seal == nil {
			var err error
			if seal, err = x.searcher.Vault.Sealer(ctx, x.Customer.ID, purposeCandidate); err != nil {
				return nil, fmt.Errorf("open customer's key: %w", err)
			}
		}
		plain, err := json.Marshal(identity{Email: user.Email, ExternalID: user.ExternalID})
		if err != nil {
			return nil, fmt.Errorf("encode candidate: %w", err)
		}
		sealed, err := seal(plain)
		if err != nil {
			return nil, fmt.Errorf("seal candidate: %w", err)
		}
		missing = append(missing, store.Candidate{VomoID: user.VomoID, UpdatedAt: user.UpdatedAt, Sealed: sealed})
	}
	return missing, nil
}

// committed notes a committed page, and whether the run ended with it.
func (x *execution) committed(next store.Run, ended bool) {
	x.Committed(next)
	if x.sides != nil {
		x.sides.PageCommitted()
	}
	if x.ended = ended; ended {
		x.Ended()
	}
}
