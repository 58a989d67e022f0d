package main

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"rollcall.dev/pkg/event"
	"rollcall.dev/pkg/store"
	rollcallv1 "rollcall.dev/proto/rollcall/v1"
)

func TestCustomerWithVirtuousAloneHasNoDestinationAndNoBackfill(t *testing.T) {
	t.Parallel()
	f := newGivingFixture(t)
	f.request(t, `{"customerId":"acme","adminEmail":"it@acme.example","virtuous":{"token":"k3y","transactionSource":"AcmeGive","webhookSecret":"wh-s3cret",
		"designationsField":"giftDesignations","defaults":{"batch":"Acme"},"needsReviewAfterHours":96,"stuckAfterHours":12,
		"importsUrl":"https://app.virtuoussoftware.com/imports","giftsSince":"2025-12-31","createWebhook":true}}`)
	f.requireOutcome(t, "applied")
	customer, err := f.store.Customer(t.Context(), "acme")
	require.NoError(t, err)
	require.Empty(t, customer.ExternalSystemURL)
	require.False(t, customer.Mirrors())
	require.True(t, customer.Active())
	require.False(t, customer.Steady(), "nothing is polled")
	require.Equal(t, "it@acme.example", *customer.AdminEmail)
	config := f.config(t)
	require.JSONEq(t, `{"batch":"Acme"}`, string(config.Defaults))
	config.Defaults, config.OnboardedAt, config.UpdatedAt = nil, time.Time{}, time.Time{}
	require.Equal(t, store.VirtuousConfig{
		Customer: "acme", Enabled: true, TransactionSource: "AcmeGive", DesignationsField: "giftDesignations", NeedsReviewAfterHours: 96,
		StuckAfterHours: 12, ImportsURL: "https://app.virtuoussoftware.com/imports", GiftsSince: "2025-12-31", CreateWebhook: true,
		Resolution: []byte("{}"), OrganizationID: "67890", OrganizationName: "Example Relief", TimeZone: "US/Arizona", Culture: "en-US",
	}, config)
	require.Equal(t, "k3y", f.token(t, store.CredentialVirtuousToken))
	require.Equal(t, "wh-s3cret", f.token(t, store.CredentialWebhookSecret))
	require.Zero(t, f.count(t, `SELECT count(*) FROM all_runs`))
	require.Zero(t, f.count(t, `SELECT count(*) FROM sync_checkpoints`))
	require.Zero(t, f.vomo.asked.Load())
	completed := &rollcallv1.OnboardingCompleted{}
	payload := text(t, f, `SELECT convert_from(payload, 'UTF8') FROM outbox WHERE subject = 'rollcall.events.onboarding.completed.acme'`)
	require.NoError(t, rollcallv1.Read([]byte(payload), completed))
	require.True(t, completed.GetVirtuous())
	require.True(t, completed.GetVirtuousSetUp())
	require.False(t, completed.GetBackfillQueued())
	require.Equal(t, "Example Relief", completed.GetVirtuousOrganizationName())
	require.Zero(t, f.count(t, `SELECT count(*) FROM onboarding_requests
		WHERE request::text LIKE '%k3y%' OR request::text LIKE '%s3cret%' OR sealed_secrets IS NOT NULL`))

	f.request(t, `{"customerId":"acme","virtuous":{"token":"k3y","transactionSource":"AcmeGive","webhookSecret":"wh-s3cret",
		"designationsField":"giftDesignations","defaults":{"batch":"Acme"},"needsReviewAfterHours":96,"stuckAfterHours":12,
		"importsUrl":"https://app.virtuoussoftware.com/imports","giftsSince":"2025-12-31","createWebhook":true}}`)
	f.requireOutcome(t, "duplicate")
	require.Equal(t, 1, f.count(t, `SELECT count(*) FROM outbox`))
}

func TestKeyAloneReplacesTheKeyAndWakesGiving(t *testing.T) {
	t.Parallel()
	f := newGivingFixture(t)
	f.request(t, `{"customerId":"acme","virtuous":{"token":"k3y","transactionSource":"AcmeGive","needsReviewAfterHours":96}}`)
	onboarded := f.config(t).OnboardedAt
	f.sql(t, `UPDATE virtuous_configs SET enabled = false, disabled_reason = 'auth_failed'`)
	f.sql(t, `INSERT INTO giving_holds SELECT 'acme', 'virtuous_forbidden', NULL, 1, at, at AS b, at + interval '15 minutes'
		FROM (SELECT rollcall_now() AS at) now`)
	f.sql(t, `INSERT INTO alerts (customer_id, type, severity, raised_at) VALUES ('acme', 'virtuous_auth_failed', 'high', rollcall_now())`)
	lease, err := f.store.TakeLeaseIn(t.Context(), store.LaneGiving, "acme", "donations-1", time.Minute)
	require.NoError(t, err)

	f.request(t, `{"customerId":"acme","virtuous":{"token":"n3wk3y"}}`)

	f.requireOutcome(t, "applied")
	config := f.config(t)
	require.True(t, config.Enabled)
	require.Equal(t, 96, config.NeedsReviewAfterHours)
	require.Equal(t, "AcmeGive", config.TransactionSource)
	require.Equal(t, onboarded, config.OnboardedAt)
	require.Equal(t, "n3wk3y", f.token(t, store.CredentialVirtuousToken))
	require.Zero(t, f.count(t, `SELECT count(*) FROM giving_holds`))
	require.Zero(t, f.count(t, `SELECT count(*) FROM alerts WHERE cleared_at IS NULL`))
	require.ErrorIs(t, lease.Renew(t.Context()), store.ErrLaneLost, "its holder has the old key")

	f.request(t, `{"customerId":"acme","virtuous":{"token":"n3wk3y"}}`)
	f.requireOutcome(t, "duplicate")
}

func TestWebhookSecretOfBeforeStaysBesideTheNewOne(t *testing.T) {
	t.Parallel()
	f := newGivingFixture(t)
	f.request(t, `{"customerId":"acme","virtuous":{"token":"k3y","transactionSource":"AcmeGive","webhookSecret":"first"}}`)
	f.request(t, `{"customerId":"acme","virtuous":{"token":"k3y","webhookSecret":"second"}}`)
	f.requireOutcome(t, "applied")
	require.Equal(t, "AcmeGive", f.config(t).TransactionSource)
	require.Equal(t, "second", f.token(t, store.CredentialWebhookSecret))
	require.Equal(t, "first", f.token(t, store.CredentialWebhookSecretBefore))
	f.request(t, `{"customerId":"acme","virtuous":{"token":"k3y","transactionSource":"AcmeGive"}}`)
	f.requireOutcome(t, "duplicate")
	require.Equal(t, "second", f.token(t, store.CredentialWebhookSecret), "a request without a secret keeps it")
}

func TestKeyOfAnotherOrganizationNeedsConsentAndForgetsTheOneBefore(t *testing.T) {
	t.Parallel()
	f := newGivingFixture(t)
	f.request(t, withVirtuous)
	f.donation(t, "don-1", "pending")
	f.donation(t, "don-2", "submitted")
	f.donation(t, "don-3", "confirmed")
	for _, status := range []string{"pending", "submitted", "confirmed", "failed"} {
		f.contact(t, status, status)
	}
	f.sql(t, `INSERT INTO partner_gifts (customer_id, virtuous_gift_id, state, content_hash, sealed, created_at, last_sync_at)
		VALUES ('acme', 7, 'live', '\x00', '\x00', now(), now())`)
	f.sql(t, `INSERT INTO virtuous_catalogs VALUES ('acme', 'projects', '[]', now())`)
	f.donation(t, "don-4", "pending")
	f.sql(t, `UPDATE virtuous_donation_queue SET unanswered_since = rollcall_now() WHERE platform_donation_id = 'don-4'`)
	f.request(t, `{"customerId":"acme","virtuous":{"token":"k3y","webhookSecret":"first"}}`)
	f.request(t, `{"customerId":"acme","virtuous":{"token":"k3y","webhookSecret":"second"}}`)
	f.subscription(t)
	f.sql(t, `INSERT INTO webhook_inbox (customer_id, digest, event, records, sealed, state, next_attempt_at, received_at)
		VALUES ('acme', '\x00', 'gift_create', 1, '\x00', 'waiting', now(), now())`)

	f.request(t, `{"customerId":"acme","virtuous":{"token":"sh3lter"}}`)
	state, errs := f.outcome(t)
	require.Equal(t, "rejected", state)
	require.Contains(t, errs[fieldVirtuousToken][0], "belongs to another organization")
	require.Equal(t, "k3y", f.token(t, store.CredentialVirtuousToken))
	require.Equal(t, 1, f.count(t, `SELECT count(*) FROM partner_gifts`))

	f.request(t, `{"customerId":"acme","virtuous":{"token":"sh3lter","acceptOtherOrganization":true}}`)
	f.requireOutcome(t, "applied")
	config := f.config(t)
	require.Equal(t, []string{"11111", "Example Shelter", "America/New_York", "en-CA", "AcmeGive"},
		[]string{config.OrganizationID, config.OrganizationName, config.TimeZone, config.Culture, config.TransactionSource})
	require.Zero(t, f.count(t, `SELECT (SELECT count(*) FROM partner_gifts) + (SELECT count(*) FROM virtuous_catalogs) + (SELECT count(*) FROM webhook_inbox)`))
	require.Equal(t, "don-1 pending, don-2 closed, don-3 confirmed, don-4 closed",
		text(t, f, `SELECT string_agg(platform_donation_id || ' ' || status, ', ' ORDER BY id) FROM virtuous_donation_queue`),
		"of don-4 it is not known whether the other organization has it")
	require.Equal(t, "pending: pending, submitted: closed, confirmed: closed, failed: failed",
		text(t, f, `SELECT string_agg(reference_id || ': ' || status, ', ' ORDER BY id) FROM virtuous_contact_queue`))
	require.Equal(t, "virtuous_token", text(t, f, `SELECT string_agg(name, ',') FROM credentials`), "deliveries of the other organization are rejected")
	f.removeSubscriptions(t)
	require.Equal(t, []string{"31 k3y"}, f.virtuous.deletions())
	require.Zero(t, f.count(t, `SELECT count(*) FROM alerts WHERE type = 'webhook_orphaned'`))

	f.request(t, `{"customerId":"acme","virtuous":{"token":"sh3lter","webhookSecret":"third"}}`)
	f.request(t, `{"customerId":"acme","virtuous":{"token":"k3y","acceptOtherOrganization":true,"webhookSecret":"fourth"}}`)
	f.requireOutcome(t, "applied")
	require.Equal(t, "fourth", f.token(t, store.CredentialWebhookSecret))
	require.Zero(t, f.count(t, `SELECT count(*) FROM credentials WHERE name = 'virtuous_webhook_secret_before'`))
}

// The fixture's batches have two rows.
func TestOtherOrganizationIsForgottenInCommittedBatches(t *testing.T) {
	t.Parallel()
	f := newGivingFixture(t)
	f.request(t, `{"customerId":"acme","virtuous":{"token":"k3y","transactionSource":"AcmeGive","needsReviewAfterHours":96}}`)
	f.sql(t, `INSERT INTO partner_gifts (customer_id, virtuous_gift_id, state, content_hash, sealed, created_at, last_sync_at)
		SELECT 'acme', n, 'live', '\x00', '\x00', now(), now() FROM generate_series(1, 7) n`)
	f.sql(t, `CREATE TABLE forgotten (tx bigint, gift bigint)`)
	f.sql(t, `CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
		INSERT INTO forgotten VALUES (txid_current(), old.virtuous_gift_id); RETURN old; END $$`)
	f.sql(t, `CREATE TRIGGER note BEFORE DELETE ON partner_gifts FOR EACH ROW EXECUTE FUNCTION note()`)

	f.request(t, `{"customerId":"acme","virtuous":{"token":"sh3lter","acceptOtherOrganization":true}}`)

	f.requireOutcome(t, "applied")
	require.Equal(t, []string{"11111", "AcmeGive"}, []string{f.config(t).OrganizationID, f.config(t).TransactionSource})
	require.Equal(t, 7, f.count(t, `SELECT count(*) FROM forgotten`))
	require.Equal(t, 2, f.count(t, `SELECT max(gifts) FROM (SELECT count(*) AS gifts FROM forgotten GROUP BY tx) of`), "in one transaction")
}

// A retry would apply records of the organization before.
func TestLettersOfDeliveriesAreSettledForAnotherOrganization(t *testing.T) {
	t.Parallel()
	f := newGivingFixture(t)
	f.request(t, withVirtuous)
	f.letters(t)

	f.request(t, `{"customerId":"acme","virtuous":{"token":"sh3lter","acceptOtherOrganization":true}}`)

	f.requireOutcome(t, "applied")
	require.Equal(t, "rollcall.donations.submit.acme review t, rollcall.webhooks.virtuous.acme settled f", text(t, f, givingLetters))
}

// givingLetters says of each letter whether it is open, and whether it holds its message.
const givingLetters = `SELECT string_agg(concat_ws(' ', original_subject, state, payload_sealed IS NOT NULL), ', ' ORDER BY original_subject) FROM dead_letters`

// letters adds a letter of a donation and one of a part of a delivery.
func (f *givingFixture) letters(t *testing.T) {
	t.Helper()
	f.sql(t, `INSERT INTO dead_letters (id, customer_id, kind, record_id, original_subject, job, error_code, error_class, state, first_failed_at,
			last_failed_at, payload_sealed, headers_sealed)
		SELECT gen_random_uuid(), 'acme', kind, NULL, subject || '.acme', 'donations', 'invalid', 'permanent', 'review', at, at AS b, '\x01', '\x02'
		FROM (VALUES ('donation', 'rollcall.donations.submit'), ('message', 'rollcall.webhooks.virtuous')) l (kind, subject),
			(SELECT rollcall_now() AS at) now`)
}

func TestOtherOrganizationWaitsForGiftsThatAreBeingApplied(t *testing.T) {
	t.Parallel()
	f := newGivingFixture(t)
	f.request(t, withVirtuous)
	f.donation(t, "don-1", "submitted")
	f.receive(t, `{"customerId":"acme","virtuous":{"token":"sh3lter","acceptOtherOrganization":true}}`)
	pending, err := f.store.ClaimDueRequest(t.Context(), claimHold)
	require.NoError(t, err)
	settled := make(chan error, 1)
	require.NoError(t, f.store.InTx(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		if _, err := tx.LockInbound(ctx, "acme"); err != nil {
			return err
		}
		go func() { settled <- f.settler.settle(t.Context(), pending) }()
		require.Eventually(t, func() bool { // the request waits for the settings
			return f.count(t, `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`) == 1
		}, 30*time.Second, 10*time.Millisecond)
		require.Equal(t, "submitted", text(t, f, `SELECT status FROM virtuous_donation_queue FOR UPDATE NOWAIT`), "it has not locked the donation")
		return nil
	}))
	require.NoError(t, <-settled)
	f.requireOutcome(t, "applied")
	require.Equal(t, "closed", text(t, f, `SELECT status FROM virtuous_donation_queue`))
}

func TestAnswersOfVirtuousToTheKey(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		status   int
		body     string
		rejected string // "": delayed
	}{
		"rejected":             {http.StatusUnauthorized, "Authorization has been denied for this request.", "Key rejected by Virtuous API"},
		"forbidden":            {http.StatusForbidden, `{"error":"Forbidden"}`, "Key rejected by Virtuous API"},
		"not enabled":          {http.StatusOK, notEnabled, "is of an organization that is not enabled at Virtuous"},
		"broken":               {http.StatusInternalServerError, "", ""},
		"of Cloudflare":        {520, "<html>", ""},
		"a page":               {http.StatusOK, "<html>", ""},
		"empty":                {http.StatusOK, "", ""},
		"without organization": {http.StatusOK, "{}", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newGivingFixture(t)
			f.virtuous.answer("odd", c.status, c.body)
			f.request(t, `{"customerId":"acme","virtuous":{"token":"odd","transactionSource":"AcmeGive"}}`)
			require.Zero(t, f.count(t, `SELECT (SELECT count(*) FROM sync_configs) + (SELECT count(*) FROM virtuous_configs) + (SELECT count(*) FROM credentials)`))
			state, errs := f.outcome(t)
			if c.rejected != "" {
				require.Equal(t, "rejected", state)
				require.Equal(t, map[string][]string{fieldVirtuousToken: {c.rejected}}, errs)
				require.Equal(t, 1, f.count(t, rejections))
				return
			}
			require.Equal(t, "pending", state)
			require.Equal(t, 1, f.count(t, `SELECT count(*) FROM outbox WHERE subject = 'rollcall.events.onboarding.delayed.acme'`))
			f.virtuous.answer("odd", http.StatusOK, relief)
			f.sql(t, `UPDATE onboarding_requests SET next_attempt_at = rollcall_now()`)
			f.settleAll(t)
			f.requireOutcome(t, "applied")
		})
	}
}

func TestRejectionDuringAnOutageOfVirtuousDelays(t *testing.T) {
	t.Parallel()
	f := newGivingFixture(t)
	f.sql(t, `UPDATE virtuous_refusals SET began_at = rollcall_now()`)
	f.request(t, `{"customerId":"acme","virtuous":{"token":"unknown","transactionSource":"AcmeGive"}}`)
	f.requireOutcome(t, "pending")
}

func TestOfBothSidesNeitherIsAppliedIfOneIsRejected(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		vomo   int32
		key    string
		fields []string
	}{
		"the token":         {http.StatusUnauthorized, "k3y", []string{"vomoToken"}},
		"the key":           {0, "unknown", []string{fieldVirtuousToken}},
		"both":              {http.StatusUnauthorized, "unknown", []string{fieldVirtuousToken, "vomoToken"}},
		"the key, VOMO off": {http.StatusServiceUnavailable, "unknown", []string{fieldVirtuousToken}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newGivingFixture(t)
			f.vomo.status.Store(c.vomo)
			f.request(t, strings.Replace(both, "k3y", c.key, 1))
			state, errs := f.outcome(t)
			require.Equal(t, "rejected", state)
			require.Len(t, errs, len(c.fields))
			for _, field := range c.fields {
				require.Contains(t, errs, field)
			}
			require.Zero(t, f.count(t, `SELECT (SELECT count(*) FROM sync_configs) + (SELECT count(*) FROM virtuous_configs) + (SELECT count(*) FROM credentials)`))
		})
	}
}

func TestBothSidesAreAppliedTogether(t *testing.T) {
	t.Parallel()
	f := newGivingFixture(t)
	f.request(t, both)
	f.requireOutcome(t, "applied")
	require.Equal(t, 1, f.count(t, `SELECT count(*) FROM all_runs WHERE kind = 'backfill'`))
	require.True(t, f.config(t).Enabled)
	require.Equal(t, 1, f.count(t, `SELECT count(*) FROM outbox WHERE subject = 'rollcall.events.onboarding.completed.acme'`))
	f.request(t, both)
	f.requireOutcome(t, "duplicate")
	f.vomo.status.Store(http.StatusServiceUnavailable)
	f.request(t, strings.Replace(both, "k3y", "n3wk3y", 1))
	f.requireOutcome(t, "pending")
	require.Equal(t, "k3y", f.token(t, store.CredentialVirtuousToken), "neither side is applied while one is not known")
}

func TestRequestChangesOnlyTheSideThatItNames(t *testing.T) {
	t.Parallel()
	f := newGivingFixture(t)
	f.request(t, everySetting)
	before := f.settings(t)
	f.request(t, withVirtuous)
	f.requireOutcome(t, "applied")
	require.Equal(t, before, f.settings(t))
	require.Equal(t, 1, f.count(t, `SELECT count(*) FROM all_runs`))
	giving := f.config(t)
	f.request(t, strings.Replace(everySetting, `"pollCadenceMinutes":15`, `"pollCadenceMinutes":20`, 1))
	f.requireOutcome(t, "applied")
	require.Equal(t, giving, f.config(t))
	require.Equal(t, "k3y", f.token(t, store.CredentialVirtuousToken))
	f.receiveTokenOnly(t, 10, "fresh")
	require.Equal(t, giving, f.config(t))
}

func TestSwitchedOffMirrorStaysSwitchedOffWhenGivingIsSetUp(t *testing.T) {
	t.Parallel()
	f := newGivingFixture(t)
	f.request(t, everySetting)
	f.sql(t, `UPDATE sync_configs SET enabled = false, disabled_reason = 'auth_failed', paused_at = rollcall_now()`)
	f.request(t, withVirtuous)
	f.requireOutcome(t, "applied")
	require.Equal(t, 1, f.count(t, `SELECT count(*) FROM sync_configs WHERE NOT enabled AND disabled_reason = 'auth_failed' AND paused_at IS NOT NULL`))
}

func TestMirrorIsAddedToACustomerWithVirtuousAlone(t *testing.T) {
	t.Parallel()
	f := newGivingFixture(t)
	f.request(t, withVirtuous)
	f.request(t, `{"customerId":"acme","vomoToken":"t0ken"}`)
	state, errs := f.outcome(t)
	require.Equal(t, "rejected", state, "it has no settings that a token alone could keep")
	require.Contains(t, errs, fieldURL)
	giving := f.config(t)
	f.request(t, wellFormed)
	f.requireOutcome(t, "applied")
	require.Equal(t, 1, f.count(t, `SELECT count(*) FROM all_runs WHERE kind = 'backfill'`))
	require.Equal(t, giving, f.config(t))
}

func TestRequestsOfDifferentSidesDoNotReplaceOneAnother(t *testing.T) {
	t.Parallel()
	f := newGivingFixture(t)
	f.receive(t, wellFormed)
	f.receive(t, withVirtuous)
	f.settleAll(t)
	f.settleAll(t)
	require.Equal(t, 2, f.count(t, `SELECT count(*) FROM onboarding_requests WHERE state = 'applied'`))
	require.True(t, f.config(t).Enabled)
	require.Equal(t, 1, f.count(t, `SELECT count(*) FROM all_runs WHERE kind = 'backfill'`))
}

func TestOlderRequestOfBothSidesAppliesTheSideThatIsLeft(t *testing.T) {
	t.Parallel()
	f := newGivingFixture(t)
	f.receive(t, both)
	f.receive(t, strings.Replace(wellFormed, "t0ken", "newer", 1))
	f.settleAll(t)
	require.Equal(t, 1, f.count(t, inState+`'pending'`), "its other side is still to be applied")
	f.settleAll(t)
	require.Equal(t, 2, f.count(t, inState+`'applied'`))
	require.Equal(t, "newer", f.token(t, store.CredentialVomoToken))
	require.Equal(t, "k3y", f.token(t, store.CredentialVirtuousToken))

	f.receive(t, both)
	f.receive(t, strings.Replace(both, "k3y", "n3wk3y", 1))
	f.settleAll(t)
	require.Equal(t, 1, f.count(t, inState+`'superseded'`))
	require.Equal(t, "n3wk3y", f.token(t, store.CredentialVirtuousToken))
}

func TestTransactionSourceMayBeTheInstallations(t *testing.T) {
	t.Parallel()
	f := newGivingFixture(t)
	f.receive(t, `{"customerId":"acme","virtuous":{"token":"k3y","stuckAfterHours":12}}`)
	f.requireOutcome(t, "rejected")
	f.request(t, `{"customerId":"acme","virtuous":{"token":"k3y"}}`)
	state, errs := f.outcome(t)
	require.Equal(t, "rejected", state, "there is no source that a key alone could keep")
	require.Equal(t, map[string][]string{fieldSource: {rollcallv1.MissingSource}}, errs)
	f.source, f.settler.source = "Platform", "Platform"
	f.request(t, `{"customerId":"acme","virtuous":{"token":"k3y"}}`)
	f.requireOutcome(t, "applied")
	require.Empty(t, f.config(t).TransactionSource, "the setting may change")
}

func TestGivingIsRemovedAndComesBack(t *testing.T) {
	t.Parallel()
	f := newGivingFixture(t)
	f.request(t, both)
	f.donation(t, "don-1", "pending")
	f.subscription(t)
	require.NoError(t, f.store.InTx(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		for _, kind := range append(event.GivingFigures(), event.AlertImportNotRun, event.AlertWebhookSilent, event.AlertDLQAge) {
			if err := event.Raise(ctx, tx, event.AlertFor("acme", kind)); err != nil {
				return err
			}
		}
		return nil
	}))
	f.request(t, `{"customerId":"acme","virtuous":{"remove":true}}`)
	f.requireOutcome(t, "applied")
	require.Equal(t, "dlq_age", text(t, f, `SELECT string_agg(type, ',') FROM alerts WHERE cleared_at IS NULL`), "what only giving would clear is cleared")
	config := f.config(t)
	require.False(t, config.Enabled)
	require.Equal(t, store.GivingRemoved, config.DisabledReason)
	require.NotNil(t, config.RemovedAt)
	require.Equal(t, "vomo_token", text(t, f, `SELECT string_agg(name, ',') FROM credentials`))
	f.removeSubscriptions(t)
	require.Equal(t, []string{"31 k3y"}, f.virtuous.deletions())
	require.Equal(t, 1, f.count(t, `SELECT count(*) FROM virtuous_donation_queue WHERE status = 'pending'`), "it is sent if giving returns")
	f.request(t, `{"customerId":"acme","virtuous":{"remove":true}}`)
	f.requireOutcome(t, "duplicate")

	f.request(t, `{"customerId":"acme","virtuous":{"token":"sh3lter","transactionSource":"AcmeGive"}}`)
	f.requireOutcome(t, "rejected")
	f.request(t, withVirtuous)
	f.requireOutcome(t, "applied")
	require.True(t, f.config(t).Enabled)
	require.Nil(t, f.config(t).RemovedAt)

	f.request(t, `{"customerId":"acme","virtuous":{"remove":true}}`)
	f.request(t, `{"customerId":"acme","virtuous":{"token":"sh3lter","transactionSource":"AcmeGive","acceptOtherOrganization":true}}`)
	f.requireOutcome(t, "applied")
}

func TestOnlySideOfACustomerIsNotRemoved(t *testing.T) {
	t.Parallel()
	f := newGivingFixture(t)
	f.request(t, withVirtuous)
	f.request(t, `{"customerId":"acme","virtuous":{"remove":true}}`)
	state, errs := f.outcome(t)
	require.Equal(t, "rejected", state)
	require.Contains(t, errs[fieldRemove][0], "offboard the customer instead")
	require.True(t, f.config(t).Enabled)
}

func TestPauseStopsGiving(t *testing.T) {
	t.Parallel()
	f := newGivingFixture(t)
	f.request(t, withVirtuous)
	lease, err := f.store.TakeLeaseIn(t.Context(), store.LaneGiving, "acme", "donations-1", time.Minute)
	require.NoError(t, err)
	operators := &operators{store: f.store, vault: f.vault, logger: zap.NewNop(), holder: "onboarding-1", leaseFor: time.Minute, patience: time.Minute}
	_, err = operators.pauseCustomer(t.Context(), acmeCommand)
	require.NoError(t, err)
	require.ErrorIs(t, lease.Renew(t.Context()), store.ErrLaneLost)
}
