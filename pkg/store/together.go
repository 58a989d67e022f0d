package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"rollcall.dev/pkg/store/internal/db"
)

// together is a transaction that keeps its statements back until the answer of one of them is needed, and then
// sends them all at once, BEGIN and COMMIT among them. A page's transaction is two round trips in this way instead of six;
// the way to Postgres and back costs both sides more than most of its statements.
type together struct {
	conn    *pgxpool.Conn
	tx      pgx.Tx // nil until something was sent
	batch   *pgx.Batch
	answers []func(pgx.BatchResults) error // reads the answer of each kept statement, in order
	failed  error                          // the first failure: after it nothing more is sent, whoever overlooked it
}

func newTogether(conn *pgxpool.Conn) *together {
	t := &together{conn: conn, batch: &pgx.Batch{}}
	t.batch.BeginTx(pgx.TxOptions{})
	t.answers = append(t.answers, func(results pgx.BatchResults) error {
		if _, err := results.Exec(); err != nil {
			return fmt.Errorf("begin transaction: %w", err)
		}
		return nil
	})
	return t
}

// keep keeps a statement as sqlc wrote it; answer reads what came of it.
func (t *together) keep(statement func(on db.DBTX) error, answer func(pgx.BatchResults) error) {
	queue(t.batch, statement)
	t.answers = append(t.answers, answer)
}

// send sends what is kept and reads the answers up to the first that is an error.
func (t *together) send(ctx context.Context) error {
	if len(t.answers) == 0 || t.failed != nil {
		return t.failed
	}
	results := t.conn.SendBatch(ctx, t.batch)
	var err error
	for _, answer := range t.answers {
		if err = answer(results); err != nil {
			break
		}
	}
	if t.tx == nil {
		t.tx = results.Tx()
	}
	// After an error the connection repeats that error here.
	if closed := results.Close(); err == nil && closed != nil {
		err = fmt.Errorf("end of statements: %w", closed)
	}
	t.batch, t.answers, t.failed = &pgx.Batch{}, nil, marked(err)
	return t.failed
}

// Exec sends what is kept together with this statement.
func (t *together) Exec(ctx context.Context, sql string, arguments ...any) (pgconn.CommandTag, error) {
	var tag pgconn.CommandTag
	t.batch.Queue(sql, arguments...)
	t.answers = append(t.answers, func(results pgx.BatchResults) (err error) {
		tag, err = results.Exec()
		return err
	})
	err := t.send(ctx)
	return tag, err
}

// Query sends what is kept first.
func (t *together) Query(ctx context.Context, sql string, arguments ...any) (pgx.Rows, error) {
	if err := t.send(ctx); err != nil {
		return nil, err
	}
	return t.tx.Query(ctx, sql, arguments...)
}

// QueryRow sends what is kept together with this statement, once its row is asked for.
func (t *together) QueryRow(ctx context.Context, sql string, arguments ...any) pgx.Row {
	return keptRow{t, func(into []any) error {
		var none error
		t.batch.Queue(sql, arguments...)
		t.answers = append(t.answers, func(results pgx.BatchResults) error {
			err := results.QueryRow().Scan(into...)
			if errors.Is(err, pgx.ErrNoRows) { // an answer, after which the transaction goes on
				none, err = err, nil
			}
			return err
		})
		if err := t.send(ctx); err != nil {
			return err
		}
		return none
	}}
}

// keptRow is a row whose statement has not been sent.
type keptRow struct {
	of   *together
	read func(into []any) error
}

// Scan sends the statement and reads its row.
func (r keptRow) Scan(into ...any) error {
	if r.of.failed != nil {
		return r.of.failed
	}
	return r.read(into)
}

// commit commits together with what is kept. Where a kept statement fails, Postgres skips all that follow it, the
// commit too.
func (t *together) commit(ctx context.Context) error {
	// What was kept first may forbid the rest by its answer and not by an error, as the assertion of a lane does:
	// Postgres would go on to the commit.
	if t.tx == nil {
		if err := t.send(ctx); err != nil {
			return err
		}
	}
	t.batch.Queue("commit")
	t.answers = append(t.answers, func(results pgx.BatchResults) error {
		tag, err := results.Exec()
		if err == nil && tag.String() != "COMMIT" { // what Postgres says of a transaction that had failed before
			err = errors.New("it was rolled back")
		}
		if err != nil {
			return fmt.Errorf("commit: %w", err)
		}
		return nil
	})
	return t.send(ctx)
}

func (t *together) rollback(ctx context.Context) error {
	if t.tx == nil {
		return nil // nothing was sent
	}
	if err := t.tx.Rollback(ctx); err != nil && !errors.Is(err, pgx.ErrTxClosed) {
		return fmt.Errorf("roll back: %w", err)
	}
	return nil
}

// later runs a statement of which only a failure matters. In a transaction that keeps its statements together it
// is kept, and its failure comes with a later statement, or with the commit.
func (t *Tx) later(operation string, statement func(on db.DBTX) error) error {
	if t.together == nil {
		return wrap(operation, statement(t.dbtx))
	}
	t.together.keep(statement, func(results pgx.BatchResults) error {
		_, err := results.Exec()
		return wrap(operation, err)
	})
	return nil
}

// queue puts a statement as sqlc wrote it into a batch.
func queue(batch *pgx.Batch, statement func(on db.DBTX) error) *pgx.QueuedQuery {
	var c captured
	_ = statement(&c) // it was not run, so this is nil or errCaptured
	return batch.Queue(c.sql, c.arguments...)
}

// captured takes a statement instead of running it.
type captured struct {
	sql       string
	arguments []any
}

// Exec takes the statement.
func (c *captured) Exec(_ context.Context, sql string, arguments ...any) (pgconn.CommandTag, error) {
	c.sql, c.arguments = sql, arguments
	return pgconn.CommandTag{}, nil
}

// QueryRow takes the statement.
func (c *captured) QueryRow(_ context.Context, sql string, arguments ...any) pgx.Row {
	c.sql, c.arguments = sql, arguments
	return failedRow{nil}
}

// Query ends with errCaptured: what sqlc wrote would go on to read rows.
func (c *captured) Query(_ context.Context, sql string, arguments ...any) (pgx.Rows, error) {
	c.sql, c.arguments = sql, arguments
	return nil, errCaptured
}

var errCaptured = errors.New("the statement was captured")

// failedRow is a row that nothing is read from.
type failedRow struct{ err error }

// Scan gives why there is nothing.
func (r failedRow) Scan(...any) error { return r.err }
