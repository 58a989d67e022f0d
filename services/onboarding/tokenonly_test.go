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
	"rollcall.dev/pkg/report"
	"rollcall.dev/pkg/service"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/vault"
	"rollcall.dev/pkg/worker"
)

// vomoAsked counts what VOMO is asked, which answers with a status where it is not 0.
type vomoAsked struct {
	asked  atomic.Int32
	status atomic.Int32
}

func (c *counter) watchesVomo(t *testing.T) *vomoAsked {
	t.Helper()
	vomo := &vomoAsked{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		vomo.asked.Add(1)
		if status := vomo.status.Load(); status != 0 {
			w.WriteHeader(int(status))
			return
		}
		_, _ = w.Write([]byte(`{"data":[],"links":{"next":null},"meta":{"current_page":1,"per_page":15,"total":3000}}`))
	}))
	t.Cleanup(server.Close)
	c.settler.vomoBaseURL = server.URL
	return vomo
}

// takesIn takes a message in that validates, and settles nothing.
func (c *counter) takesIn(t *testing.T, sequence uint64, body string) {
	t.Helper()
	delivery := message("rollcall.onboarding.request.acme", body)
	delivery.Sequence = sequence
	require.ErrorIs(t, c.handle(t.Context(), delivery), worker.ErrSettled)
}

func (c *counter) settles(t *testing.T) {
	t.Helper()
	pending, err := c.store.ClaimDueRequest(t.Context(), claimHold)
	require.NoError(t, err)
	require.NoError(t, c.settler.settle(t.Context(), pending))
}

func (c *counter) receivesAlone(t *testing.T, sequence uint64, token string) {
	t.Helper()
	c.takesIn(t, sequence, `{"customerId":"acme","vomoToken":"`+token+`"}`)
	c.settles(t)
}

// settings is everything of the customer's row that a request sets, and the destination's token as it is sealed.
func (c *counter) settings(t *testing.T) (settings string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), c.database)
	require.NoError(t, err)
	defer func() { require.NoError(t, conn.Close(t.Context())) }()
	require.NoError(t, conn.QueryRow(t.Context(), `SELECT concat_ws('|', external_system_url, destination, poll_cadence_minutes, admin_email,
		requests_per_second, requests_per_minute, backfill_not_before, quiet_hours, onboarded_at, paused_at,
		(SELECT encode(sealed, 'hex') FROM credentials WHERE name = 'destination_token')) FROM sync_configs`).Scan(&settings))
	return settings
}

func (c *counter) token(t *testing.T, name string) string {
	t.Helper()
	sealed, err := c.store.Credential(t.Context(), "acme", name)
	require.NoError(t, err)
	plain, err := c.vault.Open(t.Context(), "acme", name, sealed)
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

// switchedOffCustomer is one with every setting, backfilled, polled, and switched off for its token.
func switchedOffCustomer(t *testing.T) *counter {
	t.Helper()
	c := newCounter(t, "2026-01-15T00:00:00Z")
	c.takesIn(t, 1, everySetting)
	c.settles(t)
	c.sql(t, `UPDATE backfill_runs SET state = 'completed'`)
	c.sql(t, `UPDATE sync_configs SET enabled = false, disabled_reason = 'auth_failed', backfill_completed_at = rollcall_now(),
		next_poll_at = rollcall_now() + interval '15 minutes'`)
	c.sql(t, `WITH line AS (INSERT INTO job_log (customer_id, job, started_at) VALUES ('acme', 'user_sync_poll', now()) RETURNING id)
		INSERT INTO sync_runs (customer_id, kind, job_id, trace_id, state, park_reason, updated_after, covered_until, due_at, created_at, updated_at)
		SELECT 'acme', 'poll', id, '', 'parked', 'auth_failed', a, b, c, d, e
		FROM line, (SELECT rollcall_now() AS a, rollcall_now() AS b, rollcall_now() + interval '15 minutes' AS c, rollcall_now() AS d, rollcall_now() AS e) n`)
	require.NoError(t, c.store.InTx(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		if err := event.Raise(ctx, tx, event.AlertFor("acme", event.AlertDestinationAuthFailed)); err != nil {
			return err
		}
		return event.Raise(ctx, tx, event.AlertFor("acme", event.AlertAuthFailed))
	}))
	return c
}

func TestATokenAloneReplacesTheTokenAndWakesWhatWaitedForIt(t *testing.T) {
	t.Parallel()
	c := switchedOffCustomer(t)
	before := c.settings(t)

	c.receivesAlone(t, 2, "n3w")

	require.Equal(t, before, c.settings(t))
	require.Equal(t, "n3w", c.token(t, store.CredentialVomoToken))
	require.Equal(t, "crm-t0ken", c.token(t, store.CredentialDestinationToken))
	require.Equal(t, 1, c.count(t, `SELECT count(*) FROM sync_configs WHERE enabled AND disabled_reason IS NULL AND next_poll_at = rollcall_now()`))
	require.Equal(t, 1, c.count(t, `SELECT count(*) FROM sync_runs WHERE state = 'queued'`))
	require.Equal(t, 1, c.count(t, `SELECT count(*) FROM outbox WHERE subject = 'rollcall.poll.request.acme'`))
	require.Equal(t, 1, c.count(t, `SELECT count(*) FROM backfill_runs`), "a complete backfill is not begun again")
	require.Equal(t, 1, c.count(t, `SELECT count(*) FROM alerts WHERE cleared_at IS NULL AND type = 'destination_auth_failed'`),
		"the destination's token is still the one that it refused")
	require.Equal(t, 1, c.count(t, `SELECT count(*) FROM alerts WHERE cleared_at IS NOT NULL AND type = 'auth_failed'`))
	require.NotContains(t, c.completedEvent(t), "backfillQueued")
	require.Equal(t, 2, c.count(t, inState+`'applied'`))
	require.Equal(t, []uint64{1, 2}, c.erased)
	require.Zero(t, c.count(t, `SELECT count(*) FROM onboarding_requests WHERE sealed_secrets IS NOT NULL OR request::text LIKE '%n3w%'`))
}

func TestATokenAloneWakesTheParkedBackfillWithinItsWindow(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]struct {
		hours    string
		requests int
		parked   int
	}{"without one": {"", 2, 0}, "in quiet hours": {`,"quietHours":{"from":"23:00","to":"02:00","zone":"UTC"}`, 0, 1}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCounter(t, "2026-01-15T00:00:00Z")
			c.receivesToken(t, 1, "0ld", want.hours)
			c.sql(t, `UPDATE backfill_runs SET state = 'parked', park_reason = 'auth_failed', due_at = rollcall_now() + interval '15 minutes'`)

			c.receivesAlone(t, 2, "n3w")

			require.Equal(t, want.requests, c.count(t, wakeUps))
			require.Equal(t, want.parked, c.count(t, `SELECT count(*) FROM backfill_runs WHERE state = 'parked' AND park_reason = 'quiet_hours'`))
			require.Equal(t, 1, c.count(t, `SELECT count(*) FROM backfill_runs`))
		})
	}
}

func TestTokenAloneFencesTheJobRejectedForTheOldOne(t *testing.T) {
	t.Parallel()
	c := newCounter(t, "2026-01-15T00:00:00Z")
	c.receivesToken(t, 1, "0ld", "")
	lease, err := c.store.TakeLease(t.Context(), "acme", "poller-1", time.Minute)
	require.NoError(t, err)

	c.receivesAlone(t, 2, "n3w")

	require.ErrorIs(t, c.store.InLane(t.Context(), lease, func(context.Context, *store.Tx) error { return nil }), store.ErrLaneLost)
}

func TestTokenAloneForAnUnknownCustomerIsRejectedOnceWithoutCallingVOMO(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"not known", "offboarded"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			c := newCounter(t, "2026-01-15T00:00:00Z")
			if kind == "offboarded" {
				c.receives(t, 1, "")
				delivery := message("rollcall.onboarding.offboard.acme", `{"customerId":"acme"}`)
				delivery.Sequence = 2
				require.ErrorIs(t, c.handle(t.Context(), delivery), worker.ErrSettled)
			}
			vomo := c.watchesVomo(t)

			c.receivesAlone(t, 3, "n3w")
			c.takesIn(t, 3, `{"customerId":"acme","vomoToken":"n3w"}`)

			require.Equal(t, 1, c.count(t, refusedURL))
			require.Equal(t, 1, c.count(t, rejections))
			require.Zero(t, vomo.asked.Load())
			require.Zero(t, c.count(t, `SELECT count(*) FROM credentials`))
			require.Zero(t, c.count(t, `SELECT count(*) FROM sync_configs WHERE enabled`))
		})
	}
}

func TestATokenAloneIsTestedLikeAnyOther(t *testing.T) {
	t.Parallel()
	c := newCounter(t, "2026-01-15T00:00:00Z")
	c.receivesToken(t, 1, "0ld", "")
	vomo := c.watchesVomo(t)

	vomo.status.Store(http.StatusUnauthorized)
	c.receivesAlone(t, 2, "n3w")
	require.Equal(t, 1, c.count(t, rejections))
	require.Equal(t, 1, c.count(t, inState+`'rejected' AND errors ? 'vomoToken'`))
	require.Equal(t, "0ld", c.token(t, store.CredentialVomoToken))

	vomo.status.Store(http.StatusServiceUnavailable)
	c.receivesAlone(t, 3, "n3w")
	require.Equal(t, 1, c.count(t, inState+`'pending' AND delayed_told`))

	vomo.status.Store(0)
	c.sql(t, `UPDATE test_clock SET at = at + interval '10 minutes'`)
	c.settles(t)
	require.Equal(t, "n3w", c.token(t, store.CredentialVomoToken))
	require.Equal(t, 1, c.count(t, rejections))
}

func TestATokenAloneTwiceIsOneAndAnOlderRequestDoesNotComeBackOverIt(t *testing.T) {
	t.Parallel()
	c := newCounter(t, "2026-01-15T00:00:00Z")
	c.takesIn(t, 1, everySetting)
	c.settles(t)
	before := c.settings(t)
	c.takesIn(t, 2, wellFormed) // claimed by another, and still waiting for VOMO
	older, err := c.store.ClaimDueRequest(t.Context(), claimHold)
	require.NoError(t, err)

	c.receivesAlone(t, 3, "n3w")
	require.NoError(t, c.settler.settle(t.Context(), older))
	c.receivesAlone(t, 4, "n3w")

	require.Equal(t, 1, c.count(t, inState+`'superseded' AND stream_seq = 2`))
	require.Equal(t, 1, c.count(t, inState+`'duplicate' AND stream_seq = 4`))
	require.Equal(t, before, c.settings(t))
	require.Equal(t, "n3w", c.token(t, store.CredentialVomoToken))
	require.Equal(t, 2, c.count(t, `SELECT count(*) FROM outbox WHERE subject LIKE '%.onboarding.completed.acme'`))

	c.receives(t, 5, "") // a full one means what it always did
	require.NotEqual(t, before, c.settings(t))
	require.Equal(t, 1, c.count(t, `SELECT count(*) FROM credentials`), "the destination's token is gone with the rest")
}

func TestATokenAloneFromBeforeALaterRequestIsSuperseded(t *testing.T) {
	t.Parallel()
	for _, later := range []string{"a full request", "an offboarding"} {
		t.Run(later, func(t *testing.T) {
			t.Parallel()
			c := newCounter(t, "2026-01-15T00:00:00Z")
			c.receivesToken(t, 1, "0ld", "")
			if later == "an offboarding" {
				delivery := message("rollcall.onboarding.offboard.acme", `{"customerId":"acme"}`)
				delivery.Sequence = 3
				require.ErrorIs(t, c.handle(t.Context(), delivery), worker.ErrSettled)
			} else {
				c.receivesToken(t, 3, "n3west", "")
			}
			vomo := c.watchesVomo(t)

			c.receivesAlone(t, 2, "n3w")

			require.Equal(t, 1, c.count(t, inState+`'superseded' AND stream_seq = 2 AND sealed_secrets IS NULL`))
			require.Zero(t, c.count(t, rejections))
			require.Zero(t, vomo.asked.Load())
		})
	}
}

func TestATokenAloneComesSealedWhereTokensHaveTo(t *testing.T) {
	t.Parallel()
	c := newCounter(t, "2026-01-15T00:00:00Z")
	c.receivesToken(t, 1, "0ld", "")
	c.requireSealed = true
	c.takesIn(t, 2, `{"customerId":"acme","vomoToken":"n3w"}`)
	require.Equal(t, 1, c.count(t, inState+`'rejected' AND errors ? 'vomoToken'`))

	public, err := c.vault.PublicXKey(t.Context())
	require.NoError(t, err)
	sealed, err := vault.SealToken(public, "n3w")
	require.NoError(t, err)
	c.takesIn(t, 3, `{"customerId":"acme","vomoTokenSealed":"`+sealed+`"}`)
	c.settles(t)
	require.Equal(t, "n3w", c.token(t, store.CredentialVomoToken))
}

func TestADestinationIsNotChangedToNothing(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	_, err := o.setConfig(t.Context(), report.ConfigChange{CustomerID: "acme", ExternalSystemURL: new("")})
	var fields *service.FieldsError
	require.ErrorAs(t, err, &fields)
	require.Equal(t, []string{"must not be empty"}, fields.Errors["externalSystemUrl"])
}
