package report_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/event"
	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/pkg/report"
	"rollcall.dev/pkg/store"
)

// give sets up giving for a customer without a mirror.
func (h *fixture) give(t *testing.T, customer string) {
	t.Helper()
	h.in(t, func(ctx context.Context, tx *store.Tx) error {
		if _, err := tx.SaveCustomerForGiving(ctx, customer, nil); err != nil {
			return err
		}
		return tx.SaveVirtuous(ctx, store.VirtuousConfig{
			Customer: customer, TransactionSource: "AcmeGive", DesignationsField: "designations", Defaults: []byte("{}"), Resolution: []byte("{}"),
			NeedsReviewAfterHours: 72, StuckAfterHours: 24, OrganizationID: "67890", OrganizationName: "Example Relief", TimeZone: "US/Arizona", Culture: "en-US",
		})
	})
}

func (h *fixture) donate(t *testing.T, id, status string) {
	t.Helper()
	h.exec(t, `INSERT INTO virtuous_donation_queue (customer_id, platform_donation_id, status, transaction_source, donation_sealed, body_sealed, content_hash,
			next_attempt_at, submitted_at, next_lookup_at, review_reason, confirmed_at, virtuous_gift_id, created_at, status_at, updated_at)
		SELECT 'acme', $1, $2, 'AcmeGive', '\x00', '\x00', '\x00', at, at AS b, at AS c, 'match_needed', at AS d, 7, at AS e, at AS f, at AS g
		FROM (SELECT rollcall_now() AS at) now`, id, status)
}

func TestCustomerWithVirtuousAloneIsHealthy(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	h.give(t, "acme")
	status, err := report.StatusOf(t.Context(), h.Store, "acme")
	require.NoError(t, err)
	require.True(t, *status.Health.IsHealthy, status.Health.Reasons)
	require.Empty(t, status.Health.Reasons)
	require.True(t, status.Giving.Enabled)
	require.Equal(t, "Example Relief", *status.Giving.OrganizationName)
	require.Nil(t, status.Backfill)
	h.exec(t, `UPDATE sync_configs SET onboarded_at = rollcall_now() - interval '10 days'`)
	status, err = report.StatusOf(t.Context(), h.Store, "acme")
	require.NoError(t, err)
	require.True(t, *status.Health.IsHealthy, "no poll is expected")
	customers, err := report.Customers(t.Context(), h.Store, operatorapi.CustomersQuestion{})
	require.NoError(t, err)
	require.True(t, *customers.Customers[0].IsHealthy)
	require.Empty(t, customers.Customers[0].Destination)
}

func TestStatusCountsDonationsAndExplainsThem(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	h.give(t, "acme")
	for status, ids := range map[string][]string{
		"pending": {"a", "b"}, "submitted": {"c", "d", "e"}, "needs_review": {"f"}, "failed": {"g"}, "confirmed": {"h"}, "closed": {"i"},
	} {
		for _, id := range ids {
			h.donate(t, id, status)
		}
	}
	h.exec(t, `INSERT INTO partner_contacts (customer_id, virtuous_contact_id, state, sync_state, content_hash, sealed, created_at, last_sync_at)
		VALUES ('acme', 5, 'live', 'conflict', '\x00', '\x00', now(), now())`)
	h.exec(t, `UPDATE virtuous_configs SET last_webhook_at = rollcall_now(), last_reconciled_at = rollcall_now()`)
	status, err := report.StatusOf(t.Context(), h.Store, "acme")
	require.NoError(t, err)
	giving := status.Giving
	require.Equal(t, []int64{2, 3, 1, 1, 1}, []int64{giving.Pending, giving.Submitted, giving.NeedsReview, giving.Failed, giving.Conflict})
	require.Equal(t, status.AsOf, *giving.PendingSince)
	require.Equal(t, status.AsOf, *giving.LastWebhookAt)
	codes := map[string]report.Reason{}
	for _, reason := range status.Health.Reasons {
		codes[reason.Code] = reason
	}
	require.Contains(t, codes[event.ConditionDonationsFailed].Text, "How many: 1.")
	require.Contains(t, codes, event.ConditionDonationsNeedReview)
	require.Contains(t, codes, event.ConditionGivingConflicts)
	require.True(t, *status.Health.IsHealthy)
}

func TestGivingThatWaitsIsAReasonAlsoWhileTheMirrorIsSwitchedOff(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	h.onboard(t, "acme")
	h.give(t, "acme")
	h.exec(t, `UPDATE sync_configs SET enabled = false, disabled_reason = 'auth_failed'`)
	h.in(t, func(ctx context.Context, tx *store.Tx) error {
		if err := event.Raise(ctx, tx, event.AlertFor("acme", event.AlertVirtuousForbidden)); err != nil {
			return err
		}
		return tx.HoldGiving(ctx, "acme", event.AlertVirtuousForbidden, "", 15*time.Minute)
	})
	reasons := h.reasonsOf(t)
	var forbidden *report.Reason
	for i := range reasons {
		if reasons[i].Code == event.AlertVirtuousForbidden {
			require.Nil(t, forbidden, "it is listed once")
			forbidden = &reasons[i]
		}
	}
	require.NotNil(t, forbidden)
	require.True(t, forbidden.Unhealthy)
	require.NotNil(t, forbidden.Until)
	h.exec(t, `UPDATE sync_configs SET paused_at = rollcall_now()`)
	for _, reason := range h.reasonsOf(t) {
		require.False(t, reason.Code == event.AlertVirtuousForbidden && reason.Until != nil, "nothing is tried while the customer is paused")
	}
}
