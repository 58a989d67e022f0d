package main

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/worker"
)

const acmeAgain = `{"customerId":"acme","vomoToken":"t0ken","externalSystemUrl":"http://127.0.0.1:1/crm"}`

// offboardUntil offboards the customer and lets the time pass.
func (f *settlerFixture) offboardUntil(t *testing.T, sequence uint64, passed string) {
	t.Helper()
	f.offboard(t, sequence)
	f.work(t)
	f.advance(t, "1 minute")
	f.work(t)
	f.advance(t, passed)
	f.work(t)
}

func TestReturnInsideTheRetentionContinuesFromTheCheckpoint(t *testing.T) {
	t.Parallel()
	f := newOffboardFixture(t)
	f.sql(t, `UPDATE sync_configs SET next_deletion_scan_at = rollcall_now() + interval '5 days'`)
	f.offboardUntil(t, 2, "29 days")

	f.receiveMessage(t, 3, acmeAgain)
	f.settleAll(t)

	require.Equal(t, 1, f.count(t, `SELECT count(*) FROM sync_configs WHERE enabled AND offboarded_at IS NULL AND next_poll_at <= rollcall_now()
		AND next_deletion_scan_at IS NULL`), "a scan for deletions, which reads all users, gets a new time")
	require.Zero(t, f.count(t, `SELECT count(*) FROM all_runs WHERE kind = 'backfill' AND state = 'queued'`))
	require.NotContains(t, f.completedEvent(t), "backfillQueued")
	require.Equal(t, 1, f.count(t, `SELECT count(*) FROM sync_checkpoints WHERE checkpoint = '2026-01-14'`))
	require.Equal(t, 5, f.count(t, blankOf+`'acme'`))
	require.Zero(t, f.count(t, `SELECT count(*) FROM offboardings`))
	require.Equal(t, 2, f.count(t, `SELECT count(*) FROM dead_letters WHERE customer_id = 'acme' AND state = 'waiting' AND next_attempt_at <= rollcall_now()
		AND record_id IN ('letter-1', 'letter-2')`), "polls would not find the records that the destination had rejected")
	require.Equal(t, "t0ken", f.token(t, store.CredentialVomoToken), "sealed with the new key")
	f.advance(t, "40 days")
	require.False(t, f.offboarder.workNext(t.Context()))
	require.Equal(t, 5, f.count(t, mappedOf+`'acme'`))
}

func TestReturnAfterTheRetentionBeginsWithAFullBackfill(t *testing.T) {
	t.Parallel()
	f := newOffboardFixture(t)
	f.offboardUntil(t, 2, "31 days")

	f.receiveMessage(t, 3, `{"customerId":"acme","vomoToken":"t0ken","externalSystemUrl":"http://127.0.0.1:1/another"}`)
	f.settleAll(t)

	require.Equal(t, 1, f.count(t, `SELECT count(*) FROM all_runs r JOIN job_log j ON j.id = r.job_id
		WHERE r.kind = 'backfill' AND r.state = 'queued' AND j.job = 'initial_backfill'`))
	require.Equal(t, true, f.completedEvent(t)["backfillQueued"])
	require.Equal(t, 1, f.count(t, `SELECT count(*) FROM sync_checkpoints WHERE checkpoint = '1970-01-01'`))
	require.Equal(t, 1, f.count(t, `SELECT count(*) FROM sync_configs WHERE enabled AND backfill_completed_at IS NULL`))
	require.Zero(t, f.count(t, `SELECT count(*) FROM offboardings`))
}

func TestRequestWaitsWhileTheCustomerIsBlankedErasedOrPurged(t *testing.T) {
	t.Parallel()
	for _, step := range []store.OffboardingStep{store.OffboardingBlanksRecords, store.OffboardingErasesMessages, store.OffboardingPurges} {
		t.Run(string(step), func(t *testing.T) {
			t.Parallel()
			f := newOffboardFixture(t)
			f.offboard(t, 2)
			f.sql(t, `UPDATE offboardings SET step = '`+string(step)+`'`)
			vomo := f.recordVomoRequests(t)

			f.receiveMessage(t, 3, acmeAgain)
			f.settleAll(t)

			require.Equal(t, 1, f.count(t, inState+`'pending' AND next_attempt_at = rollcall_now() + interval '1 second'`))
			require.Zero(t, vomo.asked.Load())
			f.work(t)
			f.advance(t, "1 second")
			f.settleAll(t)
			require.Equal(t, 1, f.count(t, `SELECT count(*) FROM sync_configs WHERE enabled`))
		})
	}
}

// The step begins after the settler has looked, while VOMO tests the token.
func TestRequestWaitsForAnOffboardingThatBeganDuringTheTestOfItsToken(t *testing.T) {
	t.Parallel()
	f := newOffboardFixture(t)
	f.offboardUntil(t, 2, "1 days")
	f.receiveMessage(t, 4, acmeAgain)
	pending, err := f.store.ClaimDueRequest(t.Context(), claimHold)
	require.NoError(t, err)
	f.offboard(t, 3)
	var secrets requestSecrets
	f.requireSecretsOpen(t, pending.ID, &secrets)

	require.NoError(t, f.settler.apply(t.Context(), proposal{pending: pending, wanted: store.Customer{ID: "acme"}, secrets: secrets}))

	require.Equal(t, 1, f.count(t, inState+`'pending'`))
	require.Zero(t, f.count(t, `SELECT count(*) FROM sync_configs WHERE enabled`))
}

func (f *settlerFixture) requireSecretsOpen(t *testing.T, request int64, secrets *requestSecrets) {
	t.Helper()
	stored, err := f.store.PendingRequestsAfter(t.Context(), "acme", store.Origin{})
	require.NoError(t, err)
	require.Len(t, stored, 1)
	require.Equal(t, request, stored[0].ID)
	plain, err := f.vault.Open(t.Context(), "acme", purposeSecrets, stored[0].SealedSecrets)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(plain, secrets))
}

// A request is newer than the offboarding, and was stored before it: its secrets were sealed with the key that goes.
func TestNewerRequestThatWasStoredBeforeTheOffboardingStillApplies(t *testing.T) {
	t.Parallel()
	f := newOffboardFixture(t)
	f.receiveMessage(t, 5, acmeAgain)

	f.offboard(t, 4)
	f.work(t)
	f.settleAll(t)

	require.Equal(t, 1, f.count(t, `SELECT count(*) FROM sync_configs WHERE enabled AND offboarded_at IS NULL`))
	require.Equal(t, "t0ken", f.token(t, store.CredentialVomoToken))
}

func TestOlderMessageDeliveredAfterTheOffboardingChangesNothing(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]string{
		"a request": acmeAgain, "a token": `{"customerId":"acme","vomoToken":"t0ken"}`, "an invalid request": `{"customerId":`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newOffboardFixture(t)
			f.offboardUntil(t, 9, "1 days")
			vomo := f.recordVomoRequests(t)
			outbox := f.count(t, `SELECT count(*) FROM outbox`)

			for range 2 { // delivered twice
				f.receiveMessage(t, 5, body)
			}

			require.Equal(t, 1, f.count(t, inState+`'superseded' AND stream_seq = 5 AND request IS NULL AND sealed_secrets IS NULL`))
			_, err := f.store.ClaimDueRequest(t.Context(), time.Minute)
			require.ErrorIs(t, err, store.ErrNotFound)
			require.Zero(t, f.count(t, `SELECT count(*) FROM customer_keys`), "no key is made for it")
			require.Zero(t, f.count(t, `SELECT count(*) FROM sync_configs WHERE enabled`))
			require.Equal(t, outbox, f.count(t, `SELECT count(*) FROM outbox`))
			require.Zero(t, vomo.asked.Load())
			f.requireStep(t, store.OffboardingRetains)
		})
	}
}

// It ended ten times with a crash: after the offboarding it becomes no letter, which an operator could publish again.
func TestOlderMessageWithTooManyAttemptsBecomesNoLetterAfterTheOffboarding(t *testing.T) {
	t.Parallel()
	f := newOffboardFixture(t)
	f.offboard(t, 9)
	delivery := message(bus.SubjectOnboard("acme"), acmeAgain)
	delivery.Sequence = 5

	require.NoError(t, f.commit(t.Context(), delivery, streamCreated, true, &store.Act{}))

	require.Equal(t, 1, f.count(t, inState+`'superseded' AND stream_seq = 5`))
	require.Zero(t, f.count(t, `SELECT count(*) FROM dead_letters WHERE original_subject LIKE '%onboarding%'`))
}

// The clocks of NATS and of the database play no part: an older stream is one that was created before.
func TestMessageOfAStreamThatWasCreatedAgainIsNewer(t *testing.T) {
	t.Parallel()
	f := newOffboardFixture(t)
	f.offboardUntil(t, 9, "1 days")
	f.created = streamCreated.Add(time.Hour)

	f.receiveMessage(t, 1, acmeAgain)
	f.settleAll(t)

	require.Equal(t, 1, f.count(t, `SELECT count(*) FROM sync_configs WHERE enabled AND offboarded_at IS NULL`))
	delivery := message(bus.SubjectOffboard("acme"), `{"customerId":"acme"}`)
	delivery.Sequence = 2
	require.ErrorIs(t, f.handle(t.Context(), delivery), worker.ErrSettled)
	require.Zero(t, f.count(t, `SELECT count(*) FROM sync_configs WHERE enabled`))
}
