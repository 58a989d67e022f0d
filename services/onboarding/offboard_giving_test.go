package main

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/worker"
)

// offboard handles a request to offboard the customer.
func (f *givingFixture) offboard(t *testing.T, body string) error {
	t.Helper()
	f.sequence++
	delivery := message("rollcall.onboarding.offboard.acme", body)
	delivery.Sequence, delivery.Published = f.sequence, time.Now()
	return f.handle(t.Context(), delivery)
}

func TestOffboardingNeedsForceWhileDonationsAreUnfinished(t *testing.T) {
	t.Parallel()
	f := newGivingFixture(t)
	f.request(t, withVirtuous)
	f.donation(t, "don-1", "pending")
	f.donation(t, "don-2", "submitted")
	f.donation(t, "don-3", "confirmed")
	f.donation(t, "don-4", "failed")
	f.contact(t, "donor-1", "pending")
	f.contact(t, "donor-2", "confirmed")
	require.ErrorIs(t, f.offboard(t, `{"customerId":"acme"}`), worker.ErrSettled)
	state, errs := f.outcome(t)
	require.Equal(t, "rejected", state)
	require.Contains(t, errs["force"][0], "1 donations are pending, 1 are submitted and 0 are not captured")
	require.Contains(t, errs["force"][0], "(don-1, don-2), and so are 1 and 0 contacts (donor-1)")
	require.True(t, f.config(t).Enabled)
	require.Equal(t, "k3y", f.token(t, store.CredentialVirtuousToken))

	f.sql(t, `INSERT INTO partner_gifts (customer_id, virtuous_gift_id, state, content_hash, sealed, created_at, last_sync_at)
		VALUES ('acme', 7, 'live', '\x00', '\x00', now(), now())`)
	f.subscription(t)
	require.ErrorIs(t, f.offboard(t, `{"customerId":"acme","force":true}`), worker.ErrSettled)
	f.requireOutcome(t, "applied")
	require.Zero(t, f.count(t, `SELECT count(*) FROM credentials`))
	require.Equal(t, store.GivingRemoved, f.config(t).DisabledReason)
	for f.offboarder.workNext(t.Context()) {
		continue
	}
	require.Zero(t, f.count(t, `SELECT count(*) FROM partner_gifts`))
	require.Equal(t, "don-1 closed, don-2 closed, don-3 confirmed, don-4 closed",
		text(t, f, `SELECT string_agg(platform_donation_id || ' ' || status, ', ' ORDER BY id) FROM virtuous_donation_queue`))
	require.Equal(t, "donor-1 closed offboarded, donor-2 closed offboarded",
		text(t, f, `SELECT string_agg(concat_ws(' ', reference_id, status, close_reason, virtuous_contact_id), ', ' ORDER BY id) FROM virtuous_contact_queue`))
	f.removeSubscriptions(t)
	require.Zero(t, f.count(t, `SELECT (SELECT count(*) FROM customer_keys) + (SELECT count(*) FROM alerts WHERE type = 'webhook_orphaned')`))

	f.sql(t, `UPDATE test_clock SET at = at + interval '31 days'`)
	for f.offboarder.workNext(t.Context()) {
		continue
	}
	f.sql(t, `UPDATE test_clock SET at = at + interval '31 days'`)
	for f.offboarder.workNext(t.Context()) {
		continue
	}
	require.Zero(t, f.count(t, `SELECT (SELECT count(*) FROM virtuous_donation_queue) + (SELECT count(*) FROM virtuous_contact_queue)
		+ (SELECT count(*) FROM virtuous_configs)
		+ (SELECT count(*) FROM webhook_subscriptions)
		+ (SELECT count(*) FROM virtuous_budgets)`))
}

// What they held was sealed with the destroyed key: a return does not open them again.
func TestLettersOfDonationsAndDeliveriesAreSettledAndStaySoAfterAReturn(t *testing.T) {
	t.Parallel()
	f := newGivingFixture(t)
	f.request(t, withVirtuous)
	f.letters(t)
	require.ErrorIs(t, f.offboard(t, `{"customerId":"acme","force":true}`), worker.ErrSettled)
	work := func() {
		for f.offboarder.workNext(t.Context()) {
			continue
		}
	}
	work()
	const settled = "rollcall.donations.submit.acme settled f, rollcall.webhooks.virtuous.acme settled f"
	require.Equal(t, settled, text(t, f, givingLetters))

	f.sql(t, `UPDATE test_clock SET at = at + interval '2 minutes'`)
	work()
	f.request(t, withVirtuous)
	f.requireOutcome(t, "applied")
	require.Equal(t, settled, text(t, f, givingLetters))

	f.letters(t) // of messages that come after the next offboarding
	require.ErrorIs(t, f.offboard(t, `{"customerId":"acme","force":true}`), worker.ErrSettled)
	for range 3 {
		work()
		f.sql(t, `UPDATE test_clock SET at = at + interval '31 days'`)
	}
	require.Zero(t, f.count(t, `SELECT count(*) FROM dead_letters`))
}

func TestOffboardingWaitsUntilDonationsAreCaptured(t *testing.T) {
	t.Parallel()
	f := newGivingFixture(t)
	f.request(t, withVirtuous)
	f.queuedDonations = func(context.Context, string) (uint64, error) { return 3, nil }
	require.ErrorIs(t, f.offboard(t, `{"customerId":"acme","force":true}`), errDonationsQueued)
	require.True(t, f.config(t).Enabled)
}

func TestOffboardingNeedsForceIfDonationsAreStillQueuedAfterAMinute(t *testing.T) {
	t.Parallel()
	f := newGivingFixture(t)
	f.request(t, withVirtuous)
	f.queuedDonations = func(context.Context, string) (uint64, error) { return 3, nil }
	offboard := func(body string) error {
		f.sequence++
		delivery := message("rollcall.onboarding.offboard.acme", body)
		delivery.Sequence, delivery.Published = f.sequence, time.Now().Add(-captureTime-time.Second)
		return f.handle(t.Context(), delivery)
	}
	require.ErrorIs(t, offboard(`{"customerId":"acme"}`), worker.ErrSettled)
	state, errs := f.outcome(t)
	require.Equal(t, "rejected", state)
	require.Contains(t, errs["force"][0], "0 donations are pending, 0 are submitted and 3 are not captured")
	require.True(t, f.config(t).Enabled)
	require.ErrorIs(t, offboard(`{"customerId":"acme","force":true}`), worker.ErrSettled)
	f.requireOutcome(t, "applied")
	require.Equal(t, store.GivingRemoved, f.config(t).DisabledReason)
}

func TestReturnWithVirtuousAlonePurgesTheMirror(t *testing.T) {
	t.Parallel()
	for name, mapped := range map[string]bool{"with a mapping": true, "without mapped users": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			returnWithVirtuousAlone(t, mapped)
		})
	}
}

func returnWithVirtuousAlone(t *testing.T, mapped bool) {
	t.Helper()
	f := newGivingFixture(t)
	f.request(t, wellFormed)
	f.sql(t, `UPDATE sync_configs SET backfill_completed_at = rollcall_now()`)
	if mapped {
		f.sql(t, `INSERT INTO user_mappings (customer_id, vomo_user_id, external_user_id, last_synced_at, last_synced_updated_at, version_hash)
		SELECT 'acme', '1', 'crm-1', at, at AS b, '\x00' FROM (SELECT now() AS at) now`)
	}
	require.ErrorIs(t, f.offboard(t, `{"customerId":"acme"}`), worker.ErrSettled)
	for f.offboarder.workNext(t.Context()) {
		continue
	}
	f.receive(t, withVirtuous)
	for range 5 { // the purge comes after the erasure of late messages
		f.settleAll(t)
		f.sql(t, `UPDATE test_clock SET at = at + interval '2 minutes'`)
		for f.offboarder.workNext(t.Context()) {
			continue
		}
		if state, _ := f.outcome(t); state == "applied" {
			break
		}
	}
	f.requireOutcome(t, "applied")
	require.Zero(t, f.count(t, `SELECT (SELECT count(*) FROM user_mappings) + (SELECT count(*) FROM offboardings)`))
	customer, err := f.store.Customer(t.Context(), "acme")
	require.NoError(t, err)
	require.Nil(t, customer.OffboardedAt)
	require.True(t, customer.Active())
	require.False(t, customer.Steady())
	require.False(t, customer.Mirrors())
}
