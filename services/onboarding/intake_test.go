package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/destination"
	"rollcall.dev/pkg/event"
	messageintake "rollcall.dev/pkg/intake"
	"rollcall.dev/pkg/messageletter"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/testkit"
	"rollcall.dev/pkg/vault"
	"rollcall.dev/pkg/worker"
)

func TestMain(m *testing.M) { testkit.MainOfWaiting(m) }

// streamCreated is the creation time of the messages' stream.
var streamCreated = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

var errCrash = errors.New("the process died here")

// intakeFixture is an intake on a real database. It records erasures and can make them fail.
type intakeFixture struct {
	*intake
	database string
	erase    func(ctx context.Context, sequence uint64) error
	created  time.Time // of the messages' stream
	erased   []uint64
	failNext int
}

func newIntakeFixture(t *testing.T) *intakeFixture {
	t.Helper()
	f := &intakeFixture{database: testkit.Database(t), created: streamCreated}
	opened, err := store.Open(t.Context(), f.database, store.Options{})
	require.NoError(t, err)
	t.Cleanup(opened.Close)
	keeper, err := vault.OpenKeeper(t.Context(), "dev:"+filepath.Join(t.TempDir(), "key"))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, keeper.Close()) })
	safe := &vault.Vault{Keeper: keeper, Keys: opened}
	created := func(context.Context, string) (time.Time, error) { return f.created, nil }
	creation := func(context.Context, string) (bus.Creation, error) { return bus.Creation{At: f.created}, nil } // asked about each message
	offboarder := &offboarder{
		store: opened, vault: safe, logger: zap.NewNop(), retention: 30 * 24 * time.Hour, wake: make(chan struct{}, 1), batch: offboardBatch,
		erase: func(context.Context, string, int) (int, bool, error) { return 0, true, nil },
		purge: func(context.Context, string) (uint64, error) { return 0, nil },
	}
	f.intake = &intake{
		offboarder: offboarder, queuedDonations: func(context.Context, string) (uint64, error) { return 0, nil },
		store: opened, vault: safe, logger: zap.NewNop(), wakeSettler: func() {}, private: destination.PrivateAccess{All: true},
		messages: messageintake.New(opened, zap.NewNop(), creation, func(ctx context.Context, sequence uint64) error { return f.erase(ctx, sequence) }),
		letters:  &messageletter.Opener{Store: opened, Vault: safe, Job: "onboarding", StreamCreated: created},
	}
	f.erase = func(_ context.Context, sequence uint64) error {
		if f.failNext > 0 {
			f.failNext--
			return errCrash
		}
		f.erased = append(f.erased, sequence)
		return nil
	}
	return f
}

func (f *intakeFixture) count(t *testing.T, query string) int {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), f.database)
	require.NoError(t, err)
	defer func() { require.NoError(t, conn.Close(t.Context())) }()
	rows, err := conn.Query(t.Context(), query)
	require.NoError(t, err)
	count, err := pgx.CollectExactlyOneRow(rows, pgx.RowTo[int])
	require.NoError(t, err)
	return count
}

func message(subject, body string) *worker.Delivery {
	return &worker.Delivery{Subject: subject, Data: []byte(body), Stream: "ROLLCALL_ONBOARDING", Sequence: 7, Deliveries: 1}
}

const wellFormed = `{"customerId":"acme","vomoToken":"t0ken","externalSystemUrl":"http://127.0.0.1:1/crm"}`

func TestRedeliveryErasesMessageAfterCrashBetweenCommitAndErasure(t *testing.T) {
	t.Parallel()
	const (
		request   = "rollcall.onboarding.request.acme"
		foreign   = `{"customerId":"acme","vomoTokenSealed":"x.y","externalSystemUrl":"http://127.0.0.1:1/crm"}`
		inState   = `SELECT count(*) FROM onboarding_requests WHERE state = `
		rejection = `SELECT count(*) FROM outbox WHERE subject LIKE '%rejected.acme'`
		letters   = `SELECT count(*) FROM dead_letters WHERE customer_id = '_unknown'`
	)
	for name, kind := range map[string]struct{ subject, body, rows, act string }{
		"a good request": {
			request, wellFormed, inState + `'pending'`,
			`onboarding.request acme done {"customerId": "acme", "destination": {"url": "…", "kind": "rest"}}`,
		},
		"a bad request":     {request, `{"customerId":`, rejection, `onboarding.request acme rejected invalid {}`},
		"a foreign sealing": {request, foreign, inState + `'rejected'`, `onboarding.request acme rejected invalid {}`},
		"an offboarding":    {"rollcall.onboarding.offboard.acme", `{"customerId":"acme"}`, inState + `'applied'`, `onboarding.offboard acme done {}`},
		"unknown customer":  {"rollcall.onboarding.request.ACME", wellFormed, letters, `onboarding.request rejected customer_unreadable {}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newIntakeFixture(t)
			f.failNext = 1
			require.ErrorIs(t, f.handle(t.Context(), message(kind.subject, kind.body)), errCrash)
			require.Equal(t, 1, f.count(t, kind.rows))
			require.Empty(t, f.erased)

			require.ErrorIs(t, f.handle(t.Context(), message(kind.subject, kind.body)), worker.ErrSettled)
			require.Equal(t, 1, f.count(t, kind.rows), "the redelivery adds nothing")
			require.Equal(t, []uint64{7}, f.erased)
			require.Equal(t, 1, f.count(t, `SELECT count(*) FROM operator_audit`))
			require.Equal(t, 1, f.count(t, `SELECT count(*) FROM operator_audit WHERE concat_ws(' ', verb, customer_id, outcome, code, filter::text) = '`+kind.act+`'`))
		})
	}
}

// The cases of proto/rollcall/v1/testdata/onboarding, with their events and log lines.
func TestInvalidMessageIsRejectedWithPositionAndWithoutContent(t *testing.T) {
	t.Parallel()
	f := newIntakeFixture(t)
	core, logs := observer.New(zap.InfoLevel)
	f.logger = zap.New(core)
	const folder = "../../proto/rollcall/v1/testdata/onboarding/"
	for sequence, name := range []string{"bom.json", "trailing-comma.json", "typographic-quotes.json"} {
		body, err := os.ReadFile(folder + name)
		require.NoError(t, err)
		for place, subject := range []string{"rollcall.onboarding.request.acme", "rollcall.onboarding.offboard.acme"} {
			delivery := message(subject, string(body))
			delivery.Sequence = uint64(10*place + sequence)
			require.ErrorIs(t, f.handle(t.Context(), delivery), worker.ErrSettled)
		}
	}
	require.Equal(t, 1, f.count(t, `SELECT count(*) FROM onboarding_requests WHERE state = 'pending' AND stream_seq = 0`), "the byte order mark is skipped")
	const rejected = `SELECT count(*) FROM outbox WHERE subject LIKE '%onboarding.rejected.acme' AND convert_from(payload, 'UTF8') LIKE `
	require.Equal(t, 2, f.count(t, rejected+`'%a comma before a closing bracket at byte 105 (line 1, column 105)%'`))
	require.Equal(t, 2, f.count(t, rejected+`'%a typographic quotation mark at byte 2 (line 1, column 2)%'`))
	require.Zero(t, f.count(t, rejected+`'%sandbox-acme-token%'`))
	for _, entry := range logs.All() {
		require.NotContains(t, fmt.Sprint(entry.Message, entry.ContextMap()), "sandbox-acme-token")
	}
}

func TestOffboardingClearsCustomersAlerts(t *testing.T) {
	t.Parallel()
	f := newIntakeFixture(t)
	require.NoError(t, f.store.InTx(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		for _, customer := range []string{"acme", "globex"} {
			if err := event.Raise(ctx, tx, event.AlertFor(customer, event.AlertDestinationDown)); err != nil {
				return err
			}
		}
		return event.Raise(ctx, tx, event.AlertFor("acme", event.AlertAuthFailed))
	}))

	require.ErrorIs(t, f.handle(t.Context(), message("rollcall.onboarding.offboard.acme", `{"customerId":"acme"}`)), worker.ErrSettled)
	require.True(t, f.offboarder.workNext(t.Context()))

	require.Equal(t, 2, f.count(t, `SELECT count(*) FROM alerts WHERE customer_id = 'acme' AND cleared_at IS NOT NULL`))
	require.Equal(t, 1, f.count(t, `SELECT count(*) FROM alerts WHERE cleared_at IS NULL`), "alerts of other customers stay active")
	require.Equal(t, 2, f.count(t, `SELECT count(*) FROM outbox WHERE subject LIKE 'rollcall.alerts.%.acme'`),
		"what was not published goes, and the end of the alerts is published")
}

func TestClearTokenIsRejectedIfInstallationRequiresSealedTokens(t *testing.T) {
	t.Parallel()
	f := newIntakeFixture(t)
	f.requireSealed = true
	require.ErrorIs(t, f.handle(t.Context(), message("rollcall.onboarding.request.acme", wellFormed)), worker.ErrSettled)
	require.Equal(t, 1, f.count(t, `SELECT count(*) FROM onboarding_requests WHERE state = 'rejected' AND errors ? 'vomoToken'`))

	public, err := f.vault.PublicXKey(t.Context())
	require.NoError(t, err)
	sealed, err := vault.SealToken(public, "t0ken")
	require.NoError(t, err)
	delivery := message("rollcall.onboarding.request.acme", `{"customerId":"acme","vomoTokenSealed":"`+sealed+`","externalSystemUrl":"http://127.0.0.1:1/crm"}`)
	delivery.Sequence = 8
	require.ErrorIs(t, f.handle(t.Context(), delivery), worker.ErrSettled)
	require.Equal(t, 1, f.count(t, `SELECT count(*) FROM onboarding_requests WHERE state = 'pending'`))
}

func TestOffboardingEndsAlertsAndRuns(t *testing.T) {
	t.Parallel()
	f := newIntakeFixture(t)
	conn, err := pgx.Connect(t.Context(), f.database)
	require.NoError(t, err)
	defer func() { require.NoError(t, conn.Close(t.Context())) }()
	for _, statement := range []string{
		`INSERT INTO sync_configs (customer_id, external_system_url, destination, onboarded_at, updated_at) VALUES ('acme', '', '{}', now(), now())`,
		`INSERT INTO sync_checkpoints VALUES ('acme', 'user_sync', now(), now())`,
		`INSERT INTO alerts (customer_id, type, severity, raised_at) VALUES ('acme', 'destination_down', 'medium', now())`,
		`WITH line AS (INSERT INTO job_log (customer_id, job, started_at) VALUES ('acme', 'user_sync_poll', now()) RETURNING id)
			INSERT INTO runs (customer_id, kind, job_id, trace_id, state, updated_after, covered_until, due_at, created_at, updated_at)
			SELECT 'acme', 'poll', id, '', 'queued', a, b, c, d, e
			FROM line, (SELECT now() AS a, now() AS b, now() AS c, now() AS d, now() AS e) n`,
	} {
		_, err := conn.Exec(t.Context(), statement)
		require.NoError(t, err)
	}

	require.ErrorIs(t, f.handle(t.Context(), message("rollcall.onboarding.offboard.acme", `{"customerId":"acme"}`)), worker.ErrSettled)
	require.True(t, f.offboarder.workNext(t.Context()))

	require.Zero(t, f.count(t, `SELECT count(*) FROM alerts WHERE cleared_at IS NULL`))
	require.Equal(t, 1, f.count(t, `SELECT count(*) FROM outbox WHERE subject = 'rollcall.alerts.medium.destination_down.acme'`), "the cleared alert is published")
	require.Zero(t, f.count(t, `SELECT count(*) FROM runs WHERE kind <> 'backfill'`))
	require.Equal(t, 1, f.count(t, `SELECT count(*) FROM job_log WHERE outcome = 'failed' AND error_code = 'offboarded'`))
}
