package main

import (
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/testkit"
)

// tablesAtOffboarding says for each table what becomes of a customer's rows. A new table needs a line: a customer's personal data must not
// outlive the offboarding, and nothing but ids may outlive the purge.
var tablesAtOffboarding = map[string]string{
	"access_grants":               "deleted: links and API tokens of the customer end at once",
	"alert_arrivals":              "ids only; deleted by age",
	"alerts":                      "ids only; active ones are cleared",
	"backfill_runs":               "ids only; unfinished ones are cancelled",
	"console_sessions":            "of no customer: names a link by its id; deleted by age",
	"contact_differences":         "deleted",
	"credentials":                 "deleted",
	"customer_budgets":            "deleted at the purge",
	"customer_daily_counts":       "counts only; deleted at the purge",
	"customer_keys":               "deleted: what they sealed can never be opened again",
	"customer_leases":             "stays: an epoch is never given twice",
	"customer_tokens":             "deleted",
	"dead_letters":                "settled without what they sealed, and deleted at the purge",
	"deletion_candidates":         "deleted",
	"deletion_gifts":              "ids only; deleted by age",
	"deletion_runs":               "ids and counts only; open ones end as failed",
	"destination_holds":           "deleted at the purge",
	"dlq_drain_items":             "deleted",
	"dlq_drains":                  "deleted",
	"endpoint_deliveries":         "ids only, the answers sealed with the destroyed key; those of its endpoints are deleted at the purge, the others by age",
	"endpoints":                   "stays for customer.offboarded; the customer's own are deleted at the purge",
	"giving_holds":                "deleted",
	"giving_leases":               "stays: an epoch is never given twice",
	"giving_reports":              "counts only; deleted at the purge",
	"idempotency_keys":            "deleted: what the HTTP API answered about the customer",
	"installation_keys":           "of no customer",
	"job_log":                     "ids only; stays",
	"letter_holds":                "deleted at the purge",
	"mapping_archives":            "deleted; a return needs a backfill then",
	"message_attempts":            "ids only; deleted by age",
	"notifications":               "ids only; deleted by age",
	"offboardings":                "stays, without personal data; deleted if the customer returns",
	"onboarding_requests":         "blanked",
	"operator_audit":              "ids only; deleted by age",
	"outbox":                      "deleted",
	"participations":              "deleted",
	"partner_contacts":            "deleted",
	"partner_gifts":               "deleted",
	"partner_references":          "deleted",
	"reconciliation_gaps":         "ids only; deleted by age",
	"reconciliation_runs":         "counts only; stays",
	"review_items":                "deleted",
	"runs":                        "ids only; unfinished ones are cancelled",
	"scan_seen":                   "ids only; deleted when the scan has ended",
	"goose_db_version":            "of no customer",
	"giving_reconciliations":      "ids only; deleted",
	"sealing_key":                 "of no customer",
	"shared_contacts":             "ids only; deleted at the purge",
	"sync_audit":                  "ids only; deleted by age",
	"sync_checkpoints":            "deleted at the purge",
	"sync_configs":                "stays, without the admin's address, and from the purge on without the destination",
	"sync_runs":                   "ids only; deleted",
	"user_mappings":               "blanked, and deleted at the purge",
	"writebacks":                  "deleted",
	"writeback_holds":             "deleted",
	"virtuous_budgets":            "deleted at the purge",
	"virtuous_catalogs":           "deleted",
	"virtuous_configs":            "stays switched off, without settings that may describe people, and is deleted at the purge",
	"virtuous_contact_queue":      "blanked: all are closed; deleted at the purge",
	"virtuous_donation_queue":     "blanked: unfinished ones are closed; deleted at the purge",
	"virtuous_keys":               "deleted",
	"virtuous_oauth":              "deleted",
	"virtuous_reconciliation_log": "ids only; deleted by age",
	"virtuous_refusals":           "of no customer",
	"vomo_refusals":               "of no customer",
	"webhook_inbox":               "deleted",
	"webhook_subscriptions":       "ids only; ended, and deleted at the purge",
}

func TestEachTableSaysWhatAnOffboardingDoes(t *testing.T) {
	t.Parallel()
	conn, err := pgx.Connect(t.Context(), testkit.Database(t))
	require.NoError(t, err)
	defer func() { require.NoError(t, conn.Close(t.Context())) }()
	rows, err := conn.Query(t.Context(), `SELECT relname::text FROM pg_class
		WHERE relkind IN ('r', 'p') AND NOT relispartition AND relnamespace = 'public'::regnamespace`)
	require.NoError(t, err)
	tables, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	for _, table := range tables {
		require.Contains(t, tablesAtOffboarding, table)
	}
	require.Len(t, tablesAtOffboarding, len(tables), "a line for a table that is no more")
}
