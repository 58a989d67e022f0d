package retention

import (
	"context"
	"time"

	"rollcall.dev/pkg/config"
	"rollcall.dev/pkg/store"
)

// batchSize is how many rows one transaction deletes at most.
const batchSize = 1000

// Rule says for how long something is kept.
type Rule struct {
	What    string        // for people
	Table   string        // that holds it; "" if it is not a table
	Setting string        // that says for how long
	Age     time.Duration // 0: for ever, unless Always
	Always  bool          // 0 means: not at all once it is of no more use
	// forget deletes up to batchSize rows that are older than age; more says that there may be others. nil: something else
	// deletes them.
	forget func(ctx context.Context, from *store.Store, age time.Duration) (more bool, err error)
}

// Rules returns what is kept for how long.
func Rules(settings config.Config) []Rule { //nolint:funlen // a list
	return []Rule{
		{What: "lines of the audit", Table: "sync_audit", Setting: "AUDIT_RETENTION", Age: settings.AuditRetention, forget: audit},
		{
			What: "lines of the log of reconciliations with Virtuous", Table: "virtuous_reconciliation_log", Setting: "AUDIT_RETENTION",
			Age: settings.AuditRetention, forget: reconciliationLog,
		},
		{
			What: "daily reports of giving", Table: "giving_reports", Setting: "AUDIT_RETENTION", Age: settings.AuditRetention,
			forget: inBatches(store.Conn.ForgetGivingReports),
		},
		{
			What: "daily counts of people", Table: "customer_daily_counts", Setting: "AUDIT_RETENTION", Age: settings.AuditRetention,
			forget: inBatches(store.Conn.ForgetDailyCounts),
		},
		{
			What: "applied parts of webhooks", Table: "webhook_inbox", Setting: "WEBHOOK_INBOX_AGE", Age: settings.WebhookInboxAge,
			forget: inBatches(store.Conn.ForgetInboxParts),
		},
		{What: "acts of operators", Table: "operator_audit", Setting: "OPERATOR_AUDIT_AGE", Age: settings.OperatorAuditAge, forget: inBatches(store.Conn.ForgetActs)},
		{
			What: "API tokens and links that have ended", Table: "access_grants", Setting: "OPERATOR_AUDIT_AGE", Age: settings.OperatorAuditAge,
			forget: inBatches(store.Conn.ForgetGrants), // as long as the acts that name them
		},
		{
			What: "sessions of browsers", Table: "console_sessions", Setting: "CONSOLE_SESSION_IDLE", Age: settings.ConsoleSessionIdle,
			forget: inBatches(store.Conn.ForgetConsoleSessions),
		},
		{
			What: "idempotency keys of the HTTP API, with their answers", Table: "idempotency_keys", Setting: "IDEMPOTENCY_KEY_AGE",
			Age: settings.IdempotencyKeyAge, forget: inBatches(store.Conn.ForgetIdempotencyKeys),
		},
		{What: "lines of the job log", Table: "job_log", Setting: "JOB_LOG_AGE", Age: settings.JobLogAge, forget: jobs},
		{
			What: "settled letters", Table: "dead_letters", Setting: "SETTLED_LETTERS_AGE", Age: settings.SettledLettersAge,
			forget: inBatches(store.Conn.ForgetLetters),
		},
		{
			What: "bulk acts on letters, with their ledgers", Table: "dlq_drains", Setting: "SETTLED_LETTERS_AGE", Age: settings.SettledLettersAge,
			forget: inBatches(store.Conn.ForgetDrains), // as long as the letters that they name
		},
		{
			What: "settled review items", Table: "review_items", Setting: "SETTLED_LETTERS_AGE", Age: settings.SettledLettersAge,
			forget: inBatches(store.Conn.ForgetReviews),
		},
		{What: "cleared alerts", Table: "alerts", Setting: "CLEARED_ALERTS_AGE", Age: settings.ClearedAlertsAge, forget: inBatches(store.Conn.ForgetAlerts)},
		{
			What: "gaps of reconciliations", Table: "reconciliation_gaps", Setting: "RECONCILE_GAPS_AGE", Age: settings.ReconcileGapsAge,
			forget: inBatches(store.Conn.ForgetGaps),
		},
		{
			What: "notes of sent notices", Table: "notifications", Setting: "NOTIFICATIONS_AGE", Age: settings.NotificationsAge,
			forget: inBatches(store.Conn.ForgetNotifications),
		},
		{
			What: "notes of arrived alerts", Table: "alert_arrivals", Setting: "NOTIFICATIONS_AGE", Age: settings.NotificationsAge,
			forget: inBatches(store.Conn.ForgetAlertArrivals),
		},
		{
			What: "webhooks to endpoints", Table: "endpoint_deliveries", Setting: "NOTIFICATIONS_AGE", Age: settings.NotificationsAge,
			forget: inBatches(store.Conn.ForgetDeliveries),
		},
		{
			What: "attempts at onboarding messages", Table: "message_attempts", Setting: "NOTIFICATIONS_AGE", Age: settings.NotificationsAge,
			forget: inBatches(store.Conn.ForgetAttempts),
		},
		{What: "ids that finished scans saw", Table: "scan_seen", Setting: "SCAN_SEEN_AGE", Age: settings.ScanSeenAge, Always: true, forget: scans},
		{What: "events that NATS has not accepted", Table: "outbox", Setting: "OUTBOX_AGE", Age: settings.OutboxAge, forget: inBatches(store.Conn.ForgetEvents)},
		// The reconciler deletes these, and the onboarding service those of offboarded customers.
		{
			What: "users that deletion scans missed or deleted", Table: "deletion_candidates", Setting: "DELETION_CANDIDATE_RETENTION",
			Age: settings.DeletionCandidateRetention,
		},
		{
			What: "gifts that searches for deleted ones missed", Table: "deletion_gifts", Setting: "DELETION_CANDIDATE_RETENTION",
			Age: settings.DeletionCandidateRetention,
		},
		{What: "mappings of offboarded customers", Table: "user_mappings", Setting: "OFFBOARD_RETENTION", Age: settings.OffboardRetention, Always: true},
		{What: "advisories", Setting: "ADVISORIES_AGE", Age: settings.AdvisoriesAge}, // of a stream: NATS deletes them
	}
}

// inBatches makes a rule's function of one that deletes up to a number of rows.
func inBatches[Count int | int32](forget func(on store.Conn, ctx context.Context, age time.Duration, atMost Count) (int64, error),
) func(context.Context, *store.Store, time.Duration) (bool, error) {
	return func(ctx context.Context, from *store.Store, age time.Duration) (bool, error) {
		deleted, err := forget(from.Conn, ctx, age, batchSize)
		return deleted == batchSize, err
	}
}

func audit(ctx context.Context, from *store.Store, age time.Duration) (bool, error) {
	return from.ForgetAudit(ctx, age)
}

func reconciliationLog(ctx context.Context, from *store.Store, age time.Duration) (bool, error) {
	return from.ForgetReconciliationLog(ctx, age)
}

func jobs(ctx context.Context, from *store.Store, age time.Duration) (bool, error) {
	return from.ForgetJobs(ctx, age)
}

func scans(ctx context.Context, from *store.Store, age time.Duration) (bool, error) {
	return from.ForgetFinishedScans(ctx, age)
}
