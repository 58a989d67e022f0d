package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/connector"
	"rollcall.dev/pkg/mirror"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/testkit"
	"rollcall.dev/pkg/vomo"
)

// many opens that many due letters of a customer whose users VOMO has.
func (d *desk) many(t *testing.T, customer string, letters int) {
	t.Helper()
	d.exec(t, `INSERT INTO dead_letters (id, customer_id, kind, record_id, source_updated_at, version_hash, original_subject, job,
			error_code, error_class, state, first_failed_at, last_failed_at, next_attempt_at)
		SELECT gen_random_uuid(), $1, 'user', $1 || '-' || n, '2026-03-01 12:00:00Z', 'hash', 'rollcall.dlq.retry.user.' || $1, 'user_sync_poll',
			'destination_5xx', 'retryable', 'waiting', at, at + interval '0', at
		FROM generate_series(1, $2) n, rollcall_now() at`, customer, letters)
	d.set(func() {
		for n := range letters {
			d.users[fmt.Sprintf("%s-%d", customer, n+1)] = march
		}
	})
}

func TestTenThousandLettersOfOneCustomerHoldNobodyElseUp(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.retry.slots, d.retry.queue = 1, newQueue(1, time.Now) // nothing but turns keeps them apart
	d.many(t, "acme", 10000)
	turns := testkit.NewSignal[string]()
	d.retry.turned = func(customer string, _ ended) { turns.Send(customer) }
	d.set(func() {
		d.crm = func(string, string) (int, string) {
			<-time.After(5 * time.Millisecond) // a slow destination
			return http.StatusOK, `{"id":"crm"}`
		}
	})
	start(t, d.retry.run)
	turns.Require(t, within, "acme")
	d.onboard(t, "globex")
	began := time.Now()
	id := d.letter(t, "globex", "1", true)

	require.Eventually(t, func() bool { return d.state(t, id) == "retried" }, within, 5*time.Millisecond)

	require.Less(t, time.Since(began), 5*time.Second, "its own delay and two seconds, on a machine that may be busy")
	left := value[int](t, d, `SELECT count(*) FROM dead_letters WHERE customer_id = 'acme' AND state = 'waiting'`)
	require.Greater(t, left, 5000, "its turn came long before that of all who stood there before it")
}

func dueOf(ids ...string) []store.LetterCustomer {
	var customers []store.LetterCustomer
	for _, id := range ids {
		customers = append(customers, store.LetterCustomer{ID: id})
	}
	return customers
}

func idsOf(customers []store.LetterCustomer) []string {
	ids := []string{}
	for _, customer := range customers {
		ids = append(ids, customer.ID)
	}
	return ids
}

// suspectsAtWork is how many customers have a turn whose last one something else put an end to.
func (q *queue) suspectsAtWork() (n int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, at := range q.of {
		if at.running && at.holds > 0 {
			n++
		}
	}
	return n
}

func TestDestinationsThatHangOccupyHalfOfTheSlotsAtMost(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.retry.slots, d.retry.queue = 4, newQueue(4, time.Now)
	d.set(func() {
		d.crm = func(customer, _ string) (int, string) {
			if customer == "globex" {
				return http.StatusOK, `{"id":"crm"}`
			}
			return 0, ""
		}
	})
	var hanging []string
	for i := range 6 {
		customer := fmt.Sprint("hangs-", i)
		d.onboard(t, customer)
		d.many(t, customer, 1)
		hanging = append(hanging, customer)
	}
	// Each has failed before, as those that hang have after their first turn.
	d.retry.queue.offer(dueOf(hanging...))
	for range hanging {
		next, ok := d.retry.queue.take()
		require.True(t, ok)
		d.retry.queue.done(next.customer, ended{reason: "destination_down", counts: true})
	}
	start(t, d.retry.run)
	require.Eventually(t, func() bool {
		d.mu.Lock()
		defer d.mu.Unlock()
		return d.tried >= 2
	}, within, 5*time.Millisecond)
	d.onboard(t, "globex")
	id := d.letter(t, "globex", "1", true)
	require.Eventually(t, func() bool {
		require.LessOrEqual(t, d.retry.queue.suspectsAtWork(), 2)
		return d.state(t, id) == "retried"
	}, within, 5*time.Millisecond)
	d.mu.Lock()
	require.Empty(t, func() (of []written) {
		for _, w := range d.writes {
			if w.customer != "globex" {
				of = append(of, w)
			}
		}
		return of
	}())
	d.mu.Unlock()
	close(d.hanging)
}

func TestWhoHadATurnGoesToTheBackAndWhoIsHeldStandsNowhere(t *testing.T) {
	t.Parallel()
	clock := testkit.NewClock(time.Time{})
	q := newQueue(4, clock.Now)
	take := func() string {
		next, ok := q.take()
		if !ok {
			return ""
		}
		return next.customer
	}
	q.offer(dueOf("a", "b"))
	q.offer(dueOf("b", "a", "c"))
	require.Equal(t, "a", take())
	q.offer(dueOf("a"))
	q.done("a", ended{more: true})
	require.Equal(t, []string{"b", "c", "a", ""}, []string{take(), take(), take(), take()})

	q.done("a", ended{hold: 2 * time.Second, reason: "destination_down", counts: true})
	q.done("b", ended{hold: time.Second, reason: heldLaneTaken})
	q.done("c", ended{})
	q.offer(dueOf("a", "b", "c"))
	require.Equal(t, []string{"c", ""}, []string{take(), take()})
	require.Equal(t, time.Second, q.next(time.Minute))
	clock.Advance(2 * time.Second)
	q.offer(dueOf("b", "a"))
	next, _ := q.take()
	require.Equal(t, turnFor{customer: "b", reason: heldLaneTaken}, next)
	next, _ = q.take()
	require.Equal(t, turnFor{customer: "a", holds: 1, reason: "destination_down"}, next)

	q.done("a", ended{hold: time.Minute, reason: "destination_down", counts: true})
	q.release([]string{"a", "nobody"})
	q.offer(dueOf("a"))
	next, _ = q.take()
	require.Equal(t, 2, next.holds)
	q.done("a", ended{})
	q.done("b", ended{})
	q.done("c", ended{})
	require.Equal(t, time.Minute, q.next(time.Minute))
	require.Empty(t, q.of, "nobody is remembered for nothing")
}

func TestACustomerWhoseDestinationHungLetsOthersGoFirstForAWhile(t *testing.T) {
	t.Parallel()
	clock := testkit.NewClock(time.Time{})
	q := newQueue(1, clock.Now)
	q.offer(dueOf("hangs"))
	next, _ := q.take()
	q.done(next.customer, ended{hold: time.Second, reason: "destination_down", counts: true})
	clock.Advance(time.Second)
	q.offer(dueOf("hangs", "fine"))
	for range 59 {
		next, ok := q.take()
		require.True(t, ok)
		require.Equal(t, "fine", next.customer, "though it came later")
		clock.Advance(time.Second)
		q.done("fine", ended{more: true})
	}
	clock.Advance(time.Second)
	next, _ = q.take()
	require.Equal(t, "hangs", next.customer, "others with work without end do not keep it for good")
}

func TestLookingForDueLettersCostsAStepForEachCustomer(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.exec(t, `INSERT INTO dead_letters (id, customer_id, kind, record_id, original_subject, job, error_code, error_class, state,
			first_failed_at, last_failed_at, next_attempt_at)
		SELECT gen_random_uuid(), 'acme', 'user', n::text, 's', 'j', 'c', 'retryable', 'waiting', at, at + interval '0', at
		FROM generate_series(1, 100000) n, now() at`)
	d.onboard(t, "globex")
	d.letter(t, "globex", "1", true)
	d.exec(t, `ANALYZE dead_letters`)
	took, counting := time.Hour, time.Hour
	for range 5 {
		began := time.Now()
		customers, err := d.store.LetterCustomers(t.Context())
		took = min(took, time.Since(began))
		require.NoError(t, err)
		require.ElementsMatch(t, []string{"acme", "globex"}, idsOf(customers))
		began = time.Now()
		require.Equal(t, 100001, value[int](t, d, `SELECT count(*) FROM dead_letters WHERE state = 'waiting'`))
		counting = min(counting, time.Since(began))
	}
	t.Logf("100,001 due letters of two customers: %s; to count them: %s", took, counting)
	require.Less(t, took, 50*time.Millisecond)
	require.Less(t, took, counting, "it does not look at each of them")
	d.exec(t, `UPDATE sync_configs SET paused_at = now() WHERE customer_id = 'acme'`)
	customers, err := d.store.LetterCustomers(t.Context())
	require.NoError(t, err)
	require.Equal(t, []string{"globex"}, idsOf(customers))
}

func TestWhatIsAskedForWhileATurnIsUnderWayIsNotHeld(t *testing.T) {
	t.Parallel()
	clock := testkit.NewClock(time.Time{}.AddDate(2025, 0, 0))
	q := newQueue(4, clock.Now)
	forbidden := ended{hold: 15 * time.Minute, reason: "vomo_forbidden", counts: true}
	// turn gives acme a turn during which an operator asks, and says whether the next one follows.
	turn := func(ended ended) bool {
		q.offer(dueOf("acme"))
		_, ok := q.take()
		require.True(t, ok)
		q.release([]string{"acme"}) // rollcall dlq retry
		q.done("acme", ended)
		_, ok = q.take()
		if ok {
			q.done("acme", forbidden)
		}
		return ok
	}

	require.True(t, turn(forbidden), "it is tried now")
	q.offer(dueOf("acme"))
	_, ok := q.take()
	require.False(t, ok, "once")
	q.release([]string{"acme"})
	require.False(t, turn(forbidden), "not for each of the thousands that somebody asks for")
	clock.Advance(20 * time.Minute)
	require.False(t, turn(ended{hold: time.Second}), "whoever wants the lane gets it")
	clock.Advance(time.Second)
	require.True(t, turn(forbidden))
}

func TestATokenThatComesDuringATurnEndsItsHold(t *testing.T) {
	t.Parallel()
	q := newQueue(4, time.Now)
	q.offer(dueOf("acme"))
	_, ok := q.take()
	require.True(t, ok)
	q.offer([]store.LetterCustomer{{ID: "acme", RenewedAt: time.Now()}})
	q.done("acme", ended{hold: 15 * time.Minute, reason: "vomo_forbidden", counts: true})
	_, ok = q.take()
	require.True(t, ok)
}

func TestANewTokenEndsWhatHeldTheLettersForTheOldOne(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	id := d.letter(t, "acme", "1", true)
	d.set(func() { d.vomo = func(string) int { return http.StatusForbidden } })
	look := func() (turnFor, bool) {
		d.retry.look(t.Context())
		return d.retry.queue.take()
	}
	next, ok := look()
	require.True(t, ok)
	held := d.turn(t, next.customer, next.holds, next.reason)
	require.Equal(t, "vomo_forbidden", held.reason)
	d.retry.queue.done(next.customer, held)
	_, ok = look()
	require.False(t, ok)

	d.set(func() { d.vomo = func(string) int { return 0 } })
	require.NoError(t, d.store.InTx(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		sealed, err := d.vault.Seal(ctx, "acme", store.CredentialVomoToken, []byte("new"))
		require.NoError(t, err)
		return tx.SaveCredential(ctx, "acme", store.CredentialVomoToken, sealed)
	}))

	next, ok = look()
	require.True(t, ok, "at once, not a quarter of an hour later")
	require.Equal(t, ended{}, d.turn(t, next.customer, next.holds, next.reason))
	require.Equal(t, "retried", d.state(t, id))
}

// A poll that read a user before an edit, and a retry that reads after it, or the other way round: whoever comes
// second finds the lane taken or the newer version known. The CRM's last word is the newest.
func TestAPollAndARetryNeverLeaveAnOlderVersion(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	for round := range 200 {
		id := fmt.Sprint("u", round)
		d.letter(t, "acme", id, true)
		read := d.page(t, id, march) // as a poll read it before the edit
		d.set(func() { d.users[id] = april })
		var racing sync.WaitGroup
		racing.Go(func() {
			for d.turn(t, "acme", 0, "").reason == heldLaneTaken { //nolint:revive // it comes back, as it would
			}
		})
		racing.Go(func() {
			for !d.poll(t, read) { //nolint:revive // it comes back, as it would
			}
		})
		racing.Wait()
	}
	last := map[string]time.Time{}
	for _, w := range d.wrote() {
		require.False(t, w.updated.Before(last[w.id]), "an older version of %s came after a newer one", w.id)
		last[w.id] = w.updated
	}
	require.Len(t, last, 200)
	for id, at := range last {
		require.Equal(t, time.April, at.Month(), id)
	}
	require.Equal(t, 200, value[int](t, d, `SELECT count(*) FROM user_mappings WHERE last_synced_updated_at = '2026-04-01 12:00:00Z'`))
	require.Zero(t, value[int](t, d, `SELECT count(*) FROM dead_letters WHERE state <> 'settled'`))
}

func (d *desk) page(t *testing.T, id, updated string) vomo.Page {
	t.Helper()
	at, err := time.Parse(time.RFC3339, updated)
	require.NoError(t, err)
	first, email := "Ana", "ana@example.org"
	return vomo.Page{Number: 1, Total: 1, Users: []vomo.User{{ID: id, FirstName: &first, Email: &email, UpdatedAt: at}}}
}

// poll applies a page as a poll does; false where the lane is taken.
func (d *desk) poll(t *testing.T, page vomo.Page) bool {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	lease, err := d.store.TakeLease(ctx, "acme", "poller", claimTimeout)
	if errors.Is(err, store.ErrLaneTaken) {
		return false
	}
	customer, err := d.store.Customer(ctx, "acme")
	if err == nil {
		var lane *mirror.Lane
		if lane, err = d.retry.connect.Lane(ctx, customer, lease, connector.Job{Name: "user_sync_poll"}); err == nil {
			_, err = lane.Apply(ctx, page, mirror.ApplyOptions{PresumeOutage: true}, func(context.Context, *store.Tx, mirror.Outcome) error { return nil })
		}
	}
	if err = errors.Join(err, lease.Release(ctx)); err != nil {
		t.Error(err)
	}
	return true
}
