package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/giving/inbound"
	"rollcall.dev/pkg/giving/resolution"
	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/pkg/service"
	"rollcall.dev/pkg/store"
)

// conflict adds a confirmed contact of the platform whose address differs at Virtuous, with its review item, as a comparison does.
func (f *fixture) conflict(t *testing.T, reason string, decisions ...string) (item operatorapi.ReviewItem, difference int64) {
	t.Helper()
	if len(decisions) == 0 {
		decisions = []string{store.DifferenceTakePartner, store.DifferenceTakeVirtuous, store.DifferenceDismiss}
	}
	f.exec(t, `INSERT INTO virtuous_configs (customer_id, enabled, onboarded_at, designations_field, defaults, needs_review_after_hours, stuck_after_hours,
		organization_id, organization_name, time_zone, culture, updated_at)
		VALUES ($1, true, now(), 'designations', '{}', 72, 24, '1', 'Relief', 'UTC', 'en-US', now())`, customer)
	f.exec(t, `INSERT INTO virtuous_contact_queue (customer_id, reference_source, reference_id, status, transaction_source, partner_sealed, partner_published_at,
		body_sealed, content_hash, confirmed_at, virtuous_contact_id, created_at, status_at, updated_at)
		VALUES ($1, 'acmegive', 'donor-1', 'confirmed', 'AcmeGive', '', now(), '', '', now(), 501, now(), now(), now())`, customer)
	f.exec(t, `INSERT INTO partner_contacts (customer_id, virtuous_contact_id, state, content_hash, sealed, created_at, last_sync_at)
		VALUES ($1, 501, 'live', '', '', now(), now())`, customer)
	details, err := json.Marshal([]operatorapi.ReviewDetail{{Field: "email", Partner: "ana@new.example", Virtuous: "ana@old.example"}})
	require.NoError(t, err)
	sealed, err := f.vault.Seal(t.Context(), customer, store.PurposeReviewDetails, details)
	require.NoError(t, err)
	contact := value[int64](t, f, `SELECT id FROM virtuous_contact_queue`)
	require.NoError(t, f.store.InTx(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		difference, err = tx.SaveContactDifference(ctx, customer, store.ContactDifference{
			ContactID: contact, Field: "email", State: store.DifferenceConflict, Reason: reason,
			ValuesSealed: sealed, Turns: json.RawMessage(`{}`),
		})
		if err != nil {
			return err
		}
		_, err = tx.OpenReview(ctx, store.ReviewItem{
			Customer: customer, Kind: store.KindContact, SourceID: difference, RecordID: "501", Reason: reason, Decisions: decisions,
		}, sealed)
		if err != nil {
			return err
		}
		return tx.SetContactSyncState(ctx, customer, 501)
	}))
	require.Equal(t, "conflict", f.syncState(t))
	return f.shownReview(t).ReviewItem, difference
}

func (f *fixture) syncState(t *testing.T) string {
	t.Helper()
	return value[string](t, f, `SELECT sync_state FROM partner_contacts`)
}

// differenceState returns the state of the only difference, the decision about it, and whether its contact is to be compared.
func (f *fixture) differenceState(t *testing.T) string {
	t.Helper()
	return value[string](t, f, `SELECT concat_ws(' ', d.state, d.decision, CASE WHEN d.values_sealed IS NOT NULL THEN 'sealed' END,
		CASE WHEN q.compare_wanted_at IS NOT NULL THEN 'compare' END)
		FROM contact_differences d JOIN virtuous_contact_queue q ON q.id = d.contact_id`)
}

func (f *fixture) resolve(t *testing.T, item operatorapi.ReviewItem, decision string) error {
	t.Helper()
	_, err := f.reviewer.resolve(t.Context(), operatorapi.ReviewDecision{CustomerID: customer, ItemID: item.ID, Decision: decision})
	return err
}

func requireConflictError(t *testing.T, err error, text string) {
	t.Helper()
	conflict := &service.ConflictError{}
	require.ErrorAs(t, err, &conflict)
	require.Contains(t, conflict.Text, text)
}

func TestItemOfAContactShowsBothSidesValues(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.conflict(t, resolution.ReasonNoRule)
	shown := f.shownReview(t)
	require.Equal(t, []operatorapi.ReviewDetail{{Field: "email", Partner: "ana@new.example", Virtuous: "ana@old.example"}}, shown.Details)
	require.Equal(t, "contact", shown.Kind)
	require.Equal(t, "501", *shown.RecordID)
	none, err := f.reviewer.list(t.Context(), operatorapi.ReviewsQuestion{CustomerID: customer, Kind: kindUser})
	require.NoError(t, err)
	require.Empty(t, none.Items)
}

func TestDecisionAboutAContactIsLeftToTheNextComparisonOrSettlesTheField(t *testing.T) {
	t.Parallel()
	for decision, after := range map[string][2]string{
		store.DifferenceTakePartner:  {"conflict take-partner sealed compare", "conflict"},
		store.DifferenceTakeVirtuous: {"conflict take-virtuous sealed compare", "conflict"},
		store.DifferenceDismiss:      {"settled", "in_sync"},
	} {
		t.Run(decision, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			item, _ := f.conflict(t, resolution.ReasonTurns)
			require.NoError(t, f.resolve(t, item, decision))
			require.Equal(t, after[0], f.differenceState(t))
			require.Equal(t, after[1], f.syncState(t))
			require.Equal(t, "decided "+decision, value[string](t, f, `SELECT concat_ws(' ', state, decision) FROM review_items WHERE details_sealed IS NULL`))
			requireConflictError(t, f.resolve(t, item, store.DifferenceTakeVirtuous), "is decided already")
			require.Equal(t, after[0], f.differenceState(t), "the first decision stays")
		})
	}
}

func TestItemAllowsOnlyItsDecisions(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	item, _ := f.conflict(t, resolution.ReasonCannotWrite, store.DifferenceTakeVirtuous, store.DifferenceDismiss)
	bad := &service.BadRequestError{}
	require.ErrorAs(t, f.resolve(t, item, store.DifferenceTakePartner), &bad)
	require.Equal(t, "conflict sealed", f.differenceState(t))
}

func TestItemAboutNoConflictAnyMoreIsSuperseded(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]string{
		"settled by a comparison": `UPDATE contact_differences SET state = 'settled', values_sealed = NULL`,
		"waits for the platform":  `UPDATE contact_differences SET state = 'partner_pending'`,
		"forgotten":               `DELETE FROM contact_differences`,
		"the contact is gone":     `DELETE FROM virtuous_contact_queue`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			item, _ := f.conflict(t, resolution.ReasonNoRule)
			f.exec(t, change)
			before := column[string](t, f, `SELECT d::text FROM contact_differences d`)
			requireConflictError(t, f.resolve(t, item, store.DifferenceTakePartner), fmt.Sprintf("item %d is superseded", item.ID))
			require.Equal(t, "superseded", value[string](t, f, `SELECT state FROM review_items WHERE details_sealed IS NULL`))
			require.Equal(t, before, column[string](t, f, `SELECT d::text FROM contact_differences d`))
			requireConflictError(t, f.resolve(t, item, store.DifferenceDismiss), "is superseded already")
		})
	}
}

func TestDecisionWithoutGivingIsDismissing(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	item, _ := f.conflict(t, resolution.ReasonNoRule)
	f.exec(t, `UPDATE virtuous_configs SET enabled = false, disabled_reason = 'removed', removed_at = now()`)
	require.NoError(t, f.resolve(t, item, store.DifferenceDismiss))
	require.Equal(t, "settled", f.differenceState(t))
}

// A comparison locks the contact, then the difference and its item. A decision that comes meanwhile waits for it, and finds what it left.
func TestDecisionDuringAComparisonFindsWhatTheComparisonLeft(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	item, difference := f.conflict(t, resolution.ReasonNoRule)
	var deciding sync.WaitGroup
	var failed error
	require.NoError(t, f.store.InTx(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		contact := value[int64](t, f, `SELECT id FROM virtuous_contact_queue`)
		if _, err := tx.LockContact(ctx, customer, contact); err != nil {
			return err
		}
		deciding.Go(func() { failed = f.resolve(t, item, store.DifferenceTakePartner) })
		require.Eventually(t, func() bool {
			return value[int](t, f, `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`) == 1
		}, 30*time.Second, 10*time.Millisecond, "the decision waits for the comparison")
		_, err := tx.SaveContactDifference(ctx, customer, store.ContactDifference{
			ContactID: contact, Field: "email", State: store.DifferenceSettled, Turns: json.RawMessage(`{}`),
		})
		if err != nil {
			return err
		}
		return tx.SupersedeReview(ctx, customer, store.KindContact, difference)
	}))
	deciding.Wait()
	requireConflictError(t, failed, "is superseded")
	require.Equal(t, "settled", f.differenceState(t))
}

func TestOfSeveralDecisionsAtOnceOneCounts(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	item, _ := f.conflict(t, resolution.ReasonNoRule)
	decisions := []string{store.DifferenceTakePartner, store.DifferenceTakeVirtuous, store.DifferenceDismiss, store.DifferenceTakePartner}
	failures := make([]error, len(decisions))
	var deciding sync.WaitGroup
	for i, decision := range decisions {
		deciding.Go(func() { failures[i] = f.resolve(t, item, decision) })
	}
	deciding.Wait()
	var counted []string
	for i, failure := range failures {
		if failure == nil {
			counted = append(counted, decisions[i])
			continue
		}
		conflict := &service.ConflictError{}
		require.ErrorAs(t, failure, &conflict)
	}
	require.Len(t, counted, 1)
	require.Equal(t, counted[0], value[string](t, f, `SELECT decision FROM review_items`))
}

func TestEachReasonOfAContactHasATextAndARemedy(t *testing.T) {
	t.Parallel()
	other, _ := explainReview("a reason of another version")
	for _, reason := range []string{
		resolution.ReasonPartnerChange, resolution.ReasonNoRule, resolution.ReasonTurns, resolution.ReasonDuplicate, resolution.ReasonRejected,
		resolution.ReasonCannotWrite,
	} {
		text, remedy := explainReview(reason)
		require.NotEqual(t, other, text, reason)
		require.Contains(t, remedy, "rollcall review resolve", reason)
		require.Equal(t, reason != resolution.ReasonCannotWrite, strings.Contains(remedy, "take-partner"), reason)
	}
}

// giftConflict adds a gift that differs from its donation, with its review item, as the application of the gift does.
func (f *fixture) giftConflict(t *testing.T) operatorapi.ReviewItem {
	t.Helper()
	f.exec(t, `INSERT INTO partner_gifts (customer_id, virtuous_gift_id, state, sync_state, amount, platform_donation_id, contact_id, content_hash, sealed,
		created_at, last_sync_at) VALUES ($1, 10, 'live', 'conflict', 120, 'don-1', 501, '', '', now(), now())`, customer)
	details, err := json.Marshal([]operatorapi.ReviewDetail{{Field: "amount", Partner: "125", Virtuous: "120"}})
	require.NoError(t, err)
	sealed, err := f.vault.Seal(t.Context(), customer, store.PurposeReviewDetails, details)
	require.NoError(t, err)
	require.NoError(t, f.store.InTx(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		_, err := tx.OpenReview(ctx, store.ReviewItem{
			Customer: customer, Kind: store.KindGift, SourceID: 77, RecordID: "10", Reason: inbound.ReasonGiftDiffers,
			Decisions: []string{store.DifferenceTakeVirtuous, store.DifferenceDismiss},
		}, sealed)
		return err
	}))
	return f.shownReview(t).ReviewItem
}

func TestDecisionAboutAGiftEndsItsConflict(t *testing.T) {
	t.Parallel()
	for decision, events := range map[string]int{store.DifferenceTakeVirtuous: 1, store.DifferenceDismiss: 0} {
		t.Run(decision, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			item := f.giftConflict(t)
			require.Contains(t, item.Remedy, "corrected in Virtuous")
			bad := &service.BadRequestError{}
			require.ErrorAs(t, f.resolve(t, item, store.DifferenceTakePartner), &bad)
			require.NoError(t, f.resolve(t, item, decision))
			require.Equal(t, "in_sync", value[string](t, f, `SELECT sync_state FROM partner_gifts`))
			requireConflictError(t, f.resolve(t, item, decision), "is decided already")
			published := column[string](t, f, `SELECT convert_from(payload, 'UTF8') FROM outbox WHERE subject = 'rollcall.events.gift.updated.acme'`)
			require.Len(t, published, events)
			for _, event := range published {
				require.JSONEq(t, `{"customerId":"acme","virtuousGiftId":"10","virtuousContactId":"501","platformDonationId":"don-1","changedFields":["amount"],
					"state":"live","job":"review"}`, event)
			}
		})
	}
}

func TestItemAboutAGiftThatIsRightByNowIsSuperseded(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	item := f.giftConflict(t)
	f.exec(t, `UPDATE partner_gifts SET sync_state = 'in_sync'`)
	requireConflictError(t, f.resolve(t, item, store.DifferenceTakeVirtuous), "is superseded")
	require.Equal(t, "superseded", value[string](t, f, `SELECT state FROM review_items WHERE details_sealed IS NULL`))
	require.Empty(t, column[string](t, f, `SELECT subject FROM outbox`))
}
