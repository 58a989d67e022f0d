package main

import (
	"context"
	"errors"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/mirror"
	"rollcall.dev/pkg/testkit"
	"rollcall.dev/pkg/vomo"
)

const soon = 15 * time.Second

// workshop is a pipeline whose pages are written and committed when the test says so.
type workshop struct {
	*pipeline
	writing, committing *testkit.Signal[int]
	written, committed  map[int]chan error // by page
}

func newWorkshop(pages int) *workshop {
	w := &workshop{
		writing: testkit.NewSignal[int](), committing: testkit.NewSignal[int](),
		written: map[int]chan error{}, committed: map[int]chan error{},
	}
	for number := 1; number <= pages; number++ {
		w.written[number], w.committed[number] = make(chan error, 1), make(chan error, 1)
	}
	w.pipeline = &pipeline{
		write: func(_ context.Context, page vomo.Page) (*mirror.WrittenPage, error) {
			w.writing.Send(page.Number)
			return nil, <-w.written[page.Number]
		},
		commit: func(_ context.Context, page vomo.Page, _ *mirror.WrittenPage) error {
			w.committing.Send(page.Number)
			return <-w.committed[page.Number]
		},
	}
	return w
}

// past lets pages through without a stop.
func (w *workshop) past(t *testing.T, numbers ...int) {
	t.Helper()
	for _, number := range numbers {
		w.written[number] <- nil
		w.committed[number] <- nil
		require.NoError(t, w.next(t.Context(), pageOf(number)))
		w.writing.Require(t, soon, number)
		w.committing.Require(t, soon, number)
	}
}

// pageOf is a page with one user of its own and those who are named.
func pageOf(number int, more ...string) vomo.Page {
	page := vomo.Page{Number: number, Users: []vomo.User{{ID: "own-" + strconv.Itoa(number)}}}
	for _, id := range more {
		page.Users = append(page.Users, vomo.User{ID: id})
	}
	return page
}

// inBackground calls next, which may wait, and gives its outcome.
func (w *workshop) inBackground(t *testing.T, page vomo.Page) <-chan error {
	t.Helper()
	outcome := make(chan error, 1)
	go func() { outcome <- w.next(t.Context(), page) }()
	return outcome
}

func TestAPageIsWrittenWhileTheOneBeforeIsCommitted(t *testing.T) {
	t.Parallel()
	w := newWorkshop(3)
	w.past(t, 1)
	w.written[2] <- nil
	require.NoError(t, w.next(t.Context(), pageOf(2)))
	w.writing.Require(t, soon, 2)
	w.committing.Require(t, soon, 2)

	require.NoError(t, w.next(t.Context(), pageOf(3)))

	w.writing.Require(t, soon, 3)
	w.written[3] <- nil
	w.committed[2] <- nil
	w.committing.Require(t, soon, 3)
	w.committed[3] <- nil
	require.NoError(t, w.wait())
}

func TestAPageIsNotCommittedBeforeTheOneBeforeIt(t *testing.T) {
	t.Parallel()
	w := newWorkshop(3)
	w.past(t, 1)
	require.NoError(t, w.next(t.Context(), pageOf(2)))
	require.NoError(t, w.next(t.Context(), pageOf(3)))
	w.written[3] <- nil // the later page is written first

	w.written[2] <- nil
	w.committing.Require(t, soon, 2)
	w.committing.RequireNone(t)
	w.committed[2] <- nil
	w.committing.Require(t, soon, 3)
	w.committed[3] <- nil
	require.NoError(t, w.wait())
}

func TestNoMorePagesAreUnderWayThanAllowed(t *testing.T) {
	t.Parallel()
	w := newWorkshop(4)
	w.past(t, 1)
	require.NoError(t, w.next(t.Context(), pageOf(2)))
	require.NoError(t, w.next(t.Context(), pageOf(3)))
	w.writing.Wait(t, soon)
	w.writing.Wait(t, soon)

	fourth := w.inBackground(t, pageOf(4))
	w.written[2] <- nil
	w.committing.Require(t, soon, 2)
	w.writing.RequireNone(t)
	w.committed[2] <- nil

	w.writing.Require(t, soon, 4)
	require.NoError(t, <-fourth)
	for _, number := range []int{3, 4} {
		w.written[number] <- nil
		w.committed[number] <- nil
	}
	require.NoError(t, w.wait())
}

func TestAPageThatSharesAUserWaitsForTheOneBefore(t *testing.T) {
	t.Parallel()
	w := newWorkshop(3)
	w.past(t, 1)
	require.NoError(t, w.next(t.Context(), pageOf(2, "moved")))
	w.writing.Require(t, soon, 2)

	third := w.inBackground(t, pageOf(3, "moved"))
	w.written[2] <- nil
	w.committing.Require(t, soon, 2)
	w.writing.RequireNone(t)
	w.committed[2] <- nil

	w.writing.Require(t, soon, 3)
	require.NoError(t, <-third)
	w.written[3] <- nil
	w.committed[3] <- nil
	require.NoError(t, w.wait())
}

func TestTheFirstPageGoesAlone(t *testing.T) {
	t.Parallel()
	w := newWorkshop(1)
	first := w.inBackground(t, pageOf(1))
	w.writing.Require(t, soon, 1)
	w.written[1] <- nil
	w.committing.Require(t, soon, 1)
	require.Empty(t, first, "the next page may not be asked for while the first is being committed")
	w.committed[1] <- nil
	require.NoError(t, <-first)
}

func TestNothingIsCommittedBehindAPageThatFailed(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	for name, fail := range map[string]func(t *testing.T, w *workshop){
		"written": func(_ *testing.T, w *workshop) { w.written[2] <- broken },
		"committed": func(t *testing.T, w *workshop) {
			t.Helper()
			w.written[2] <- nil
			w.committed[2] <- broken
			w.committing.Require(t, soon, 2)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorkshop(4)
			w.past(t, 1)
			require.NoError(t, w.next(t.Context(), pageOf(2)))
			require.NoError(t, w.next(t.Context(), pageOf(3)))
			w.written[3] <- errors.New("of a later page")
			fail(t, w)

			require.ErrorIs(t, w.next(t.Context(), pageOf(4)), broken, "and not the later one's")

			require.NoError(t, w.wait(), "none is under way any more")
			w.committing.RequireNone(t)
		})
	}
}
