package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"rollcall.dev/pkg/budget"
	"rollcall.dev/pkg/worker"
)

// counter is a desk with the settler behind it, a VOMO that takes every token, and a clock that stands still.
type counter struct {
	*desk
	settler *settler
}

func newCounter(t *testing.T, now string) *counter {
	t.Helper()
	d := newDesk(t)
	vomo := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`{"data":[],"links":{"next":null},"meta":{"current_page":1,"per_page":15,"total":3000}}`))
	}))
	t.Cleanup(vomo.Close)
	c := &counter{desk: d, settler: &settler{
		store: d.store, vault: d.vault, logger: zap.NewNop(), slots: 1, wake: make(chan struct{}, 1), vomoBaseURL: vomo.URL,
		limits: budget.Limits{PerSecond: 10_000},
	}}
	c.sql(t, `CREATE TABLE test_clock (at timestamptz NOT NULL)`)
	c.sql(t, fmt.Sprintf(`INSERT INTO test_clock VALUES ('%s')`, now))
	c.sql(t, `CREATE OR REPLACE FUNCTION rollcall_now() RETURNS timestamptz LANGUAGE sql STABLE AS 'SELECT at FROM test_clock'`)
	return c
}

func (c *counter) sql(t *testing.T, statement string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), c.database)
	require.NoError(t, err)
	defer func() { require.NoError(t, conn.Close(t.Context())) }()
	_, err = conn.Exec(t.Context(), statement)
	require.NoError(t, err)
}

// receives takes a message in and settles what came of it. fields are what the request has beside the least.
func (c *counter) receives(t *testing.T, sequence uint64, fields string) {
	t.Helper()
	c.receivesToken(t, sequence, "t0ken", fields)
}

func (c *counter) receivesToken(t *testing.T, sequence uint64, token, fields string) {
	t.Helper()
	delivery := message("rollcall.onboarding.request.acme",
		`{"customerId":"acme","vomoToken":"`+token+`","externalSystemUrl":"http://127.0.0.1:1/crm"`+fields+`}`)
	delivery.Sequence = sequence
	require.ErrorIs(t, c.handle(t.Context(), delivery), worker.ErrSettled)
	pending, err := c.store.ClaimDueRequest(t.Context(), claimHold)
	require.NoError(t, err)
	require.NoError(t, c.settler.settle(t.Context(), pending))
}

// completedEvent is the newest onboarding.completed.
func (c *counter) completedEvent(t *testing.T) map[string]any {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), c.database)
	require.NoError(t, err)
	defer func() { require.NoError(t, conn.Close(t.Context())) }()
	var payload []byte
	require.NoError(t, conn.QueryRow(t.Context(),
		`SELECT payload FROM outbox WHERE subject LIKE '%.onboarding.completed.%' ORDER BY id DESC LIMIT 1`).Scan(&payload))
	var completed map[string]any
	require.NoError(t, json.Unmarshal(payload, &completed))
	return completed
}

const (
	wakeUps     = `SELECT count(*) FROM outbox WHERE subject = 'rollcall.backfill.request.acme'`
	workHours   = `,"quietHours":{"from":"08:00","to":"18:00","zone":"America/Chicago"}`
	parkedUntil = `SELECT count(*) FROM backfill_runs WHERE state = 'parked' AND park_reason = '%s' AND due_at = '%s'`
)

func TestBackfillWhoseTimeHasNotComeIsParkedAndTheWaitIsPublished(t *testing.T) {
	t.Parallel()
	c := newCounter(t, "2026-01-14T20:00:00Z")

	c.receives(t, 1, workHours)

	require.Equal(t, 1, c.count(t, fmt.Sprintf(parkedUntil, "quiet_hours", "2026-01-15T00:00:00Z")))
	require.Zero(t, c.count(t, wakeUps), "no worker is asked")
	completed := c.completedEvent(t)
	require.Equal(t, true, completed["backfillQueued"])
	require.Equal(t, "quiet_hours", completed["waitingFor"])
	require.Equal(t, "2026-01-15T00:00:00Z", completed["estimatedStartAt"])
	require.Contains(t, completed["estimatedCompletionAt"], "2026-01-15T00:00:0")
}

func TestABackfillWithoutAWaitBeginsNow(t *testing.T) {
	t.Parallel()
	c := newCounter(t, "2026-01-15T00:00:00Z")

	c.receives(t, 1, workHours+`,"backfillNotBefore":"2026-01-14T23:00:00+00:00"`)

	require.Equal(t, 1, c.count(t, wakeUps))
	require.Equal(t, 1, c.count(t, `SELECT count(*) FROM backfill_runs WHERE state = 'queued'`))
	completed := c.completedEvent(t)
	require.NotContains(t, completed, "waitingFor")
	require.Equal(t, "2026-01-15T00:00:00Z", completed["estimatedStartAt"])
}

func TestAnotherWindowAppliesToTheParkedRunAtOnce(t *testing.T) {
	t.Parallel()
	c := newCounter(t, "2026-01-14T20:00:00Z")
	c.receives(t, 1, `,"backfillNotBefore":"2026-03-01T00:00:00Z"`)
	require.Equal(t, 1, c.count(t, fmt.Sprintf(parkedUntil, "not_before", "2026-03-01T00:00:00Z")))

	c.receives(t, 2, `,"backfillNotBefore":"2026-02-01T00:00:00Z"`)
	require.Equal(t, 1, c.count(t, fmt.Sprintf(parkedUntil, "not_before", "2026-02-01T00:00:00Z")))
	require.Equal(t, "2026-02-01T00:00:00Z", c.completedEvent(t)["estimatedStartAt"])
	require.Zero(t, c.count(t, wakeUps))

	c.receives(t, 3, workHours)
	require.Equal(t, 1, c.count(t, fmt.Sprintf(parkedUntil, "quiet_hours", "2026-01-15T00:00:00Z")))
	require.Zero(t, c.count(t, wakeUps))

	c.receives(t, 4, "")
	require.Equal(t, 1, c.count(t, wakeUps), "and without a window it is worked")
	require.Equal(t, 1, c.count(t, `SELECT count(*) FROM backfill_runs WHERE state = 'queued' AND parks = 0`))
	require.Equal(t, 1, c.count(t, `SELECT count(*) FROM sync_configs WHERE backfill_not_before IS NULL AND quiet_hours IS NULL`))
}

func TestTheSameWindowIsTheSameRequest(t *testing.T) {
	t.Parallel()
	c := newCounter(t, "2026-01-15T00:00:00Z")
	c.receives(t, 1, workHours+`,"backfillNotBefore":"2026-01-14T20:00:00.123456789Z"`)
	c.receives(t, 2, `,"quietHours":{"zone":"America/Chicago","weekdays":["sat","sun","mon","tue","wed","thu","fri"],"from":"08:00","to":"18:00"}`+
		`,"backfillNotBefore":"2026-01-14T15:00:00.123456789-05:00"`)
	require.Equal(t, 1, c.count(t, `SELECT count(*) FROM onboarding_requests WHERE state = 'duplicate'`))
}

func TestAWindowThatCannotBeKeptIsRefusedByField(t *testing.T) {
	t.Parallel()
	c := newCounter(t, "2026-01-15T00:00:00Z")
	for sequence, field := range map[uint64][2]string{
		1: {`,"quietHours":{"from":"08:00","to":"18:00","zone":"America/Sesame"}`, "quietHours.zone"},
		2: {`,"quietHours":{"from":"8","to":"18:00","zone":"UTC"}`, "quietHours.from"},
		3: {`,"backfillNotBefore":"tomorrow"`, "backfillNotBefore"},
		4: {`,"backfillNotBefore":"1970-01-01T00:00:00Z"`, "backfillNotBefore"},
		5: {`,"quietHours":{"from":"08:00","to":"18:00","zone":"UTC","weekdays":"mon"}`, "quietHours.weekdays"},
		6: {`,"quietHours":{"from":"08:00","to":"18:00","zone":"UTC","until":"x"}`, "quietHours.until"},
	} {
		delivery := message("rollcall.onboarding.request.acme",
			`{"customerId":"acme","vomoToken":"t0ken","externalSystemUrl":"http://127.0.0.1:1/crm"`+field[0]+`}`)
		delivery.Sequence = sequence
		require.ErrorIs(t, c.handle(t.Context(), delivery), worker.ErrSettled)
		require.Equal(t, 1, c.count(t, fmt.Sprintf(
			`SELECT count(*) FROM onboarding_requests WHERE state = 'rejected' AND stream_seq = %d AND errors ? '%s'`, sequence, field[1])), field[0])
	}
}
