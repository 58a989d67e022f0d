package main

import (
	"testing"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/store"
)

// What the mirror guide has onboarding store (docs/guides.md#onboarding), all at once.
func TestAcceptedRequestStoresCustomerCheckpointAndQueuedBackfillInOneTransaction(t *testing.T) {
	t.Parallel()
	f := newSettlerFixture(t, "2026-01-15T00:00:00Z")

	f.receiveRequest(t, 1, `,"adminEmail":"it@acme.example"`)

	require.Equal(t, 1, f.count(t, `SELECT count(*) FROM sync_configs WHERE customer_id = 'acme' AND external_system_url = 'http://127.0.0.1:1/crm'
		AND poll_cadence_minutes = 30 AND enabled AND onboarded_at = rollcall_now() AND backfill_completed_at IS NULL`))
	require.Equal(t, "t0ken", f.token(t, store.CredentialVomoToken))
	require.Zero(t, f.count(t, `SELECT count(*) FROM credentials WHERE position('t0ken'::bytea IN sealed) > 0`), "the token is sealed")
	require.Equal(t, 1, f.count(t, `SELECT count(*) FROM sync_checkpoints WHERE resource = 'user_sync' AND checkpoint = '1970-01-01 00:00:00Z'`))
	require.Equal(t, 1, f.count(t, `SELECT count(*) FROM all_runs r JOIN job_log j ON j.id = r.job_id
		WHERE r.customer_id = 'acme' AND r.kind = 'backfill' AND r.state = 'queued' AND j.job = 'initial_backfill'`))
	require.Equal(t, 1, f.count(t, wakeUps))
	require.Equal(t, 1, f.count(t, `SELECT count(*) FROM outbox WHERE subject = 'rollcall.events.onboarding.completed.acme'`))
	require.Equal(t, 1, f.count(t, `SELECT count(*) FROM (SELECT xmin::text FROM sync_configs UNION SELECT xmin::text FROM credentials
		UNION SELECT xmin::text FROM sync_checkpoints UNION SELECT xmin::text FROM backfill_runs UNION SELECT xmin::text FROM job_log
		UNION SELECT xmin::text FROM outbox) t`), "one transaction")
}
