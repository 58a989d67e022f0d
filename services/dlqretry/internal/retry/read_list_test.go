package retry

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/round"
	"rollcall.dev/pkg/store"
)

const listedLetters = 5 * lettersAhead

// newListFixture has many letters of acme, whose users are all in VOMO's list.
func newListFixture(t *testing.T) *fixture {
	t.Helper()
	f := newFixture(t)
	f.many(t, "acme", listedLetters)
	f.set(func() {
		f.listed = maps.Clone(f.users)
		for n := range 100 {
			f.listed[fmt.Sprint("other-", n)] = march
		}
	})
	return f
}

// requests returns how many pages of the list were read, and how many users by id.
func (f *fixture) requests() (pages, users int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for path, n := range f.asked {
		if path != "" {
			users += n
		}
	}
	return f.asked[""], users
}

func TestUsersOfManyLettersAreReadFromTheList(t *testing.T) {
	t.Parallel()
	f := newListFixture(t)

	require.Equal(t, round.End{}, f.round(t, "acme", 0, ""))

	require.Equal(t, listedLetters, f.counts(t, "retried"))
	require.Len(t, f.wrote(), listedLetters, "and no user without a letter")
	pages, users := f.requests()
	require.Equal(t, lettersAhead, users, "those that were due when it was not known whether more letters come")
	require.Equal(t, (listedLetters+100+14)/15, pages)
}

// drain starts a drain that retries so many letters of acme, and returns its id.
func (f *fixture) drain(t *testing.T, planned int64, pace int32) (id int64) {
	t.Helper()
	require.NoError(t, f.store.InTx(t.Context(), func(ctx context.Context, tx *store.Tx) (err error) {
		id, err = tx.AddDrain(ctx, store.NewDrain{
			Customer: "acme", Verb: "retry", Filter: []byte(`{}`), AsOf: time.Now(), Planned: planned, Pace: pace, AskedBy: "ada",
		})
		return err
	}))
	return id
}

func TestListIsReadFromTheBeginningAfterADrain(t *testing.T) {
	t.Parallel()
	f := newListFixture(t)
	drained := f.drain(t, listedLetters, 0)
	f.exec(t, `UPDATE dlq_drains SET state = 'done', ended_at = rollcall_now(), due_at = NULL WHERE id = $1`, drained)

	require.Equal(t, round.End{}, f.round(t, "acme", 0, ""))

	require.Equal(t, listedLetters, f.counts(t, "retried"))
	pages, users := f.requests()
	require.Zero(t, users, "no more letters become due")
	require.Equal(t, (listedLetters+100+14)/15, pages)
}

func TestLettersWaitForTheDrainThatMakesThemDue(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.letter(t, "acme", "1", true)
	f.onboard(t, "globex")
	f.letter(t, "globex", "2", true)
	found := func() []string {
		customers, err := f.store.LetterCustomers(t.Context())
		require.NoError(t, err)
		return idsOf(customers)
	}
	for about, change := range map[string]string{
		"few letters":                    `planned = 500`,
		"letters that come at a pace":    `pace = 1000`,
		"a batch that was put off":       `due_at = rollcall_now() + interval '1 second'`,
		"a drain that takes long":        `created_at = rollcall_now() - interval '10 seconds'`,
		"letters that are discarded":     `verb = 'discard'`,
		"another customer's":             `customer_id = 'initech'`,
		"a drain that has ended":         `state = 'done', ended_at = rollcall_now(), due_at = NULL`,
		"a drain that an operator ended": `state = 'aborted', ended_at = rollcall_now(), due_at = NULL`,
	} {
		drain := f.drain(t, 501, 0)
		require.Equal(t, []string{"globex"}, found())
		f.exec(t, `UPDATE dlq_drains SET `+change+` WHERE id = $1`, drain)
		require.ElementsMatch(t, []string{"acme", "globex"}, found(), about)
		f.exec(t, `DELETE FROM dlq_drains`)
	}
}

func TestUserThatTheListDoesNotShowIsReadByID(t *testing.T) {
	t.Parallel()
	f := newListFixture(t)
	f.exec(t, `UPDATE dead_letters SET next_attempt_at = rollcall_now() - interval '1 minute' WHERE record_id NOT IN ('acme-1', 'acme-2', 'acme-3')`)
	f.exec(t, `UPDATE dead_letters SET source_updated_at = '2026-04-01 12:00:00Z' WHERE record_id = 'acme-2'`)
	f.set(func() {
		delete(f.listed, "acme-1")
		f.users["acme-2"] = april // the list shows the version of March
		delete(f.users, "acme-3")
		delete(f.listed, "acme-3")
	})

	require.Equal(t, round.End{}, f.round(t, "acme", 0, ""))

	require.Equal(t, listedLetters-1, f.counts(t, "retried"))
	require.Equal(t, "source_not_found 2", value[string](t, f, `SELECT error_code || ' ' || attempts FROM dead_letters WHERE state = 'waiting'`))
	require.Equal(t, 1, value[int](t, f, `SELECT count(*) FROM user_mappings WHERE vomo_user_id = 'acme-2' AND last_synced_updated_at = '2026-04-01 12:00:00Z'`))
	_, users := f.requests()
	require.Equal(t, lettersAhead+3, users)
}

func TestListThatCannotBeReadLeavesUsersToBeReadByID(t *testing.T) {
	t.Parallel()
	f := newListFixture(t)
	f.set(func() {
		f.vomo = func(path string) int {
			if path == "" {
				return http.StatusUnprocessableEntity
			}
			return 0
		}
	})

	require.Equal(t, round.End{}, f.round(t, "acme", 0, ""))

	require.Equal(t, listedLetters, f.counts(t, "retried"))
	pages, users := f.requests()
	require.Equal(t, listedLetters, users)
	require.LessOrEqual(t, pages, 4, "as often as the client tries a page, once in a round")
}

func TestListWithMorePagesThanLettersIsNotRead(t *testing.T) {
	t.Parallel()
	f := newListFixture(t)
	f.set(func() {
		for n := range 15 * listedLetters {
			f.listed[fmt.Sprint("many-", n)] = march
		}
	})

	require.Equal(t, round.End{}, f.round(t, "acme", 0, ""))

	require.Equal(t, listedLetters, f.counts(t, "retried"))
	pages, users := f.requests()
	require.LessOrEqual(t, pages, listAhead+1, "the first page says how many there are")
	require.GreaterOrEqual(t, users, listedLetters-lettersPerPage)
}

func TestLaneLostWhileTheListIsReadSettlesNothingTwice(t *testing.T) {
	t.Parallel()
	f := newListFixture(t)
	f.onWrite(lettersAhead+2*lettersPerPage, func() {
		f.exec(t, `UPDATE customer_leases SET epoch = epoch + 1, expires_at = rollcall_now()`)
	})

	require.Equal(t, round.End{Hold: round.LaneLostPause, Reason: round.HeldLaneLost}, f.round(t, "acme", 0, ""))
	require.Equal(t, round.End{}, f.round(t, "acme", 0, ""))

	require.Equal(t, listedLetters, f.counts(t, "retried"))
	f.requireWrittenOnce(t)
}

func TestReadingOfTheListGoesOnAfterAnotherCustomersTurn(t *testing.T) {
	t.Parallel()
	f := newListFixture(t)
	f.onboard(t, "globex")
	look, looking := f.rounds.Kind.Look, make(chan struct{})
	f.rounds.Kind.Look = func(ctx context.Context) ([]round.Customer, error) {
		select {
		case looking <- struct{}{}:
		default: // nothing waits for it
		}
		return look(ctx)
	}
	var other uuid.UUID
	f.onWrite(lettersAhead+lettersPerListedPage+1, func() {
		other = f.letter(t, "globex", "1", true)
		for range 2 { // when the second look begins, the customer that the first one found is in the queue
			select {
			case <-looking:
			case <-t.Context().Done():
			}
		}
	})
	ends := f.start(t, 1)

	require.Equal(t, ended{"acme", round.End{More: true}}, ends.Wait(t, within))
	require.Equal(t, ended{"globex", round.End{}}, ends.Wait(t, within))
	require.Equal(t, "retried", f.state(t, other))
	require.Equal(t, ended{"acme", round.End{}}, ends.Wait(t, within))

	require.Equal(t, listedLetters+1, f.counts(t, "retried"))
	pages, _ := f.requests()
	require.Equal(t, (listedLetters+100+14)/15, pages, "none is read twice")
}
