package retry

import (
	"context"
	"math"
	"time"

	"go.uber.org/zap"

	"rollcall.dev/pkg/deadletter"
	"rollcall.dev/pkg/round"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/vomo"
)

const (
	// listAhead is how many pages of the list are requested at once at most.
	listAhead = 4
	// listKept is how many pages that were read wait to be looked through. Few users of a page may have a letter: pages of writes come from
	// several of them, and the destination would wait for VOMO otherwise.
	listKept = 8
	// lettersPerListedPage is how many users of the list are written as one page: with so few requests to VOMO, a redrive takes as long as the
	// commits of its pages do.
	lettersPerListedPage = 2 * lettersPerPage
	// listedAtOnce is of how many users of the list it is looked up at once which of them have a due letter.
	listedAtOnce = 4 * lettersPerPage
	// mostCounted bounds how many due letters are counted.
	mostCounted = 20_000
)

// listReading is how far VOMO's list was read to find the users of a customer's letters. It is a cheaper way to read many users and
// nothing depends on it: a letter whose user was not found in the list, or in a version older than the letter's, is retried by id.
type listReading struct {
	pages   int       // how many the list has, as VOMO says; 0: unknown
	next    int       // the next page; 0: no reading is under way
	began   time.Time // of the reading that is under way
	covered time.Time // letters that were due by then were looked for in the list
	counted int64     // how many letters were due when it was last decided
}

// prefersList reports whether the users of the due letters are to be read from the list: it has fewer pages left than letters are due.
// A reading begins only when the number of due letters does not grow any more, or a drain has ended: letters that become due when their
// pages were read are missed.
func (b *batch) prefersList(ctx context.Context, due []store.DueLetter) (bool, error) {
	l := b.list
	if b.listFailed || len(due) < lettersAhead || !due[0].DueSince.After(l.covered) {
		return false, nil
	}
	left := l.pages
	if l.next > 0 {
		left -= l.next - 1
	}
	counted, err := b.Store.CountDueLetters(ctx, b.Customer.ID, int32(min(max(mostCounted, left+1), math.MaxInt32)))
	if err != nil {
		return false, err
	}
	grows := counted.Letters > l.counted && !counted.Drained
	l.counted = counted.Letters
	if l.counted <= int64(left) || l.next == 0 && grows {
		return false, nil
	}
	if l.next == 0 {
		l.next, l.began = 1, counted.Now
	}
	return true, nil
}

// retryFromList retries the letters whose users are on the list's next pages, until the turn is over. If VOMO does not return a page, the
// round goes on by id, which finds out whose fault that is.
func (b *batch) retryFromList(ctx context.Context) error {
	l := b.list
	reading, stop := context.WithCancel(ctx)
	scan := b.Source.Client.Scan(reading, vomo.Query{}, vomo.ScanOptions{From: l.next, Ahead: listAhead})
	pages := b.readAhead(reading, scan)
	defer func() {
		stop()
		for range pages { // it is closed when the scan has ended
		}
	}()
	var listed, found vomo.Page
	for read := range pages {
		page := read.page
		if read.err != nil {
			b.listFailed = true
			b.Log.Info("list of users not read; users are read by id", zap.Int("page", page.Number), zap.Error(read.err))
			break
		}
		if err := b.Source.Answered(ctx); err != nil {
			return err
		}
		listed.Users, listed.Date = append(listed.Users, page.Users...), page.Date
		if len(listed.Users) >= listedAtOnce {
			if err := b.giveListed(ctx, listed, &found, lettersPerListedPage); err != nil {
				return err
			}
			listed = vomo.Page{}
		}
		if l.read(page); l.next == 0 {
			break
		}
		if b.turnOver(ctx) {
			scan.Stop() // pages that were requested still come
		}
	}
	return b.giveListed(ctx, listed, &found, 1)
}

// listedPage is a page of the list, or why it was not read.
type listedPage struct {
	page vomo.Page
	err  error
}

// readAhead reads the pages of a scan while those before them are written. The channel is closed when the scan has ended.
func (b *batch) readAhead(ctx context.Context, scan *vomo.Scan) <-chan listedPage {
	pages := make(chan listedPage, listKept)
	give := func(page vomo.Page, err error) (taken bool) {
		select {
		case pages <- listedPage{page, err}:
			return true
		case <-ctx.Done():
			return false
		}
	}
	go func() {
		defer close(pages)
		err := round.Guarded(b.Log, func() error {
			for page, err := range scan.Pages() {
				if !give(page, err) {
					break
				}
			}
			return nil
		})
		if err != nil {
			give(vomo.Page{}, err)
		}
	}()
	return pages
}

// read notes that a page was read. A reading ends with the last page, or with the first one if the list has more pages than letters are due.
func (l *listReading) read(page vomo.Page) {
	first := l.pages == 0
	if shown := len(page.Users) + len(page.Bad); first || page.Number == 1 {
		l.pages = math.MaxInt32 // VOMO does not say
		if page.Total > 0 && shown > 0 {
			l.pages = (page.Total + shown - 1) / shown
		}
	}
	switch {
	case !page.More:
		l.next, l.covered = 0, l.began
	case first && l.counted <= int64(l.pages):
		l.next = 0
	default:
		l.next = page.Number + 1
	}
}

// giveListed adds those users of the list to found whose letters are due, and has them written in pages of at least so many.
func (b *batch) giveListed(ctx context.Context, listed vomo.Page, found *vomo.Page, atLeast int) error {
	ids := make([]string, 0, len(listed.Users))
	for _, user := range listed.Users {
		ids = append(ids, user.ID)
	}
	due, err := b.Store.DueLettersOf(ctx, b.Customer.ID, deadletter.KindUser, ids)
	if err != nil {
		return err
	}
	for _, user := range listed.Users {
		letter, isDue := due[user.ID]
		if isDue && !b.tried[letter.Letter] && !user.UpdatedAt.Before(letter.UpdatedAt) {
			b.tried[letter.Letter] = true
			found.Users, found.Date = append(found.Users, user), listed.Date
		}
	}
	for len(found.Users) >= atLeast {
		page := *found
		count := min(lettersPerListedPage, len(page.Users))
		page.Users = page.Users[:count:count]
		found.Users = found.Users[len(page.Users):]
		if err := b.give(ctx, readUsers{page: page}); err != nil {
			return err
		}
	}
	return nil
}
