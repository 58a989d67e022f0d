package main

import (
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/deadletter"
	"rollcall.dev/pkg/messageletter"
)

func (f *fixture) letters(t *testing.T) []string {
	t.Helper()
	return column[string](t, f, `SELECT concat_ws(' ', record_id, error_code, state, settled_how) FROM dead_letters WHERE kind = 'donation' ORDER BY origin`)
}

func TestDonationIsCapturedOnceAndSealed(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "{}")
	f.give(t, "don-1", nil)
	f.deliver(t, customer, 1, donation(t, "don-1", nil)) // the message was not erased
	f.give(t, "don-1", map[string]any{"amount": "125"})  // the platform published it again, a little differently

	require.Equal(t, []string{"don-1 pending"}, f.states(t))
	require.Empty(t, f.letters(t))
	require.Empty(t, f.events(t))
	sealed := column[[]byte](t, f, `SELECT body_sealed FROM virtuous_donation_queue`)[0]
	body, err := f.vault.Open(t.Context(), customer, purposeTransaction, sealed)
	require.NoError(t, err)
	require.JSONEq(t, `{"transactionSource":"AcmeGive","transactionId":"don-1","amount":"125.00","currencyCode":"USD","giftDate":"2026-11-20",
		"giftType":"Credit","batch":"Web","contact":{"firstname":"Ana","lastname":"Ruiz","email":"ana.ruiz@example.org"},
		"designations":[{"code":"CLEAN-WATER","amountDesignated":"125.00"}]}`, string(body))
	for _, table := range []string{"virtuous_donation_queue", "outbox", "dead_letters", "job_log"} {
		for _, row := range column[string](t, f, `SELECT t::text FROM `+table+` t`) {
			require.NotContains(t, row, "Ruiz")
			require.NotContains(t, row, "ana.ruiz")
		}
	}
}

func TestSameIDWithAnotherContentIsRejectedAndTheFirstStays(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "{}")
	f.give(t, "don-1", nil)
	before := column[[]byte](t, f, `SELECT body_sealed FROM virtuous_donation_queue`)
	for range 2 {
		f.deliver(t, customer, 2, donation(t, "don-1", map[string]any{"giftType": "Cash"}))
	}
	require.Equal(t, before, column[[]byte](t, f, `SELECT body_sealed FROM virtuous_donation_queue`))
	require.Equal(t, []string{"don-1 donation_differs review"}, f.letters(t))
	require.Equal(t, []string{"donation.rejected"}, f.events(t))
	require.JSONEq(t, `{"customerId":"acme","platformDonationId":"don-1","code":"donation_differs","streamSequence":"2",
		"errors":{"platformDonationId":["is the id of a donation with another content, which stays as it is"]}}`,
		column[string](t, f, `SELECT convert_from(payload, 'UTF8') FROM outbox`)[0])

	f.deliver(t, customer, 3, donation(t, "don-1", nil))
	require.Equal(t, []string{"don-1 donation_differs settled superseded"}, f.letters(t), "the platform means the first one")
}

func TestAnotherContentReplacesWhatVirtuousDoesNotHave(t *testing.T) {
	t.Parallel()
	for state, replaced := range map[string]bool{
		`status = 'failed', next_attempt_at = NULL, last_error = 'x'`:                                                          true,
		`status = 'closed', close_reason = 'x'`:                                                                                true,
		`status = 'closed', unanswered_since = now()`:                                                                          false,
		`status = 'closed', submitted_at = now()`:                                                                              false,
		`status = 'submitted', submitted_at = now()`:                                                                           false,
		`status = 'confirmed', confirmed_at = now(), virtuous_gift_id = 7`:                                                     false,
		`status = 'needs_review', submitted_at = now(), next_lookup_at = now(), review_reason = 'match_needed'`:                false,
		`status = 'pending', attempt_started_at = now(), attempt_epoch = 1, unanswered_since = now(), next_attempt_at = now()`: false,
	} {
		t.Run(state, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, "{}")
			f.give(t, "don-1", nil)
			before := column[[]byte](t, f, `SELECT content_hash FROM virtuous_donation_queue`)
			f.exec(t, `UPDATE virtuous_donation_queue SET `+state)
			f.give(t, "don-1", map[string]any{"giftType": "Cash"})
			after := column[[]byte](t, f, `SELECT content_hash FROM virtuous_donation_queue`)
			if replaced {
				require.NotEqual(t, before, after)
				require.Equal(t, []string{"don-1 pending"}, f.states(t))
				require.Empty(t, f.letters(t))
				return
			}
			require.Equal(t, before, after)
			require.Equal(t, []string{"don-1 donation_differs review"}, f.letters(t))
		})
	}
}

func TestInvalidDonationIsALetterUntilAValidOneComes(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "{}")
	bad := donation(t, "don-1", map[string]any{"amount": "1,25"})
	f.deliver(t, customer, 1, bad)
	f.deliver(t, customer, 2, donation(t, "don-1", map[string]any{"amount": "x"}))
	f.deliver(t, customer, 3, []byte(`{`))
	f.deliver(t, customer, 1, bad) // once more

	require.Empty(t, f.states(t))
	require.Equal(t, []string{"don-1 donation_invalid settled superseded", "don-1 donation_invalid review", "donation_invalid review"}, f.letters(t))
	require.Equal(t, []string{"donation.rejected", "donation.rejected", "donation.rejected"}, f.events(t))
	sealed := column[[]byte](t, f, `SELECT payload_sealed FROM dead_letters ORDER BY origin`)[0]
	opened, err := f.vault.Open(t.Context(), customer, messageletter.PurposePayload, sealed)
	require.NoError(t, err)
	require.Equal(t, bad, opened)
	require.True(t, deadletter.HoldsMessage(deadletter.KindDonation))

	f.deliver(t, customer, 4, donation(t, "don-1", nil))
	f.deliver(t, customer, 2, donation(t, "don-1", map[string]any{"amount": "x"})) // the invalid one, delivered again
	require.Equal(t, []string{"don-1 pending"}, f.states(t))
	require.Equal(t, []string{"don-1 donation_invalid settled superseded", "don-1 donation_invalid settled superseded", "donation_invalid review"},
		f.letters(t))
}

func TestDonationOfACustomerWithoutGivingIsKeptOrDiscarded(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "{}")
	f.exec(t, `INSERT INTO sync_configs (customer_id, external_system_url, destination, onboarded_at, updated_at) VALUES ('mirror', '', '{}', now(), now())`)
	f.deliver(t, "mirror", 1, donation(t, "don-1", map[string]any{"customerId": "mirror"}))
	f.deliver(t, "unknown", 2, donation(t, "don-2", map[string]any{"customerId": "unknown"}))
	require.Equal(t, []string{"don-1 giving_off review"}, f.letters(t))
	require.Empty(t, f.states(t))

	f.exec(t, `UPDATE virtuous_configs SET enabled = false, disabled_reason = 'auth_failed'`)
	f.exec(t, `UPDATE sync_configs SET paused_at = now() WHERE customer_id = 'acme'`)
	f.give(t, "don-3", nil)
	require.Equal(t, []string{"don-3 pending"}, f.states(t), "a rejected key and a pause keep no donation from being captured")
}

// The capture reads the settings and the key first. An offboarding that comes then, and destroys the key, has the message discarded.
func TestDonationOfACustomerThatIsOffboardedMeanwhileIsDiscarded(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "{}")
	offboarding, err := f.pool.Begin(t.Context())
	require.NoError(t, err)
	defer func() { require.ErrorIs(t, offboarding.Rollback(t.Context()), pgx.ErrTxClosed) }()
	_, err = offboarding.Exec(t.Context(), `SELECT pg_advisory_xact_lock(hashtextextended('rollcall.customer.' || $1, 0))`, customer)
	require.NoError(t, err)
	_, err = offboarding.Exec(t.Context(), `UPDATE sync_configs SET offboarded_at = rollcall_now() WHERE customer_id = $1`, customer)
	require.NoError(t, err)

	captured, given := make(chan error, 1), message(customer, 1, donation(t, "don-1", nil))
	go func() { captured <- f.capturer.capture(t.Context(), given) }()
	require.Eventually(t, func() bool {
		return column[bool](t, f, `SELECT EXISTS (SELECT FROM pg_locks l JOIN pg_database d ON d.oid = l.database
			WHERE d.datname = current_database() AND l.locktype = 'advisory' AND NOT l.granted)`)[0]
	}, 30*time.Second, 10*time.Millisecond, "the capture waits for the offboarding")
	require.NoError(t, offboarding.Commit(t.Context()))
	require.NoError(t, <-captured)
	require.Empty(t, f.states(t))
	require.Empty(t, f.letters(t))
	require.Empty(t, f.events(t))
}
