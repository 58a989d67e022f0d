package retry

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/connector"
	"rollcall.dev/pkg/mirror"
	"rollcall.dev/pkg/round"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/vomo"
)

// many opens that many due letters of a customer whose users VOMO has.
func (f *fixture) many(t *testing.T, customer string, letters int) {
	t.Helper()
	f.exec(t, `INSERT INTO dead_letters (id, customer_id, kind, record_id, source_updated_at, version_hash, original_subject, job,
			error_code, error_class, state, first_failed_at, last_failed_at, next_attempt_at)
		SELECT gen_random_uuid(), $1, 'user', $1 || '-' || n, '2026-03-01 12:00:00Z', 'hash', 'rollcall.dlq.retry.user.' || $1, 'user_sync_poll',
			'destination_5xx', 'retryable', 'waiting', at, at + interval '0', at
		FROM generate_series(1, $2) n, rollcall_now() at`, customer, letters)
	f.set(func() {
		for n := range letters {
			f.users[fmt.Sprintf("%s-%d", customer, n+1)] = march
		}
	})
}

func TestTenThousandLettersOfOneCustomerDoNotDelayOthers(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.many(t, "acme", 10000)
	f.set(func() {
		f.crm = func(string, string) (int, string) {
			<-time.After(5 * time.Millisecond) // a slow destination
			return http.StatusOK, `{"id":"crm"}`
		}
	})
	f.start(t, 1) // slot: nothing but turns keeps them apart
	require.Eventually(t, func() bool { return len(f.wrote()) > 0 }, within, time.Millisecond)
	f.onboard(t, "globex")
	began := time.Now()
	id := f.letter(t, "globex", "1", true)

	require.Eventually(t, func() bool { return f.state(t, id) == "retried" }, within, 5*time.Millisecond)

	require.Less(t, time.Since(began), 5*time.Second, "its own delay and two seconds, on a machine that may be busy")
	left := value[int](t, f, `SELECT count(*) FROM dead_letters WHERE customer_id = 'acme' AND state = 'waiting'`)
	require.Greater(t, left, 5000, "its round came long before the others' rounds were over")
}

func idsOf(customers []store.LetterCustomer) []string {
	ids := []string{}
	for _, customer := range customers {
		ids = append(ids, customer.ID)
	}
	return ids
}

func TestHangingDestinationsHoldAtMostHalfOfTheSlots(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	for i := range 6 {
		customer := fmt.Sprint("hangs-", i)
		f.onboard(t, customer)
		f.many(t, customer, 1)
	}
	work, heldAtWork, most := f.rounds.Kind.Work, 0, 0
	f.rounds.Kind.Work = func(ctx context.Context, r *round.Round) (more bool, err error) {
		if r.Holds > 0 {
			f.set(func() { heldAtWork++; most = max(most, heldAtWork) })
			defer f.set(func() { heldAtWork-- })
		}
		return work(ctx, r)
	}
	f.crmSays(http.StatusServiceUnavailable, ``)
	ends := f.start(t, 4)
	for held := map[string]bool{}; len(held) < 6; { // destinations that hang after their first round
		one := ends.Wait(t, within)
		require.Equal(t, "destination_down", one.end.Reason)
		held[one.customer] = true
	}
	tried := 0
	f.set(func() {
		tried = f.tried
		f.crm = func(customer, _ string) (int, string) {
			if customer == "globex" {
				return http.StatusOK, `{"id":"crm"}`
			}
			return 0, ""
		}
	})
	require.Eventually(t, func() bool {
		f.mu.Lock()
		defer f.mu.Unlock()
		return f.tried >= tried+2
	}, within, 5*time.Millisecond)
	f.onboard(t, "globex")
	id := f.letter(t, "globex", "1", true)
	require.Eventually(t, func() bool { return f.state(t, id) == "retried" }, within, 5*time.Millisecond)
	f.mu.Lock()
	require.LessOrEqual(t, most, 2)
	require.Empty(t, func() (of []written) {
		for _, w := range f.writes {
			if w.customer != "globex" {
				of = append(of, w)
			}
		}
		return of
	}())
	f.mu.Unlock()
	close(f.hanging)
}

func TestSearchForDueLettersCostsAStepPerCustomer(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.exec(t, `INSERT INTO dead_letters (id, customer_id, kind, record_id, original_subject, job, error_code, error_class, state,
			first_failed_at, last_failed_at, next_attempt_at)
		SELECT gen_random_uuid(), 'acme', 'user', n::text, 's', 'j', 'c', 'retryable', 'waiting', at, at + interval '0', at
		FROM generate_series(1, 100000) n, now() at`)
	f.onboard(t, "globex")
	f.letter(t, "globex", "1", true)
	f.exec(t, `ANALYZE dead_letters`)
	took, counting := time.Hour, time.Hour
	for range 5 {
		began := time.Now()
		customers, err := f.store.LetterCustomers(t.Context())
		took = min(took, time.Since(began))
		require.NoError(t, err)
		require.ElementsMatch(t, []string{"acme", "globex"}, idsOf(customers))
		began = time.Now()
		require.Equal(t, 100001, value[int](t, f, `SELECT count(*) FROM dead_letters WHERE state = 'waiting'`))
		counting = min(counting, time.Since(began))
	}
	t.Logf("100,001 due letters of two customers: %s; to count them: %s", took, counting)
	require.Less(t, took, 50*time.Millisecond)
	require.Less(t, took, counting, "it does not look at each of them")
	f.exec(t, `UPDATE sync_configs SET paused_at = now() WHERE customer_id = 'acme'`)
	customers, err := f.store.LetterCustomers(t.Context())
	require.NoError(t, err)
	require.Equal(t, []string{"globex"}, idsOf(customers))
}

func TestNewTokenEndsHold(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	id := f.letter(t, "acme", "1", true)
	f.set(func() { f.vomo = func(string) int { return http.StatusForbidden } })
	var looks atomic.Int64
	look := f.rounds.Kind.Look
	f.rounds.Kind.Look = func(ctx context.Context) ([]round.Customer, error) {
		looks.Add(1)
		return look(ctx)
	}
	ends := f.start(t, 4)
	ends.Require(t, within, ended{"acme", round.End{Hold: 15 * time.Minute, Reason: "vomo_forbidden", Counts: true}})
	before := looks.Load()
	require.Eventually(t, func() bool { return looks.Load() >= before+3 }, within, 10*time.Millisecond)
	ends.RequireNone(t)

	f.set(func() { f.vomo = func(string) int { return 0 } })
	require.NoError(t, f.store.InTx(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		sealed, err := f.vault.Seal(ctx, "acme", store.CredentialVomoToken, []byte("new"))
		require.NoError(t, err)
		return tx.SaveCredential(ctx, "acme", store.CredentialVomoToken, sealed)
	}))

	ends.Require(t, within, ended{"acme", round.End{}}) // at once, not a quarter of an hour later
	require.Equal(t, "retried", f.state(t, id))
}

// A poll that read a user before an edit, and a retry that reads after it, or the other way round: the second
// one finds the lane taken, or the newer version in the mapping. The last version in the CRM is the newest.
func TestPollAndRetryNeverLeaveAnOlderVersion(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	for n := range 200 {
		id := fmt.Sprint("u", n)
		f.letter(t, "acme", id, true)
		read := f.page(t, id, march) // as a poll read it before the edit
		f.set(func() { f.users[id] = april })
		var racing sync.WaitGroup
		racing.Go(func() {
			for f.round(t, "acme", 0, "").Reason == round.HeldLaneTaken { //nolint:revive // it comes back, as it would
			}
		})
		racing.Go(func() {
			for !f.poll(t, read) { //nolint:revive // it comes back, as it would
			}
		})
		racing.Wait()
	}
	last := map[string]time.Time{}
	for _, w := range f.wrote() {
		require.False(t, w.updated.Before(last[w.id]), "an older version of %s came after a newer one", w.id)
		last[w.id] = w.updated
	}
	require.Len(t, last, 200)
	for id, at := range last {
		require.Equal(t, time.April, at.Month(), id)
	}
	require.Equal(t, 200, value[int](t, f, `SELECT count(*) FROM user_mappings WHERE last_synced_updated_at = '2026-04-01 12:00:00Z'`))
	require.Zero(t, value[int](t, f, `SELECT count(*) FROM dead_letters WHERE state <> 'settled'`))
}

func (f *fixture) page(t *testing.T, id, updated string) vomo.Page {
	t.Helper()
	at, err := time.Parse(time.RFC3339, updated)
	require.NoError(t, err)
	first, email := "Ana", "ana@example.org"
	return vomo.Page{Number: 1, Total: 1, Users: []vomo.User{{ID: id, FirstName: &first, Email: &email, UpdatedAt: at}}}
}

// poll applies a page as a poll does; false if the lane is taken.
func (f *fixture) poll(t *testing.T, page vomo.Page) bool {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	lease, err := f.store.TakeLease(ctx, "acme", "poller", claimTimeout)
	if errors.Is(err, store.ErrLaneTaken) {
		return false
	}
	customer, err := f.store.Customer(ctx, "acme")
	if err == nil {
		var lane *mirror.Lane
		if lane, err = f.rounds.Connect.Lane(ctx, customer, lease, connector.Job{Name: "user_sync_poll"}); err == nil {
			_, err = lane.Apply(ctx, page, mirror.ApplyOptions{PresumeOutage: true}, func(context.Context, *store.Tx, mirror.Outcome) error { return nil })
		}
	}
	if err = errors.Join(err, lease.Release(ctx)); err != nil {
		t.Error(err)
	}
	return true
}
