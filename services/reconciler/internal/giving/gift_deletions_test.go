package giving

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/pkg/store"
	"rollcall.dev/services/reconciler/internal/deletion"
)

// knowGifts onboards acme, of which gifts 1 to count are known.
func (f *fixture) knowGifts(t testing.TB, count int) {
	t.Helper()
	f.onboard(t, "acme")
	f.reconciler.Guard = deletion.Guard{Share: 0.05, Min: 10}
	f.perPage = 100
	for id := 1; id <= count; id++ {
		f.gift(int64(id), donationOf(int64(id)), noon)
	}
	f.reconcile(t, "acme", bus.CategoryMissedWebhook)
	require.Equal(t, []int{count}, column[int](t, f, `SELECT count(*) FROM partner_gifts WHERE state = 'live'`))
	f.perPage = 7
	f.exec(t, `TRUNCATE virtuous_reconciliation_log`)
	f.exec(t, `TRUNCATE outbox`)
	f.advance(t, time.Hour)
	f.requests()
}

func donationOf(gift int64) string { return fmt.Sprintf("don-%d", gift) }

// drop has Virtuous delete gifts.
func (f *fixture) drop(ids ...int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, id := range ids {
		delete(f.gifts, donationOf(id))
	}
}

// hide keeps gifts out of queries.
func (f *fixture) hide(ids ...int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.unlisted = ids
}

// spoil says what a request for a gift is answered; "" mends it.
func (f *fixture) spoil(path, answer string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.spoiled = map[string]string{path: answer}
}

// search gives the customer rounds until its search has ended or is held; it passes the times at which something waits.
func (f *fixture) search(t testing.TB) {
	t.Helper()
	f.reconcile(t, "acme", bus.CategoryGiftDeletions)
	f.searchOn(t)
}

func (f *fixture) searchOn(t testing.TB) {
	t.Helper()
	for range 100 {
		if len(column[string](t, f, `SELECT category FROM giving_reconciliations`)) == 0 {
			return
		}
		f.advance(t, time.Hour)
		f.reconcile(t, "acme")
	}
	require.Fail(t, "the search does not end")
}

func (f *fixture) marked(t testing.TB) []int64 {
	t.Helper()
	return column[int64](t, f, `SELECT virtuous_gift_id FROM partner_gifts WHERE state = 'deleted' ORDER BY 1`)
}

// searches returns the searches with their counts: known, listed, missing, deleted.
func (f *fixture) searches(t testing.TB) []string {
	t.Helper()
	return column[string](t, f, `SELECT concat_ws(' ', state, held_for, mapped, scanned, missing, deleted) FROM deletion_runs ORDER BY id`)
}

func (f *fixture) missing(t testing.TB) []string {
	t.Helper()
	return column[string](t, f, `SELECT concat_ws(' ', virtuous_gift_id, state, code) FROM deletion_gifts ORDER BY run_id, virtuous_gift_id`)
}

func (f *fixture) api() *Deletions {
	return &Deletions{Store: f.store, Logger: zap.NewNop(), Wake: func(...string) {}}
}

func upTo(last int64) (ids []int64) {
	for id := int64(1); id <= last; id++ {
		ids = append(ids, id)
	}
	return ids
}

func TestDeletedGiftIsMarkedLoggedAndPublishedOnce(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.knowGifts(t, 40)
	f.drop(1, 7, 40)

	f.search(t)

	require.Equal(t, []int64{1, 7, 40}, f.marked(t))
	require.Equal(t, []string{"done 40 37 3 3"}, f.searches(t))
	require.Equal(t, []string{"gift_deletions 1 marked_deleted", "gift_deletions 7 marked_deleted", "gift_deletions 40 marked_deleted"}, f.logged(t, "acme"))
	require.Equal(t, []int64{3}, column[int64](t, f, `SELECT count(*) FROM outbox WHERE subject = 'rollcall.events.gift.deleted.acme'`))
	asked := slices.DeleteFunc(f.requests(), func(path string) bool { return path == "/Gift/Query" })
	require.Equal(t, []string{"/Gift/1", "/Gift/2", "/Gift/7", "/Gift/40"}, asked, "only what is missing, and one that proves that Virtuous finds gifts by id")

	f.search(t)
	require.Equal(t, []string{"done 40 37 3 3", "done 37 37 0 0"}, f.searches(t))
	require.Len(t, f.logged(t, "acme"), 3)
}

func TestAnswerOtherThanNotFoundMarksNoGiftAndIsAskedForAgain(t *testing.T) {
	t.Parallel()
	for _, answer := range []string{"401", "403", "429", "400", "500", "503", "broken", "timeout", "html", "transaction", "empty"} {
		t.Run(answer, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			f.knowGifts(t, 30)
			f.drop(7, 8)
			f.spoil("/Gift/7", answer)
			f.reconciler.Virtuous.Timeout = 500 * time.Millisecond

			f.reconcile(t, "acme", bus.CategoryGiftDeletions)
			f.advance(t, 20*time.Minute)
			f.reconcile(t, "acme")
			require.NotContains(t, f.marked(t), int64(7))
			require.Equal(t, []string{"asking"}, column[string](t, f, `SELECT state FROM deletion_runs`))

			f.spoil("", "")
			f.reconciler.Virtuous.Timeout = 10 * time.Second
			f.searchOn(t)
			require.Equal(t, []int64{7, 8}, f.marked(t))
			require.Empty(t, f.alerts(t, "acme"))
		})
	}
}

func TestGiftOfWhichVirtuousNeverSaysAnythingClearStaysAndIsFoundByTheNextSearch(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.knowGifts(t, 30)
	f.drop(7, 8)
	f.spoil("/Gift/7", "500")

	f.search(t)
	require.Equal(t, []int64{8}, f.marked(t))
	require.Equal(t, []string{"done 30 28 2 1"}, f.searches(t))
	require.Equal(t, []string{"7 unknown virtuous_5xx", "8 deleted"}, f.missing(t))
	asked := slices.DeleteFunc(f.requests(), func(path string) bool { return path != "/Gift/7" })
	require.LessOrEqual(t, len(asked), 3*mostTries, "its questions have an end")

	f.spoil("", "")
	f.search(t)
	require.Equal(t, []int64{7, 8}, f.marked(t))
}

func TestGiftThatIsOnlyMissingInTheListIsAppliedAndStays(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.knowGifts(t, 30)
	f.hide(7, 8)
	f.gifts[donationOf(8)]["amount"], f.gifts[donationOf(8)]["modifiedDateTimeUtc"] = 130, noon.Add(time.Minute).UTC().Format(time.RFC3339)

	f.search(t)

	require.Empty(t, f.marked(t))
	require.Equal(t, []string{"7 found", "8 found"}, f.missing(t))
	require.Equal(t, []string{"gift_deletions 8 applied_inbound"}, f.logged(t, "acme"))
	require.Equal(t, []string{"130"}, column[string](t, f, `SELECT amount::text FROM partner_gifts WHERE virtuous_gift_id = 8`))
}

func TestGiftThatWasSeenSinceTheSearchBeganIsNotMissing(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.knowGifts(t, 30)
	f.drop(7)
	isEntered := false
	f.reconciler.reached = func(at string) error {
		switch {
		case at == "ids_read" && !isEntered:
			isEntered = true
			f.hide(99) // the list was read before it was entered
			f.gift(99, donationOf(99), noon)
			f.webhook(t, "acme", donationOf(99))
		case at == "judged":
			f.gift(7, donationOf(7), noon.Add(time.Hour))
			f.advance(t, time.Second)
			f.webhook(t, "acme", donationOf(7))
			f.drop(7) // what it was is said by a later search
		}
		return nil
	}

	f.search(t)

	require.Empty(t, f.marked(t))
	require.Equal(t, []string{"7 found seen_meanwhile"}, f.missing(t))
	require.NotContains(t, f.requests(), "/Gift/99")
}

func TestNotFoundForListedGiftsMarksNothing(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.knowGifts(t, 30)
	f.drop(20)
	f.spoiled = map[string]string{}
	for _, id := range upTo(30) {
		f.spoiled[fmt.Sprintf("/Gift/%d", id)] = "404"
	}

	f.reconcile(t, "acme", bus.CategoryGiftDeletions)
	require.Empty(t, f.marked(t))
	require.Equal(t, []string{"virtuous_query_failed"}, column[string](t, f, `SELECT fault FROM giving_reconciliations`))

	f.spoil("", "")
	f.searchOn(t)
	require.Equal(t, []int64{20}, f.marked(t))
}

func TestManyMissingGiftsWaitForAnOperator(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.knowGifts(t, 100)
	f.drop(upTo(30)...)
	ctx := t.Context()
	command := operatorapi.DeletionCommand{CustomerID: "acme", Entity: operatorapi.EntityGift}

	f.search(t)
	require.Empty(t, f.marked(t))
	require.Equal(t, []string{"held share 100 70 30 0"}, f.searches(t))
	require.Equal(t, []string{"gift_deletions_held"}, f.alerts(t, "acme"))
	require.Equal(t, []string{"Virtuous no longer lists unusually many gifts: none of them is marked as deleted until an operator approves it. 30 of 100 gifts " +
		"(30.0 %) would be marked as deleted, which is more than DELETION_GUARD allows. Virtuous ids: 1, 2, 3, 4, 5, …"},
		column[string](t, f, `SELECT convert_from(payload, 'UTF8')::jsonb ->> 'text' FROM outbox WHERE subject LIKE 'rollcall.alerts.%'`))
	require.False(t, slices.ContainsFunc(f.requests(), func(path string) bool { return path != "/Gift/Query" }), "no gift is asked for")
	_, err := f.api().Scan(ctx, command)
	require.ErrorContains(t, err, "held")
	f.search(t)
	require.Len(t, f.searches(t), 1, "none is begun while one is held")

	done, err := f.api().Reject(ctx, command)
	require.NoError(t, err)
	require.Equal(t, "rejected", done.Deletion.State)
	require.Empty(t, f.alerts(t, "acme"))
	_, err = f.api().Approve(ctx, command)
	require.ErrorContains(t, err, "no such deletion scan")
	started, err := f.api().Scan(ctx, command)
	require.NoError(t, err)
	require.Equal(t, operatorapi.DeletionScanStarted, started.Action)
	f.searchOn(t)

	f.advance(t, 48*time.Hour)
	f.gift(30, donationOf(30), noon) // staff restored it
	done, err = f.api().Approve(ctx, command)
	require.NoError(t, err)
	require.Equal(t, "approved", done.Deletion.State)
	require.Empty(t, f.alerts(t, "acme"))
	f.searchOn(t)
	require.Equal(t, upTo(29), f.marked(t), "exactly those that Virtuous does not have")
	require.Equal(t, []string{"rejected share 100 70 30 0", "done share 100 70 30 29"}, f.searches(t))

	shown, err := f.api().Show(ctx, operatorapi.DeletionQuestion{CustomerID: "acme", Entity: "gift", State: "found"})
	require.NoError(t, err)
	require.Len(t, shown.Candidates, 1)
	require.EqualValues(t, 30, *shown.Candidates[0].VirtuousGiftID)
	_, err = f.api().Show(ctx, operatorapi.DeletionQuestion{CustomerID: "acme", Entity: "gift", State: "failed"})
	require.Error(t, err)
}

func TestEmptyListIsHeldAndCannotBeApproved(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.knowGifts(t, 3)
	f.hide(upTo(3)...)
	f.search(t)
	require.Equal(t, []string{"held empty_source 3 0 3 0"}, f.searches(t))
	_, err := f.api().Approve(t.Context(), operatorapi.DeletionCommand{CustomerID: "acme"})
	require.ErrorContains(t, err, "no proof")
	require.Empty(t, f.marked(t))
}

func TestUndoneDeletionIsReadAgain(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.knowGifts(t, 30)
	f.drop(7, 8, 9)
	f.search(t)
	require.Equal(t, []int64{7, 8, 9}, f.marked(t))
	f.advance(t, time.Hour)
	f.gift(7, donationOf(7), noon)
	f.hide(7)
	undo := func(ids ...int64) (operatorapi.UndoCommanded, error) {
		return f.api().Undo(t.Context(), operatorapi.UndoCommand{CustomerID: "acme", Entity: "gift", GiftIDs: ids})
	}

	_, err := undo(3)
	require.ErrorContains(t, err, "none of these gifts was deleted")
	said, err := undo(7, 8, 3)
	require.NoError(t, err)
	require.EqualValues(t, 2, said.Gifts)
	require.Equal(t, []string{"3"}, said.NotDeleted)
	f.searchOn(t)

	require.Equal(t, []int64{8, 9}, f.marked(t))
	require.Equal(t, []string{"7 restored", "8 deleted source_not_found", "9 deleted"}, f.missing(t))
	require.Contains(t, f.logged(t, "acme"), "gift_deletions 7 applied_inbound")
	f.advance(t, 8*24*time.Hour)
	_, err = undo(9)
	require.ErrorContains(t, err, "none of these gifts was deleted")
}

// More gifts than one transaction compares lie between two ids of Virtuous' list, and behind its last one.
func TestLongGapInTheListIsComparedInParts(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.knowGifts(t, 3)
	f.gift(100_000, donationOf(100_000), noon)
	f.reconcile(t, "acme", bus.CategoryMissedWebhook)
	f.exec(t, `INSERT INTO partner_gifts (customer_id, virtuous_gift_id, state, amount, content_hash, sealed, created_at, last_sync_at)
		SELECT 'acme', n, 'live', 125, '\x00', '\x00', rollcall_now(), rollcall_now() FROM generate_series(10, 202000) n WHERE n < 2510 OR n > 200000`)
	f.advance(t, time.Hour)
	f.reconciler.Turn = time.Nanosecond // each part is a turn
	f.search(t)
	require.Equal(t, []string{"held share 4504 4 4500 0"}, f.searches(t))
	require.Equal(t, []int{4500}, column[int](t, f, `SELECT count(*) FROM deletion_gifts WHERE virtuous_gift_id NOT IN (1, 2, 3, 100000)`))
}

func TestSearchOfAnotherOrganizationsGiftsEnds(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.knowGifts(t, 100)
	f.drop(upTo(30)...)
	f.search(t)
	require.NoError(t, f.store.InTx(t.Context(), func(ctx context.Context, tx *store.Tx) error { return tx.ForgetVirtuousState(ctx, "acme") }))
	require.Equal(t, []string{"failed share 100 70 30 0"}, f.searches(t))
	_, err := f.api().Approve(t.Context(), operatorapi.DeletionCommand{CustomerID: "acme"})
	require.ErrorContains(t, err, "no such deletion scan")
}

func TestCommandsForACustomerWithoutGivingAreRejected(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.onboard(t, "acme")
	f.exec(t, `UPDATE virtuous_configs SET enabled = false, disabled_reason = 'auth_failed'`)
	_, err := f.api().Scan(t.Context(), operatorapi.DeletionCommand{CustomerID: "acme"})
	require.ErrorContains(t, err, "switched off")
	_, err = f.api().Scan(t.Context(), operatorapi.DeletionCommand{CustomerID: "globex"})
	require.ErrorIs(t, err, store.ErrNotFound)
	_, err = f.api().Undo(t.Context(), operatorapi.UndoCommand{CustomerID: "acme"})
	require.ErrorContains(t, err, "virtuousGiftIds")
}

func TestSearchesForDeletedGiftsAndDriftAreWeeklyAtNightAndTheReportDoesNotWaitForThem(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.daily(t, "acme", "America/Phoenix")
	var asked []time.Time
	for range 21 * 12 {
		f.look(t)
		if len(column[string](t, f, `SELECT category FROM giving_reconciliations WHERE category = 'gift_deletions'`)) > 0 {
			now, err := f.store.Now(t.Context())
			require.NoError(t, err)
			asked = append(asked, now)
			require.Len(t, column[string](t, f, `SELECT category FROM giving_reconciliations WHERE category = 'drift'`), 1)
			f.exec(t, `DELETE FROM giving_reconciliations WHERE category NOT IN ('gift_deletions', 'drift', 'report')`)
			require.Equal(t, 1, f.storeReports(t))
		}
		f.exec(t, `DELETE FROM giving_reconciliations`)
		f.advance(t, 2*time.Hour)
	}
	require.Len(t, asked, 3)
	phoenix, err := time.LoadLocation("America/Phoenix")
	require.NoError(t, err)
	for i, at := range asked {
		require.LessOrEqual(t, at.In(phoenix).Hour(), 7, "the look is up to two hours later")
		require.Equal(t, asked[0].Weekday(), at.Weekday())
		require.Equal(t, asked[0].AddDate(0, 0, 7*i), at)
	}
}

// The places are all between two effects of a search.
func TestCrashDuringASearchForDeletedGiftsMarksEachOnce(t *testing.T) {
	t.Parallel()
	for _, place := range []string{"ids_read", "compared", "judged", "asked", "marked", "kept", "try_ended", "undone"} {
		for crashAt := 1; crashAt <= 3; crashAt++ {
			t.Run(fmt.Sprintf("%s %d", place, crashAt), func(t *testing.T) {
				t.Parallel()
				f := newFixture(t)
				f.knowGifts(t, 40)
				f.drop(1, 7, 8, 40)
				f.hide(20, 21, 22)
				if place == "undone" { // an earlier search has marked them, and the operator is sure that they are there
					f.search(t)
					f.advance(t, time.Hour)
					for _, id := range []int64{1, 7, 8, 40} {
						f.gift(id, donationOf(id), noon)
					}
					_, err := f.api().Undo(t.Context(), operatorapi.UndoCommand{CustomerID: "acme", GiftIDs: []int64{1, 7, 8, 40}})
					require.NoError(t, err)
				}
				if place == "try_ended" {
					f.spoil("/Gift/20", "500")
				}
				died, count := errors.New("the process died"), 0
				f.reconciler.reached = func(at string) error {
					if at == place {
						if count++; count == crashAt {
							return died
						}
					}
					return nil
				}
				f.search(t)
				require.GreaterOrEqual(t, count, min(crashAt, 1))

				want, entries := []int64{1, 7, 8, 40}, 4
				if place == "undone" {
					want, entries = []int64{}, 8
				}
				require.Equal(t, want, f.marked(t))
				require.Len(t, f.logged(t, "acme"), entries, strings.Join(f.logged(t, "acme"), "\n"))
				require.Equal(t, []int64{4}, column[int64](t, f, `SELECT count(*) FROM outbox WHERE subject = 'rollcall.events.gift.deleted.acme'`))
				require.Equal(t, []int{40, 33, 7, 4}, column[int](t, f, `SELECT unnest(ARRAY[mapped, scanned, missing, deleted]) FROM deletion_runs
					WHERE id = (SELECT min(id) FROM deletion_runs)`), "each is counted once")
				require.Empty(t, column[string](t, f, `SELECT state FROM deletion_runs WHERE state <> 'done'`))
			})
		}
	}
}
