package job

import (
	"context"
	"errors"
	"strconv"
	"sync"
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
	*Pipeline
	comparing, writing, committing *testkit.Signal[int]
	written, committed             map[int]chan error  // by page
	sent                           map[int]chan func() // by page: what says that its commit was sent
}

func newPipelineFixture(pages int) *pipelineFixture {
	f := &pipelineFixture{
		comparing: testkit.NewSignal[int](), writing: testkit.NewSignal[int](), committing: testkit.NewSignal[int](),
		written: map[int]chan error{}, committed: map[int]chan error{}, sent: map[int]chan func(){},
	}
	for number := 1; number <= pages; number++ {
		f.written[number], f.committed[number], f.sent[number] = make(chan error, 1), make(chan error, 1), make(chan func(), 1)
	}
	compared := sync.Map{} // the numbers of pages by what came of comparing them
	f.Pipeline = &Pipeline{
		AtOnce: 2,
		Compare: func(_ context.Context, pages []vomo.Page) (*mirror.ComparedPage, error) {
			f.comparing.Send(numberOf(pages))
			result := new(mirror.ComparedPage)
			compared.Store(result, pages[0].Number)
			return result, nil
		},
		Write: func(_ context.Context, page *mirror.ComparedPage) (*mirror.WrittenPage, error) {
			number, _ := compared.Load(page)
			f.writing.Send(number.(int))
			return nil, <-f.written[number.(int)]
		},
		Commit: func(_ context.Context, pages []vomo.Page, _ *mirror.WrittenPage, sent func()) error {
			f.sent[pages[0].Number] <- sent
			f.committing.Send(numberOf(pages))
			return <-f.committed[pages[0].Number]
		},
	}
	return f
}

// numberOf is the number of a page, and of several as one their numbers one after the other: 23 is 2 and 3.
func numberOf(pages []vomo.Page) (number int) {
	for _, page := range pages {
		number = number*10 + page.Number
	}
	return number
}

// past lets pages through without a stop.
func (f *pipelineFixture) past(t *testing.T, numbers ...int) {
	t.Helper()
	for _, number := range numbers {
		f.written[number] <- nil
		f.committed[number] <- nil
		require.NoError(t, f.Next(t.Context(), pageOf(number)))
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
	go func() { outcome <- f.Next(t.Context(), page) }()
	return outcome
}

func TestPageIsWrittenWhileThePreviousOneIsCommitted(t *testing.T) {
	t.Parallel()
	f := newPipelineFixture(3)
	f.past(t, 1)
	f.written[2] <- nil
	require.NoError(t, f.Next(t.Context(), pageOf(2)))
	f.writing.Require(t, soon, 2)
	f.committing.Require(t, soon, 2)

	require.NoError(t, f.Next(t.Context(), pageOf(3)))

	f.writing.Require(t, soon, 3)
	f.written[3] <- nil
	f.committed[2] <- nil
	f.committing.Require(t, soon, 3)
	f.committed[3] <- nil
	require.NoError(t, f.Wait())
}

func TestPagesAreCommittedInOrder(t *testing.T) {
	t.Parallel()
	f := newPipelineFixture(3)
	f.past(t, 1)
	require.NoError(t, f.Next(t.Context(), pageOf(2)))
	require.NoError(t, f.Next(t.Context(), pageOf(3)))
	f.written[3] <- nil // the later page is written first

	f.written[2] <- nil
	f.committing.Require(t, soon, 2)
	f.committing.RequireNone(t)
	f.committed[2] <- nil
	f.committing.Require(t, soon, 3)
	f.committed[3] <- nil
	require.NoError(t, f.Wait())
}

func TestPagesInFlightAreLimited(t *testing.T) {
	t.Parallel()
	f := newPipelineFixture(5)
	f.past(t, 1)
	require.NoError(t, f.Next(t.Context(), pageOf(2)))
	require.NoError(t, f.Next(t.Context(), pageOf(3)))
	f.writing.Wait(t, soon)
	f.writing.Wait(t, soon)
	for range 3 {
		f.comparing.Wait(t, soon)
	}

	require.NoError(t, f.Next(t.Context(), pageOf(4)))
	f.comparing.Require(t, soon, 4) // while two others are written
	fifth := f.inBackground(t, pageOf(5))
	f.written[2] <- nil
	f.committing.Require(t, soon, 2)
	f.writing.RequireNone(t)
	f.comparing.RequireNone(t)
	f.committed[2] <- nil

	f.writing.Require(t, soon, 4)
	require.NoError(t, <-fifth)
	f.comparing.Require(t, soon, 5)
	for _, number := range []int{3, 4, 5} {
		f.written[number] <- nil
		f.committed[number] <- nil
	}
	require.NoError(t, f.Wait())
}

func TestPageThatSharesUserWaitsForThePreviousOne(t *testing.T) {
	t.Parallel()
	f := newPipelineFixture(3)
	f.past(t, 1)
	require.NoError(t, f.Next(t.Context(), pageOf(2, "moved")))
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
	require.NoError(t, f.Wait())
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
			require.NoError(t, f.Next(t.Context(), pageOf(2)))
			require.NoError(t, f.Next(t.Context(), pageOf(3)))
			f.written[3] <- errors.New("of a later page")
			require.ElementsMatch(t, []int{2, 3}, []int{f.writing.Wait(t, soon), f.writing.Wait(t, soon)})
			fail(t, f)

			require.NoError(t, f.Next(t.Context(), pageOf(4)))
			require.ErrorIs(t, f.Next(t.Context(), pageOf(5)), broken, "and not the later one's")

			require.NoError(t, f.Wait(), "none is under way any more")
			f.committing.RequireNone(t)
			f.writing.RequireNone(t)
		})
	}
}

func TestPanicInPageFailsItsRunAndNotTheProcess(t *testing.T) {
	t.Parallel()
	pipeline := &Pipeline{AtOnce: 2, Compare: func(context.Context, []vomo.Page) (*mirror.ComparedPage, error) {
		var missing *vomo.User
		return nil, nameOf(missing)
	}}
	require.ErrorIs(t, pipeline.Next(t.Context(), pageOf(1)), errPanicked)
	require.NoError(t, pipeline.Wait())
}

// nameOf is a defect.
func nameOf(user *vomo.User) error {
	_ = *user.FirstName
	return nil
}

func TestPagesThatWaitAreWrittenAndCommittedAsOne(t *testing.T) {
	t.Parallel()
	f := newPipelineFixture(7)
	f.Together = 2
	f.past(t, 1)
	f.comparing.Require(t, soon, 1)
	require.NoError(t, f.Next(t.Context(), pageOf(2)))
	f.comparing.Require(t, soon, 2) // alone: it need not wait
	f.writing.Require(t, soon, 2)

	require.NoError(t, f.Next(t.Context(), pageOf(3)))
	f.comparing.RequireNone(t)
	require.NoError(t, f.Next(t.Context(), pageOf(4)))
	f.comparing.Require(t, soon, 34)
	f.writing.RequireNone(t) // with the page before they would be three that are not committed

	fifth := f.inBackground(t, pageOf(5))
	f.written[2] <- nil
	f.committing.Require(t, soon, 2)
	f.writing.RequireNone(t)
	f.committed[2] <- nil
	f.writing.Require(t, soon, 3)
	require.NoError(t, <-fifth)
	sixth := f.inBackground(t, pageOf(6))
	f.comparing.Require(t, soon, 56)
	require.Empty(t, sixth, "no further page may be read while four are in flight")

	f.written[3] <- nil
	f.committing.Require(t, soon, 34)
	f.committed[3] <- nil
	require.NoError(t, <-sixth)
	f.writing.Require(t, soon, 5)
	f.written[5] <- nil
	f.committing.Require(t, soon, 56)
	f.committed[5] <- nil
	require.NoError(t, f.Wait())
}

func TestPagesAreWrittenWhileTheCommitOfEarlierOnesIsOnItsWay(t *testing.T) {
	t.Parallel()
	f := newPipelineFixture(7)
	f.Together = 2
	f.past(t, 1)
	f.comparing.Require(t, soon, 1)
	for number := 2; number <= 4; number++ {
		require.NoError(t, f.Next(t.Context(), pageOf(number)))
	}
	f.written[2] <- nil
	f.committed[2] <- nil
	f.writing.Require(t, soon, 2)
	f.committing.Require(t, soon, 2)
	f.writing.Require(t, soon, 3)
	require.NoError(t, f.Next(t.Context(), pageOf(5)))
	sixth := f.inBackground(t, pageOf(6))
	f.comparing.Require(t, soon, 2)
	f.comparing.Require(t, soon, 34)
	f.comparing.Require(t, soon, 56)
	f.written[3] <- nil
	f.committing.Require(t, soon, 34)
	f.writing.RequireNone(t)
	require.Empty(t, sixth, "no further page may be read while four would be read again after a crash")

	(<-f.sent[3])()

	f.writing.Require(t, soon, 5)
	require.NoError(t, <-sixth)
	seventh := f.inBackground(t, pageOf(7))
	f.written[5] <- nil
	require.NoError(t, <-seventh)
	f.committing.RequireNone(t) // before the earlier ones are committed
	f.committed[3] <- nil
	f.committing.Require(t, soon, 56)
	f.committed[5] <- nil
	f.written[7] <- nil
	f.committed[7] <- nil
	require.NoError(t, f.Wait())
}

func TestPagesThatWereWrittenWhileAnEarlierCommitFailedAreNotCommitted(t *testing.T) {
	t.Parallel()
	f := newPipelineFixture(5)
	f.Together = 2
	f.past(t, 1)
	for number := 2; number <= 4; number++ {
		require.NoError(t, f.Next(t.Context(), pageOf(number)))
	}
	f.written[2] <- nil
	f.writing.Require(t, soon, 2)
	f.committing.Require(t, soon, 2)
	(<-f.sent[2])()
	f.writing.Require(t, soon, 3)
	failure := errors.New("not committed")
	f.committed[2] <- failure
	f.written[3] <- nil

	require.ErrorIs(t, f.Wait(), failure)
	f.committing.RequireNone(t)
	require.NoError(t, f.Wait(), "none is under way any more")
}

func TestPageThatWaitsForAnotherGoesOnAloneWhenThePreviousOneIsCommitted(t *testing.T) {
	t.Parallel()
	f := newPipelineFixture(3)
	f.Together = 2
	f.past(t, 1)
	f.comparing.Require(t, soon, 1)
	require.NoError(t, f.Next(t.Context(), pageOf(2)))
	f.comparing.Require(t, soon, 2)
	require.NoError(t, f.Next(t.Context(), pageOf(3)))
	f.written[2] <- nil
	f.committed[2] <- nil

	f.comparing.Require(t, soon, 3)
	f.written[3] <- nil
	f.committed[3] <- nil
	require.NoError(t, f.Wait())
}

func TestPageThatSharesAUserWithOneThatWaitsIsNotCommittedWithIt(t *testing.T) {
	t.Parallel()
	f := newPipelineFixture(4)
	f.Together = 2
	f.past(t, 1)
	f.comparing.Require(t, soon, 1)
	require.NoError(t, f.Next(t.Context(), pageOf(2)))
	f.comparing.Require(t, soon, 2)
	require.NoError(t, f.Next(t.Context(), pageOf(3, "both")))
	fourth := f.inBackground(t, pageOf(4, "both"))
	for number := 2; number <= 4; number++ {
		f.written[number] <- nil
		f.committed[number] <- nil
	}

	require.NoError(t, <-fourth)
	f.comparing.Require(t, soon, 3)
	f.comparing.Require(t, soon, 4)
	require.NoError(t, f.Wait())
}

func TestFailureOfAPageReachesThoseThatWaitBehindIt(t *testing.T) {
	t.Parallel()
	f := newPipelineFixture(4)
	f.Together = 2
	f.past(t, 1)
	require.NoError(t, f.Next(t.Context(), pageOf(2)))
	require.NoError(t, f.Next(t.Context(), pageOf(3)))
	failure := errors.New("not written")
	f.written[2] <- failure

	require.ErrorIs(t, f.Wait(), failure)
	f.committing.RequireNone(t)
}
