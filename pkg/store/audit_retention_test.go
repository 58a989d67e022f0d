package store_test

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/store"
)

const day = 24 * time.Hour

// auditLine adds a line of the audit at the fixture's time.
func (f *fixture) auditLine(t *testing.T, record string) {
	t.Helper()
	f.do(t, func(ctx context.Context, tx *store.Tx) error {
		return tx.SaveAudit(ctx, store.AuditScope{Customer: "acme"}, []store.AuditEntry{{RecordID: record, UpdatedAt: time.Unix(1, 0)}})
	})
}

// forgetAudit forgets until nothing is left to forget.
func (f *fixture) forgetAudit(t *testing.T, age time.Duration) {
	t.Helper()
	for more := true; more; {
		var err error
		more, err = f.ForgetAudit(t.Context(), age)
		require.NoError(t, err)
	}
}

func (f *fixture) audited(t *testing.T) []string {
	t.Helper()
	return value[[]string](t, f, `SELECT coalesce(array_agg(record_id ORDER BY processed_at), '{}') FROM sync_audit`)
}

func (f *fixture) auditTables(t *testing.T) []string {
	t.Helper()
	return value[[]string](t, f, `SELECT array_agg(relname::text ORDER BY relname) FROM pg_class WHERE relkind = 'r' AND relname ~ '^sync_audit_\d'`)
}

func TestMonthsOfTheAuditAreDroppedWhenTheirLastLineIsOldEnough(t *testing.T) {
	t.Parallel()
	f := newFixture(t) // on March 2
	require.NoError(t, f.EnsureAuditMonths(t.Context()))
	f.auditLine(t, "in March")
	f.advance(t, 31*day) // April 2
	require.NoError(t, f.EnsureAuditMonths(t.Context()))
	f.auditLine(t, "in April")

	f.forgetAudit(t, 30*day)
	require.Equal(t, []string{"in March", "in April"}, f.audited(t), "the last of March is not 30 days old")
	f.advance(t, 29*day) // May 1
	f.forgetAudit(t, 30*day)
	require.Equal(t, []string{"in April"}, f.audited(t))
	require.NotContains(t, f.auditTables(t), "sync_audit_2026_03")
	f.advance(t, 400*day)
	f.forgetAudit(t, 30*day)
	require.Empty(t, f.audited(t))
	require.NoError(t, f.EnsureAuditMonths(t.Context()), "months are made after old ones went")
	f.auditLine(t, "later")
	require.Equal(t, []string{"later"}, f.audited(t))
}

func TestMonthThatWasDetachedBeforeACrashIsDropped(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	require.NoError(t, f.EnsureAuditMonths(t.Context()))
	f.auditLine(t, "in March")
	f.exec(t, `ALTER TABLE sync_audit DETACH PARTITION sync_audit_2026_03`)
	f.forgetAudit(t, 30*day)
	require.Contains(t, f.auditTables(t), "sync_audit_2026_03", "it is not old enough")
	f.advance(t, 61*day)
	f.forgetAudit(t, 30*day)
	require.NotContains(t, f.auditTables(t), "sync_audit_2026_03")
}

// Postgres does not detach concurrently from a table with a default partition, and a page must not wait long for the lock.
func TestMonthInUseIsDroppedLaterAndDelaysNoPage(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	require.NoError(t, f.EnsureAuditMonths(t.Context()))
	f.auditLine(t, "in March")
	f.advance(t, 61*day)
	require.NoError(t, f.EnsureAuditMonths(t.Context()))
	reader, err := pgx.Connect(t.Context(), f.url)
	require.NoError(t, err)
	defer func() { require.NoError(t, reader.Close(context.WithoutCancel(t.Context()))) }()
	reading, err := reader.Begin(t.Context()) // as a dump does
	require.NoError(t, err)
	_, err = reading.Exec(t.Context(), `LOCK TABLE sync_audit IN ACCESS SHARE MODE`)
	require.NoError(t, err)

	more, err := f.ForgetAudit(t.Context(), 30*day)
	require.NoError(t, err)
	require.False(t, more)
	require.Equal(t, []string{"in March"}, f.audited(t))
	f.auditLine(t, "in May") // no lock is left behind
	require.NoError(t, reading.Rollback(t.Context()))
	f.forgetAudit(t, 30*day)
	require.Equal(t, []string{"in May"}, f.audited(t))
}

func TestLinesOfPastMonthsMoveOutOfTheDefaultPartition(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.exec(t, `INSERT INTO sync_audit (customer_id, resource_type, record_id, operation, succeeded, processed_at)
		SELECT 'acme', 'user', n::text, 'backfill', true, rollcall_now() + n * interval '1 second' FROM generate_series(1, 1500) n`)
	require.NoError(t, f.EnsureAuditMonths(t.Context()))
	used, err := f.AuditDefaultUsed(t.Context())
	require.NoError(t, err)
	require.True(t, used)
	more, err := f.MoveAuditDefault(t.Context())
	require.NoError(t, err)
	require.False(t, more, "lines of March may still come")
	require.Len(t, f.audited(t), 1500)

	f.advance(t, 31*day)
	require.NoError(t, f.EnsureAuditMonths(t.Context()))
	f.auditLine(t, "in April")
	more, err = f.MoveAuditDefault(t.Context())
	require.NoError(t, err)
	require.True(t, more)
	require.Equal(t, 500, value[int](t, f, `SELECT count(*) FROM sync_audit_default`), "a batch at a time; here the process dies")
	for more {
		more, err = f.MoveAuditDefault(t.Context())
		require.NoError(t, err)
	}
	used, err = f.AuditDefaultUsed(t.Context())
	require.NoError(t, err)
	require.False(t, used)
	require.Equal(t, 1500, value[int](t, f, `SELECT count(*) FROM sync_audit_2026_03`))
	require.Len(t, f.audited(t), 1501)
	require.Zero(t, value[int](t, f, `SELECT count(*) FROM pg_constraint WHERE conrelid = 'sync_audit_default'::regclass AND conname LIKE 'not_%'`))
}

func TestOldLinesInTheDefaultPartitionAreDeletedInBatches(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.exec(t, `INSERT INTO sync_audit (customer_id, resource_type, record_id, operation, succeeded, processed_at)
		SELECT 'acme', 'user', n::text, 'backfill', true, rollcall_now() - n * interval '1 minute' FROM generate_series(1, 2500) n`)
	more, err := f.ForgetAudit(t.Context(), day)
	require.NoError(t, err)
	require.True(t, more)
	require.Len(t, f.audited(t), 1500)
	f.forgetAudit(t, day)
	require.Len(t, f.audited(t), 1440, "those of the last day")
}

// reconciled adds a line of the log of reconciliations with Virtuous at the fixture's time.
func (f *fixture) reconciled(t *testing.T, record string) {
	t.Helper()
	f.exec(t, `INSERT INTO virtuous_reconciliation_log (customer_id, category, platform_record_id, resolution)
		VALUES ('acme', 'stuck', $1, 'auto_recovered')`, record)
}

// forgetReconciliations forgets until nothing is left to forget, and returns what is kept.
func (f *fixture) forgetReconciliations(t *testing.T, age time.Duration) []string {
	t.Helper()
	for more := true; more; {
		var err error
		more, err = f.ForgetReconciliationLog(t.Context(), age)
		require.NoError(t, err)
	}
	return value[[]string](t, f, `SELECT coalesce(array_agg(platform_record_id ORDER BY run_at, id), '{}') FROM virtuous_reconciliation_log`)
}

func TestMonthsOfTheReconciliationLogAreMadeAndDropped(t *testing.T) {
	t.Parallel()
	f := newFixture(t) // on March 2
	require.NoError(t, f.EnsureAuditMonths(t.Context()))
	f.auditLine(t, "of the audit")
	f.reconciled(t, "in March")
	f.advance(t, 31*day) // April 2
	f.reconciled(t, "in April")
	require.Equal(t, []string{"virtuous_reconciliation_log_2026_03", "virtuous_reconciliation_log_2026_04"},
		value[[]string](t, f, `SELECT array_agg(tableoid::regclass::text ORDER BY run_at) FROM virtuous_reconciliation_log`))

	require.Equal(t, []string{"in March", "in April"}, f.forgetReconciliations(t, 30*day), "the last of March is not 30 days old")
	f.advance(t, 29*day) // May 1
	require.Equal(t, []string{"in April"}, f.forgetReconciliations(t, 30*day))
	require.Equal(t, []string{"of the audit"}, f.audited(t), "the audit has months of its own")
	f.reconciled(t, "in May")
	require.Equal(t, []string{"in April", "in May"}, f.forgetReconciliations(t, 30*day))
}

func TestLinesOfTheReconciliationLogMoveOutOfTheDefaultPartition(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.exec(t, `INSERT INTO virtuous_reconciliation_log (customer_id, run_at, category, platform_record_id, resolution)
		SELECT 'acme', rollcall_now() + n * interval '1 second', 'stuck', n::text, 'auto_recovered' FROM generate_series(1, 1500) n`)
	used, err := f.AuditDefaultUsed(t.Context())
	require.NoError(t, err)
	require.True(t, used)
	f.advance(t, 31*day)
	require.NoError(t, f.EnsureAuditMonths(t.Context()))
	for more := true; more; {
		more, err = f.MoveAuditDefault(t.Context())
		require.NoError(t, err)
	}
	used, err = f.AuditDefaultUsed(t.Context())
	require.NoError(t, err)
	require.False(t, used)
	require.Equal(t, 1500, value[int](t, f, `SELECT count(*) FROM virtuous_reconciliation_log_2026_03`))
	f.reconciled(t, "in April")
	require.Equal(t, 1501, value[int](t, f, `SELECT count(DISTINCT id) FROM virtuous_reconciliation_log`), "the ids go on")
}

func TestOldLinesOfTheReconciliationLogInTheDefaultPartitionAreDeletedInBatches(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.exec(t, `INSERT INTO virtuous_reconciliation_log (customer_id, run_at, category, platform_record_id, resolution)
		SELECT 'acme', rollcall_now() - n * interval '1 minute', 'stuck', n::text, 'auto_recovered' FROM generate_series(1, 2500) n`)
	more, err := f.ForgetReconciliationLog(t.Context(), day)
	require.NoError(t, err)
	require.True(t, more)
	require.Equal(t, 1500, value[int](t, f, `SELECT count(*) FROM virtuous_reconciliation_log`))
	require.Len(t, f.forgetReconciliations(t, day), 1440, "those of the last day")
}
