package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

const (
	auditMonthsAhead = 3
	// A month that begins within this time is attached without the constraint that excludes it: if attaching failed, the
	// constraint would reject the month's lines.
	auditMonthSoon     = 24 * time.Hour
	codeCheckViolation = "23514"
)

// auditLimits bound each step, because writes to the default partition wait for it.
const auditLimits = `SET LOCAL lock_timeout = '1500ms'; SET LOCAL statement_timeout = '4s'`

// monthlyTable is a table that has a partition for each month, and a default one.
type monthlyTable struct {
	name string
	time string // the column that decides a row's month
}

func audit() monthlyTable { return monthlyTable{name: "sync_audit", time: "processed_at"} }

func reconciliationLog() monthlyTable {
	return monthlyTable{name: "virtuous_reconciliation_log", time: "run_at"}
}

func monthlyTables() []monthlyTable { return []monthlyTable{audit(), reconciliationLog()} }

func (t monthlyTable) rest() string { return t.name + "_default" }

// EnsureAuditMonths makes the partitions of the audit and of the log of reconciliations with Virtuous for this month and the three
// after it, unless another process does it now. If it does not get a month's locks, the next call makes that month; until then its
// lines go to the default partition. If the default partition has lines of a month, all lines of that month stay there.
func (s *Store) EnsureAuditMonths(ctx context.Context) error {
	conn, err := s.pool.Load().Acquire(ctx)
	if err != nil {
		return mapError("make audit partitions", err)
	}
	defer conn.Release()
	unlock, mine, err := lockAuditMonths(ctx, conn)
	if err != nil {
		return mapError("make audit partitions", err)
	}
	if !mine {
		return nil
	}
	return mapError("make audit partitions", unlock(makeAuditMonths(ctx, conn)))
}

// lockAuditMonths keeps other processes from making or dropping months; mine is false if one does it now. unlock adds its own
// error to the given one.
func lockAuditMonths(ctx context.Context, conn *pgxpool.Conn) (unlock func(error) error, mine bool, err error) {
	const lock = `(hashtext('rollcall.ensure_audit_month'))` // the previous version takes the same lock
	if err := conn.QueryRow(ctx, `SELECT pg_try_advisory_lock`+lock).Scan(&mine); err != nil || !mine {
		return nil, false, err
	}
	return func(err error) error {
		unlocking, cancel := context.WithTimeout(context.WithoutCancel(ctx), rollbackTimeout)
		defer cancel()
		if _, unlock := conn.Exec(unlocking, `SELECT pg_advisory_unlock`+lock); unlock != nil {
			err = errors.Join(err, unlock, conn.Conn().Close(unlocking)) // the lock ends with the session
		}
		return err
	}, true, nil
}

func makeAuditMonths(ctx context.Context, conn *pgxpool.Conn) (err error) {
	var now time.Time
	if err := conn.QueryRow(ctx, `SELECT rollcall_now()`).Scan(&now); err != nil {
		return err
	}
	first := time.Date(now.UTC().Year(), now.UTC().Month(), 1, 0, 0, 0, 0, time.UTC)
	for _, table := range monthlyTables() {
		for ahead := range auditMonthsAhead + 1 {
			month := auditMonth{conn: conn, of: table, from: first.AddDate(0, ahead, 0), to: first.AddDate(0, ahead+1, 0)}
			err = errors.Join(err, month.ensure(ctx, now))
		}
	}
	return err
}

// auditMonth is a month whose partition may be missing.
type auditMonth struct {
	conn     *pgxpool.Conn
	of       monthlyTable
	from, to time.Time
}

func (m auditMonth) name() string { return m.of.name + "_" + m.from.Format("2006_01") }

func (m auditMonth) excluded() string { return "not_" + m.from.Format("2006_01") }

func (m auditMonth) ensure(ctx context.Context, now time.Time) error {
	var attached, elsewhere bool
	err := m.conn.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_inherits WHERE inhparent = to_regclass($1) AND inhrelid = to_regclass($2)),
		EXISTS (SELECT FROM `+m.of.rest()+` WHERE `+m.of.time+` >= $3 AND `+m.of.time+` < $4)`, m.of.name, m.name(), m.from, m.to).Scan(&attached, &elsewhere)
	if err != nil || attached || elsewhere {
		return err
	}
	if m.from.Sub(now) > auditMonthSoon {
		if err := m.exclude(ctx); err != nil {
			return m.unlessTaken(err)
		}
	}
	return m.unlessTaken(m.attach(ctx))
}

// exclude proves to Postgres that the default partition has no line of the month, while other processes write. Without this,
// attaching the partition reads all of the default partition and blocks every other access to it.
func (m auditMonth) exclude(ctx context.Context) error {
	within := fmt.Sprintf(`%[1]s < '%[2]s' OR %[1]s >= '%[3]s'`, m.of.time, m.from.Format(time.RFC3339), m.to.Format(time.RFC3339))
	err := m.step(ctx, `ALTER TABLE `+m.of.rest()+` DROP CONSTRAINT IF EXISTS `+m.excluded()+`,
		ADD CONSTRAINT `+m.excluded()+` CHECK (`+within+`) NOT VALID`)
	if err != nil {
		return err
	}
	_, err = m.conn.Exec(ctx, `ALTER TABLE `+m.of.rest()+` VALIDATE CONSTRAINT `+m.excluded()) // blocks neither reads nor writes
	return err
}

func (m auditMonth) attach(ctx context.Context) error {
	return m.step(ctx,
		`CREATE TABLE IF NOT EXISTS `+m.name()+` (LIKE `+m.of.name+` INCLUDING DEFAULTS INCLUDING CONSTRAINTS)`,
		fmt.Sprintf(`ALTER TABLE %s ATTACH PARTITION %s FOR VALUES FROM ('%s') TO ('%s')`, m.of.name, m.name(),
			m.from.Format(time.RFC3339), m.to.Format(time.RFC3339)),
		`ALTER TABLE `+m.of.rest()+` DROP CONSTRAINT IF EXISTS `+m.excluded())
}

// step runs statements in one transaction within the limits.
func (m auditMonth) step(ctx context.Context, statements ...string) error {
	return pgx.BeginFunc(ctx, m.conn, func(tx pgx.Tx) error {
		for _, statement := range append([]string{auditLimits}, statements...) {
			if _, err := tx.Exec(ctx, statement, pgx.QueryExecModeSimpleProtocol); err != nil {
				return err
			}
		}
		return nil
	})
}

// unlessTaken returns nil if the default partition got a line of the month after ensure looked: the month stays there.
func (m auditMonth) unlessTaken(err error) error {
	if codeOf(err) == codeCheckViolation {
		return nil
	}
	return err
}
