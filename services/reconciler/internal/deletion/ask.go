package deletion

import (
	"context"
	"errors"

	"rollcall.dev/pkg/fault"
	"rollcall.dev/pkg/lookup"
	"rollcall.dev/pkg/mirror"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/vomo"
)

const (
	// askAtOnce is how many users are asked for between two commits. Each request takes its turn in the customer's budget, and another
	// job gets the lane only between pages.
	askAtOnce = 5
	// knownTried is how many users that VOMO is known to have are tried before its 404 says nothing.
	knownTried = 3

	codePartial = "source_partial" // VOMO has the user, and does not return it whole by id
	codeInvalid = "source_record_invalid"
)

// errAllNotFound means that VOMO answers 404 for users that its list has.
var errAllNotFound = fault.Unknown("vomo_detail_not_found",
	errors.New("VOMO answers 404 by id also for users that its list has, so that 404 is no proof of a deletion"))

// answers are what VOMO said of a page of candidates.
type answers struct {
	page    vomo.Page // users that it still has
	results []store.CandidateResult
	last    string // the last candidate that was asked for
	missing bool   // VOMO answered 404 for some of them
}

// ask asks VOMO for a page of candidates by id. Users that it still has are written, as those of any page. After the last candidate
// it decides whether what is confirmed may be deleted.
func (x *execution) ask(ctx context.Context) error {
	candidates, err := x.Store.CandidatesToAsk(ctx, x.run.ID, x.Run.After, askAtOnce)
	if err != nil {
		return err
	}
	if len(candidates) == 0 {
		return x.judge(ctx)
	}
	return x.askPage(ctx, candidates, func(last string) store.Cursor { return store.Cursor{Phase: store.PhaseAsk, After: last} })
}

// askPage asks for candidates and commits what VOMO answered. cursorAfter returns where the run goes on after the last of them.
func (x *execution) askPage(ctx context.Context, candidates []store.CandidateToAsk, cursorAfter func(last string) store.Cursor) error {
	answered, stopped := x.askFor(ctx, candidates)
	if len(answered.results) == 0 {
		return stopped
	}
	if answered.missing {
		if err := x.trust(ctx); err != nil {
			return err
		}
	}
	var next store.Run
	_, err := x.sides.Lane.Apply(ctx, answered.page, x.sides.Options, func(ctx context.Context, tx *store.Tx, outcome mirror.Outcome) error {
		if err := tx.NoteAnswers(ctx, x.run.ID, answered.results); err != nil {
			return err
		}
		if err := x.sides.ClearParks(ctx, tx, outcome.Written > 0); err != nil {
			return err
		}
		var err error
		next, err = x.advance(ctx, tx, cursorAfter(answered.last), outcome.Written, outcome.Failed)
		return err
	})
	if err != nil {
		return err
	}
	x.committed(next, false)
	return stopped
}

// askFor asks for candidates one by one. stopped is what ended that early; the answers before it count.
func (x *execution) askFor(ctx context.Context, candidates []store.CandidateToAsk) (answered answers, stopped error) {
	answered.page = vomo.Page{Number: 1, Total: -1}
	for _, candidate := range candidates {
		result := store.CandidateResult{VomoID: candidate.VomoID, State: store.CandidateFound}
		if !candidate.Settled {
			answer, err := x.users.Ask(ctx, candidate.VomoID)
			if err != nil {
				return answered, err
			}
			answered.note(&result, answer)
		}
		answered.results, answered.last = append(answered.results, result), candidate.VomoID
	}
	return answered, nil
}

// note notes VOMO's answer about one user. Only a 404 confirms that it is deleted.
func (a *answers) note(result *store.CandidateResult, answer lookup.Answer) {
	switch answer.Outcome {
	case lookup.Found:
		page := answer.Detail.Page()
		a.page.Users, a.page.Bad, a.page.Date = append(a.page.Users, page.Users...), append(a.page.Bad, page.Bad...), page.Date
	case lookup.NotFound:
		result.State, a.missing = store.CandidateConfirmed, true
	case lookup.Partial: // the next poll or scan writes it
		result.State, result.Code = store.CandidateUnknown, codePartial
	case lookup.InvalidID:
		result.State, result.Code = store.CandidateUnknown, codeInvalid
	case lookup.Unknown:
		result.State, result.Code = store.CandidateUnknown, answer.Code
	}
}

// trust finds out, once in an execution, whether VOMO finds a user by id that it still has. If it finds none of a few, its 404 for
// others proves nothing. If every user is missing there is none to try: then the guard holds the run.
func (x *execution) trust(ctx context.Context) error {
	if x.trusted {
		return nil
	}
	known, err := x.usersBeside(ctx)
	if err != nil {
		return err
	}
	for _, id := range known {
		answer, err := x.users.Ask(ctx, id)
		if err != nil {
			return err
		}
		if answer.Outcome == lookup.Found || answer.Outcome == lookup.Partial {
			x.trusted = true
			return nil
		}
	}
	if len(known) > 0 {
		return errAllNotFound
	}
	x.trusted = true // there is no user to try
	return nil
}

// usersBeside returns a few users at the destination that are not missing, near the one that was asked for last if there are some.
func (x *execution) usersBeside(ctx context.Context) ([]string, error) {
	known, _, err := x.Store.UsersBeside(ctx, x.Customer.ID, x.run.ID, x.Run.After, knownTried)
	for after := ""; err == nil && len(known) == 0; {
		if known, after, err = x.Store.UsersBeside(ctx, x.Customer.ID, x.run.ID, after, knownTried); after == "" {
			break
		}
	}
	return known, err
}

// judge decides, after VOMO was asked for every candidate, whether those that it does not have are deleted. What an operator
// approved is.
func (x *execution) judge(ctx context.Context) error {
	counts, err := x.Store.CountCandidates(ctx, x.run.ID)
	if err != nil {
		return err
	}
	confirmed := counts[store.CandidateConfirmed]
	held := ""
	if x.run.DecidedAt == nil {
		held = x.searcher.Guard.HeldFor(confirmed, x.run.Mapped)
	}
	run := x.run
	run.State, run.Confirmed = store.DeletionDeleting, confirmed
	ended := held != "" || confirmed == 0
	var next store.Run
	err = x.Store.InLane(ctx, x.Lease, func(ctx context.Context, tx *store.Tx) error {
		var err error
		if next, err = x.advance(ctx, tx, store.Cursor{Phase: store.PhaseDelete}, 0, 0); err != nil {
			return err
		}
		switch {
		case held != "":
			return x.hold(ctx, tx, next, held, confirmed, run.Missing)
		case ended:
			return x.finish(ctx, tx, next, run)
		}
		return tx.ChangeDeletionRun(ctx, run.ID, store.DeletionChange{State: run.State, Confirmed: &confirmed})
	})
	if err != nil {
		return err
	}
	x.run = run
	x.committed(next, ended)
	return nil
}
