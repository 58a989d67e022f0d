package store

import (
	"context"
	"errors"
	"regexp"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"rollcall.dev/pkg/store/internal/db"
)

const (
	// While a month waits for the lock that detaches it, every page waits behind it. So it waits for a moment only, and is
	// tried again in a later round.
	detachLimits = `SET LOCAL lock_timeout = '50ms'; SET LOCAL statement_timeout = '4s'`
	// auditAtOnce is how many lines of the default partition are deleted at once.
	auditAtOnce = 1000
)

// monthName is the end of the name of a month's partition.
var monthName = regexp.MustCompile(`^_(\d{4})_(\d{2})$`)

// ForgetAudit drops the oldest month of the audit whose last line is older than age, and deletes a batch of such lines from the
// default partition; more says that there may be others. A month that is in use is left for the next call.
//
// Postgres does not detach concurrently from a table that has a default partition, so a month is detached under a lock on
// the whole audit, within detachLimits. It is dropped afterwards, when no page sees it any more.
func (s *Store) ForgetAudit(ctx context.Context, age time.Duration) (more bool, err error) {
	dropped, err := s.dropMonth(ctx, audit(), age)
	if err != nil {
		return false, mapError("drop a month of the audit", err)
	}
	deleted, err := s.queries.AuditForgetDefault(ctx, s.dbtx, &db.AuditForgetDefaultParams{OlderThan: age, AtMost: auditAtOnce})
	return dropped || deleted == auditAtOnce, err
}

// ForgetReconciliationLog is ForgetAudit for the log of reconciliations with Virtuous.
func (s *Store) ForgetReconciliationLog(ctx context.Context, age time.Duration) (more bool, err error) {
	dropped, err := s.dropMonth(ctx, reconciliationLog(), age)
	if err != nil {
		return false, mapError("drop a month of the log of reconciliations", err)
	}
	deleted, err := s.queries.ReconciliationLogForgetDefault(ctx, s.dbtx,
		&db.ReconciliationLogForgetDefaultParams{OlderThan: age, AtMost: auditAtOnce})
	return dropped || deleted == auditAtOnce, err
}

func (s *Store) dropMonth(ctx context.Context, of monthlyTable, age time.Duration) (dropped bool, err error) {
	conn, err := s.pool.Load().Acquire(ctx)
	if err != nil {
		return false, err
	}
	defer conn.Release()
	unlock, mine, err := lockAuditMonths(ctx, conn)
	if err != nil || !mine {
		return false, err
	}
	defer func() { err = unlock(err) }()
	name, attached, err := oldMonth(ctx, conn, of, age)
	if err != nil || name == "" {
		return false, err
	}
	if attached {
		if err := detachMonth(ctx, conn, of, name); err != nil {
			if codeOf(err) == codeLockNotAvailable {
				return false, nil
			}
			return false, err
		}
	}
	_, err = conn.Exec(ctx, `DROP TABLE IF EXISTS `+name)
	return err == nil, err
}

// oldMonth returns the oldest month of a table that is older than age, "" if there is none. A month that is detached already was left
// by a process that died before it dropped it.
func oldMonth(ctx context.Context, conn *pgxpool.Conn, of monthlyTable, age time.Duration) (name string, attached bool, err error) {
	rows, err := conn.Query(ctx, `SELECT c.relname::text, EXISTS (SELECT FROM pg_inherits i WHERE i.inhrelid = c.oid), rollcall_now()
		FROM pg_class c JOIN pg_class parent ON parent.oid = to_regclass($1) AND parent.relnamespace = c.relnamespace
		WHERE c.relkind = 'r' AND starts_with(c.relname::text, $1) ORDER BY 1`, of.name)
	if err != nil {
		return "", false, err
	}
	var (
		month string
		now   time.Time
		in    bool
	)
	_, err = pgx.ForEachRow(rows, []any{&month, &in, &now}, func() error {
		from, isMonth := startOfMonth(strings.TrimPrefix(month, of.name))
		if name == "" && isMonth && from.AddDate(0, 1, 0).Before(now.Add(-age)) {
			name, attached = month, in
		}
		return nil
	})
	return name, attached, err
}

func startOfMonth(suffix string) (time.Time, bool) {
	parts := monthName.FindStringSubmatch(suffix)
	if parts == nil {
		return time.Time{}, false
	}
	from, err := time.Parse("2006 01", parts[1]+" "+parts[2])
	return from, err == nil
}

func detachMonth(ctx context.Context, conn *pgxpool.Conn, of monthlyTable, name string) error {
	return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		for _, statement := range []string{detachLimits, `ALTER TABLE ` + of.name + ` DETACH PARTITION ` + name} {
			if _, err := tx.Exec(ctx, statement, pgx.QueryExecModeSimpleProtocol); err != nil {
				return err
			}
		}
		return nil
	})
}

// MoveAuditDefault moves a batch of lines of a past month from the default partition to the month's own table, which becomes a
// partition when it has them all; more says that there may be others. It does so for the audit and for the log of reconciliations with
// Virtuous. Until then, a query of the table does not see them. The current month stays where it is until it is over: its lines still
// arrive there.
func (s *Store) MoveAuditDefault(ctx context.Context) (more bool, err error) {
	conn, err := s.pool.Load().Acquire(ctx)
	if err != nil {
		return false, mapError("move lines of the audit", err)
	}
	defer conn.Release()
	unlock, mine, err := lockAuditMonths(ctx, conn)
	if err != nil || !mine {
		return false, mapError("move lines of the audit", err)
	}
	for _, table := range monthlyTables() {
		moreOfTable, moving := moveOldestMonth(ctx, conn, table)
		more, err = more || moreOfTable, errors.Join(err, moving)
	}
	return more, mapError("move lines of the audit", unlock(err))
}

func moveOldestMonth(ctx context.Context, conn *pgxpool.Conn, of monthlyTable) (more bool, err error) {
	var oldest *time.Time
	var now time.Time
	err = conn.QueryRow(ctx, `SELECT (SELECT `+of.time+` FROM `+of.rest()+` ORDER BY `+of.time+` LIMIT 1), rollcall_now()`).Scan(&oldest, &now)
	if err != nil || oldest == nil {
		return false, err
	}
	first := time.Date(oldest.UTC().Year(), oldest.UTC().Month(), 1, 0, 0, 0, 0, time.UTC)
	month := auditMonth{conn: conn, of: of, from: first, to: first.AddDate(0, 1, 0)}
	if month.to.After(now.Add(-auditMonthSoon)) { // a page that began in the month may still be committed
		return false, nil
	}
	return month.moveOut(ctx)
}

// moveOut moves a batch. The month's table has the index and the constraint that a partition needs, so that it is attached
// without being read.
func (m auditMonth) moveOut(ctx context.Context) (more bool, err error) {
	within := m.of.time + ` >= '` + m.from.Format(time.RFC3339) + `' AND ` + m.of.time + ` < '` + m.to.Format(time.RFC3339) + `'`
	err = m.step(ctx, `CREATE TABLE IF NOT EXISTS `+m.name()+` (LIKE `+m.of.name+`
		INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING INDEXES, CHECK (`+within+`))`)
	if err != nil {
		return false, err
	}
	moved, err := m.conn.Exec(ctx, `WITH moved AS (
		DELETE FROM `+m.of.rest()+` WHERE ctid = ANY(ARRAY(
			SELECT ctid FROM `+m.of.rest()+` WHERE `+within+` ORDER BY `+m.of.time+` LIMIT $1 FOR UPDATE)) RETURNING *)
		INSERT INTO `+m.name()+` TABLE moved`, auditAtOnce)
	if err != nil || moved.RowsAffected() == auditAtOnce {
		return err == nil, err
	}
	if err := m.exclude(ctx); err != nil {
		return false, m.unlessTaken(err)
	}
	return true, m.unlessTaken(m.attach(ctx))
}

// AuditDefaultUsed reports whether the default partition of the audit, or of the log of reconciliations with Virtuous, has a line.
func (c Conn) AuditDefaultUsed(ctx context.Context) (bool, error) {
	return c.queries.AuditDefaultUsed(ctx, c.dbtx)
}

// TableSizes returns what tables take on disk, with their partitions and indexes.
func (c Conn) TableSizes(ctx context.Context, names []string) (map[string]int64, error) {
	rows, err := c.queries.TableSizes(ctx, c.dbtx, names)
	sizes := make(map[string]int64, len(rows))
	for _, row := range rows {
		sizes[row.Name] = row.Bytes
	}
	return sizes, err
}
