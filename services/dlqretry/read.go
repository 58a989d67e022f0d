package main

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"

	"rollcall.dev/pkg/connector"
	"rollcall.dev/pkg/deadletter"
	"rollcall.dev/pkg/fault"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/vault"
	"rollcall.dev/pkg/vomo"
)

const (
	// readFor is how long a turn reads: what was read by then is brought to the destination, and the rest waits for
	// the next turn.
	readFor = 10 * time.Second
	// lookAtLaneEvery is how often, while it reads, it looks whether another job wants the lane.
	lookAtLaneEvery = time.Second
	// unreadablePrefix is what the mirror calls entries that have no id of their own.
	unreadablePrefix = "unreadable-"

	codeInvalid    = "source_record_invalid"
	codeNotFound   = "source_not_found"
	codeForbidden  = "source_forbidden"
	codeUnreadable = "source_unreadable"
)

// readUsers is what VOMO says of the letters' users.
type readUsers struct {
	page    vomo.Page
	again   []deadletter.Again // letters whose user VOMO does not give, though it works
	partial []store.DueLetter  // letters whose user VOMO does not give whole by its id
}

func (r readUsers) none() bool { return len(r.page.Users)+len(r.page.Bad)+len(r.again) == 0 }

// read reads each user by its id, since a retry takes the newest state. stopped is what put an end to it before
// the last one, of VOMO's or of ours: what was read until then is of use all the same.
func (t *turn) read(ctx context.Context, due []store.DueLetter) (read readUsers, stopped error) {
	read.page = vomo.Page{Number: 1, Total: -1}
	end, looked := time.Now().Add(readFor), time.Now()
	for i, letter := range due {
		if strings.HasPrefix(letter.RecordID, unreadablePrefix) {
			// Nobody can be asked for it: only an operator can see to it that the list has an id there.
			read.again = append(read.again, deadletter.Again{Letter: letter.OpenLetter, Code: codeInvalid})
			t.work.unreadable++
			continue
		}
		if len(read.partial) > 0 { // it gives nobody so
			read.partial = append(read.partial, letter)
			continue
		}
		if i > 0 && (t.stopping() || time.Now().After(end) || t.wanted(ctx, &looked)) {
			return read, nil
		}
		again, err := t.readOne(ctx, letter, &read.page)
		if errors.Is(err, vomo.ErrPartialDetail) {
			read.partial = append(read.partial, letter)
			continue
		}
		if err != nil {
			return read, err
		}
		if again != nil {
			read.again = append(read.again, *again)
		}
	}
	if len(read.partial) > 0 {
		return read, t.readFromList(ctx, &read)
	}
	return read, nil
}

// listPages is how many pages of the list a turn reads at most to find its letters' users.
const listPages = 20

// readFromList finds users whom VOMO does not give whole by their ids: among those who changed since the oldest version of
// the letters, and then among all users. A user that is not met in as many pages as are read counts as one more attempt at the letter.
func (t *turn) readFromList(ctx context.Context, read *readUsers) error {
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
	looked, complete := time.Now(), false
	for _, query := range queries {
		var ids []string
		for _, letter := range read.partial {
			ids = append(ids, letter.RecordID)
		}
		found, whole, err := t.source.Client.Find(ctx, query, ids, func(pages int) bool {
			return pages >= listPages || t.stopping() || t.wanted(ctx, &looked)
		})
		if err != nil {
			return err
		}
		read.partial = slices.DeleteFunc(read.partial, func(letter store.DueLetter) bool {
			detail, met := found[letter.RecordID]
			if met {
				one := detail.Page()
				read.page.Users, read.page.Bad, read.page.Date = append(read.page.Users, one.Users...), append(read.page.Bad, one.Bad...), one.Date
			}
			return met
		})
		if complete = whole && query == (vomo.Query{}); len(read.partial) == 0 || t.stopping() || t.lease.Wanted() {
			break
		}
	}
	if t.stopping() || t.lease.Wanted() {
		return t.source.Answered(ctx) // the letters wait for the next turn
	}
	code := codeUnreadable
	if complete {
		code = codeNotFound
	}
	for _, letter := range read.partial {
		read.again = append(read.again, deadletter.Again{Letter: letter.OpenLetter, Code: code, Retryable: true})
	}
	return t.source.Answered(ctx)
}

// readOne adds a user to the page. What VOMO does not give, though it works, is one more attempt at the letter;
// everything else is an error, and was none.
func (t *turn) readOne(ctx context.Context, letter store.DueLetter, page *vomo.Page) (*deadletter.Again, error) {
	detail, err := t.source.Client.Detail(ctx, letter.RecordID)
	if err == nil {
		one := detail.Page()
		page.Users, page.Bad, page.Date = append(page.Users, one.Users...), append(page.Bad, one.Bad...), one.Date
		return nil, t.source.Answered(ctx)
	}
	switch {
	case errors.Is(err, vomo.ErrNotFound): // unknown is not deleted: it is tried again, and ends in review
		t.work.gone++
		return &deadletter.Again{Letter: letter.OpenLetter, Code: codeNotFound, Retryable: true}, t.source.Answered(ctx)
	case fault.CodeOf(err) == "vomo_id_invalid":
		return &deadletter.Again{Letter: letter.OpenLetter, Code: codeInvalid}, nil
	}
	if errors.Is(err, vomo.ErrPartialDetail) {
		return nil, err
	}
	code, stopped := t.ofOneUser(ctx, err)
	if stopped != nil {
		return nil, stopped
	}
	t.log.Info("VOMO works, and does not give this user", zap.Stringer("letter", letter.ID), zap.Error(err))
	return &deadletter.Again{Letter: letter.OpenLetter, Code: code, Retryable: true}, nil
}

// ofOneUser asks VOMO once more where it does not give a user. code says what is wrong with this one where it gives
// others; stopped is what is wrong with all of them, a refused token confirmed.
func (t *turn) ofOneUser(ctx context.Context, err error) (code string, stopped error) {
	switch {
	case !t.ofVomo(ctx, err):
		return "", err
	case errors.Is(err, vomo.ErrUnauthorized), errors.Is(err, vomo.ErrForbidden):
		if confirmed := t.connect.Confirm(ctx, t.customer, t.lease, jobRetry, err); fault.CodeOf(confirmed) != codeUnconfirmed {
			return "", confirmed
		}
		return codeForbidden, nil // the token is good: it is this user whom it may not see
	}
	// One user whom VOMO cannot give, however often, must not hold the others up: does it give anybody?
	if _, probe := t.source.Client.Probe(ctx); probe != nil {
		return "", err
	}
	return codeUnreadable, nil
}

// codeUnconfirmed is the connector's, of a refusal that a second look did not meet.
const codeUnconfirmed = "vomo_auth_unconfirmed"

// ofVomo says whether VOMO's answer about this user is what went wrong, and not its pace, nor anything of ours.
func (t *turn) ofVomo(ctx context.Context, err error) bool {
	switch {
	case ctx.Err() != nil, fault.KindOf(err) == fault.KindThrottled, errors.Is(err, store.ErrLaneLost),
		errors.Is(err, connector.ErrNoCredential), errors.Is(err, vault.ErrKeyGone):
		return false
	}
	return fault.CodeOf(err) != "internal"
}

func (t *turn) stopping() bool {
	select {
	case <-t.draining:
		return true
	default:
		return false
	}
}

// wanted looks, once a second, whether another job waits for the lane. A failure to look is the renewal's to tell.
func (t *turn) wanted(ctx context.Context, looked *time.Time) bool {
	if time.Since(*looked) >= lookAtLaneEvery {
		*looked = time.Now()
		if err := t.lease.Renew(ctx); err != nil {
			return true
		}
	}
	return t.lease.Wanted()
}
