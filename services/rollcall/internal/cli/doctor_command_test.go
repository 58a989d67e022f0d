package cli

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/testkit"
)

// doctorFixture is an installation without a fault; each test adds its own.
type doctorFixture struct {
	*fixture
	asked chan *http.Request // what VOMO was asked
}

func newDoctorFixture(t *testing.T, vomoAnswers int) *doctorFixture {
	t.Helper()
	w := &doctorFixture{fixture: newFixture(t), asked: make(chan *http.Request, 8)}
	w.withSecrets(oneKey)
	vomo := httptest.NewServer(http.HandlerFunc(func(answer http.ResponseWriter, request *http.Request) {
		w.asked <- request
		answer.WriteHeader(vomoAnswers)
	}))
	t.Cleanup(vomo.Close)
	w.process.Environ = append(w.process.Environ, "VOMO_BASE_URL="+vomo.URL+"/v1")
	require.NoError(t, bus.Ensure(t.Context(), w.nats.JetStream(t), 1, 30*time.Second))
	for _, name := range workers() {
		w.runs(name, "0.1.0")
	}
	return w
}

func (w *doctorFixture) sql(statement string) {
	w.t.Helper()
	conn, err := pgx.Connect(w.t.Context(), w.setting("DATABASE_URL"))
	require.NoError(w.t, err)
	defer func() { require.NoError(w.t, conn.Close(w.t.Context())) }()
	_, err = conn.Exec(w.t.Context(), statement)
	require.NoError(w.t, err)
}

// stream changes a stream as an operator could.
func (w *doctorFixture) stream(name string, change func(*jetstream.StreamConfig)) {
	w.t.Helper()
	js := w.nats.JetStream(w.t)
	stream, err := js.Stream(w.t.Context(), name)
	require.NoError(w.t, err)
	config := stream.CachedInfo().Config
	change(&config)
	_, err = js.UpdateStream(w.t.Context(), config)
	require.NoError(w.t, err)
}

func (w *doctorFixture) setting(name string) string { return (&app{Process: w.process}).env(name) }

func (w *doctorFixture) set(line string) { w.process.Environ = append(w.process.Environ, line) }

// found returns the findings in one state, by check.
func found(examined doctorDocument, state string) map[string][]finding {
	byCheck := map[string][]finding{}
	for _, one := range examined.Checks {
		if one.State == state {
			byCheck[one.Check] = append(byCheck[one.Check], one)
		}
	}
	return byCheck
}

func TestDoctorPassesEveryCheckOfAHealthyInstallation(t *testing.T) {
	t.Parallel()
	w := newDoctorFixture(t, http.StatusUnauthorized)

	got := w.run("doctor", "--json")

	require.Zero(t, got.code, got.stdout+got.stderr)
	examined := document[doctorDocument](t, got)
	require.True(t, examined.Healthy)
	names := map[string]bool{}
	for _, one := range examined.Checks {
		require.Equal(t, findingOK, one.State, one)
		require.Empty(t, one.Remedy)
		names[one.Check] = true
	}
	for _, name := range []string{
		"nats", "jetstream", "streams", "nats clock", "services", "postgres", "postgres clock", "schema", "secrets", "backlog", "retention", "vomo",
	} {
		require.True(t, names[name], name)
	}
	request := <-w.asked
	require.Empty(t, request.Header.Get("Authorization"), "no token is sent")
	require.Empty(t, w.asked, "and one request is enough")

	got = w.run("doctor")
	require.Zero(t, got.code)
	require.Regexp(t, `ok       retention: lines of the audit: kept for 400 days \(AUDIT_RETENTION\); sync_audit takes \d+`, got.stdout)
	require.Contains(t, got.stdout, "ok       retention: ids that finished scans saw: deleted at once (SCAN_SEEN_AGE)")
	require.Contains(t, got.stdout, "ok       retention: events that NATS has not accepted: kept for ever (OUTBOX_AGE)")
	require.Contains(t, got.stdout, "ok       retention: mappings of inactive customers: never archived (ARCHIVE_AFTER)")
	require.Contains(t, got.stdout, "ok       services: 1 rollcall-backfill, 1 rollcall-dlqretry, 1 rollcall-donations, 1 rollcall-notifier, "+
		"1 rollcall-onboarding, 1 rollcall-poller, 1 rollcall-reconciler, 1 rollcall-webhooks, 1 rollcall-writeback run, version 0.1.0")
}

func TestDoctorPrintsARemedyForEachFailureAndHidesNone(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		breaks func(w *doctorFixture)
		state  string
		check  string
		says   string
		remedy string
	}{
		"a stream is gone": {func(w *doctorFixture) {
			require.NoError(w.t, w.nats.JetStream(w.t).DeleteStream(w.t.Context(), bus.StreamBackfill))
		}, findingFailed, "streams", bus.StreamBackfill, "rollcall migrate"},
		// testdata/streams-changed-by-hand.md
		"deletions denied": {func(w *doctorFixture) {
			w.stream(bus.StreamOnboarding, func(config *jetstream.StreamConfig) { config.DenyDelete = true })
		}, findingFailed, "streams", "ROLLCALL_ONBOARDING: denies deletions, so that no token in it can be erased", "cannot be changed in a stream that exists"},
		"a limit that takes nothing": {func(w *doctorFixture) {
			w.stream(bus.StreamBackfill, func(config *jetstream.StreamConfig) { config.MaxBytes = 1 })
		}, findingFailed, "streams", "ROLLCALL_BACKFILL takes no message: it is limited to 1 bytes", "--max-bytes=-1"},
		"a limit that is not ours": {func(w *doctorFixture) {
			w.stream(bus.StreamPoll, func(config *jetstream.StreamConfig) { config.MaxBytes, config.MaxMsgs = 1<<30, 1000 })
		}, findingWarning, "streams", "ROLLCALL_POLL is limited to 1 GiB and 1,000 messages, and rollcall sets no limit there", "--max-bytes=-1"},
		"a stream that is nearly full": {func(w *doctorFixture) {
			w.stream(bus.StreamEvents, func(config *jetstream.StreamConfig) { config.MaxMsgs = 1 })
			_, err := w.nats.JetStream(w.t).Publish(w.t.Context(), bus.SubjectEvent("user.created", "acme"), nil)
			require.NoError(w.t, err)
		}, findingWarning, "streams", "ROLLCALL_EVENTS is 100 % full: it is limited to 1 message", "Raise its limit"},
		"another claim timeout": {func(w *doctorFixture) { w.set("CLAIM_TIMEOUT=45s") },
			findingFailed, "streams", "CLAIM_TIMEOUT is 45s", "rollcall migrate"},
		// testdata/cases/pooler.md of package store
		"a pooler of transactions": {func(w *doctorFixture) {
			w.set("DATABASE_URL=" + testkit.PgBouncer(w.t, w.setting("DATABASE_URL"), "transaction"))
		}, findingFailed, "postgres", "a pooler that gives each transaction another connection", "pool_mode=session"},
		"an older schema": {func(w *doctorFixture) { w.set("DATABASE_URL=" + testkit.EmptyDatabase(w.t)) },
			findingFailed, "schema", "older", "rollcall migrate"},
		"another key": {func(w *doctorFixture) { w.set("SECRETS_URL=" + anotherKey) }, findingFailed, "secrets", "key of customer acme", "SECRETS_URL"},
		"a rotation that was left": {func(w *doctorFixture) {
			w.set("SECRETS_URL_NEXT=" + anotherKey)
			w.sql(`UPDATE sealing_key SET key_id = '` + keeperIDs(w.t, anotherKey)[0] + `'`)
		}, findingWarning, "secrets", "4 keys still sealed by another key", "secrets rotate"},
		"a key that seals and is not there": {func(w *doctorFixture) { w.sql(`UPDATE sealing_key SET key_id = 'elsewhere'`) },
			findingFailed, "secrets", "seals what is new", "SECRETS_URL"},
		"an outbox that stands": {func(w *doctorFixture) {
			w.sql(`INSERT INTO outbox (subject, msg_id, headers, payload, created_at, next_attempt_at)
				VALUES ('s', 'm', '{}', '', now() - interval '2 minutes', now())`)
		}, findingFailed, "backlog", "1 message to publish, the first since 2m", "logs"},
		"a request that waits": {func(w *doctorFixture) {
			w.sql(`INSERT INTO onboarding_requests (stream_created, stream_seq, customer_id, state, received_at)
				VALUES (now(), 1, 'acme', 'pending', now() - interval '10 minutes')`)
		}, findingWarning, "backlog", "1 onboarding request pending", "VOMO"},
		"a line of the audit outside of the months": {func(w *doctorFixture) {
			w.sql(`INSERT INTO sync_audit (customer_id, resource_type, record_id, operation, succeeded, processed_at)
				VALUES ('acme', 'user', '1', 'create', true, '2020-01-01')`)
		}, findingWarning, "retention", "the audit, or the log of reconciliations with Virtuous, has lines outside of its months", "logs"},
		"a run that no service has taken up": {func(w *doctorFixture) {
			w.sql(`INSERT INTO sync_configs (customer_id, external_system_url, destination, onboarded_at, updated_at) VALUES ('acme', 'u', '{}', now(), now())`)
			w.sql(`INSERT INTO job_log (customer_id, job, started_at) VALUES ('acme', 'initial_backfill', now())`)
			w.sql(`INSERT INTO runs (customer_id, kind, job_id, trace_id, state, due_at, created_at, updated_at)
				SELECT 'acme', 'backfill', id, 't', 'queued', now() - interval '10 minutes', now(), now() FROM job_log`)
		}, findingWarning, "backlog", "1 backfill due that no service has taken up, the first since 10m", "backfill services"},
		"two versions":       {func(w *doctorFixture) { w.runs("rollcall-backfill", "0.2.0") }, findingWarning, "services", "0.1.0, 0.2.0", "same version"},
		"no server for VOMO": {func(w *doctorFixture) { w.set("VOMO_BASE_URL=http://127.0.0.1:1/v1") }, findingFailed, "vomo", "does not answer", "VOMO_BASE_URL"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newDoctorFixture(t, http.StatusUnauthorized)
			c.breaks(w)

			got := w.run("doctor", "--json")

			examined := document[doctorDocument](t, got)
			findings := found(examined, c.state)
			require.Len(t, findings, 1, got.stdout)
			var texts strings.Builder
			for _, one := range findings[c.check] {
				texts.WriteString(one.Text + "\n")
				require.Contains(t, one.Remedy, c.remedy)
			}
			require.Contains(t, texts.String(), c.says)
			require.Equal(t, c.state != findingFailed, examined.Healthy)
			if c.state == findingFailed {
				require.Equal(t, 1, got.code)
			} else {
				require.Zero(t, got.code, got.stderr)
			}
			require.NotContains(t, got.stdout+got.stderr, "AAAAAAAA", "no key is printed")
		})
	}
}

func TestDoctorChecksTheRestWithoutNATS(t *testing.T) {
	t.Parallel()
	w := newDoctorFixture(t, http.StatusServiceUnavailable)
	w.nats.Stop()

	got := w.run("doctor", "--json")

	require.Equal(t, 1, got.code)
	examined := document[doctorDocument](t, got)
	require.Contains(t, found(examined, findingFailed), "nats")
	require.Len(t, found(examined, findingSkipped), 4)
	for _, check := range []string{"postgres", "schema", "secrets", "backlog"} {
		require.Contains(t, found(examined, findingOK), check)
	}
	require.Contains(t, found(examined, findingWarning), "vomo", "an unhealthy VOMO is not our failure")
}

func TestDoctorChecksTheRestWithoutPostgres(t *testing.T) {
	t.Parallel()
	w := newDoctorFixture(t, http.StatusUnauthorized)
	w.set("DATABASE_URL=postgres://rollcall:hunter2@127.0.0.1:1/rollcall")

	got := w.run("doctor", "--json")

	require.Equal(t, 1, got.code)
	require.NotContains(t, got.stdout+got.stderr, "hunter2")
	examined := document[doctorDocument](t, got)
	require.Contains(t, found(examined, findingFailed), "postgres")
	require.Len(t, found(examined, findingSkipped), 5)
	for _, check := range []string{"nats", "jetstream", "streams", "services", "vomo"} {
		require.Contains(t, found(examined, findingOK), check)
	}
}

func TestServicesThatDoNotAnswerAreNamed(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.runs("rollcall-onboarding", "0.1.0")
	f.runs("rollcall-poller", "0.1.0")
	got := f.run("doctor", "--json")
	require.Equal(t, 1, got.code)
	var missing []string
	for _, one := range found(document[doctorDocument](t, got), findingFailed)["services"] {
		missing = append(missing, one.Text)
	}
	require.Equal(t, []string{
		"rollcall-backfill does not answer", "rollcall-reconciler does not answer", "rollcall-dlqretry does not answer", "rollcall-writeback does not answer",
		"rollcall-donations does not answer", "rollcall-webhooks does not answer", "rollcall-notifier does not answer",
	}, missing)
}

func TestAServersVersionIsComparedNumberByNumber(t *testing.T) {
	t.Parallel()
	for version, older := range map[string]bool{
		"2.15.2": false, "2.15.10": false, "2.16.0": false, "3.0.0": false, "2.15.3-beta.1": false, "2.15.1": true, "2.9.25": true, "1.99.99": true, "": true,
	} {
		require.Equal(t, older, olderVersion(version, oldestNATS), version)
	}
	require.Equal(t, findingFailed, natsVersion("2.10.0").State)
}

func TestAClockThatDiffersIsAWarning(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 2, 9, 30, 0, 0, time.UTC)
	require.Equal(t, findingOK, clock("c", now, now.Add(time.Second), now.Add(5*time.Second)).State)
	require.Equal(t, findingWarning, clock("c", now, now.Add(time.Second), now.Add(time.Minute)).State)
	require.Equal(t, findingWarning, clock("c", now, now, now.Add(-6*time.Second)).State)
}

func TestReplicasOfAStreamWithTokensAreNamedUnlessAllTokensAreSealed(t *testing.T) {
	t.Parallel()
	replicated := []bus.Usage{{Stream: bus.StreamOnboarding, Work: true, Replicas: 3}, {Stream: bus.StreamBackfill, Work: true, Replicas: 3}}
	findings := usageFindings(replicated, false)
	require.Len(t, findings, 1)
	require.Contains(t, findings[0].Text, "has 3 replicas")
	require.Contains(t, findings[0].Remedy, "REQUIRE_SEALED_TOKENS=true")
	require.Empty(t, usageFindings(replicated, true))
}
