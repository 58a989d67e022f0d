package giving

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/bus"
)

func (f *fixture) contact(id int64, changed time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.contacts = append(f.contacts, map[string]any{
		"id": id, "contactType": "Individual", "name": fmt.Sprintf("Donor %d", id), "contactIndividuals": []any{},
		"modifiedDateTimeUtc": changed.UTC().Format(time.RFC3339),
	})
}

func TestWhatWebhooksMissedIsAppliedOnceAndLogged(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.onboard(t, "acme")
	f.submitted(t, "acme", "don-1", time.Hour)
	f.submitted(t, "acme", "don-2", 80*time.Hour)
	f.reconcile(t, "acme", bus.CategoryNeedsUpdate)
	require.Equal(t, []string{"don-1 submitted", "don-2 needs_review import_not_run"}, f.donations(t, "acme"))
	f.gift(1, "don-1", noon)
	f.gift(2, "don-2", noon)
	f.gift(3, "by-hand", noon)
	f.contact(7, noon)

	f.reconcile(t, "acme", bus.CategoryMissedWebhook)
	f.advance(t, 6*time.Hour)
	f.reconcile(t, "acme", bus.CategoryMissedWebhook)

	require.Equal(t, []string{"don-1 confirmed reconciliation_query 1", "don-2 confirmed reconciliation_query import_not_run 2"}, f.donations(t, "acme"))
	require.Equal(t, []string{
		"needs_update don-2 marked_needs_review", "missed_webhook 7 applied_inbound", "missed_webhook don-1 1 applied_inbound",
		"missed_webhook don-2 2 applied_inbound", "missed_webhook 3 applied_inbound",
	}, f.logged(t, "acme"), "the second pass finds nothing new")
	require.Equal(t, []int64{1, 2, 3}, column[int64](t, f, `SELECT virtuous_gift_id FROM partner_gifts ORDER BY 1`))
}

// Lists may have amounts as texts of the organization's culture, or leave fields out.
func TestRecordsThatLackFieldsAreReadAloneAndNotAppliedIfTheyStillDo(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.onboard(t, "acme")
	for id := int64(1); id <= 3; id++ {
		f.gift(id, fmt.Sprintf("by-hand-%d", id), noon)
	}
	f.reconcile(t, "acme", bus.CategoryMissedWebhook)
	amounts := func() []string {
		return column[string](t, f, `SELECT virtuous_gift_id || ' ' || amount || ' ' || transaction_id FROM partner_gifts ORDER BY 1`)
	}
	whole := []string{"1 125 by-hand-1", "2 125 by-hand-2", "3 125 by-hand-3"}
	require.Equal(t, whole, amounts())
	f.advance(t, 6*time.Hour)
	f.mu.Lock()
	f.listed = map[string]any{"amount": "125 euros and a half", "modifiedDateTimeUtc": noon.Add(time.Hour).UTC().Format(time.RFC3339)}
	f.gifts["by-hand-2"]["amount"] = "126"
	f.gifts["by-hand-3"]["amount"] = nil
	f.mu.Unlock()
	f.requests()
	f.reconcile(t, "acme", bus.CategoryMissedWebhook)
	require.Equal(t, []string{"1 125 by-hand-1", "2 126 by-hand-2", "3 125 by-hand-3"}, amounts(), "nothing is known of the third one's change")
	require.Subset(t, f.requests(), []string{"/Gift/1", "/Gift/2", "/Gift/3"})
	require.Equal(t, []string{"gift.created", "gift.created", "gift.created", "gift.updated"}, column[string](t, f,
		`SELECT split_part(subject, '.', 3) || '.' || split_part(subject, '.', 4) FROM outbox WHERE subject LIKE 'rollcall.events.gift.%' ORDER BY id`))
}

func TestFirstPassBeginsWithTheOnboardingAndLaterOnesADayBeforeTheLast(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.onboard(t, "acme")
	f.onboard(t, "older")
	f.exec(t, `UPDATE virtuous_configs SET gifts_since = '2025-12-31' WHERE customer_id = 'older'`)

	f.reconcile(t, "acme", bus.CategoryMissedWebhook)
	require.Contains(t, f.requests(), "Last Modified Date 2026-02-23", "nine days before, in the organization's zone")
	f.reconcile(t, "older", bus.CategoryMissedWebhook)
	require.Contains(t, f.requests(), "Last Modified Date 2025-12-31")
	f.mu.Lock()
	f.date = noon.AddDate(0, 0, -2) // Virtuous' clock is what counts
	f.mu.Unlock()
	f.onboard(t, "behind")
	f.reconcile(t, "behind", bus.CategoryMissedWebhook)
	f.requests()
	f.reconcile(t, "behind", bus.CategoryMissedWebhook)
	require.Contains(t, f.requests(), "Last Modified Date 2026-03-01")
}

func TestPassGoesOnAtItsLastCommittedPage(t *testing.T) {
	t.Parallel()
	for _, place := range []string{"page_read", "page_committed"} {
		for crashAt := 1; crashAt <= 4; crashAt++ {
			t.Run(fmt.Sprintf("%s %d", place, crashAt), func(t *testing.T) {
				t.Parallel()
				f := newFixture(t)
				f.onboard(t, "acme")
				for id := int64(1); id <= 5; id++ {
					f.contact(id, noon)
					f.gift(id, fmt.Sprintf("gift-%d", id), noon)
				}
				crashed := errors.New("the process died")
				count := 0
				f.reconciler.reached = func(at string) error {
					if at == place {
						if count++; count == crashAt {
							return crashed
						}
					}
					return nil
				}

				f.reconcile(t, "acme", bus.CategoryMissedWebhook)
				require.Len(t, column[string](t, f, `SELECT category FROM giving_reconciliations`), 1, "the pass is not complete")
				f.requests()
				f.reconcile(t, "acme")

				require.Empty(t, column[string](t, f, `SELECT category FROM giving_reconciliations`))
				require.Equal(t, []int64{5}, column[int64](t, f, `SELECT count(*) FROM partner_gifts`))
				require.Equal(t, []int64{5}, column[int64](t, f, `SELECT count(*) FROM partner_contacts`))
				require.Len(t, f.logged(t, "acme"), 10, "each record is logged once")
				if place == "page_committed" { // of three pages of contacts and an empty one, those that were committed are not read again
					queries := 0
					for _, one := range f.requests() {
						if one == "/Contact/Query/FullContact" {
							queries++
						}
					}
					require.Equal(t, max(4-crashAt, 1), queries)
				}
			})
		}
	}
}

func TestSilenceOfAWebhookRaisesAnAlertUntilADelivery(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.onboard(t, "acme")
	f.exec(t, `INSERT INTO credentials (customer_id, name, sealed, updated_at)
		VALUES ('acme', 'virtuous_webhook_secret', '\x00', rollcall_now() - interval '25 hours')`)
	f.exec(t, `UPDATE virtuous_configs SET last_webhook_at = rollcall_now() - interval '24 hours'`)
	f.gift(1, "by-hand", noon)
	f.reconcile(t, "acme", bus.CategoryMissedWebhook)
	require.Empty(t, f.alerts(t, "acme"), "what the first pass finds may be older than the webhook")
	f.reconcile(t, "acme", bus.CategoryMissedWebhook)
	require.Empty(t, f.alerts(t, "acme"), "nothing happened")
	f.gift(2, "by-hand-2", noon)
	f.exec(t, `UPDATE virtuous_configs SET last_webhook_at = rollcall_now() - interval '23 hours 59 minutes'`)
	f.reconcile(t, "acme", bus.CategoryMissedWebhook)
	require.Empty(t, f.alerts(t, "acme"))
	f.gift(3, "by-hand-3", noon)
	f.exec(t, `UPDATE virtuous_configs SET last_webhook_at = rollcall_now() - interval '24 hours'`)
	f.reconcile(t, "acme", bus.CategoryMissedWebhook)
	require.Equal(t, []string{"webhook_silent"}, f.alerts(t, "acme"))
	f.exec(t, `UPDATE virtuous_configs SET last_webhook_at = rollcall_now()`)
	f.reconcile(t, "acme", bus.CategoryMissedWebhook)
	require.Empty(t, f.alerts(t, "acme"))
}

func TestScheduleWorksAllCategoriesInTheirOrderEverySixHours(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.onboard(t, "acme")
	f.exec(t, `UPDATE virtuous_configs SET next_reconcile_at = '1970-01-01', next_report_at = 'infinity'`)
	f.submitted(t, "acme", "don-1", 80*time.Hour)
	look := func() int { return len(f.look(t)) }
	require.Equal(t, 1, look())
	due, err := f.store.GivingReconciliations(t.Context(), "acme")
	require.NoError(t, err)
	require.Equal(t, []string{bus.CategoryStuck, bus.CategoryNeedsUpdate, bus.CategoryMissedWebhook}, []string{due[0].Category, due[1].Category, due[2].Category})

	f.reconcile(t, "acme")

	require.Equal(t, []string{"/Gift/AcmeGive/don-1", "/Contact/Query/FullContact"}, f.requests()[:2], "needs_update trusts the lookup by stuck")
	require.Equal(t, []bool{true}, column[bool](t, f, `SELECT last_reconciled_at = rollcall_now() FROM virtuous_configs`))
	f.advance(t, 6*time.Hour-time.Second)
	require.Zero(t, look())
	f.advance(t, time.Second)
	require.Equal(t, 1, look())
	f.exec(t, `UPDATE sync_configs SET paused_at = rollcall_now()`)
	require.Zero(t, look(), "paused")
}

func TestEarlierGiftsSinceIsReadOnce(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.onboard(t, "acme")
	f.reconcile(t, "acme", "missed_webhook")
	f.exec(t, `UPDATE virtuous_configs SET gifts_since = '2025-12-31'`)
	f.requests()
	f.reconcile(t, "acme", "missed_webhook")
	require.Contains(t, f.requests(), "Last Modified Date 2025-12-31")
	f.reconcile(t, "acme", "missed_webhook")
	require.NotContains(t, f.requests(), "Last Modified Date 2025-12-31")
}

// A clock that was ahead once must not have later passes skip what is changed until then.
func TestDateAheadOfTheDatabaseIsNoCheckpoint(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.onboard(t, "acme")
	f.mu.Lock()
	f.date = noon.AddDate(0, 0, 10)
	f.mu.Unlock()
	f.reconcile(t, "acme", "missed_webhook")
	require.Equal(t, []bool{true, true}, column[bool](t, f, `SELECT checkpoint <= rollcall_now() FROM sync_checkpoints`))
}

// Without a webhook, and soon after there is one, nothing is expected.
func TestNoDeliveryIsExpectedFromASubscriptionThatIsGoneOrNew(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.onboard(t, "acme")
	f.exec(t, `INSERT INTO credentials (customer_id, name, sealed, updated_at)
		VALUES ('acme', 'virtuous_webhook_secret', '\x00', rollcall_now() - interval '9 days')`)
	f.exec(t, `INSERT INTO webhook_subscriptions (customer_id, state, virtuous_webhook_id, payload_url, toggles, requested_at, created_at, ended_at, updated_at)
		VALUES ('acme', 'removed', 1, 'https://hooks.example.org', '{}', $1, $1, $1, $1)`, noon.AddDate(0, 0, -8))
	f.reconcile(t, "acme", "missed_webhook")
	f.gift(1, "by-hand", noon)
	f.reconcile(t, "acme", "missed_webhook")
	require.Empty(t, f.alerts(t, "acme"), "the subscription is gone")

	f.exec(t, `INSERT INTO webhook_subscriptions (customer_id, state, virtuous_webhook_id, payload_url, toggles, requested_at, created_at, updated_at)
		VALUES ('acme', 'active', 2, 'https://hooks.example.org', '{}', $1, $1, $1)`, noon.Add(-time.Hour))
	f.gift(2, "by-hand-2", noon)
	f.reconcile(t, "acme", "missed_webhook")
	require.Empty(t, f.alerts(t, "acme"), "an hour says nothing")
	f.advance(t, 23*time.Hour)
	f.gift(3, "by-hand-3", noon.Add(23*time.Hour))
	f.reconcile(t, "acme", "missed_webhook")
	require.Equal(t, []string{"webhook_silent"}, f.alerts(t, "acme"))
}
