package main

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/event"
	"rollcall.dev/pkg/fault"
	"rollcall.dev/pkg/job"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/vomo"
)

// errRefused is what a job ends with whose token VOMO refused twice.
var errRefused = fault.Unknown("vomo_unauthorized", vomo.ErrUnauthorized)

// customers are mirrored customers whose last poll ended an hour ago, each with an open poll.
func (c *counter) customers(t *testing.T, ids ...string) {
	t.Helper()
	for _, id := range ids {
		sealed, err := c.vault.Seal(t.Context(), id, store.CredentialVomoToken, []byte("t0ken"))
		require.NoError(t, err)
		require.NoError(t, c.store.InTx(t.Context(), func(ctx context.Context, tx *store.Tx) error {
			if _, err := tx.SaveCustomer(ctx, store.Customer{
				ID: id, ExternalSystemURL: "https://crm.example", Destination: []byte(`{"kind":"rest","url":"https://crm.example"}`), PollCadenceMinutes: 30,
			}); err != nil {
				return err
			}
			if err := tx.SaveCredential(ctx, id, store.CredentialVomoToken, sealed); err != nil {
				return err
			}
			if err := tx.MarkBackfilled(ctx, id, 10); err != nil {
				return err
			}
			if err := tx.StartCheckpoint(ctx, id, store.ResourceUserSync); err != nil {
				return err
			}
			_, err := tx.StartSyncRuns(ctx, store.SyncStart{Kind: store.KindPoll, Job: store.JobPoll, Customers: []string{id}, TraceIDs: []string{"00-trace-01"}})
			return err
		}))
	}
	c.sql(t, `UPDATE customer_tokens SET worked_at = rollcall_now() - interval '1 hour'`)
}

// poll is what a worker does with the customer's poll when VOMO answers so: it asks, and parks or completes.
func (c *counter) poll(t *testing.T, id string, outcome error) (parkedFor string) {
	t.Helper()
	_, _, err := c.store.TakeGrant(t.Context(), id, store.JobPoll, time.Microsecond, time.Hour)
	require.NoError(t, err)
	lease, err := c.store.TakeLease(t.Context(), id, "poller-1", time.Minute)
	require.NoError(t, err)
	defer func() { require.NoError(t, lease.Release(t.Context())) }()
	run, err := c.store.OpenSyncRun(t.Context(), id, store.KindPoll)
	require.NoError(t, err)
	run, err = c.store.ClaimSyncRun(t.Context(), run.ID, lease.Epoch)
	require.NoError(t, err)
	if outcome == nil {
		require.NoError(t, c.store.TokenWorked(t.Context(), id))
		require.NoError(t, c.store.InLane(t.Context(), lease, func(ctx context.Context, tx *store.Tx) error { return tx.EndSyncRun(ctx, run, lease.Epoch, "") }))
		return ""
	}
	park, parked := job.ParkFor(outcome, run.Parks)
	require.True(t, parked)
	require.NoError(t, c.store.InLane(t.Context(), lease, func(ctx context.Context, tx *store.Tx) error {
		if park, err = job.Judge(ctx, tx.Conn, id, park, outcome, run.Parks); err != nil {
			return err
		}
		if err := tx.ParkSyncRun(ctx, run.ID, lease.Epoch, park.Reason, job.DetailOf(park, outcome), park.Delay); err != nil {
			return err
		}
		if err := job.TellPark(ctx, tx, id, park); err != nil {
			return err
		}
		return job.NoteRefusal(ctx, tx, id, outcome)
	}))
	return park.Reason
}

// asked has VOMO asked for so many other customers, with which nothing is wrong.
func (c *counter) asked(t *testing.T, others int) {
	t.Helper()
	c.sql(t, fmt.Sprintf(`INSERT INTO customer_budgets (customer_id, next_at)
		SELECT 'other-' || n, rollcall_now() FROM generate_series(1, %d) n`, others))
}

func (c *counter) later(t *testing.T, interval string) {
	t.Helper()
	c.sql(t, `UPDATE test_clock SET at = at + interval '`+interval+`'`)
}

func (c *counter) alerts(t *testing.T, customer, kind string) int {
	t.Helper()
	return c.count(t, fmt.Sprintf(`SELECT count(*) FROM alerts WHERE customer_id = '%s' AND type = '%s' AND cleared_at IS NULL`, customer, kind))
}

const (
	enabled      = `SELECT count(*) FROM sync_configs WHERE enabled AND disabled_reason IS NULL`
	unavailable  = `SELECT count(*) FROM sync_runs WHERE state = 'parked' AND park_reason = 'vomo_unavailable'`
	standingAuth = `SELECT count(*) FROM alerts WHERE type = 'auth_failed' AND cleared_at IS NULL`
)

// The case testdata/all-refuse-at-once.md: eight customers, all polled within 6 s in which VOMO answers 401 to everybody.
func TestRejectionOfAllTokensForSomeSecondsSwitchesNoCustomerOffForGood(t *testing.T) {
	t.Parallel()
	c := newCounter(t, "2026-01-15T00:00:00Z")
	r := &refusals{c.settler}
	var ids []string
	for i := range 8 {
		ids = append(ids, "customer-"+strconv.Itoa(i))
	}
	c.customers(t, ids...)
	c.asked(t, 21)

	for i, id := range ids {
		reason := c.poll(t, id, errRefused)
		require.NoError(t, r.look(t.Context()))
		switch {
		case i < 5: // 5 of 26 are not 20 %
			require.Equal(t, event.AlertAuthFailed, reason, "a single customer is switched off at once")
			require.Equal(t, i+1, c.count(t, standingAuth))
		case i > 5:
			require.Equal(t, job.ParkVomoUnavailable, reason, "it joins the others")
		}
	}

	require.Equal(t, 8, c.count(t, enabled))
	require.Equal(t, 8, c.count(t, unavailable))
	require.Zero(t, c.count(t, standingAuth), "their alerts are cleared")
	require.Equal(t, 1, c.alerts(t, "_installation", event.AlertVomoRefusesMany))
	require.Equal(t, 1, c.count(t, `SELECT count(*) FROM outbox WHERE subject = 'rollcall.alerts.high.vomo_refuses_many._installation'`))
	const soon = `SELECT count(*) FROM sync_runs WHERE due_at <= rollcall_now() + interval '25 seconds' AND park_detail = '` + job.RefusedMany + `'`
	require.Equal(t, 8, c.count(t, soon))

	// It lasts: nothing changes, however often VOMO is asked.
	for range 3 {
		c.later(t, "5 minutes")
		for _, id := range ids {
			require.Equal(t, job.ParkVomoUnavailable, c.poll(t, id, errRefused))
		}
		require.NoError(t, r.look(t.Context()))
	}
	require.Equal(t, 8, c.count(t, enabled))
	require.Equal(t, 1, c.count(t, `SELECT count(*) FROM alerts WHERE type = 'vomo_refuses_many'`))

	// Tokens work again.
	c.later(t, "2 minutes")
	for _, id := range ids[1:] {
		c.poll(t, id, nil)
	}
	require.NoError(t, r.look(t.Context()))
	require.Zero(t, c.alerts(t, "_installation", event.AlertVomoRefusesMany))
	require.Equal(t, event.AlertAuthFailed, c.poll(t, ids[0], errRefused), "from then on a refusal is the customer's own")
	require.NoError(t, r.look(t.Context()))
	require.Equal(t, 7, c.count(t, enabled))
}

func TestFewRefusalsAreTheCustomersOwn(t *testing.T) {
	t.Parallel()
	c := newCounter(t, "2026-01-15T00:00:00Z")
	r := &refusals{c.settler}
	c.customers(t, "a", "b", "c", "d")
	c.poll(t, "a", errRefused)
	c.poll(t, "b", errRefused)
	require.NoError(t, r.look(t.Context()))
	require.Equal(t, 2, c.count(t, standingAuth), "two are not three")
	c.asked(t, 13)
	c.poll(t, "c", errRefused)
	require.NoError(t, r.look(t.Context()))
	require.Equal(t, 3, c.count(t, standingAuth), "three of sixteen are not 20 %")
	c.later(t, "61 seconds")
	c.poll(t, "d", errRefused)
	require.NoError(t, r.look(t.Context()))
	require.Equal(t, 4, c.count(t, standingAuth), "the others were refused more than a minute ago")
}

func TestATokenThatHadNotWorkedForADayStaysSwitchedOff(t *testing.T) {
	t.Parallel()
	c := newCounter(t, "2026-01-15T00:00:00Z")
	r := &refusals{c.settler}
	c.customers(t, "a", "b", "c", "old")
	c.sql(t, `UPDATE customer_tokens SET worked_at = rollcall_now() - interval '25 hours' WHERE customer_id = 'old'`)
	for _, id := range []string{"old", "a", "b", "c"} {
		c.poll(t, id, errRefused)
	}
	require.NoError(t, r.look(t.Context()))
	require.Equal(t, 3, c.count(t, enabled))
	require.Equal(t, 1, c.alerts(t, "old", event.AlertAuthFailed))
}

func TestASwitchedOffTokenThatHadWorkedComesBackByItself(t *testing.T) {
	t.Parallel()
	c := newCounter(t, "2026-01-15T00:00:00Z")
	source := c.watchesVomo(t)
	source.status.Store(http.StatusUnauthorized)
	r := &refusals{c.settler}
	c.customers(t, "acme")
	c.poll(t, "acme", errRefused)
	c.later(t, "59 minutes")
	require.NoError(t, r.tryTokens(t.Context()))
	require.Zero(t, source.asked.Load(), "not before an hour has passed")
	c.later(t, "1 minute")
	for range 3 {
		require.NoError(t, r.tryTokens(t.Context()))
	}
	require.EqualValues(t, 1, source.asked.Load(), "one request")
	require.Equal(t, 1, c.alerts(t, "acme", event.AlertAuthFailed))
	c.later(t, "1 hour")
	source.status.Store(0)

	require.NoError(t, r.tryTokens(t.Context()))

	require.EqualValues(t, 2, source.asked.Load())
	require.Equal(t, 1, c.count(t, enabled))
	require.Zero(t, c.alerts(t, "acme", event.AlertAuthFailed))
	require.Equal(t, 1, c.count(t, `SELECT count(*) FROM sync_runs WHERE state = 'queued'`))
	require.Equal(t, 1, c.count(t, `SELECT count(*) FROM outbox WHERE subject = 'rollcall.poll.request.acme'`))
	c.later(t, "2 hours")
	require.NoError(t, r.tryTokens(t.Context()))
	require.EqualValues(t, 2, source.asked.Load(), "a token that works is not tried")
}

func TestTheTriesEndAfterADay(t *testing.T) {
	t.Parallel()
	c := newCounter(t, "2026-01-15T00:00:00Z")
	source := c.watchesVomo(t)
	source.status.Store(http.StatusUnauthorized)
	r := &refusals{c.settler}
	c.customers(t, "acme", "never")
	c.sql(t, `UPDATE customer_tokens SET worked_at = NULL WHERE customer_id = 'never'`)
	c.poll(t, "acme", errRefused)
	c.poll(t, "never", errRefused)
	for range 48 {
		c.later(t, "1 hour")
		require.NoError(t, r.tryTokens(t.Context()))
	}
	require.EqualValues(t, 24, source.asked.Load(), "a token that never worked is not tried")
}

func TestANewTokenEndsTheTriesOfTheOldOne(t *testing.T) {
	t.Parallel()
	c := newCounter(t, "2026-01-15T00:00:00Z")
	source := c.watchesVomo(t)
	c.customers(t, "acme")
	c.poll(t, "acme", errRefused)
	c.receivesAlone(t, 1, "n3w")
	require.Equal(t, 1, c.count(t, enabled))
	asked := source.asked.Load()
	c.later(t, "2 hours")
	require.NoError(t, (&refusals{c.settler}).tryTokens(t.Context()))
	require.Equal(t, asked, source.asked.Load())
}

func TestARequestIsNotRejectedWhileVomoRefusesEverybody(t *testing.T) {
	t.Parallel()
	c := newCounter(t, "2026-01-15T00:00:00Z")
	source := c.watchesVomo(t)
	source.status.Store(http.StatusUnauthorized)
	c.customers(t, "a", "b", "c")
	for _, id := range []string{"a", "b", "c"} {
		c.poll(t, id, errRefused)
	}
	require.NoError(t, (&refusals{c.settler}).look(t.Context()))
	c.receives(t, 1, "")
	require.Equal(t, 1, c.count(t, `SELECT count(*) FROM onboarding_requests WHERE state = 'pending'`))
	require.Equal(t, 1, c.count(t, `SELECT count(*) FROM outbox WHERE subject LIKE '%onboarding.delayed%'`))
}
