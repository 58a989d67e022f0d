package job

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

// pipelineFixture is a pipeline whose pages are written and committed when the test says so.
type pipelineFixture struct {
	*pipeline
	writing, committing *testkit.Signal[int]
	written, committed  map[int]chan error // by page
}

func newPipelineFixture(pages int) *pipelineFixture {
	f := &pipelineFixture{
		writing: testkit.NewSignal[int](), committing: testkit.NewSignal[int](),
		written: map[int]chan error{}, committed: map[int]chan error{},
	}
	for number := 1; number <= pages; number++ {
		f.written[number], f.committed[number] = make(chan error, 1), make(chan error, 1)
	}
	f.pipeline = &pipeline{
		atOnce: 2,
		write: func(_ context.Context, page vomo.Page) (*mirror.WrittenPage, error) {
			f.writing.Send(page.Number)
			return nil, <-f.written[page.Number]
		},
		commit: func(_ context.Context, page vomo.Page, _ *mirror.WrittenPage) error {
			f.committing.Send(page.Number)
			return <-f.committed[page.Number]
		},
	}
	return f
}

// past lets pages through without a stop.
func (f *pipelineFixture) past(t *testing.T, numbers ...int) {
	t.Helper()
	for _, number := range numbers {
		f.written[number] <- nil
		f.committed[number] <- nil
		require.NoError(t, f.next(t.Context(), pageOf(number)))
		f.writing.Require(t, soon, number)
		f.committing.Require(t, soon, number)
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
func (f *pipelineFixture) inBackground(t *testing.T, page vomo.Page) <-chan error {
	t.Helper()
	outcome := make(chan error, 1)
	go func() { outcome <- f.next(t.Context(), page) }()
	return outcome
}

func TestPageIsWrittenWhileThePreviousOneIsCommitted(t *testing.T) {
	t.Parallel()
	f := newPipelineFixture(3)
	f.past(t, 1)
	f.written[2] <- nil
	require.NoError(t, f.next(t.Context(), pageOf(2)))
	f.writing.Require(t, soon, 2)
	f.committing.Require(t, soon, 2)

	require.NoError(t, f.next(t.Context(), pageOf(3)))

	f.writing.Require(t, soon, 3)
	f.written[3] <- nil
	f.committed[2] <- nil
	f.committing.Require(t, soon, 3)
	f.committed[3] <- nil
	require.NoError(t, f.wait())
}

func TestPagesAreCommittedInOrder(t *testing.T) {
	t.Parallel()
	f := newPipelineFixture(3)
	f.past(t, 1)
	require.NoError(t, f.next(t.Context(), pageOf(2)))
	require.NoError(t, f.next(t.Context(), pageOf(3)))
	f.written[3] <- nil // the later page is written first

	f.written[2] <- nil
	f.committing.Require(t, soon, 2)
	f.committing.RequireNone(t)
	f.committed[2] <- nil
	f.committing.Require(t, soon, 3)
	f.committed[3] <- nil
	require.NoError(t, f.wait())
}

func TestPagesInFlightAreLimited(t *testing.T) {
	t.Parallel()
	f := newPipelineFixture(4)
	f.past(t, 1)
	require.NoError(t, f.next(t.Context(), pageOf(2)))
	require.NoError(t, f.next(t.Context(), pageOf(3)))
	f.writing.Wait(t, soon)
	f.writing.Wait(t, soon)

	fourth := f.inBackground(t, pageOf(4))
	f.written[2] <- nil
	f.committing.Require(t, soon, 2)
	f.writing.RequireNone(t)
	f.committed[2] <- nil

	f.writing.Require(t, soon, 4)
	require.NoError(t, <-fourth)
	for _, number := range []int{3, 4} {
		f.written[number] <- nil
		f.committed[number] <- nil
	}
	require.NoError(t, f.wait())
}

func TestPageThatSharesUserWaitsForThePreviousOne(t *testing.T) {
	t.Parallel()
	f := newPipelineFixture(3)
	f.past(t, 1)
	require.NoError(t, f.next(t.Context(), pageOf(2, "moved")))
	f.writing.Require(t, soon, 2)

	third := f.inBackground(t, pageOf(3, "moved"))
	f.written[2] <- nil
	f.committing.Require(t, soon, 2)
	f.writing.RequireNone(t)
	f.committed[2] <- nil

	f.writing.Require(t, soon, 3)
	require.NoError(t, <-third)
	f.written[3] <- nil
	f.committed[3] <- nil
	require.NoError(t, f.wait())
}

func TestFirstPageGoesAlone(t *testing.T) {
	t.Parallel()
	f := newPipelineFixture(1)
	first := f.inBackground(t, pageOf(1))
	f.writing.Require(t, soon, 1)
	f.written[1] <- nil
	f.committing.Require(t, soon, 1)
	require.Empty(t, first, "the next page may not be asked for while the first is being committed")
	f.committed[1] <- nil
	require.NoError(t, <-first)
}

func TestNoPageIsCommittedAfterOneThatFailed(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	for name, fail := range map[string]func(t *testing.T, f *pipelineFixture){
		"written": func(_ *testing.T, f *pipelineFixture) { f.written[2] <- broken },
		"committed": func(t *testing.T, f *pipelineFixture) {
			t.Helper()
			f.written[2] <- nil
			f.committed[2] <- broken
			f.committing.Require(t, soon, 2)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newPipelineFixture(4)
			f.past(t, 1)
			require.NoError(t, f.next(t.Context(), pageOf(2)))
			require.NoError(t, f.next(t.Context(), pageOf(3)))
			f.written[3] <- errors.New("of a later page")
			fail(t, f)

			require.ErrorIs(t, f.next(t.Context(), pageOf(4)), broken, "and not the later one's")

			require.NoError(t, f.wait(), "none is under way any more")
			f.committing.RequireNone(t)
		})
	}
}

func TestPanicInPageFailsItsRunAndNotTheProcess(t *testing.T) {
	t.Parallel()
	pipeline := &pipeline{atOnce: 2, write: func(context.Context, vomo.Page) (*mirror.WrittenPage, error) {
		var missing *vomo.User
		return nil, nameOf(missing)
	}}
	require.ErrorIs(t, pipeline.next(t.Context(), pageOf(1)), errPanicked)
	require.NoError(t, pipeline.wait())
}

// nameOf is a defect.
func nameOf(user *vomo.User) error {
	_ = *user.FirstName
	return nil
}
