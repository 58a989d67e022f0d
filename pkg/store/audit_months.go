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
	// A month that begins so soon is attached without the constraint that excludes it: should the attaching fail, its
	// lines would be refused.
	auditMonthSoon     = 24 * time.Hour
	codeCheckViolation = "23514"
)

// auditLimits bound each step: who writes to the default partition waits behind it.
const auditLimits = `SET LOCAL lock_timeout = '1500ms'; SET LOCAL statement_timeout = '4s'`

// EnsureAuditMonths makes the audit's partitions of this month and the three after it, unless another process is at it. A
// month that is refused a lock is left for the next call; until it is made, the default partition takes its lines. So
// does it for good for a month of which it holds lines already.
func (s *Store) EnsureAuditMonths(ctx context.Context) error {
	conn, err := s.pool.Load().Acquire(ctx)
	if err != nil {
		return fmt.Errorf("make audit partitions: %w", err)
	}
	defer conn.Release()
	const lock = `(hashtext('rollcall.ensure_audit_month'))` // which the version before took as well
	var mine bool
	var now time.Time
	if err := conn.QueryRow(ctx, `SELECT pg_try_advisory_lock`+lock+`, rollcall_now()`).Scan(&mine, &now); err != nil {
		return fmt.Errorf("make audit partitions: %w", err)
	}
	if !mine {
		return nil
	}
	first := time.Date(now.UTC().Year(), now.UTC().Month(), 1, 0, 0, 0, 0, time.UTC)
	for ahead := range auditMonthsAhead + 1 {
		month := auditMonth{conn: conn, from: first.AddDate(0, ahead, 0), to: first.AddDate(0, ahead+1, 0)}
		err = errors.Join(err, month.ensure(ctx, now))
	}
	unlocking, cancel := context.WithTimeout(context.WithoutCancel(ctx), rollbackTimeout)
	defer cancel()
	if _, unlock := conn.Exec(unlocking, `SELECT pg_advisory_unlock`+lock); unlock != nil {
		err = errors.Join(err, unlock, conn.Conn().Close(unlocking)) // the lock ends with the session
	}
	if err != nil {
		return fmt.Errorf("make audit partitions: %w", err)
	}
	return nil
}

// auditMonth is a month's partition that may have to be made.
type auditMonth struct {
	conn     *pgxpool.Conn
	from, to time.Time
}

func (m auditMonth) name() string { return "sync_audit_" + m.from.Format("2006_01") }

func (m auditMonth) excluded() string { return "not_" + m.from.Format("2006_01") }

func (m auditMonth) ensure(ctx context.Context, now time.Time) error {
	var attached, elsewhere bool
	err := m.conn.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_inherits WHERE inhparent = 'sync_audit'::regclass AND inhrelid = to_regclass($1)),
		EXISTS (SELECT FROM sync_audit_default WHERE processed_at >= $2 AND processed_at < $3)`, m.name(), m.from, m.to).Scan(&attached, &elsewhere)
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

// exclude has Postgres know that the default partition holds no line of the month, while others write. Attaching the
// partition would otherwise read all of the default partition, with everybody else shut out.
func (m auditMonth) exclude(ctx context.Context) error {
	within := fmt.Sprintf(`processed_at < '%s' OR processed_at >= '%s'`, m.from.Format(time.RFC3339), m.to.Format(time.RFC3339))
	err := m.step(ctx, `ALTER TABLE sync_audit_default DROP CONSTRAINT IF EXISTS `+m.excluded()+`,
		ADD CONSTRAINT `+m.excluded()+` CHECK (`+within+`) NOT VALID`)
	if err != nil {
		return err
	}
	_, err = m.conn.Exec(ctx, `ALTER TABLE sync_audit_default VALIDATE CONSTRAINT `+m.excluded()) // blocks neither reads nor writes
	return err
}

func (m auditMonth) attach(ctx context.Context) error {
	return m.step(ctx,
		`CREATE TABLE IF NOT EXISTS `+m.name()+` (LIKE sync_audit INCLUDING DEFAULTS)`,
		fmt.Sprintf(`ALTER TABLE sync_audit ATTACH PARTITION %s FOR VALUES FROM ('%s') TO ('%s')`, m.name(),
			m.from.Format(time.RFC3339), m.to.Format(time.RFC3339)),
		`ALTER TABLE sync_audit_default DROP CONSTRAINT IF EXISTS `+m.excluded())
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

// unlessTaken is nil if the default partition got a line of the month after the look: the month stays there.
func (m auditMonth) unlessTaken(err error) error {
	if codeOf(err) == codeCheckViolation {
		return nil
	}
	return err
}
