package main

import (
	"context"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/event"
	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/pkg/service"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/vault"
	"rollcall.dev/pkg/worker"
)

// vomoRequests counts requests to VOMO. If status is not 0, VOMO answers with it.
type vomoRequests struct {
	asked  atomic.Int32
	status atomic.Int32
}

func (f *settlerFixture) recordVomoRequests(t *testing.T) *vomoRequests {
	t.Helper()
	vomo := &vomoRequests{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		vomo.asked.Add(1)
		if status := vomo.status.Load(); status != 0 {
			w.WriteHeader(int(status))
			return
		}
		_, _ = w.Write([]byte(`{"data":[],"links":{"next":null},"meta":{"current_page":1,"per_page":15,"total":3000}}`))
	}))
	t.Cleanup(server.Close)
	f.settler.vomoBaseURL = server.URL
	return vomo
}

// receiveMessage handles a valid message, and settles nothing.
func (f *settlerFixture) receiveMessage(t *testing.T, sequence uint64, body string) {
	t.Helper()
	delivery := message("rollcall.onboarding.request.acme", body)
	delivery.Sequence = sequence
	require.ErrorIs(t, f.handle(t.Context(), delivery), worker.ErrSettled)
}

func (f *settlerFixture) settleAll(t *testing.T) {
	t.Helper()
	pending, err := f.store.ClaimDueRequest(t.Context(), claimHold)
	require.NoError(t, err)
	require.NoError(t, f.settler.settle(t.Context(), pending))
}

func (f *settlerFixture) receiveTokenOnly(t *testing.T, sequence uint64, token string) {
	t.Helper()
	f.receiveMessage(t, sequence, `{"customerId":"acme","vomoToken":"`+token+`"}`)
	f.settleAll(t)
}

// settings returns all columns of the customer's row that a request sets, and the destination's sealed token.
func (f *settlerFixture) settings(t *testing.T) (settings string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), f.database)
	require.NoError(t, err)
	defer func() { require.NoError(t, conn.Close(t.Context())) }()
	require.NoError(t, conn.QueryRow(t.Context(), `SELECT concat_ws('|', external_system_url, destination, poll_cadence_minutes, admin_email,
		requests_per_second, requests_per_minute, backfill_not_before, quiet_hours, onboarded_at, paused_at,
		(SELECT encode(sealed, 'hex') FROM credentials WHERE name = 'destination_token')) FROM sync_configs`).Scan(&settings))
	return settings
}

func (f *settlerFixture) token(t *testing.T, name string) string {
	t.Helper()
	sealed, err := f.store.Credential(t.Context(), "acme", name)
	require.NoError(t, err)
	plain, err := f.vault.Open(t.Context(), "acme", name, sealed)
	require.NoError(t, err)
	return string(plain)
}

const (
	everySetting = `{"customerId":"acme","vomoToken":"0ld","destination":{"kind":"rest","url":"http://127.0.0.1:1/crm","token":"crm-t0ken","batchSize":100},` +
		`"pollCadenceMinutes":15,"adminEmail":"it@acme.example","limits":{"requestsPerSecond":5000,"requestsPerMinute":0},` +
		`"backfillNotBefore":"2026-01-14T20:00:00Z","quietHours":{"from":"08:00","to":"18:00","zone":"America/Chicago"}}`
	rejections = `SELECT count(*) FROM outbox WHERE subject LIKE '%.onboarding.rejected.acme'`
	refusedURL = `SELECT count(*) FROM onboarding_requests WHERE state = 'rejected' AND errors ? 'externalSystemUrl' AND sealed_secrets IS NULL`
	inState    = `SELECT count(*) FROM onboarding_requests WHERE state = `
)

// switchedOffCustomer returns a customer with every setting, backfilled, polled, and switched off for its token.
func switchedOffCustomer(t *testing.T) *settlerFixture {
	t.Helper()
	f := newSettlerFixture(t, "2026-01-15T00:00:00Z")
	f.receiveMessage(t, 1, everySetting)
	f.settleAll(t)
	f.sql(t, `UPDATE backfill_runs SET state = 'completed'`)
	f.sql(t, `UPDATE sync_configs SET enabled = false, disabled_reason = 'auth_failed', backfill_completed_at = rollcall_now(),
		next_poll_at = rollcall_now() + interval '15 minutes'`)
	f.sql(t, `WITH line AS (INSERT INTO job_log (customer_id, job, started_at) VALUES ('acme', 'user_sync_poll', now()) RETURNING id)
		INSERT INTO runs (customer_id, kind, job_id, trace_id, state, park_reason, updated_after, covered_until, due_at, created_at, updated_at)
		SELECT 'acme', 'poll', id, '', 'parked', 'auth_failed', a, b, c, d, e
		FROM line, (SELECT rollcall_now() AS a, rollcall_now() AS b, rollcall_now() + interval '15 minutes' AS c, rollcall_now() AS d, rollcall_now() AS e) n`)
	require.NoError(t, f.store.InTx(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		if err := event.Raise(ctx, tx, event.AlertFor("acme", event.AlertDestinationAuthFailed)); err != nil {
			return err
		}
		return event.Raise(ctx, tx, event.AlertFor("acme", event.AlertAuthFailed))
	}))
	return f
}

func TestTokenOnlyRequestReplacesTokenAndWakesParkedRun(t *testing.T) {
	t.Parallel()
	f := switchedOffCustomer(t)
	before := f.settings(t)

	f.receiveTokenOnly(t, 2, "n3w")

	require.Equal(t, before, f.settings(t))
	require.Equal(t, "n3w", f.token(t, store.CredentialVomoToken))
	require.Equal(t, "crm-t0ken", f.token(t, store.CredentialDestinationToken))
	require.Equal(t, 1, f.count(t, `SELECT count(*) FROM sync_configs WHERE enabled AND disabled_reason IS NULL AND next_poll_at = rollcall_now()`))
	require.Equal(t, 1, f.count(t, `SELECT count(*) FROM runs WHERE kind <> 'backfill' AND state = 'queued'`))
	require.Equal(t, 1, f.count(t, `SELECT count(*) FROM outbox WHERE subject = 'rollcall.poll.request.acme'`))
	require.Equal(t, 1, f.count(t, `SELECT count(*) FROM all_runs WHERE kind = 'backfill'`), "a completed backfill is not started again")
	require.Equal(t, 1, f.count(t, `SELECT count(*) FROM alerts WHERE cleared_at IS NULL AND type = 'destination_auth_failed'`),
		"the destination's token is still the one that it refused")
	require.Equal(t, 1, f.count(t, `SELECT count(*) FROM alerts WHERE cleared_at IS NOT NULL AND type = 'auth_failed'`))
	require.NotContains(t, f.completedEvent(t), "backfillQueued")
	require.Equal(t, 2, f.count(t, inState+`'applied'`))
	require.Equal(t, []uint64{1, 2}, f.erased)
	require.Zero(t, f.count(t, `SELECT count(*) FROM onboarding_requests WHERE sealed_secrets IS NOT NULL OR request::text LIKE '%n3w%'`))
}

func TestTokenOnlyRequestWakesParkedBackfillOnlyWithinWindow(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]struct {
		hours    string
		requests int
		parked   int
	}{"without one": {"", 2, 0}, "in quiet hours": {`,"quietHours":{"from":"23:00","to":"02:00","zone":"UTC"}`, 0, 1}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newSettlerFixture(t, "2026-01-15T00:00:00Z")
			f.receiveRequestWithToken(t, 1, "0ld", want.hours)
			f.sql(t, `UPDATE backfill_runs SET state = 'parked', park_reason = 'auth_failed', due_at = rollcall_now() + interval '15 minutes'`)

			f.receiveTokenOnly(t, 2, "n3w")

			require.Equal(t, want.requests, f.count(t, wakeUps))
			require.Equal(t, want.parked, f.count(t, `SELECT count(*) FROM all_runs WHERE kind = 'backfill' AND state = 'parked' AND park_reason = 'quiet_hours'`))
			require.Equal(t, 1, f.count(t, `SELECT count(*) FROM all_runs WHERE kind = 'backfill'`))
		})
	}
}

func TestTokenOnlyRequestFencesJobRejectedForOldToken(t *testing.T) {
	t.Parallel()
	f := newSettlerFixture(t, "2026-01-15T00:00:00Z")
	f.receiveRequestWithToken(t, 1, "0ld", "")
	lease, err := f.store.TakeLease(t.Context(), "acme", "poller-1", time.Minute)
	require.NoError(t, err)

	f.receiveTokenOnly(t, 2, "n3w")

	require.ErrorIs(t, f.store.InLane(t.Context(), lease, func(context.Context, *store.Tx) error { return nil }), store.ErrLaneLost)
}

func TestTokenOnlyRequestForUnknownCustomerIsRejectedOnceWithoutCallingVOMO(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"not known", "offboarded"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			f := newSettlerFixture(t, "2026-01-15T00:00:00Z")
			if kind == "offboarded" {
				f.receiveRequest(t, 1, "")
				delivery := message("rollcall.onboarding.offboard.acme", `{"customerId":"acme"}`)
				delivery.Sequence = 2
				require.ErrorIs(t, f.handle(t.Context(), delivery), worker.ErrSettled)
				require.True(t, f.offboarder.workNext(t.Context()))
			}
			vomo := f.recordVomoRequests(t)

			f.receiveTokenOnly(t, 3, "n3w")
			f.receiveMessage(t, 3, `{"customerId":"acme","vomoToken":"n3w"}`)

			require.Equal(t, 1, f.count(t, refusedURL))
			require.Equal(t, 1, f.count(t, rejections))
			require.Zero(t, vomo.asked.Load())
			require.Zero(t, f.count(t, `SELECT count(*) FROM credentials`))
			require.Zero(t, f.count(t, `SELECT count(*) FROM sync_configs WHERE enabled`))
		})
	}
}

func TestTokenOnlyRequestIsTestedLikeAnyOther(t *testing.T) {
	t.Parallel()
	f := newSettlerFixture(t, "2026-01-15T00:00:00Z")
	f.receiveRequestWithToken(t, 1, "0ld", "")
	vomo := f.recordVomoRequests(t)

	vomo.status.Store(http.StatusUnauthorized)
	f.receiveTokenOnly(t, 2, "n3w")
	require.Equal(t, 1, f.count(t, rejections))
	require.Equal(t, 1, f.count(t, inState+`'rejected' AND errors ? 'vomoToken'`))
	require.Equal(t, "0ld", f.token(t, store.CredentialVomoToken))

	vomo.status.Store(http.StatusServiceUnavailable)
	f.receiveTokenOnly(t, 3, "n3w")
	require.Equal(t, 1, f.count(t, inState+`'pending' AND delayed_told`))

	vomo.status.Store(0)
	f.sql(t, `UPDATE test_clock SET at = at + interval '10 minutes'`)
	f.settleAll(t)
	require.Equal(t, "n3w", f.token(t, store.CredentialVomoToken))
	require.Equal(t, 1, f.count(t, rejections))
}

func TestRepeatedTokenOnlyRequestIsOneAndOlderRequestIsSuperseded(t *testing.T) {
	t.Parallel()
	f := newSettlerFixture(t, "2026-01-15T00:00:00Z")
	f.receiveMessage(t, 1, everySetting)
	f.settleAll(t)
	before := f.settings(t)
	f.receiveMessage(t, 2, wellFormed) // claimed by another replica, and still waiting for VOMO
	older, err := f.store.ClaimDueRequest(t.Context(), claimHold)
	require.NoError(t, err)

	f.receiveTokenOnly(t, 3, "n3w")
	require.NoError(t, f.settler.settle(t.Context(), older))
	f.receiveTokenOnly(t, 4, "n3w")

	require.Equal(t, 1, f.count(t, inState+`'superseded' AND stream_seq = 2`))
	require.Equal(t, 1, f.count(t, inState+`'duplicate' AND stream_seq = 4`))
	require.Equal(t, before, f.settings(t))
	require.Equal(t, "n3w", f.token(t, store.CredentialVomoToken))
	require.Equal(t, 2, f.count(t, `SELECT count(*) FROM outbox WHERE subject LIKE '%.onboarding.completed.acme'`))

	f.receiveRequest(t, 5, "") // a full request still replaces all settings
	require.NotEqual(t, before, f.settings(t))
	require.Equal(t, 1, f.count(t, `SELECT count(*) FROM credentials`), "the destination's token is deleted, too")
}

func TestTokenOnlyRequestOlderThanAnotherRequestIsSuperseded(t *testing.T) {
	t.Parallel()
	for _, later := range []string{"a full request", "an offboarding"} {
		t.Run(later, func(t *testing.T) {
			t.Parallel()
			f := newSettlerFixture(t, "2026-01-15T00:00:00Z")
			f.receiveRequestWithToken(t, 1, "0ld", "")
			if later == "an offboarding" {
				delivery := message("rollcall.onboarding.offboard.acme", `{"customerId":"acme"}`)
				delivery.Sequence = 3
				require.ErrorIs(t, f.handle(t.Context(), delivery), worker.ErrSettled)
			} else {
				f.receiveRequestWithToken(t, 3, "n3west", "")
			}
			vomo := f.recordVomoRequests(t)

			f.receiveMessage(t, 2, `{"customerId":"acme","vomoToken":"n3w"}`)

			require.Equal(t, 1, f.count(t, inState+`'superseded' AND stream_seq = 2 AND sealed_secrets IS NULL`))
			require.Zero(t, f.count(t, rejections))
			require.Zero(t, vomo.asked.Load())
		})
	}
}

func TestTokenOnlyRequestMustBeSealedIfInstallationRequiresIt(t *testing.T) {
	t.Parallel()
	f := newSettlerFixture(t, "2026-01-15T00:00:00Z")
	f.receiveRequestWithToken(t, 1, "0ld", "")
	f.requireSealed = true
	f.receiveMessage(t, 2, `{"customerId":"acme","vomoToken":"n3w"}`)
	require.Equal(t, 1, f.count(t, inState+`'rejected' AND errors ? 'vomoToken'`))

	public, err := f.vault.PublicXKey(t.Context())
	require.NoError(t, err)
	sealed, err := vault.SealToken(public, "n3w")
	require.NoError(t, err)
	f.receiveMessage(t, 3, `{"customerId":"acme","vomoTokenSealed":"`+sealed+`"}`)
	f.settleAll(t)
	require.Equal(t, "n3w", f.token(t, store.CredentialVomoToken))
}

func TestDestinationCannotBeRemoved(t *testing.T) {
	t.Parallel()
	o := newOperatorFixture(t)
	_, err := o.setConfig(t.Context(), operatorapi.ConfigChange{CustomerID: "acme", ExternalSystemURL: new("")})
	var fields *service.FieldsError
	require.ErrorAs(t, err, &fields)
	require.Equal(t, []string{"must not be empty"}, fields.Errors["externalSystemUrl"])
}
