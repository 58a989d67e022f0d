//go:build long

package record_test

import (
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/pkg/record"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/testkit"
)

// largeFixture is a database with much of one customer.
type largeFixture struct {
	*store.Store

	t *testing.T
}

// newLargeFixture returns a database that the statements have filled.
func newLargeFixture(t *testing.T, statements ...string) *largeFixture {
	t.Helper()
	url := testkit.Database(t)
	raw, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	opened, err := store.Open(t.Context(), url, store.Options{})
	require.NoError(t, err)
	t.Cleanup(opened.Close)
	require.NoError(t, opened.EnsureAuditMonths(t.Context()))
	began := time.Now()
	for _, statement := range slices.Concat([]string{
		`INSERT INTO sync_configs (customer_id, external_system_url, destination, onboarded_at, updated_at) VALUES ('acme', '', '{}', now(), now())`,
		`INSERT INTO virtuous_configs (customer_id, enabled, onboarded_at, designations_field, defaults, needs_review_after_hours, stuck_after_hours,
			organization_id, organization_name, time_zone, culture, updated_at)
			VALUES ('acme', true, now(), 'designations', '{}', 72, 24, '1', 'Relief', 'UTC', 'en-US', now())`,
	}, statements, []string{`VACUUM ANALYZE`}) {
		_, err := raw.Exec(t.Context(), statement)
		require.NoError(t, err, statement)
	}
	require.NoError(t, raw.Close(t.Context()))
	t.Logf("generated in %s", time.Since(began).Round(time.Second))
	return &largeFixture{Store: opened, t: t}
}

// requireFast requires that each of 40 traces takes less than a second, and has more hops than that.
func (f *largeFixture) requireFast(hops int, trace func(customer record.Customer, i int) operatorapi.Trace) {
	f.t.Helper()
	var took []time.Duration
	for i := range 40 {
		began := time.Now()
		customer, err := record.CustomerOf(f.t.Context(), f.Conn, "acme")
		require.NoError(f.t, err)
		traced := trace(customer, i)
		took = append(took, time.Since(began))
		require.Greater(f.t, len(traced.Timeline), hops)
	}
	slices.Sort(took)
	f.t.Logf("half of the traces within %s, all within %s", took[20].Round(time.Microsecond), took[39].Round(time.Microsecond))
	require.Less(f.t, took[39], time.Second)
}

// nth returns the number of the record that is traced as the ith.
func nth(i, records int) string { return strconv.Itoa(1 + i*(records/41)) }

var measured = record.Lookup{Outcome: operatorapi.LookupNotAsked, Reason: "it is measured"}

// A record of a customer with a million donations and ten million rows of the log is traced within a second; generating them takes some ten minutes.
func TestTraceTakesLessThanASecondWithAMillionDonations(t *testing.T) {
	t.Parallel()
	const donations, logged = 1_000_000, 10_000_000
	f := newLargeFixture(t,
		`INSERT INTO virtuous_donation_queue (customer_id, platform_donation_id, status, transaction_source, donation_sealed, body_sealed, content_hash,
			submitted_at, confirmed_at, virtuous_gift_id, attempt_log, created_at, status_at, updated_at)
			SELECT 'acme', 'don-' || n, CASE WHEN n % 100 = 0 THEN 'submitted' ELSE 'confirmed' END, 'AcmeGive', '\x00', '\x00', '\x00', at, at AS b, n,
				'[{"at":"2026-11-20T08:00:00Z","verdict":"accepted","status":200,"requestId":"r-1","error":null}]', at AS d, at AS e, at AS f
			FROM generate_series(1, `+strconv.Itoa(donations)+`) n, LATERAL (SELECT now() - n * interval '30 seconds' AS at) c`,
		`INSERT INTO partner_gifts (customer_id, virtuous_gift_id, state, amount, transaction_id, platform_donation_id, content_hash, sealed, created_at,
			last_sync_at)
			SELECT 'acme', n, 'live', 125, 'don-' || n, 'don-' || n, '\x00', '\x00', now(), now() FROM generate_series(1, `+strconv.Itoa(donations)+`) n`,
		`INSERT INTO virtuous_reconciliation_log (customer_id, run_at, category, platform_record_id, virtuous_record_id, resolution, entity)
			SELECT 'acme', now() + n % 100 * interval '1 day', 'stuck', 'don-' || n % `+strconv.Itoa(donations)+`, n % `+strconv.Itoa(donations)+`,
				'auto_recovered', 'donation'
			FROM generate_series(1, `+strconv.Itoa(logged)+`) n`,
		`INSERT INTO dead_letters (id, customer_id, kind, record_id, original_subject, job, error_code, error_class, state, first_failed_at, last_failed_at)
			SELECT gen_random_uuid(), 'acme', 'donation', 'don-' || n, 's', 'j', 'c', 'permanent', CASE WHEN n % 1000 = 0 THEN 'review' ELSE 'settled' END,
				now(), now() AS b
			FROM generate_series(1, 100000) n`,
		`INSERT INTO operator_audit (at, via, verb, customer_id, filter, outcome)
			SELECT now(), 'api', 'donations.retry', 'acme', jsonb_build_object('platformDonationId', 'don-' || n), 'done' FROM generate_series(1, 100000) n`,
	)
	f.requireFast(10, func(customer record.Customer, i int) operatorapi.Trace {
		id := "don-" + nth(i, donations)
		if i%2 == 1 {
			id = nth(i, donations) // the gift's id
		}
		found, err := record.Gifts(t.Context(), f.Conn, customer, id)
		require.NoError(t, err)
		return found[0].Trace(measured)
	})
}

// The same of a million contacts of the platform, of which most are contacts at Virtuous; generating them takes some minutes.
func TestTraceTakesLessThanASecondWithAMillionContacts(t *testing.T) {
	t.Parallel()
	const contacts = 1_000_000
	f := newLargeFixture(t,
		`INSERT INTO virtuous_contact_queue (customer_id, reference_source, reference_id, status, transaction_source, partner_sealed, partner_published_at,
			body_sealed, content_hash, submitted_at, confirmed_at, virtuous_contact_id, attempt_log, created_at, status_at, updated_at)
			SELECT 'acme', 'acmegive', 'donor-' || n, CASE WHEN n % 100 = 0 THEN 'submitted' ELSE 'confirmed' END, 'AcmeGive', '\x00', at, '\x00' AS b,
				'\x00' AS c, at AS d, at AS e, CASE WHEN n % 100 > 0 THEN n END,
				'[{"at":"2026-11-20T08:00:00Z","verdict":"accepted","status":200,"requestId":"r-1","error":null}]', at AS f, at AS g, at AS h
			FROM generate_series(1, `+strconv.Itoa(contacts)+`) n, LATERAL (SELECT now() - n * interval '30 seconds' AS at) a`,
		`INSERT INTO partner_contacts (customer_id, virtuous_contact_id, state, content_hash, sealed, created_at, last_sync_at)
			SELECT 'acme', n, 'live', '\x00', '\x00', now(), now() AS b FROM generate_series(1, `+strconv.Itoa(contacts)+`) n`,
		`INSERT INTO partner_references SELECT 'acme', 'acmegive', 'donor-' || n, n AS contact, now() FROM generate_series(1, `+strconv.Itoa(contacts)+`) n
			WHERE n % 100 > 0`,
		`INSERT INTO virtuous_reconciliation_log (customer_id, run_at, category, platform_record_id, virtuous_record_id, resolution, entity)
			SELECT 'acme', now() + n % 100 * interval '1 day', 'stuck', 'donor-' || n, n::bigint, 'auto_recovered', 'contact'
			FROM generate_series(1, `+strconv.Itoa(contacts)+`) n`,
		`INSERT INTO dead_letters (id, customer_id, kind, record_id, original_subject, job, error_code, error_class, state, first_failed_at, last_failed_at)
			SELECT gen_random_uuid(), 'acme', 'contact', 'donor-' || n, 's', 'j', 'c', 'permanent', CASE WHEN n % 1000 = 0 THEN 'review' ELSE 'settled' END,
				now(), now() AS b
			FROM generate_series(1, 100000) n`,
		`INSERT INTO operator_audit (at, via, verb, customer_id, filter, outcome)
			SELECT now(), 'api', 'contacts.retry', 'acme', jsonb_build_object('referenceId', 'donor-' || n), 'done' FROM generate_series(1, 100000) n`,
	)
	f.requireFast(5, func(customer record.Customer, i int) operatorapi.Trace {
		id := "donor-" + nth(i, contacts)
		if i%2 == 1 {
			id = nth(i, contacts) // the contact's id at Virtuous
		}
		found, err := record.Contacts(t.Context(), f.Conn, customer, "AcmeGive", id)
		require.NoError(t, err)
		return found[0].Trace(measured)
	})
}
