package main

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/vault"
	"rollcall.dev/pkg/worker"
)

// retention is the fixture's OFFBOARD_RETENTION.
const retention = 30 * 24 * time.Hour

// newOffboardFixture returns a settlerFixture with the onboarded customer acme: three users in the mapping, letters, a run, messages in the
// outbox. Its offboarder works batches of two.
func newOffboardFixture(t *testing.T) *settlerFixture {
	t.Helper()
	f := newSettlerFixture(t, "2026-01-15T00:00:00Z")
	f.offboarder.batch = 2
	f.receiveRequest(t, 1, `,"adminEmail":"it@acme.example"`)
	for _, statement := range []string{
		`UPDATE sync_configs SET backfill_completed_at = rollcall_now(), next_poll_at = rollcall_now()`,
		`UPDATE runs SET state = 'completed'`, `DELETE FROM backfill_runs`,
		`UPDATE sync_checkpoints SET checkpoint = '2026-01-14'`,
		`INSERT INTO user_mappings SELECT c, n::text, 'crm-' || n, 'ana' || n || '@example.org', rollcall_now(), '2026-01-10', '\xbeef', '\x02'
			FROM generate_series(1, 5) n, unnest('{acme,globex}'::text[]) c`,
		`INSERT INTO dead_letters (id, customer_id, kind, record_id, original_subject, job, error_code, error_class, state, first_failed_at,
				last_failed_at, payload_sealed, answer_sealed, version_hash)
			SELECT gen_random_uuid(), c, CASE WHEN n = 4 THEN 'message' ELSE 'user' END,
				CASE n WHEN 4 THEN NULL WHEN 3 THEN 'unreadable-0123' ELSE 'letter-' || n END, 's', 'j', 'http_422', 'permanent', 'review',
				at, rollcall_now(), '\x01', '\x02', '\x03'
			FROM generate_series(1, 4) n, unnest('{acme,globex}'::text[]) c, (SELECT rollcall_now() AS at) a`,
		`INSERT INTO deletion_runs (customer_id, entity, job_id, trace_id, state, held_for, mapped, started_at)
			SELECT c, 'user', 1, '', 'held', 'share', 5, rollcall_now() FROM unnest('{acme,globex}'::text[]) c`,
		`INSERT INTO deletion_candidates SELECT r.id, n::text, r.customer_id, 'confirmed', NULL, now(), '\x01', now(), NULL, NULL
			FROM deletion_runs r, generate_series(1, 3) n`,
		`INSERT INTO outbox (subject, msg_id, payload, created_at, next_attempt_at)
			SELECT 'rollcall.events.user.updated.' || c, 'id-' || c, 'ana1@example.org', at, rollcall_now()
			FROM unnest('{acme,globex,x-acme}'::text[]) c, (SELECT rollcall_now() AS at) a`,
	} {
		f.sql(t, statement)
	}
	return f
}

func (f *settlerFixture) offboard(t *testing.T, sequence uint64) {
	t.Helper()
	delivery := message(bus.SubjectOffboard("acme"), `{"customerId":"acme"}`)
	delivery.Sequence = sequence
	require.ErrorIs(t, f.handle(t.Context(), delivery), worker.ErrSettled)
}

// work works all steps that are due.
func (f *settlerFixture) work(t *testing.T) {
	t.Helper()
	for f.offboarder.workNext(t.Context()) {
	}
}

func (f *settlerFixture) requireStep(t *testing.T, step store.OffboardingStep) store.Offboarding {
	t.Helper()
	at, err := f.store.Offboarding(t.Context(), "acme")
	require.NoError(t, err)
	require.Equal(t, step, at.Step)
	return at
}

const (
	openOf   = `SELECT count(*) FROM dead_letters WHERE state <> 'settled' AND customer_id = `
	mappedOf = `SELECT count(*) FROM user_mappings WHERE customer_id = `
	blankOf  = `SELECT count(*) FROM user_mappings WHERE last_known_email IS NULL AND version_hash = '' AND field_digests IS NULL AND customer_id = `
)

func TestOffboardingDestroysKeyAndStopsWorkInOneTransaction(t *testing.T) {
	t.Parallel()
	f := newOffboardFixture(t)
	lease, err := f.store.TakeLease(t.Context(), "acme", "poller-1", time.Minute)
	require.NoError(t, err)
	sealed, err := f.vault.Seal(t.Context(), "acme", "letter", []byte("secret"))
	require.NoError(t, err)

	f.offboard(t, 2)

	_, err = f.vault.Open(t.Context(), "acme", "letter", sealed)
	require.ErrorIs(t, err, vault.ErrKeyGone)
	require.ErrorIs(t, f.store.InLane(t.Context(), lease, func(context.Context, *store.Tx) error { return nil }), store.ErrLaneLost)
	require.Equal(t, 1, f.count(t, `SELECT count(*) FROM sync_configs WHERE NOT enabled AND offboarded_at IS NOT NULL AND admin_email IS NULL`))
	require.Zero(t, f.count(t, `SELECT count(*) FROM credentials`))
	require.Zero(t, f.count(t, `SELECT count(*) FROM outbox WHERE subject LIKE '%.acme'`))
	require.Equal(t, 2, f.count(t, `SELECT count(*) FROM outbox`), "messages of others stay")
	require.Equal(t, retention, f.requireStep(t, store.OffboardingBlanksRecords).PurgeAt.Sub(f.now(t)))
	require.Equal(t, 1, f.count(t, `SELECT count(*) FROM job_log WHERE job = 'offboard' AND completed_at IS NULL`))
}

func (f *settlerFixture) now(t *testing.T) time.Time {
	t.Helper()
	now, err := f.store.Now(t.Context())
	require.NoError(t, err)
	return now
}

func TestOffboardingBlanksErasesRetainsAndPurges(t *testing.T) {
	t.Parallel()
	f := newOffboardFixture(t)
	erased := 0
	f.offboarder.erase = func(_ context.Context, customer string, atMost int) (int, bool, error) {
		require.Equal(t, "acme", customer)
		erased += atMost
		return atMost, erased >= 6, nil
	}
	f.offboarder.purge = func(_ context.Context, customer string) (uint64, error) {
		require.Equal(t, "acme", customer)
		require.Equal(t, 6, erased, "what is in the clear is erased before it is purged")
		return 10, nil
	}

	f.exec(t, `INSERT INTO participations (customer_id, vomo_user_id, digest, summary_digest, sealed, refreshed_at)
		SELECT customer, n::text, '', '', '', now() FROM generate_series(1, 5) n, unnest('{acme,globex}'::text[]) customer`)
	f.exec(t, `INSERT INTO dlq_drains (customer_id, verb, filter, as_of, planned, state, asked_by, due_at, created_at)
		SELECT customer, 'retry', '{}', now(), 5, 'running', '', now(), now() FROM unnest('{acme,globex,NULL}'::text[]) customer`)
	f.exec(t, `INSERT INTO dlq_drain_items (drain_id, letter_id, customer_id, outcome, at)
		SELECT d.id, gen_random_uuid(), coalesce(d.customer_id, 'acme'), 'done', now() FROM dlq_drains d, generate_series(1, 5)`)

	f.exec(t, `INSERT INTO customer_daily_counts SELECT customer, '2026-01-01', 5 FROM unnest('{acme,globex}'::text[]) customer`)
	f.exec(t, `INSERT INTO endpoints (customer_id, topics, host, url_sealed, secret_sealed, created_at, updated_at)
		SELECT customer, '{*}', 'partner.example', '', '', now(), now() FROM unnest('{acme,globex,NULL}'::text[]) customer`)
	f.exec(t, `INSERT INTO endpoint_deliveries (endpoint_id, event_id, customer_id, topic, body, state, next_attempt_at, retry_until, created_at)
		SELECT id, 'e', 'acme', 't', '', 'pending', now(), now(), now() FROM endpoints`)
	ofEndpoints := `SELECT count(*) FROM endpoint_deliveries d JOIN endpoints e ON e.id = d.endpoint_id WHERE e.customer_id `

	f.offboard(t, 2)
	f.work(t)

	require.Equal(t, 2, f.count(t, `SELECT count(*) FROM dlq_drains WHERE customer_id IS DISTINCT FROM 'acme'`), "those of others stay")
	require.Equal(t, 2, f.count(t, `SELECT count(*) FROM dlq_drains`))
	require.Zero(t, f.count(t, `SELECT count(*) FROM dlq_drain_items WHERE customer_id = 'acme'`), "also of drains of all customers")
	require.Equal(t, 5, f.count(t, `SELECT count(*) FROM dlq_drain_items`))

	require.Zero(t, f.count(t, `SELECT count(*) FROM participations WHERE customer_id = 'acme'`))
	require.Equal(t, 1, f.count(t, ofEndpoints+`= 'acme'`), "its endpoint is to get customer.offboarded")
	require.Equal(t, 5, f.count(t, `SELECT count(*) FROM participations WHERE customer_id = 'globex'`))
	require.EqualValues(t, 5, f.requireStep(t, store.OffboardingErasesLateMessages).Blanked)
	require.Equal(t, 5, f.count(t, blankOf+`'acme'`))
	require.Zero(t, f.count(t, blankOf+`'globex'`))
	require.Zero(t, f.count(t, openOf+`'acme'`))
	require.Equal(t, 4, f.count(t, openOf+`'globex'`))
	require.Zero(t, f.count(t, `SELECT count(*) FROM deletion_candidates WHERE customer_id = 'acme'`))
	require.Equal(t, 3, f.count(t, `SELECT count(*) FROM deletion_candidates WHERE customer_id = 'globex'`))
	require.Equal(t, 1, f.count(t, `SELECT count(*) FROM deletion_runs WHERE state = 'held'`))
	require.Zero(t, f.count(t, `SELECT count(*) FROM dead_letters WHERE customer_id = 'acme'
		AND (payload_sealed IS NOT NULL OR answer_sealed IS NOT NULL OR version_hash IS NOT NULL)`))
	require.Zero(t, f.count(t, `SELECT count(*) FROM onboarding_requests WHERE request IS NOT NULL OR sealed_secrets IS NOT NULL`))
	require.Equal(t, 1, f.count(t, `SELECT count(*) FROM outbox WHERE subject = 'rollcall.events.customer.offboarded.acme'`))
	require.Equal(t, 1, f.count(t, `SELECT count(*) FROM job_log WHERE job = 'offboard' AND outcome = 'success' AND processed_count = 5`))

	f.advance(t, "1 minute")
	f.work(t)
	require.EqualValues(t, 6+10+2, f.requireStep(t, store.OffboardingRetains).Erased)
	f.advance(t, "29 days 23 hours")
	f.work(t)
	f.requireStep(t, store.OffboardingRetains)
	require.Equal(t, 5, f.count(t, mappedOf+`'acme'`))

	f.advance(t, "1 hour")
	f.work(t)

	require.EqualValues(t, 5, f.requireStep(t, store.OffboardingPurged).Purged)
	require.Zero(t, f.count(t, mappedOf+`'acme'`))
	require.Equal(t, 5, f.count(t, mappedOf+`'globex'`))
	require.Zero(t, f.count(t, `SELECT count(*) FROM dead_letters WHERE customer_id = 'acme'`))
	require.Zero(t, f.count(t, `SELECT count(*) FROM sync_checkpoints`))
	require.Equal(t, 1, f.count(t, `SELECT count(*) FROM customer_daily_counts`), "another customer's")
	require.Equal(t, 2, f.count(t, `SELECT count(*) FROM endpoint_deliveries`), "deleted with the customer's own endpoint")
	require.Zero(t, f.count(t, ofEndpoints+`= 'acme'`))
	require.Zero(t, f.count(t, `SELECT count(*) FROM customer_keys`))
	require.Equal(t, 1, f.count(t, `SELECT count(*) FROM job_log WHERE job = 'permanent_offboard' AND outcome = 'success' AND processed_count = 5`))
	require.Equal(t, 1, f.count(t, `SELECT count(*) FROM outbox WHERE subject = 'rollcall.events.customer.purged.acme'`))
	f.advance(t, "90 days")
	require.False(t, f.offboarder.workNext(t.Context()), "nothing is left")
}

// Each batch of each step fails once, before and after the streams have answered: everything is done all the same.
func TestOffboardingContinuesAfterACrashInAnyStep(t *testing.T) {
	t.Parallel()
	f := newOffboardFixture(t)
	crash := errors.New("the process died here")
	erasures, purges := 0, 0
	f.offboarder.erase = func(context.Context, string, int) (int, bool, error) {
		if erasures++; erasures%2 == 1 {
			return 0, false, crash
		}
		return 0, true, nil
	}
	f.offboarder.purge = func(context.Context, string) (uint64, error) {
		if purges++; purges == 1 {
			return 0, crash
		}
		return 0, nil
	}
	f.offboard(t, 2)
	// Each second statement that saves a step fails: the batch that it belongs to is rolled back.
	f.sql(t, `CREATE SEQUENCE saves`)
	f.sql(t, `CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
		IF new.attempts = 0 AND (new.step, new.cursor, new.purged) IS DISTINCT FROM (old.step, old.cursor, old.purged) AND nextval('saves') % 2 = 1 THEN
			RAISE EXCEPTION 'the process died here'; END IF; RETURN new; END $$`)
	f.sql(t, `CREATE TRIGGER fail BEFORE UPDATE ON offboardings FOR EACH ROW EXECUTE FUNCTION fail()`)
	failures := 0
	for rounds := 0; ; rounds++ {
		require.Less(t, rounds, 200)
		f.work(t)
		at, err := f.store.Offboarding(t.Context(), "acme")
		require.NoError(t, err)
		if at.Attempts > 0 {
			failures++
		}
		if at.Step == store.OffboardingPurged {
			break
		}
		if at.Step == store.OffboardingRetains {
			f.advance(t, "30 days")
		}
		f.advance(t, "1 minute")
	}

	require.Greater(t, failures, 8)
	require.Zero(t, f.count(t, mappedOf+`'acme'`))
	require.Equal(t, 5, f.count(t, mappedOf+`'globex'`))
	require.Equal(t, 1, f.count(t, `SELECT count(*) FROM outbox WHERE subject = 'rollcall.events.customer.offboarded.acme'`))
	require.Equal(t, 1, f.count(t, `SELECT count(*) FROM outbox WHERE subject = 'rollcall.events.customer.purged.acme'`))
	const complete = `SELECT count(*) FROM job_log WHERE job LIKE '%offboard' AND outcome = 'success' AND processed_count = 5`
	require.Equal(t, 2, f.count(t, complete), "each record is counted once")
}

// A worker was opening a letter while the others were settled. It was sealed with the destroyed key.
func TestLetterThatWasBeingOpenedIsSettledWithLateMessages(t *testing.T) {
	t.Parallel()
	f := newOffboardFixture(t)
	f.offboard(t, 2)
	f.work(t)
	f.sql(t, `UPDATE dead_letters SET state = 'review', settled_how = NULL WHERE customer_id = 'acme' AND kind = 'message'`)
	f.advance(t, "1 minute")
	f.work(t)

	f.requireStep(t, store.OffboardingRetains)
	require.Zero(t, f.count(t, openOf+`'acme'`))
}

func TestOffboardingOfAStreamThatDeniesErasureGoesOnWithAnAlert(t *testing.T) {
	t.Parallel()
	f := newOffboardFixture(t)
	f.offboarder.erase = func(context.Context, string, int) (int, bool, error) { return 0, false, bus.ErrNotErasable }
	f.offboard(t, 2)
	f.work(t)
	f.advance(t, "1 minute")
	f.work(t)

	f.requireStep(t, store.OffboardingRetains)
	require.Equal(t, 1, f.count(t, `SELECT count(*) FROM alerts WHERE type = 'message_not_erased' AND customer_id = 'acme' AND cleared_at IS NULL`))
}

func TestOffboardingOfAnUnknownCustomerLeavesNoStep(t *testing.T) {
	t.Parallel()
	f := newSettlerFixture(t, "2026-01-15T00:00:00Z")
	f.offboard(t, 1)
	f.work(t)

	require.Zero(t, f.count(t, `SELECT count(*) FROM offboardings`))
	require.Zero(t, f.count(t, `SELECT count(*) FROM outbox`))
}

func TestRepeatedOffboardingKeepsTheTimeOfThePurge(t *testing.T) {
	t.Parallel()
	f := newOffboardFixture(t)
	f.offboard(t, 2)
	f.work(t)
	before := f.requireStep(t, store.OffboardingErasesLateMessages)
	f.advance(t, "10 days")

	f.offboard(t, 3)

	again := f.requireStep(t, store.OffboardingBlanksRecords)
	require.True(t, before.PurgeAt.Equal(again.PurgeAt))
	f.work(t)
	require.Equal(t, 2, f.count(t, `SELECT count(*) FROM job_log WHERE job = 'offboard' AND outcome = 'success'`))
}

// The version before has no steps: it switched the customer off and kept its key.
func TestCustomerThatTheVersionBeforeOffboardedGetsItsSteps(t *testing.T) {
	t.Parallel()
	f := newOffboardFixture(t)
	f.sql(t, `UPDATE sync_configs SET enabled = false, offboarded_at = '2025-06-01'`)

	f.offboarder.addMissing(t.Context())

	require.Zero(t, f.count(t, `SELECT count(*) FROM customer_keys`))
	require.Equal(t, retention, f.requireStep(t, store.OffboardingBlanksRecords).PurgeAt.Sub(f.now(t)), "the retention begins now: nothing goes at once")
	f.offboarder.addMissing(t.Context())
	require.Equal(t, 1, f.count(t, `SELECT count(*) FROM job_log WHERE job = 'offboard'`))
}

func TestStepsOfACustomerThatTheVersionBeforeOnboardedAgainEnd(t *testing.T) {
	t.Parallel()
	f := newOffboardFixture(t)
	f.offboard(t, 2)
	f.work(t)
	f.sql(t, `UPDATE sync_configs SET enabled = true, offboarded_at = NULL`)
	f.advance(t, "31 days")

	f.work(t)

	require.Zero(t, f.count(t, `SELECT count(*) FROM offboardings`))
	require.Equal(t, 5, f.count(t, mappedOf+`'acme'`), "an active customer's mapping is never purged")
	require.Equal(t, 2, f.count(t, openOf+`'acme'`))
}
