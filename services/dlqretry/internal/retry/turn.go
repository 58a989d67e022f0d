package retry

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"rollcall.dev/pkg/job"
	"rollcall.dev/pkg/mirror"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/vomo"
)

const (
	// lettersPerPage is as many users as a page of VOMO's list has.
	lettersPerPage = 15
	// lettersAhead is how many due letters are read from the table at once.
	lettersAhead = 10 * lettersPerPage
	defaultTurn  = 10 * time.Second
	// pagesInFlight is how many pages are written or committed at the same time, or as one.
	pagesInFlight = 2
)

// pageDownError means that the destination accepted no record of a page.
type pageDownError struct {
	page vomo.Page
	err  error
}

func (e *pageDownError) Error() string { return e.err.Error() }
func (e *pageDownError) Unwrap() error { return e.err }

// turn retries due letters page by page: while one page is read, those before it are written and committed. It ends when no letter
// is due that the round has not tried, when its time is over or others wait, or with the first page that fails as a whole, whose
// fault a probe finds out.
func (b *batch) turn(ctx context.Context, due []store.DueLetter) (more bool, err error) {
	err = b.retryPages(ctx, due)
	if failed := b.pages.Wait(); failed != nil {
		err = failed // it comes before whatever became of the pages behind it
	}
	if down, isDown := errors.AsType[*pageDownError](err); isDown {
		err = b.probeAfter(ctx, readUsers{page: down.page}, b.options(), down.err)
	}
	if err != nil {
		return false, err
	}
	left, err := b.Store.DueLetters(ctx, b.Customer.ID, 1)
	return len(left) > 0, err
}

// retryPages gives pages to the pipeline; the last ones may still be in flight when it returns.
func (b *batch) retryPages(ctx context.Context, due []store.DueLetter) error {
	for len(due) > 0 {
		fromList, err := b.prefersList(ctx, due)
		switch {
		case err != nil:
			return err
		case fromList:
			err = b.retryFromList(ctx)
		default:
			err = b.retryByID(ctx, due)
		}
		if err != nil || b.destination != destinationUnknown || b.turnOver(ctx) {
			return err
		}
		// The table knows which letters are settled when their pages are committed.
		if err := b.pages.Wait(); err != nil {
			return err
		}
		if due, err = b.Store.DueLetters(ctx, b.Customer.ID, lettersAhead); err != nil {
			return err
		}
		// A letter that failed may be due again already, and waits for the next round.
		due = slices.DeleteFunc(due, func(letter store.DueLetter) bool { return b.tried[letter.ID] })
	}
	return nil
}

// turnOver reports whether the round must start no other page.
func (b *batch) turnOver(ctx context.Context) bool {
	return b.MustEnd(ctx) || b.OthersWait() || time.Since(b.began) >= cmp.Or(b.retrier.Turn, defaultTurn)
}

// retryByID retries letters whose users are read by id.
func (b *batch) retryByID(ctx context.Context, due []store.DueLetter) error {
	for page := range slices.Chunk(due, lettersPerPage) {
		if err := b.retryPage(ctx, page); err != nil {
			return err
		}
		if b.destination != destinationUnknown || b.turnOver(ctx) {
			return nil
		}
	}
	return nil
}

// retryPage retries a page of letters.
func (b *batch) retryPage(ctx context.Context, due []store.DueLetter) error {
	read, stopped := b.read(ctx, due)
	for _, letter := range due {
		b.tried[letter.ID] = true
	}
	if !read.isEmpty() {
		if err := b.give(ctx, read); err != nil {
			return err
		}
	}
	return stopped
}

// give has users written while the next ones are read. A page with anything else is written alone.
func (b *batch) give(ctx context.Context, read readUsers) error {
	b.number++
	read.page.Number, read.page.Total = b.number, -1
	if b.destination == destinationUnknown && read.hasOnlyUsers() {
		return b.pages.Next(ctx, read.page)
	}
	if err := b.pages.Wait(); err != nil {
		return err
	}
	return b.write(ctx, read)
}

// newPipeline returns the pipeline of a round whose destination works as far as is known.
func (b *batch) newPipeline() *job.Pipeline {
	return &job.Pipeline{
		AtOnce: pagesInFlight, Together: pagesInFlight,
		Compare: func(ctx context.Context, pages []vomo.Page) (*mirror.ComparedPage, error) {
			return b.Lane.Compare(ctx, pages, b.options())
		},
		Write: func(ctx context.Context, page *mirror.ComparedPage) (*mirror.WrittenPage, error) {
			written, err := page.Write(ctx)
			if errors.Is(err, mirror.ErrDestinationDown) {
				err = &pageDownError{page: page.Page(), err: err}
			}
			return written, err
		},
		Commit: func(ctx context.Context, _ []vomo.Page, written *mirror.WrittenPage, sent func()) error {
			return b.commit(ctx, written, readUsers{}, sent)
		},
	}
}
