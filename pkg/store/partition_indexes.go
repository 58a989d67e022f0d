package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"rollcall.dev/pkg/backoff"
)

// lockPartitionIndexes is held by the process that builds the indexes of partitions.
const lockPartitionIndexes = `(hashtext('rollcall.partition_indexes'))`

// partitionIndex is an index that a partition lacks, and the statements that add it.
type partitionIndex struct{ index, partition, drop, create, attach string }

// missingPartitionIndexes returns what each partition lacks of the indexes that a step made ON ONLY its table.
const missingPartitionIndexes = `SELECT v.index, v.partition, format('DROP INDEX CONCURRENTLY IF EXISTS %I', v.name),
		format('CREATE %sINDEX CONCURRENTLY %I ON %I%s', CASE WHEN v.is_unique THEN 'UNIQUE ' ELSE '' END, v.name, v.partition,
		       substr(v.definition, strpos(v.definition, ' USING '))),
		format('ALTER INDEX %I ATTACH PARTITION %I', v.index, v.name)
	FROM (SELECT i.relname AS index, p.relname AS partition, left(p.relname, 40) || '_' || substr(md5(i.relname || p.relname), 1, 12) AS name,
			x.indisunique AS is_unique, pg_get_indexdef(x.indexrelid) AS definition
		FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid AND i.relkind = 'I'
		JOIN pg_inherits h ON h.inhparent = x.indrelid JOIN pg_class p ON p.oid = h.inhrelid
		WHERE NOT x.indisvalid AND i.relnamespace = 'public'::regnamespace
		  AND NOT EXISTS (SELECT FROM pg_inherits c JOIN pg_index y ON y.indexrelid = c.inhrelid WHERE c.inhparent = x.indexrelid AND y.indrelid = p.oid)) v
	ORDER BY v.index, v.partition`

// buildPartitionIndexes builds the indexes that partitions lack, CONCURRENTLY: Postgres cannot do that for a table with partitions as a whole. What a
// try that failed left invalid is dropped first, so it may be run again. Other migrators wait.
func (m *Migration) buildPartitionIndexes(ctx context.Context) (err error) {
	pool, err := openForGoose(m.DatabaseURL)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, pool.Close()) }()
	conn, err := pool.Conn(ctx) // the lock belongs to a session
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	missing, err := partitionIndexesOf(ctx, conn)
	if err != nil || len(missing) == 0 {
		return err
	}
	unlock, err := awaitPartitionIndexes(ctx, conn)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	if missing, err = partitionIndexesOf(ctx, conn); err != nil { // another migrator may have built some
		return err
	}
	for _, one := range missing {
		if err := m.buildPartitionIndex(ctx, conn, one); err != nil {
			return fmt.Errorf("build the index %s of %s: %w", one.index, one.partition, err)
		}
	}
	return nil
}

// awaitPartitionIndexes waits until no other migrator builds indexes of partitions. It asks again and again, because a statement that waited would keep
// its snapshot, and the other migrator's CREATE INDEX CONCURRENTLY waits for snapshots.
func awaitPartitionIndexes(ctx context.Context, conn *sql.Conn) (unlock func() error, err error) {
	for {
		var locked bool
		if err := conn.QueryRowContext(ctx, `SELECT pg_try_advisory_lock`+lockPartitionIndexes).Scan(&locked); err != nil {
			return nil, fmt.Errorf("lock the indexes of partitions: %w", err)
		}
		if locked {
			return func() error {
				_, err := conn.ExecContext(context.WithoutCancel(ctx), `SELECT pg_advisory_unlock`+lockPartitionIndexes)
				return err
			}, nil
		}
		if err := backoff.Sleep(ctx, time.Second); err != nil {
			return nil, err
		}
	}
}

func partitionIndexesOf(ctx context.Context, conn *sql.Conn) (missing []partitionIndex, err error) {
	rows, err := conn.QueryContext(ctx, missingPartitionIndexes)
	if err != nil {
		return nil, fmt.Errorf("read the indexes of partitions: %w", err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var one partitionIndex
		if err := rows.Scan(&one.index, &one.partition, &one.drop, &one.create, &one.attach); err != nil {
			return nil, fmt.Errorf("read the indexes of partitions: %w", err)
		}
		missing = append(missing, one)
	}
	return missing, rows.Err()
}

// buildPartitionIndex builds the index of one partition, and makes it a part of the table's index. Building waits for old transactions without keeping
// anything away from readers and writers. Attaching would, so it gives up soon, and is tried again.
func (m *Migration) buildPartitionIndex(ctx context.Context, conn *sql.Conn, one partitionIndex) error {
	for _, statement := range []string{
		`SET lock_timeout = 0`, one.drop, one.create, fmt.Sprintf(`SET lock_timeout = %d`, stepLockTimeout.Milliseconds()),
	} {
		if _, err := conn.ExecContext(ctx, statement); err != nil {
			return err
		}
	}
	return m.untilLocked(ctx, func() error {
		_, err := conn.ExecContext(ctx, one.attach)
		return err
	})
}
