package retry

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"go.uber.org/zap"

	"rollcall.dev/pkg/deadletter"
	"rollcall.dev/pkg/lookup"
	"rollcall.dev/pkg/mirror"
	"rollcall.dev/pkg/round"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/vomo"
)

const (
	// readFor is how long a round reads. It then writes what it has read, and the other letters wait for the next round.
	readFor = 10 * time.Second
	// usersAtOnce is how many users are read at once. The first one of a round is read alone: it finds out whether VOMO works.
	usersAtOnce = 5
	// listPages is how many pages of the list a round reads at most to find its letters' users.
	listPages = 20
	// unreadablePrefix begins the record ids that the mirror gives to entries without an id.
	unreadablePrefix = "unreadable-"

	codeInvalid  = "source_record_invalid"
	codeNotFound = "source_not_found"
)

// readUsers is what VOMO returned for the letters' users.
type readUsers struct {
	page    vomo.Page
	failed  []deadletter.FailedAttempt // letters whose user VOMO does not return, though it works
	partial []store.DueLetter          // letters whose user VOMO does not return whole by id
	// deletions are users that VOMO still does not have; kept are letters about deletions of users that it has again.
	deletions []mirror.Deletion
	kept      []uuid.UUID
}

func (r *readUsers) isEmpty() bool {
	return len(r.page.Users)+len(r.page.Bad)+len(r.failed)+len(r.deletions)+len(r.kept) == 0
}

func (r *readUsers) add(detail vomo.Detail) {
	one := detail.Page()
	r.page.Users, r.page.Bad, r.page.Date = append(r.page.Users, one.Users...), append(r.page.Bad, one.Bad...), one.Date
}

func (r *readUsers) fail(letter store.DueLetter, code string, retryable bool) {
	r.failed = append(r.failed, deadletter.FailedAttempt{Letter: letter.OpenLetter, Code: code, Retryable: retryable})
}

// hasOnlyUsers reports whether nothing but users was read.
func (r *readUsers) hasOnlyUsers() bool {
	return len(r.failed)+len(r.deletions)+len(r.kept) == 0
}

// read reads each user by id, because a retry writes the newest state. stopped is the error that ended it early, of VOMO's
// or of ours; what was read is still written.
func (b *batch) read(ctx context.Context, due []store.DueLetter) (read readUsers, stopped error) {
	end := time.Now().Add(readFor)
	for first := true; len(due) > 0; first = false {
		if !first && (time.Now().After(end) || b.MustEnd(ctx)) {
			return read, nil
		}
		group := due[:min(b.readAtOnce, len(due))]
		due, b.readAtOnce = due[len(group):], usersAtOnce
		if err := b.readByID(ctx, group, &read); err != nil {
			return read, err
		}
	}
	if len(read.partial) > 0 {
		return read, b.readFromList(ctx, &read)
	}
	return read, nil
}

// readByID reads the users of some letters at once. Each becomes a part of the page, or a failed attempt if VOMO works and does not return
// this user. Any other failure is an error and counts no attempt.
func (b *batch) readByID(ctx context.Context, letters []store.DueLetter, read *readUsers) (stopped error) {
	replies, asking := make([]reply, len(letters)), sync.WaitGroup{}
	b.Source.Account.Expect(len(letters))
	for i, letter := range letters {
		switch {
		case strings.HasPrefix(letter.RecordID, unreadablePrefix): // an operator has to give the list's entry an id
			read.fail(letter, codeInvalid, false)
		case len(read.partial) > 0 && letter.Kind != deadletter.KindUserDelete: // VOMO returns no user whole by id
			read.partial = append(read.partial, letter)
		default:
			replies[i].asked = true
			asking.Go(func() {
				replies[i].err = round.Guarded(b.Log, func() (err error) {
					replies[i].detail, err = b.Source.Client.Detail(ctx, letter.RecordID)
					return err
				})
			})
		}
	}
	asking.Wait()
	for i, letter := range letters {
		if !replies[i].asked || stopped != nil && replies[i].err != nil {
			continue
		}
		answer, err := b.users.Judge(ctx, replies[i].detail, replies[i].err)
		if err != nil {
			stopped = err // it holds for all users, but those that were read are written
			continue
		}
		b.add(letter, answer, read)
	}
	return stopped
}

// reply is what VOMO's client returned for a user.
type reply struct {
	asked  bool
	detail vomo.Detail
	err    error
}

// add adds VOMO's answer about the user of a letter.
func (b *batch) add(letter store.DueLetter, answer lookup.Answer, read *readUsers) {
	if letter.Kind == deadletter.KindUserDelete {
		b.addDeletion(letter, answer, read)
		return
	}
	switch answer.Outcome {
	case lookup.Found:
		read.add(answer.Detail)
	case lookup.NotFound: // unknown is not deleted: it is tried again, and ends in review
		b.gone++
		read.fail(letter, codeNotFound, true)
	case lookup.InvalidID:
		read.fail(letter, codeInvalid, false)
	case lookup.Partial:
		read.partial = append(read.partial, letter)
	case lookup.Unknown:
		b.Log.Info("VOMO works and does not return this user", zap.Stringer("letter", letter.ID), zap.Error(answer.Cause))
		read.fail(letter, answer.Code, true)
	}
}

// addDeletion adds a letter about a deletion: VOMO still has no such user, or it has the user again, who is then written. Any
// other answer is no reason to delete a user.
func (b *batch) addDeletion(letter store.DueLetter, answer lookup.Answer, read *readUsers) {
	switch answer.Outcome {
	case lookup.NotFound:
		read.deletions = append(read.deletions, mirror.Deletion{VomoID: letter.RecordID, Letter: &letter.OpenLetter})
	case lookup.Found:
		read.add(answer.Detail)
		read.kept = append(read.kept, letter.ID)
	case lookup.InvalidID:
		read.fail(letter, codeInvalid, false)
	case lookup.Partial, lookup.Unknown:
		read.fail(letter, cmp.Or(answer.Code, lookup.CodeUnreadable), true)
	}
}

// readFromList finds users that VOMO does not return whole by id: among those who changed since the oldest version of the
// letters, and then among all users. A letter whose user is not on the pages that were read counts one more attempt.
func (b *batch) readFromList(ctx context.Context, read *readUsers) error {
	since := read.partial[0].Version.UpdatedAt
	for _, letter := range read.partial {
		if letter.Version.UpdatedAt.Before(since) {
			since = letter.Version.UpdatedAt
		}
	}
	queries := []vomo.Query{{}}
	if since.After(vomo.OldestTime()) {
		queries = []vomo.Query{{UpdatedAfter: since}, {}}
	}
	complete := false
	for _, query := range queries {
		ids := make([]string, 0, len(read.partial))
		for _, letter := range read.partial {
			ids = append(ids, letter.RecordID)
		}
		found, whole, err := b.Source.Client.Find(ctx, query, ids, func(pages int) bool {
			return pages >= listPages || b.MustEnd(ctx)
		})
		if err != nil {
			return err
		}
		read.partial = slices.DeleteFunc(read.partial, func(letter store.DueLetter) bool {
			detail, ok := found[letter.RecordID]
			if ok {
				read.add(detail)
			}
			return ok
		})
		if complete = whole && query == (vomo.Query{}); len(read.partial) == 0 || b.MustEnd(ctx) {
			break
		}
	}
	if b.MustEnd(ctx) {
		return b.Source.Answered(ctx) // the letters wait for the next round
	}
	code := lookup.CodeUnreadable
	if complete {
		code = codeNotFound
	}
	for _, letter := range read.partial {
		read.fail(letter, code, true)
	}
	return b.Source.Answered(ctx)
}
