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

// errTokenRejected is the outcome of a job whose token VOMO rejected twice.
var errTokenRejected = fault.Unknown("vomo_unauthorized", vomo.ErrUnauthorized)

// addCustomers adds mirrored customers whose last poll ended an hour ago, each with an open poll.
func (f *settlerFixture) addCustomers(t *testing.T, ids ...string) {
	t.Helper()
	for _, id := range ids {
		sealed, err := f.vault.Seal(t.Context(), id, store.CredentialVomoToken, []byte("t0ken"))
		require.NoError(t, err)
		require.NoError(t, f.store.InTx(t.Context(), func(ctx context.Context, tx *store.Tx) error {
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
			_, err := tx.StartRuns(ctx, store.RunStart{Kind: store.KindPoll, Job: store.JobPoll, Customers: []string{id}, TraceIDs: []string{"00-trace-01"}})
			return err
		}))
	}
	f.sql(t, `UPDATE customer_tokens SET worked_at = rollcall_now() - interval '1 hour'`)
}

// poll runs the customer's poll with VOMO's outcome: the poll is parked or completed.
func (f *settlerFixture) poll(t *testing.T, id string, outcome error) (parkedFor string) {
	t.Helper()
	_, _, err := f.store.TakeGrant(t.Context(), id, store.JobPoll, time.Microsecond, time.Hour)
	require.NoError(t, err)
	lease, err := f.store.TakeLease(t.Context(), id, "poller-1", time.Minute)
	require.NoError(t, err)
	defer func() { require.NoError(t, lease.Release(t.Context())) }()
	var run store.Run
	require.NoError(t, f.store.InLane(t.Context(), lease, func(ctx context.Context, tx *store.Tx) error {
		run, err = tx.ClaimRun(ctx, id, store.KindPoll, lease.Epoch)
		return err
	}))
	if outcome == nil {
		require.NoError(t, f.store.TokenWorked(t.Context(), id))
		require.NoError(t, f.store.InLane(t.Context(), lease, func(ctx context.Context, tx *store.Tx) error {
			return tx.FinishRun(ctx, run, lease.Epoch, store.RunCompleted, "")
		}))
		return ""
	}
	park, parked := job.ParkFor(outcome, run.Parks)
	require.True(t, parked)
	require.NoError(t, f.store.InLane(t.Context(), lease, func(ctx context.Context, tx *store.Tx) error {
		if park, err = job.Judge(ctx, tx.Conn, id, park, outcome, run.Parks); err != nil {
			return err
		}
		if err := tx.ParkRun(ctx, run.ID, lease.Epoch, park.Reason, job.DetailOf(park, outcome), park.Delay); err != nil {
			return err
		}
		if err := job.RaiseParkAlert(ctx, tx, id, park); err != nil {
			return err
		}
		return job.NoteRefusal(ctx, tx, id, outcome)
	}))
	return park.Reason
}

// addAskedCustomers adds requests for that many healthy customers.
func (f *settlerFixture) addAskedCustomers(t *testing.T, others int) {
	t.Helper()
	f.sql(t, fmt.Sprintf(`INSERT INTO customer_budgets (customer_id, next_at)
		SELECT 'other-' || n, rollcall_now() FROM generate_series(1, %d) n`, others))
}

func (f *settlerFixture) advance(t *testing.T, interval string) {
	t.Helper()
	f.sql(t, `UPDATE test_clock SET at = at + interval '`+interval+`'`)
}

func (f *settlerFixture) countAlerts(t *testing.T, customer, kind string) int {
	t.Helper()
	return f.count(t, fmt.Sprintf(`SELECT count(*) FROM alerts WHERE customer_id = '%s' AND type = '%s' AND cleared_at IS NULL`, customer, kind))
}

const (
	enabled          = `SELECT count(*) FROM sync_configs WHERE enabled AND disabled_reason IS NULL`
	unavailable      = `SELECT count(*) FROM runs WHERE kind <> 'backfill' AND state = 'parked' AND park_reason = 'vomo_unavailable'`
	activeAuthAlerts = `SELECT count(*) FROM alerts WHERE type = 'auth_failed' AND cleared_at IS NULL`
)

// The case testdata/all-refuse-at-once.md: eight customers, all polled within 6 s in which VOMO answers 401 to all.
func TestShortRejectionOfAllTokensSwitchesNoCustomerOffPermanently(t *testing.T) {
	t.Parallel()
	f := newSettlerFixture(t, "2026-01-15T00:00:00Z")
	r := tokenRejections(f.settler)
	var ids []string
	for i := range 8 {
		ids = append(ids, "customer-"+strconv.Itoa(i))
	}
	f.addCustomers(t, ids...)
	f.addAskedCustomers(t, 21)

	for i, id := range ids {
		reason := f.poll(t, id, errTokenRejected)
		require.NoError(t, r.check(t.Context()))
		switch {
		case i < 5: // 5 of 26 are not 20 %
			require.Equal(t, event.AlertAuthFailed, reason, "a single customer is switched off at once")
			require.Equal(t, i+1, f.count(t, activeAuthAlerts))
		case i > 5:
			require.Equal(t, job.ParkVomoUnavailable, reason, "the customer is parked like the others")
		}
	}

	require.Equal(t, 8, f.count(t, enabled))
	require.Equal(t, 8, f.count(t, unavailable))
	require.Zero(t, f.count(t, activeAuthAlerts), "their alerts are cleared")
	require.Equal(t, 1, f.countAlerts(t, "_installation", event.AlertVomoRefusesMany))
	require.Equal(t, 1, f.count(t, `SELECT count(*) FROM outbox WHERE subject = 'rollcall.alerts.high.vomo_refuses_many._installation'`))
	const soon = `SELECT count(*) FROM runs WHERE kind <> 'backfill' AND due_at <= rollcall_now() + interval '25 seconds'
		AND park_detail = '` + job.RefusedMany + `'`
	require.Equal(t, 8, f.count(t, soon))

	// The outage lasts: nothing changes with more requests.
	for range 3 {
		f.advance(t, "5 minutes")
		for _, id := range ids {
			require.Equal(t, job.ParkVomoUnavailable, f.poll(t, id, errTokenRejected))
		}
		require.NoError(t, r.check(t.Context()))
	}
	require.Equal(t, 8, f.count(t, enabled))
	require.Equal(t, 1, f.count(t, `SELECT count(*) FROM alerts WHERE type = 'vomo_refuses_many'`))

	// VOMO accepts the tokens again.
	f.advance(t, "2 minutes")
	for _, id := range ids[1:] {
		f.poll(t, id, nil)
	}
	require.NoError(t, r.check(t.Context()))
	require.Zero(t, f.countAlerts(t, "_installation", event.AlertVomoRefusesMany))
	require.Equal(t, event.AlertAuthFailed, f.poll(t, ids[0], errTokenRejected), "after the outage, a rejection concerns the customer alone")
	require.NoError(t, r.check(t.Context()))
	require.Equal(t, 7, f.count(t, enabled))
}

func TestFewRejectedTokensAreNotVOMOsFault(t *testing.T) {
	t.Parallel()
	f := newSettlerFixture(t, "2026-01-15T00:00:00Z")
	r := tokenRejections(f.settler)
	f.addCustomers(t, "a", "b", "c", "d")
	f.poll(t, "a", errTokenRejected)
	f.poll(t, "b", errTokenRejected)
	require.NoError(t, r.check(t.Context()))
	require.Equal(t, 2, f.count(t, activeAuthAlerts), "two are not three")
	f.addAskedCustomers(t, 13)
	f.poll(t, "c", errTokenRejected)
	require.NoError(t, r.check(t.Context()))
	require.Equal(t, 3, f.count(t, activeAuthAlerts), "three of sixteen are not 20 %")
	f.advance(t, "61 seconds")
	f.poll(t, "d", errTokenRejected)
	require.NoError(t, r.check(t.Context()))
	require.Equal(t, 4, f.count(t, activeAuthAlerts), "the other rejections are more than a minute old")
}

func TestCustomerWithoutAcceptedTokenForADayStaysSwitchedOff(t *testing.T) {
	t.Parallel()
	f := newSettlerFixture(t, "2026-01-15T00:00:00Z")
	r := tokenRejections(f.settler)
	f.addCustomers(t, "a", "b", "c", "old")
	f.sql(t, `UPDATE customer_tokens SET worked_at = rollcall_now() - interval '25 hours' WHERE customer_id = 'old'`)
	for _, id := range []string{"old", "a", "b", "c"} {
		f.poll(t, id, errTokenRejected)
	}
	require.NoError(t, r.check(t.Context()))
	require.Equal(t, 3, f.count(t, enabled))
	require.Equal(t, 1, f.countAlerts(t, "old", event.AlertAuthFailed))
}

func TestCustomerIsSwitchedOnAgainIfItsTokenIsAcceptedAgain(t *testing.T) {
	t.Parallel()
	f := newSettlerFixture(t, "2026-01-15T00:00:00Z")
	source := f.recordVomoRequests(t)
	source.status.Store(http.StatusUnauthorized)
	r := tokenRejections(f.settler)
	f.addCustomers(t, "acme")
	f.poll(t, "acme", errTokenRejected)
	f.advance(t, "59 minutes")
	require.NoError(t, r.tryRejected(t.Context()))
	require.Zero(t, source.asked.Load(), "not before an hour has passed")
	f.advance(t, "1 minute")
	for range 3 {
		require.NoError(t, r.tryRejected(t.Context()))
	}
	require.EqualValues(t, 1, source.asked.Load(), "one request")
	require.Equal(t, 1, f.countAlerts(t, "acme", event.AlertAuthFailed))
	f.advance(t, "1 hour")
	source.status.Store(0)

	require.NoError(t, r.tryRejected(t.Context()))

	require.EqualValues(t, 2, source.asked.Load())
	require.Equal(t, 1, f.count(t, enabled))
	require.Zero(t, f.countAlerts(t, "acme", event.AlertAuthFailed))
	require.Equal(t, 1, f.count(t, `SELECT count(*) FROM runs WHERE kind <> 'backfill' AND state = 'queued'`))
	require.Equal(t, 1, f.count(t, `SELECT count(*) FROM outbox WHERE subject = 'rollcall.poll.request.acme'`))
	f.advance(t, "2 hours")
	require.NoError(t, r.tryRejected(t.Context()))
	require.EqualValues(t, 2, source.asked.Load(), "an accepted token is not retried")
}

func TestTokenRetriesEndAfterADay(t *testing.T) {
	t.Parallel()
	f := newSettlerFixture(t, "2026-01-15T00:00:00Z")
	source := f.recordVomoRequests(t)
	source.status.Store(http.StatusUnauthorized)
	r := tokenRejections(f.settler)
	f.addCustomers(t, "acme", "never")
	f.sql(t, `UPDATE customer_tokens SET worked_at = NULL WHERE customer_id = 'never'`)
	f.poll(t, "acme", errTokenRejected)
	f.poll(t, "never", errTokenRejected)
	for range 48 {
		f.advance(t, "1 hour")
		require.NoError(t, r.tryRejected(t.Context()))
	}
	require.EqualValues(t, 24, source.asked.Load(), "a token that was never accepted is not retried")
}

func TestNewTokenEndsRetriesOfOldToken(t *testing.T) {
	t.Parallel()
	f := newSettlerFixture(t, "2026-01-15T00:00:00Z")
	source := f.recordVomoRequests(t)
	f.addCustomers(t, "acme")
	f.poll(t, "acme", errTokenRejected)
	f.receiveTokenOnly(t, 1, "n3w")
	require.Equal(t, 1, f.count(t, enabled))
	asked := source.asked.Load()
	f.advance(t, "2 hours")
	require.NoError(t, tokenRejections(f.settler).tryRejected(t.Context()))
	require.Equal(t, asked, source.asked.Load())
}

func TestRequestIsNotRejectedWhileVOMORejectsAllTokens(t *testing.T) {
	t.Parallel()
	f := newSettlerFixture(t, "2026-01-15T00:00:00Z")
	source := f.recordVomoRequests(t)
	source.status.Store(http.StatusUnauthorized)
	f.addCustomers(t, "a", "b", "c")
	for _, id := range []string{"a", "b", "c"} {
		f.poll(t, id, errTokenRejected)
	}
	require.NoError(t, tokenRejections(f.settler).check(t.Context()))
	f.receiveRequest(t, 1, "")
	require.Equal(t, 1, f.count(t, `SELECT count(*) FROM onboarding_requests WHERE state = 'pending'`))
	require.Equal(t, 1, f.count(t, `SELECT count(*) FROM outbox WHERE subject LIKE '%onboarding.delayed%'`))
}
