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

// settlerFixture is an intakeFixture with a settler, a VOMO that accepts every token, and a stopped clock.
type settlerFixture struct {
	*intakeFixture
	settler *settler
}

func newSettlerFixture(t *testing.T, now string) *settlerFixture {
	t.Helper()
	d := newIntakeFixture(t)
	vomo := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`{"data":[],"links":{"next":null},"meta":{"current_page":1,"per_page":15,"total":3000}}`))
	}))
	t.Cleanup(vomo.Close)
	f := &settlerFixture{intakeFixture: d, settler: &settler{
		store: d.store, vault: d.vault, logger: zap.NewNop(), slots: 1, wake: make(chan struct{}, 1), vomoBaseURL: vomo.URL, forgetAtOnce: 2,
		limits: budget.Limits{PerSecond: 10_000},
	}}
	f.sql(t, `CREATE TABLE test_clock (at timestamptz NOT NULL)`)
	f.sql(t, fmt.Sprintf(`INSERT INTO test_clock VALUES ('%s')`, now))
	f.sql(t, `CREATE OR REPLACE FUNCTION rollcall_now() RETURNS timestamptz LANGUAGE sql STABLE AS 'SELECT at FROM test_clock'`)
	return f
}

func (f *settlerFixture) sql(t *testing.T, statement string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), f.database)
	require.NoError(t, err)
	defer func() { require.NoError(t, conn.Close(t.Context())) }()
	_, err = conn.Exec(t.Context(), statement)
	require.NoError(t, err)
}

// receiveRequest handles a message and settles its request. fields are the request's optional fields.
func (f *settlerFixture) receiveRequest(t *testing.T, sequence uint64, fields string) {
	t.Helper()
	f.receiveRequestWithToken(t, sequence, "t0ken", fields)
}

func (f *settlerFixture) receiveRequestWithToken(t *testing.T, sequence uint64, token, fields string) {
	t.Helper()
	delivery := message("rollcall.onboarding.request.acme",
		`{"customerId":"acme","vomoToken":"`+token+`","externalSystemUrl":"http://127.0.0.1:1/crm"`+fields+`}`)
	delivery.Sequence = sequence
	require.ErrorIs(t, f.handle(t.Context(), delivery), worker.ErrSettled)
	pending, err := f.store.ClaimDueRequest(t.Context(), claimHold)
	require.NoError(t, err)
	require.NoError(t, f.settler.settle(t.Context(), pending))
}

// completedEvent returns the newest onboarding.completed.
func (f *settlerFixture) completedEvent(t *testing.T) map[string]any {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), f.database)
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
	parkedUntil = `SELECT count(*) FROM all_runs WHERE kind = 'backfill' AND state = 'parked' AND park_reason = '%s' AND due_at = '%s'`
)

func TestBackfillWhoseTimeHasNotComeIsParkedAndTheWaitIsPublished(t *testing.T) {
	t.Parallel()
	f := newSettlerFixture(t, "2026-01-14T20:00:00Z")

	f.receiveRequest(t, 1, workHours)

	require.Equal(t, 1, f.count(t, fmt.Sprintf(parkedUntil, "quiet_hours", "2026-01-15T00:00:00Z")))
	require.Zero(t, f.count(t, wakeUps), "no request is published")
	completed := f.completedEvent(t)
	require.Equal(t, true, completed["backfillQueued"])
	require.Equal(t, "quiet_hours", completed["waitingFor"])
	require.Equal(t, "2026-01-15T00:00:00Z", completed["estimatedStartAt"])
	require.Contains(t, completed["estimatedCompletionAt"], "2026-01-15T00:00:0")
}

func TestBackfillWithoutWindowStartsNow(t *testing.T) {
	t.Parallel()
	f := newSettlerFixture(t, "2026-01-15T00:00:00Z")

	f.receiveRequest(t, 1, workHours+`,"backfillNotBefore":"2026-01-14T23:00:00+00:00"`)

	require.Equal(t, 1, f.count(t, wakeUps))
	require.Equal(t, 1, f.count(t, `SELECT count(*) FROM all_runs WHERE kind = 'backfill' AND state = 'queued'`))
	completed := f.completedEvent(t)
	require.NotContains(t, completed, "waitingFor")
	require.Equal(t, "2026-01-15T00:00:00Z", completed["estimatedStartAt"])
}

func TestNewWindowAppliesToParkedRunAtOnce(t *testing.T) {
	t.Parallel()
	f := newSettlerFixture(t, "2026-01-14T20:00:00Z")
	f.receiveRequest(t, 1, `,"backfillNotBefore":"2026-03-01T00:00:00Z"`)
	require.Equal(t, 1, f.count(t, fmt.Sprintf(parkedUntil, "not_before", "2026-03-01T00:00:00Z")))

	f.receiveRequest(t, 2, `,"backfillNotBefore":"2026-02-01T00:00:00Z"`)
	require.Equal(t, 1, f.count(t, fmt.Sprintf(parkedUntil, "not_before", "2026-02-01T00:00:00Z")))
	require.Equal(t, "2026-02-01T00:00:00Z", f.completedEvent(t)["estimatedStartAt"])
	require.Zero(t, f.count(t, wakeUps))

	f.receiveRequest(t, 3, workHours)
	require.Equal(t, 1, f.count(t, fmt.Sprintf(parkedUntil, "quiet_hours", "2026-01-15T00:00:00Z")))
	require.Zero(t, f.count(t, wakeUps))

	f.receiveRequest(t, 4, "")
	require.Equal(t, 1, f.count(t, wakeUps), "without a window the run is requested")
	require.Equal(t, 1, f.count(t, `SELECT count(*) FROM all_runs WHERE kind = 'backfill' AND state = 'queued' AND parks = 0`))
	require.Equal(t, 1, f.count(t, `SELECT count(*) FROM sync_configs WHERE backfill_not_before IS NULL AND quiet_hours IS NULL`))
}

func TestRequestWithSameWindowIsDuplicate(t *testing.T) {
	t.Parallel()
	f := newSettlerFixture(t, "2026-01-15T00:00:00Z")
	f.receiveRequest(t, 1, workHours+`,"backfillNotBefore":"2026-01-14T20:00:00.123456789Z"`)
	f.receiveRequest(t, 2, `,"quietHours":{"zone":"America/Chicago","weekdays":["sat","sun","mon","tue","wed","thu","fri"],"from":"08:00","to":"18:00"}`+
		`,"backfillNotBefore":"2026-01-14T15:00:00.123456789-05:00"`)
	require.Equal(t, 1, f.count(t, `SELECT count(*) FROM onboarding_requests WHERE state = 'duplicate'`))
}

func TestInvalidWindowIsRejectedByField(t *testing.T) {
	t.Parallel()
	f := newSettlerFixture(t, "2026-01-15T00:00:00Z")
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
		require.ErrorIs(t, f.handle(t.Context(), delivery), worker.ErrSettled)
		require.Equal(t, 1, f.count(t, fmt.Sprintf(
			`SELECT count(*) FROM onboarding_requests WHERE state = 'rejected' AND stream_seq = %d AND errors ? '%s'`, sequence, field[1])), field[0])
	}
}
