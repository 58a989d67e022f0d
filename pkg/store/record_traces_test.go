package store_test

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
)

// A record is traced by index alone, whatever else its customer has: each statement reads some rows of a hundred thousand. Postgres plans for all
// values, as it does for a prepared statement.
func TestTraceOfARecordReadsFewRows(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	require.NoError(t, f.EnsureAuditMonths(t.Context()))
	f.exec(t, `INSERT INTO virtuous_donation_queue (customer_id, platform_donation_id, status, transaction_source, donation_sealed, body_sealed, content_hash,
			submitted_at, confirmed_at, virtuous_gift_id, created_at, status_at, updated_at)
		SELECT 'acme', 'don-' || n, 'confirmed', 'AcmeGive', '\x00', '\x00', '\x00', at, at AS b, n, at AS d, at AS e, at AS f
		FROM generate_series(1, 100000) n, LATERAL (SELECT rollcall_now() AS at) c`)
	f.exec(t, `INSERT INTO virtuous_contact_queue (customer_id, reference_source, reference_id, status, transaction_source, partner_sealed, partner_published_at,
			body_sealed, content_hash, submitted_at, confirmed_at, virtuous_contact_id, created_at, status_at, updated_at)
		SELECT 'acme', 'acmegive', 'donor-' || n, 'confirmed', 'AcmeGive', '\x00', at, '\x00' AS body, '\x00' AS hash, at - n * interval '1 minute', at AS b, n,
			at AS d, at AS e, at AS f
		FROM generate_series(1, 100000) n, LATERAL (SELECT rollcall_now() AS at) c`)
	f.exec(t, `INSERT INTO virtuous_reconciliation_log (customer_id, run_at, category, platform_record_id, virtuous_record_id, resolution, entity)
		SELECT 'acme', rollcall_now() + n % 120 * interval '1 day', 'stuck', 'don-' || n % 50000, n % 50000, 'auto_recovered', 'donation'
		FROM generate_series(1, 100000) n`)
	f.exec(t, `INSERT INTO dead_letters (id, customer_id, kind, record_id, original_subject, job, error_code, error_class, state, first_failed_at, last_failed_at)
		SELECT gen_random_uuid(), 'acme', 'donation', 'don-' || n, 's', 'j', 'c', 'permanent', CASE WHEN n % 1000 = 0 THEN 'review' ELSE 'settled' END,
			rollcall_now(), rollcall_now()
		FROM generate_series(1, 100000) n`)
	f.exec(t, `INSERT INTO operator_audit (at, via, verb, customer_id, filter, outcome)
		SELECT rollcall_now(), 'api', 'donations.retry', 'acme', jsonb_build_object('platformDonationId', 'don-' || n), 'done' FROM generate_series(1, 100000) n`)
	f.exec(t, `INSERT INTO sync_audit (customer_id, resource_type, record_id, operation, succeeded, processed_at)
		SELECT 'acme', 'user', n::text, 'create', true, rollcall_now() FROM generate_series(1, 100000) n`)
	f.exec(t, `INSERT INTO user_mappings (customer_id, vomo_user_id, external_user_id, last_synced_at, last_synced_updated_at, version_hash)
		SELECT 'acme', n::text, 'crm-' || n, rollcall_now(), rollcall_now(), '\x00' FROM generate_series(1, 100000) n`)
	f.exec(t, `INSERT INTO deletion_candidates (run_id, record_id, customer_id, state, source_updated_at, sealed, noted_at)
		SELECT n % 10, n::text, 'acme', 'deleted', rollcall_now(), '\x00', rollcall_now() FROM generate_series(1, 100000) n`)
	f.exec(t, `INSERT INTO deletion_gifts (run_id, virtuous_gift_id, customer_id, state, noted_at)
		SELECT n % 10, n, 'acme', 'deleted', rollcall_now() FROM generate_series(1, 100000) n`)
	f.exec(t, `INSERT INTO writebacks (customer_id, vomo_user_id, state, stamps, requested_at, updated_at)
		SELECT 'acme', n::text, 'done', '{}', rollcall_now(), rollcall_now() FROM generate_series(1, 100000) n`)
	f.exec(t, `INSERT INTO partner_references SELECT 'acme', 'acmegive', 'donor-' || n, n AS contact, rollcall_now() FROM generate_series(1, 100000) n`)
	f.exec(t, `ANALYZE`)
	f.exec(t, `SET plan_cache_mode = force_generic_plan`)
	for _, one := range []struct {
		name, values string
		most         float64
	}{
		{"TraceDonationsOfGift", `'acme', 77`, 5},
		{"TraceDonationAttempts", `'acme', 77`, 1},
		{"ContactTransactionOf", `'acme', 'donor-77', NULL`, 1},
		{"ContactTransactionOf", `'acme', NULL, 77`, 1},
		{"TraceContactAttempts", `'acme', 77`, 1},
		{"TraceContactsOfContact", `'acme', 77, 20`, 20},
		{"ContactConfirmedBetween", `'acme', rollcall_now() - interval '30 days', rollcall_now() - interval '29 days'`, 1},
		{"TraceReconciliations", `'acme', 'don-77', '{donation,gift}', 50, 77`, 50},
		{"TraceLetters", `'acme', 'don-77', '{donation}', 50`, 50},
		{"TraceWebhookLetters", `'acme', 's', 50`, 200}, // open ones
		{"TraceInboxWaiting", `'acme', 50`, 50},
		{"TraceActs", `'acme', 1000, '{platformDonationId}', 'don-77', '{donations}', 50`, 2000},
		{"TraceReference", `'acme', 'acmegive', 'donor-77'`, 1},
		{"TraceUser", `'acme', '77'`, 1},
		{"TraceUserAudit", `'acme', '77', 50`, 50},
		{"TraceUserDeletions", `'acme', '77', 50`, 50},
		{"TraceUserWriteback", `'acme', '77'`, 1},
		{"TraceGiftDeletions", `'acme', 77, 50`, 50},
	} {
		f.exec(t, "PREPARE planned AS "+statements(t)[one.name], pgx.QueryExecModeSimpleProtocol)
		var explained []byte
		require.NoError(t, f.raw.QueryRow(t.Context(), fmt.Sprintf("EXPLAIN (ANALYZE, FORMAT JSON) EXECUTE planned(%s)", one.values),
			pgx.QueryExecModeSimpleProtocol).Scan(&explained), one.name)
		f.exec(t, "DEALLOCATE planned")
		var plans []struct{ Plan visited }
		require.NoError(t, json.Unmarshal(explained, &plans))
		require.LessOrEqual(t, plans[0].Plan.most(), one.most, "%s: %s", one.name, explained)
	}
}
