package retention

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/config"
)

func TestEachRuleNamesASettingAndATable(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	names := map[string]bool{}
	for _, setting := range config.Settings() {
		names[setting.Name] = true
	}
	operating, err := os.ReadFile("../../docs/operating.md")
	require.NoError(t, err)
	for _, rule := range f.Rules {
		require.True(t, names[rule.Setting], rule.Setting)
		named := strings.Contains(string(operating), "`"+rule.Setting+"`")
		require.True(t, named, "docs/operating.md does not name %s", rule.Setting)
		if rule.Table != "" {
			sizes, err := f.Store.TableSizes(t.Context(), []string{rule.Table})
			require.NoError(t, err)
			require.Positive(t, sizes[rule.Table], rule.Table)
		}
	}
}

func TestNotesOfNoticesAreDeletedAfterTheirAge(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	const notes = `SELECT message_id FROM notifications UNION ALL SELECT message_id FROM alert_arrivals UNION ALL SELECT origin FROM message_attempts ORDER BY 1`
	f.exec(`INSERT INTO notifications (message_id, channel, outcome, sent_at) SELECT 'notice', 'webhook', 'sent', at FROM test_clock`)
	f.exec(`INSERT INTO alert_arrivals (message_id, type, cleared, customer_id, payload, arrived_at, gathered)
		SELECT id, 't', false, 'c', '{}', at, waits FROM test_clock, (VALUES ('arrival', false), ('waiting', true)) v (id, waits)`)
	f.exec(`INSERT INTO message_attempts (origin, attempt, noted_at) SELECT 'attempt', gen_random_uuid(), at FROM test_clock`)
	f.advance("40 days")
	require.Len(t, f.kept(notes), 4)
	f.advance("1 second")
	require.Equal(t, []string{"waiting"}, f.kept(notes), "an alert that waits for its summary is kept")
}

func TestWebhooksToEndpointsAreDeletedAfterTheirAge(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	const events = `SELECT event_id FROM endpoint_deliveries ORDER BY 1`
	f.exec(`INSERT INTO endpoints (topics, host, url_sealed, secret_sealed, created_at, updated_at) SELECT '{*}', 'h', '', '', at, at FROM test_clock`)
	//nolint:dupword // columns of the same moment
	f.exec(`INSERT INTO endpoint_deliveries (endpoint_id, event_id, customer_id, topic, body, state, next_attempt_at, retry_until, created_at, settled_at)
		SELECT e.id, v.event, 'acme', 't', '', state, CASE state WHEN 'pending' THEN at END, at, at, CASE WHEN state <> 'pending' THEN at + settled END
		FROM test_clock, endpoints e, (VALUES ('delivered', 'delivered', interval '0'), ('failed', 'failed', interval '0'), ('later', 'delivered', interval '1 day'),
			('pending', 'pending', interval '0')) v (event, state, settled)`)
	f.advance("40 days")
	require.Equal(t, []string{"delivered", "failed", "later", "pending"}, f.kept(events))
	f.advance("1 second")
	require.Equal(t, []string{"later", "pending"}, f.kept(events))
	f.advance("10 years")
	require.Equal(t, []string{"pending"}, f.kept(events), "what is still to be sent is never deleted")
}

func TestClearedAlertsAreDeletedAfterTheirAge(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	const types = `SELECT type FROM alerts ORDER BY type`
	f.exec(`INSERT INTO alerts (customer_id, type, severity, raised_at) SELECT 'acme', 'destination_down', 'high', at FROM test_clock`)
	f.exec(`INSERT INTO alerts (customer_id, type, severity, raised_at, cleared_at) SELECT 'acme', 'dlq_age', 'high', at, at + interval '1 day' FROM test_clock`)
	f.exec(`INSERT INTO alerts (customer_id, type, severity, raised_at, cleared_at) SELECT 'acme', 'email_changed', 'medium', at, at FROM test_clock`)
	f.advance("90 days")
	require.Len(t, f.kept(types), 3)
	f.advance("1 second")
	require.Equal(t, []string{"destination_down", "dlq_age"}, f.kept(types))
	f.advance("1 year")
	require.Equal(t, []string{"destination_down"}, f.kept(types), "an active alert is never deleted")
}

func TestLettersAndGapsAreDeletedAfterTheirAge(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	const ids = `SELECT record_id FROM dead_letters UNION SELECT reason FROM reconciliation_gaps ORDER BY 1`
	f.exec(`INSERT INTO dead_letters (id, customer_id, kind, record_id, original_subject, job, error_code, error_class, state,
			first_failed_at, last_failed_at, settled_at, settled_how, published_revision)
		SELECT gen_random_uuid(), 'acme', 'user', id, 's', 'j', 'c', 'permanent', state, at, at + interval '0',
			CASE state WHEN 'settled' THEN at + settled END, nullif(how, 'no'), published
		FROM test_clock, (VALUES ('long ago', 'settled', interval '1 day', 'discarded', NULL), ('lately', 'settled', interval '30 days', 'retried', NULL),
			('still published', 'settled', interval '1 day', 'retried', 7), ('open', 'review', interval '0', 'no', 8)) v (id, state, settled, how, published)`)
	f.exec(`INSERT INTO reconciliation_gaps SELECT 1, 'acme', '7', 'not_in_mapping', at, at + interval '1 day' FROM test_clock`)
	f.advance("91 days")
	require.Equal(t, []string{"lately", "long ago", "not_in_mapping", "open", "still published"}, f.kept(ids))
	f.advance("1 second")
	require.Equal(t, []string{"lately", "open", "still published"}, f.kept(ids))
	f.advance("1 year")
	require.Equal(t, []string{"open", "still published"}, f.kept(ids), "an open letter is never deleted")
}

func TestActsAndAuditAreDeletedAfterTheirAge(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "AUDIT_RETENTION=48h", "OPERATOR_AUDIT_AGE=24h")
	const rows = `SELECT verb FROM operator_audit UNION ALL SELECT record_id FROM sync_audit ORDER BY 1`
	f.exec(`INSERT INTO operator_audit (at, via, verb, filter, outcome) SELECT at - n * interval '1 minute', 'api', 'act', '{}', 'done'
		FROM test_clock, generate_series(1, 2500) n`)
	f.exec(`INSERT INTO sync_audit (customer_id, resource_type, record_id, operation, succeeded, processed_at)
		SELECT 'acme', 'user', 'line', 'create', true, at FROM test_clock`)
	require.Len(t, f.kept(rows), 1440+1, "as many batches as it takes")
	f.advance("25 hours")
	require.Equal(t, []string{"line"}, f.kept(rows))
	f.advance("24 hours")
	require.Empty(t, f.kept(rows))
}

func TestReportsAndLogOfReconciliationsAreDeletedAfterTheAgeOfTheAudit(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "AUDIT_RETENTION=48h")
	const rows = `SELECT customer_id FROM giving_reports UNION ALL SELECT platform_record_id FROM virtuous_reconciliation_log
		UNION ALL SELECT mirrored::text FROM customer_daily_counts ORDER BY 1`
	f.exec(`INSERT INTO customer_daily_counts SELECT 'acme', at::date, 3 FROM test_clock`)
	f.exec(`INSERT INTO giving_reports (customer_id, date, report, made_at) SELECT 'acme', at::date, '{}', at FROM test_clock`)
	f.exec(`INSERT INTO virtuous_reconciliation_log (customer_id, category, platform_record_id, resolution) VALUES ('acme', 'stuck', 'don-1', 'auto_recovered')`)
	f.advance("48 hours")
	require.Equal(t, []string{"3", "acme", "don-1"}, f.kept(rows))
	f.advance("1 second")
	require.Equal(t, []string{"3"}, f.kept(rows), "a day's count is kept until the whole day is older")
	f.advance("1 day")
	require.Empty(t, f.kept(rows))
}

func TestZeroKeepsForEver(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "AUDIT_RETENTION=0", "OPERATOR_AUDIT_AGE=0", "SETTLED_LETTERS_AGE=0", "CLEARED_ALERTS_AGE=0", "RECONCILE_GAPS_AGE=0")
	f.exec(`INSERT INTO operator_audit (at, via, verb, filter, outcome) SELECT at, 'api', 'act', '{}', 'done' FROM test_clock`)
	f.exec(`INSERT INTO sync_audit (customer_id, resource_type, record_id, operation, succeeded, processed_at)
		SELECT 'acme', 'user', 'line', 'create', true, at FROM test_clock`)
	f.exec(`INSERT INTO outbox (subject, msg_id, payload, created_at, next_attempt_at)
		SELECT 'rollcall.events.user.created.acme', 'event', '{}', at, at FROM test_clock`)
	f.advance("10 years")
	require.Equal(t, []string{"act", "event", "line"},
		f.kept(`SELECT verb FROM operator_audit UNION ALL SELECT record_id FROM sync_audit UNION ALL SELECT msg_id FROM outbox ORDER BY 1`))
}

func TestEventsThatNATSDoesNotAcceptAreGivenUpIfASettingSaysSo(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "OUTBOX_AGE=24h")
	f.exec(`INSERT INTO outbox (subject, msg_id, payload, created_at, next_attempt_at) SELECT s, s || '', '{}', at, at FROM test_clock,
		(VALUES ('rollcall.events.user.created.acme'), ('rollcall.poll.request.acme'), ('rollcall.alerts.high.dlq_age.acme')) v (s)`)
	f.advance("24 hours")
	require.Len(t, f.kept(`SELECT msg_id FROM outbox`), 3)
	f.advance("1 second")
	require.Equal(t, []string{"rollcall.alerts.high.dlq_age.acme", "rollcall.poll.request.acme"}, f.kept(`SELECT msg_id FROM outbox ORDER BY 1`))
}

func TestRuleThatFailsStopsNoOther(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.exec(`ALTER TABLE operator_audit RENAME TO elsewhere`)
	f.exec(`INSERT INTO alerts (customer_id, type, severity, raised_at, cleared_at) SELECT 'acme', 'dlq_age', 'high', at, at FROM test_clock`)
	f.advance("91 days")
	require.Empty(t, f.kept(`SELECT type FROM alerts`))
}

func TestShortRetentionIsRejected(t *testing.T) {
	t.Parallel()
	for _, setting := range []string{"AUDIT_RETENTION", "OUTBOX_AGE", "ARCHIVE_AFTER"} {
		_, err := config.Load([]string{setting + "=1h"})
		require.ErrorContains(t, err, setting+" must be 0 or at least 24h")
		require.NotContains(t, err.Error(), "\n")
	}
}
